import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError, presetConfig, presetNames, validateConfig } from '../../src/engine/config.ts';

const micro = presetConfig('micro', 36, 2);

describe('presets', () => {
  test('are the ones of the design', () => {
    expect(presetNames).toEqual(['micro', 'baseline']);
    expect(micro).toMatchObject({
      sequence: 32,
      hidden: 128,
      heads: 4,
      layers: 2,
      window: 8,
      feedForward: 512,
    });
    expect(micro.tiers[1]).toEqual({ layers: 1, sequence: 16, window: 4 });
    expect(presetConfig('baseline', 36, 2)).toMatchObject({
      sequence: 64,
      hidden: 256,
      layers: 4,
      window: 16,
      feedForward: 1024,
    });
  });

  test('an unknown one is refused by name', () => {
    expect(() => presetConfig('large' as 'micro', 1, 1)).toThrow(
      'preset: expected one of micro, baseline, got "large"',
    );
    expect(() => presetConfig('toString' as 'micro', 1, 1)).toThrow(ConfigError);
  });
});

describe('validateConfig', () => {
  const cases: [string, unknown, string][] = [
    ['not an object', 7, 'config: expected an object, got 7'],
    ['an array', [], 'config: expected an object, got an array of 0'],
    ['a wrong key', { ...micro, hiden: 1 }, 'config.hiden: unknown; expected features, outputs,'],
    [
      'a missing key',
      { ...micro, hidden: undefined },
      'config.hidden: expected a whole number from 1 to 4096, got undefined',
    ],
    ['a text', { ...micro, hidden: '128' }, 'config.hidden: expected a whole number from 1 to 4096, got 128'],
    ['a fraction', { ...micro, layers: 1.5 }, 'config.layers: expected a whole number from 1 to 64, got 1.5'],
    ['zero', { ...micro, features: 0 }, 'config.features: expected a whole number from 1 to 4096, got 0'],
    [
      'NaN',
      { ...micro, features: Number.NaN },
      'config.features: expected a whole number from 1 to 4096, got NaN',
    ],
    ['too many', { ...micro, heads: 65 }, 'config.heads: expected a whole number from 1 to 64, got 65'],
    [
      'hidden that heads do not divide',
      { ...micro, hidden: 130 },
      'config.hidden: expected a multiple of heads (4), got 130',
    ],
    [
      'a window over the sequence',
      { ...micro, window: 33 },
      'config.window: expected at most sequence (32), got 33',
    ],
    [
      'gains of another kind',
      { ...micro, normGains: 'token' },
      'config.normGains: expected shared or channel, got token',
    ],
    [
      'two tiers',
      { ...micro, tiers: micro.tiers.slice(1) },
      'config.tiers: expected 3 tiers, got an array of 2',
    ],
    [
      'a tier deeper than the model',
      { ...micro, tiers: [micro.tiers[0], { layers: 3, sequence: 1, window: 1 }, micro.tiers[2]] },
      'config.tiers[1].layers: expected a whole number from 1 to 2, got 3',
    ],
    [
      'a tier that looks further than it may',
      { ...micro, tiers: [micro.tiers[0], { layers: 1, sequence: 2, window: 3 }, micro.tiers[2]] },
      'config.tiers[1].window: expected a whole number from 1 to 2, got 3',
    ],
  ];
  test.each(cases)('refuses %s', (_, input, message) => {
    expect(() => validateConfig(input)).toThrow(ConfigError);
    expect(() => validateConfig(input)).toThrow(message);
  });

  test('gives back what is valid, frozen', () => {
    const config = validateConfig(JSON.parse(JSON.stringify(micro)));
    expect(config).toEqual(micro);
    expect(Object.isFrozen(config) && Object.isFrozen(config.tiers) && Object.isFrozen(config.tiers[0])).toBe(
      true,
    );
  });

  test('survives anything', () => {
    fc.assert(
      fc.property(fc.anything(), (input) => {
        expect(() => validateConfig(input)).toThrow(ConfigError);
      }),
      { seed: 20261124 },
    );
  });
});
