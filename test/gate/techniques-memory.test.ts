/** No technique allocates while it runs. */
import { expect, test } from 'vitest';
import { randomFeatures, randomModel } from '../../src/bench/random-model.ts';
import { Engine } from '../../src/engine/engine.ts';
import type { CandidateRule } from '../../src/engine/model.ts';
import { Speculation } from '../../src/engine/speculation.ts';
import { Anytime } from '../../src/gate/anytime.ts';
import { EarlyExit } from '../../src/gate/early-exit.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import { heapBytesPerCall, NOTHING_BYTES } from './fixtures.ts';

const collect = globalThis.gc;
const width = 24;
const ticks = Array.from({ length: 64 }, (_, tick) => randomFeatures(width, tick));

type Steps = Pick<Engine, 'step' | 'plans'>;

const techniques: readonly (readonly [string, () => Steps])[] = [
  ['routing', () => new Engine(randomModel({ config: { routing: { layers: [1], capacity: 0.5 } } }))],
  ['spike attention', () => new Engine(randomModel({ config: { attention: 'spike' } }))],
  ['early exit', () => new EarlyExit(new Engine(randomModel()), { layers: 1, confidenceQ16: 20_000 })],
  [
    'refinement',
    () => new Anytime(new Engine(randomModel({ config: { refinement: { rounds: 3 } } })), { gainQ16: 0 }),
  ],
];

test.skipIf(collect === undefined).each(techniques)('%s allocates nothing', (_, make) => {
  const engine = make();
  const bytes = heapBytesPerCall((tick) => engine.step(0, ticks[tick & 63]!, engine.plans[tick % 3]!.write));
  expect(bytes).toBeLessThan(NOTHING_BYTES);
});

test.skipIf(collect === undefined)('self-speculation allocates nothing', () => {
  const engine = new Engine(randomModel({ config: { sequence: 8, window: 4 } }));
  const speculation = new Speculation(engine, {
    drafts: 2,
    layers: 1,
    feedback: (logits, features) => features.fill((logits[0]! & 7) * 300),
  });
  const logits = new Int32Array(6 * 2);
  const bytes = heapBytesPerCall((tick) => speculation.rollout(0, ticks[tick & 63]!, 6, logits), 2000);
  expect(bytes).toBeLessThan(NOTHING_BYTES);
});

test.skipIf(collect === undefined)('a pipeline with candidates allocates no more than one without', () => {
  const meaning = {
    task: { kind: 'anomaly', threshold: 2 },
    spikes: { delta: [0.5, 0.5], heartbeat: [20, 20], refractory: [0, 0] },
  } as const;
  const model = randomModel({ config: { outputs: 4 }, meaning });
  const frame = { timeMs: 0, values: new Float64Array(2) };
  const bytesWith = (candidates: CandidateRule | null) => {
    const pipeline = new Pipeline(new Engine(model), 0, { candidates });
    frame.timeMs = 0;
    return heapBytesPerCall((tick) => {
      frame.timeMs += 1000;
      frame.values[0] = 20 + (tick % 13) * 0.2;
      frame.values[1] = 20 + (tick % 7) * 0.2;
      pipeline.tick(frame);
    });
  };
  const plain = bytesWith(null);
  expect(bytesWith({ energyHalfLife: 8, levelHalfLife: 2 })).toBeLessThan(plain + NOTHING_BYTES);
});
