import { expect, it } from 'vitest';
import { withOutliers } from '../../src/bench/long-context.ts';
import type { KeyValueFormat } from '../../src/engine/config.ts';
import type { Model } from '../../src/engine/model.ts';
import type { Token } from '../../src/eval/attention-samples.ts';
import { contextError } from '../../src/eval/context-error.ts';
import { randomNumbers, tinyModel } from '../engine/tiny-model.ts';

const limits = { layers: 1, sequence: 32, window: 32 };
const dense = tinyModel({
  config: { hidden: 64, heads: 2, layers: 1, sequence: 32, window: 32, tiers: [limits, limits, limits] },
});
const random = randomNumbers(2);
const tokens: Token[] = Array.from({ length: 120 }, () => ({
  features: Int16Array.from({ length: 24 }, () => Math.round((random() * 2 - 1) * 4000)),
  kv: 'write',
  mark: 0,
  held: 0,
}));

const held = (model: Model, keyValues: KeyValueFormat): Model => ({
  ...model,
  config: { ...model.config, keyValues },
});

it('dense int8 is no error', () => {
  expect(contextError(dense, dense, [tokens])).toMatchObject({ cosine: 1, relativeError: 0, logitError: 0 });
});

it('four bits take less room and fewer bytes, for an error that is seen', () => {
  const [eight, four] = (['int8', 'int4'] as const).map((format) =>
    contextError(dense, held(dense, format), [tokens]),
  );
  expect(four!.relativeError).toBeGreaterThan(0);
  expect(four!.cosine).toBeGreaterThan(0.95);
  expect(four!.macs).toBe(eight!.macs);
  // 2 heads of 32: 36 bytes for keys and values of a head instead of 64.
  expect(four!.kvReadBytes / eight!.kvReadBytes).toBe(36 / 64);
  expect(four!.ringBytes).toBeLessThan(0.7 * eight!.ringBytes);
});

it('a rotation spreads what stands out', () => {
  const model = withOutliers(dense);
  const [plain, rotated] = (['int4', 'int4-rotated'] as const).map((format) =>
    contextError(model, held(model, format), [tokens]),
  );
  expect(rotated!.relativeError).toBeLessThan(0.8 * plain!.relativeError);
});

it('streams no longer than the window are refused', () => {
  expect(() => contextError(dense, dense, [tokens.slice(0, 32)])).toThrow('expected more than a window');
});
