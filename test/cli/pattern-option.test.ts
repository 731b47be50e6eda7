/** `--pattern`: each form, and what is none of them. */
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/cli/command.ts';
import { patternOption, withPattern } from '../../src/cli/pattern-option.ts';
import { ConfigError, presetConfig, validateConfig } from '../../src/engine/config.ts';

describe('patternOption', () => {
  it.each([
    [undefined, undefined],
    ['a-shape:8', { local: 8 }],
    ['vertical-slash:8,4', { local: 8, pinned: 4 }],
    ['slash:8,9,20', { local: 8, ages: [9, 20] }],
  ])('%s', (text, pattern) => {
    expect(patternOption(text)).toEqual(pattern);
  });

  it.each([
    ...['', 'a-shape', 'a-shape:8,4', 'a-shape:8:4', 'vertical-slash:8', 'vertical-slash:8,4,2'],
    ...['slash:8', 'block-sparse:8,2', 'a-shape:0', 'a-shape:x', 'vertical-slash:8,65', 'slash:8,0'],
  ])("refuses '%s'", (text) => {
    expect(() => patternOption(text)).toThrow(UsageError);
  });
});

describe('withPattern', () => {
  const config = presetConfig('micro', 20, 2);

  it('is the same for all heads of all layers, and nothing without a pattern', () => {
    expect(withPattern(config, { local: 2 }).patterns).toEqual(Array(2).fill(Array(4).fill({ local: 2 })));
    expect(withPattern(config, undefined)).toEqual({});
  });

  it('leaves the window to the configuration', () => {
    const wide = { ...config, ...withPattern(config, { local: 9 }) };
    expect(() => validateConfig(wide)).toThrow(ConfigError);
  });
});
