/** A pipeline that is put together again from what it remembered goes on as if nothing had been. */
import { describe, expect, test } from 'vitest';
import { Engine } from '../../../src/engine/engine.ts';
import type { Model } from '../../../src/engine/model.ts';
import { featureCount } from '../../../src/gate/features.ts';
import { policyNames } from '../../../src/gate/policy.ts';
import { type RegretModel, regretFeatureNames } from '../../../src/gate/regret.ts';
import { Pipeline } from '../../../src/gateway/pipeline.ts';
import type { PipelineOptions } from '../../../src/gateway/pipeline-options.ts';
import { StateMeasure, StateReader, StateWriter } from '../../../src/gateway/state/state-bytes.ts';
import { randomNumbers, tinyModel } from '../../engine/tiny-model.ts';

interface Life {
  readonly engine: Engine;
  readonly pipeline: Pipeline;
}

function begin(model: Model, options: PipelineOptions): Life {
  const engine = new Engine(model, { streams: 1 });
  return { engine, pipeline: new Pipeline(engine, 0, options) };
}

function copyOf({ engine, pipeline }: Life, model: Model, options: PipelineOptions): Life {
  const measure = new StateMeasure();
  pipeline.carry(measure);
  const bytes = Buffer.alloc(measure.bytes);
  pipeline.carry(new StateWriter(bytes));
  const memory = engine.states().map((view) => Uint8Array.from(view));
  const copy = begin(model, options);
  copy.pipeline.carry(new StateReader(bytes));
  for (const [index, view] of copy.engine.states().entries()) view.set(memory[index]!);
  return copy;
}

/** Stands, moves together, moves apart, has gaps and jumps. */
function frames(count: number, channels: number) {
  const random = randomNumbers(7);
  const values = new Float64Array(channels).fill(20);
  let timeMs = 1_000_000;
  return Array.from({ length: count }, (_, index) => {
    const phase = Math.floor(index / 60) % 4;
    const together = (random() - 0.5) * 2;
    for (let channel = 0; channel < channels; channel++) {
      const own = (random() - 0.5) * 2;
      const step = [0.02 * own, together, own, together * (channel === 0 ? -1 : 1)][phase]!;
      values[channel] = Number.isNaN(values[channel]!)
        ? 20
        : values[channel]! + step + (random() < 0.01 ? 5 : 0);
      if (random() < 0.01) values[channel] = Number.NaN;
    }
    timeMs += random() < 0.05 ? 7000 : 1000;
    return { timeMs, values: Float64Array.from(values) };
  });
}

function evidence({ pipeline }: Life, frame: { timeMs: number; values: Float64Array }): string {
  const witness = JSON.stringify(pipeline.tick(frame).toJson());
  const { output } = pipeline;
  return `${witness} ${output.score} ${[...output.values, ...output.probabilities]}`;
}

/** Tier 1 where the last output was sure. */
const regret: RegretModel = {
  weights: regretFeatureNames.map((name) => (name === 'doubt' ? 1 : 0)),
  bias: 0,
  scores: [0.3],
  probabilities: [0, 1],
};

const names = ['a', 'b', 'c'];
const rule = (name: 'trend' | 'forecast') => ({
  delta: names.map(() => 0.5),
  heartbeat: names.map(() => 60),
  firstHeartbeat: names.map(() => 5),
  refractory: [0, 2, 0],
  rule: name,
});
const recovery = { share: 0.5, halfLife: 20, intervals: 4 };
const models: Record<string, Model> = {
  calibration: tinyModel({
    channels: names,
    config: { outputs: 6 },
    meaning: {
      task: {
        kind: 'anomaly',
        threshold: 3,
        chart: { calibrationTicks: 150, levelHalfLife: 3, surpriseHalfLife: 4, release: 0.5, recovery },
      },
    },
  }),
  trends: tinyModel({
    channels: names,
    config: { features: featureCount(names.length, 'trends'), routing: { layers: [1], capacity: 0.5 } },
    meaning: { features: 'trends' },
  }),
  classify: tinyModel({ channels: names }),
  anomaly: tinyModel({
    channels: names,
    config: { outputs: 6 },
    meaning: { task: { kind: 'anomaly', threshold: 2 }, spikes: rule('trend') },
  }),
  candidates: tinyModel({
    channels: names,
    config: { outputs: 6 },
    meaning: {
      task: { kind: 'anomaly', threshold: 2 },
      candidates: { energyHalfLife: 9, levelHalfLife: 5 },
      spikes: { ...rule('forecast'), delta: names.map(() => 3) },
    },
  }),
  forecast: tinyModel({
    channels: names,
    config: { outputs: 9 },
    meaning: {
      task: { kind: 'forecast', horizon: 3 },
      spikes: { ...rule('forecast'), delta: names.map(() => 12) },
    },
  }),
};

const cuts = [0, 1, 100, 171, 300];

describe.each(Object.keys(models))('%s', (kind) => {
  test.each(policyNames)('under policy %s', (policy) => {
    const model = models[kind]!;
    const options = { policy, regret } as const;
    const all = frames(420, names.length);
    const tiers = new Set<number>();
    for (const cut of cuts) {
      const first = begin(model, options);
      for (const frame of all.slice(0, cut)) first.pipeline.tick(frame);
      const second = copyOf(first, model, options);
      for (const frame of all.slice(cut, cut + 110))
        expect(evidence(second, frame), `${frame.timeMs}, cut at ${cut}`).toBe(evidence(first, frame));
      expect(second.pipeline.counters).toEqual(first.pipeline.counters);
      for (const [tier, count] of first.pipeline.counters.perTier.entries()) if (count > 0) tiers.add(tier);
    }
    // Something was skipped and something computed, or this proves little.
    expect(tiers.has(3)).toBe(true);
    expect(tiers.size).toBeGreaterThan(1);
  });
});
