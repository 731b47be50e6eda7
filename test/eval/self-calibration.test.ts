/** Files are scored as a gateway would live them: calibrated on their own first rows, blind to when that was. */
import { describe, expect, it } from 'vitest';
import { evaluateProtocol } from '../../src/eval/evaluate.ts';
import type { Protocol } from '../../src/eval/protocols.ts';
import type { Series } from '../../src/recording/recording.ts';
import { Random } from '../../src/train/random.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { makeRecording } from './helpers.ts';

const CALIBRATION = 120;
const ROWS = 400;
const FAULT: readonly [number, number] = [220, 320];

/** Two coupled channels, around `level`, of which the second leaves for a while. */
function plant(seed: number, level: number, scale: number, startMs: number): Series {
  const random = new Random(seed);
  const values = new Float64Array(2 * ROWS);
  for (let row = 0; row < ROWS; row++) {
    const isFaulty = row >= FAULT[0] && row < FAULT[1];
    values[2 * row] = level + scale * random.normal();
    values[2 * row + 1] = level + scale * (random.normal() + (isFaulty ? 12 : 0));
  }
  return {
    name: `plant ${seed}`,
    rows: ROWS,
    timeMs: Float64Array.from({ length: ROWS }, (_, row) => startMs + 1000 * row),
    values,
    labels: new Int8Array(ROWS).fill(1, FAULT[0], FAULT[1]),
  };
}

const chart = { calibrationTicks: CALIBRATION, levelHalfLife: 3, surpriseHalfLife: 3, release: 0.75 };
const model = tinyModel({
  config: { outputs: 4 },
  meaning: {
    task: { kind: 'anomaly', threshold: 3, chart },
    spikes: { delta: [6, 6], heartbeat: [3, 3], refractory: [0, 0] },
  },
});

function evaluate(tests: Series[]) {
  const channels = model.meaning.channels.map(({ name, unit }) => ({ name, unit }));
  const protocol: Protocol = {
    recording: makeRecording({ task: 'anomaly', calibrationRows: CALIBRATION, channels }),
    channels: 2,
    train: [],
    tests: tests.map((series) => ({ series, scoredFrom: CALIBRATION })),
    standardiser: { mean: new Float64Array(2), deviation: new Float64Array(2).fill(1) },
  };
  return evaluateProtocol(model, protocol, { repetitions: 0 });
}

describe('a model that calibrates itself', () => {
  const found = evaluate([plant(1, 20, 2, 0), plant(2, -5000, 80, 0), plant(3, 0.001, 1e-5, 0)]);

  it('finds the faults of plants that it has never seen, in their own units', () => {
    // An alarm at every row has 0.53.
    for (const { metric } of [found.dense, found.gated, ...found.tiers])
      expect(metric.f1).toBeGreaterThan(0.7);
    expect(found.gated.skipRate).toBeGreaterThan(0.2);
  });

  it('sees neither clock nor date', () => {
    const later = evaluate([plant(1, 20, 2, 9e11), plant(2, -5000, 80, 7e10), plant(3, 0.001, 1e-5, 5e9)]);
    expect(later.gated.metric).toEqual(found.gated.metric);
    expect(later.dense.metric).toEqual(found.dense.metric);
  });

  it('calibrates each file anew: their order changes nothing', () => {
    const turned = evaluate([plant(3, 0.001, 1e-5, 0), plant(1, 20, 2, 0), plant(2, -5000, 80, 0)]);
    expect(turned.gated.metric.f1).toBe(found.gated.metric.f1);
  });

  it('gives the decimated model as much time to calibrate, not as many ticks', () => {
    expect(found.rivals.decimation!.metric.f1).toBeGreaterThan(0.5);
  });
});
