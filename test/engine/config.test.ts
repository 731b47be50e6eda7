import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError, presetConfig, presetNames, validateConfig } from '../../src/engine/config.ts';

const micro = presetConfig('micro', 36, 2);

/** The first layer's heads; what is wrong is found before the others are missed. */
function patterned(...heads: object[]) {
  const layer = heads.length === 0 ? [] : [...heads, ...Array(micro.heads - heads.length).fill({ local: 1 })];
  return { ...micro, patterns: [layer, layer] };
}

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
    [
      'key values of two bits',
      { ...micro, keyValues: 'int2' },
      'config.keyValues: expected int8, int4 or int4-rotated, got int2',
    ],
    [
      'a rotation of odd heads',
      { ...micro, hidden: 120, keyValues: 'int4-rotated' },
      'config.keyValues: int4-rotated: expected heads of 16, 32, 64, 128 or 256, got 30',
    ],
    [
      'four bits of spikes',
      { ...micro, attention: 'spike', keyValues: 'int4' },
      'config.attention: expected softmax with keyValues or patterns, got spike',
    ],
    ['patterns of one layer', { ...micro, patterns: [[]] }, 'config.patterns: expected an array of 2, got 1'],
    ['patterns of no head', patterned(), 'config.patterns[0]: expected an array of 4, got 0'],
    [
      'a head that sees more than the window',
      patterned({ local: 9 }),
      'config.patterns[0][0].local: expected a whole number from 1 to 8, got 9',
    ],
    [
      'a head that pins nothing',
      patterned({ local: 1, pinned: 0 }),
      'config.patterns[0][0].pinned: expected a whole number from 1 to 64, got 0',
    ],
    [
      'blocks beside ages',
      patterned({ local: 1, ages: [2], blocks: 1 }),
      'config.patterns[0][0].blocks: expected no pinned or ages beside it',
    ],
    [
      'an age that is seen anyway',
      patterned({ local: 3, ages: [2] }),
      'config.patterns[0][0].ages: expected at most 1024 ascending ages from 3 to 7, got [2]',
    ],
    [
      'ages that do not ascend',
      patterned({ local: 1, ages: [3, 3] }),
      'config.patterns[0][0].ages: expected at most 1024 ascending ages from 1 to 7, got [3,3]',
    ],
    [
      'a part of a pattern that nobody knows',
      patterned({ local: 1, sinks: 4 }),
      'config.patterns[0][0].sinks: unknown; expected local, pinned, ages, blocks',
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
