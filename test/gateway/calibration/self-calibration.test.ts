/** A pipeline of a model that calibrates itself. */
import { describe, expect, it } from 'vitest';
import { Engine } from '../../../src/engine/engine.ts';
import type { ModelMeaning } from '../../../src/engine/model.ts';
import { Pipeline } from '../../../src/gateway/pipeline.ts';
import type { PipelineOptions } from '../../../src/gateway/pipeline-options.ts';
import { Random } from '../../../src/train/random.ts';
import { tinyModel } from '../../engine/tiny-model.ts';
import { frameOf, heapBytesPerCall, NOTHING_BYTES } from '../../gate/fixtures.ts';

const TICKS = 60;
const chart = { calibrationTicks: TICKS, levelHalfLife: 3, surpriseHalfLife: 3, release: 0.5 };
const spikes = { delta: [2, 2], heartbeat: [4, 4], refractory: [0, 0] };

function makePipeline(options: PipelineOptions = {}, meaning: Partial<ModelMeaning> = {}): Pipeline {
  const task = { kind: 'anomaly', threshold: 3, chart } as const;
  const model = tinyModel({ config: { outputs: 4 }, meaning: { task, spikes, ...meaning } });
  return new Pipeline(new Engine(model), 0, options);
}

/** A pump that rests at 300 and 7, far from where the model was trained. */
function pump(rows: number, seed = 1): number[][] {
  const random = new Random(seed);
  return Array.from({ length: rows }, () => [300 + 5 * random.normal(), 7 + 0.1 * random.normal()]);
}

function live(pipeline: Pipeline, rows: readonly number[][], fromTick = 0) {
  return rows.map((values, row) => {
    const witness = pipeline.tick(frameOf(values, 1000 * (fromTick + row + 1)));
    const { score, anomaly } = pipeline.output;
    const { sequence, logitsHash, macs, tier } = witness;
    return { sequence, logitsHash, macs, tier, score, anomaly };
  });
}

describe('a model with a chart', () => {
  it('calibrates itself by its first ticks, without a score and without an alarm', () => {
    const pipeline = makePipeline();
    const seen = live(pipeline, pump(TICKS - 1));
    expect(seen.every(({ score, anomaly }) => Number.isNaN(score) && !anomaly)).toBe(true);
    expect(pipeline.calibration).toBeUndefined();
    expect(pipeline.calibrationProgress).toEqual({ ticks: TICKS - 1, wanted: TICKS });
    live(pipeline, [[300, 7]], TICKS - 1);
    expect(pipeline.calibrationProgress).toEqual({ ticks: 0, wanted: 0 });
    const { ticks, timeMs, channels } = pipeline.calibration!;
    expect({ ticks, timeMs }).toEqual({ ticks: TICKS, timeMs: 1000 * TICKS });
    expect(channels[0]!.center).toBeCloseTo(300, -1);
    expect(channels[0]!.scale / 5).toBeCloseTo(1, 0);
    expect(channels[1]!.scale / 0.1).toBeCloseTo(1, 0);
    expect(channels.map(({ name }) => name)).toEqual(['temperature', 'humidity']);
  });

  it('goes on as one that had known its channels from the first tick', () => {
    const rows = pump(3 * TICKS);
    // Other policies look at the score, which only one of the two has.
    const policy = 'steady';
    const calibrating = makePipeline({ policy });
    const seen = live(calibrating, rows);
    const { channels } = calibrating.calibration!;
    const delta = spikes.delta.map((value, i) => (value * channels[i]!.scale) / 2);
    const knowing = makePipeline(
      { policy },
      { channels, spikes: { ...spikes, delta }, task: { kind: 'anomaly', threshold: 3 } },
    );
    const known = live(knowing, rows);
    expect(seen.slice(TICKS - 1).map(({ logitsHash }) => logitsHash)).toEqual(
      known.slice(TICKS - 1).map(({ logitsHash }) => logitsHash),
    );
    expect(seen.slice(TICKS).map(({ tier }) => tier)).toEqual(known.slice(TICKS).map(({ tier }) => tier));
  });

  it('counts each tick once, and the work of its replay', () => {
    const pipeline = makePipeline();
    const seen = live(pipeline, pump(TICKS + 10));
    expect(seen.map(({ sequence }) => sequence)).toEqual(seen.map((_, row) => row));
    const { frames, tokens, skips, perTier, macs } = pipeline.counters;
    expect(frames).toBe(TICKS + 10);
    expect(tokens + skips).toBe(frames);
    expect(perTier.reduce((sum, count) => sum + count, 0)).toBe(frames);
    expect(macs).toBe(seen.reduce((sum, one) => sum + one.macs, 0));
    expect(seen[TICKS - 1]!.macs).toBeGreaterThan(10 * seen[0]!.macs);
  });

  it('raises an alarm that stands until the score is well below the threshold', () => {
    const pipeline = makePipeline();
    const healthy = pump(3 * TICKS);
    live(pipeline, healthy.slice(0, 2 * TICKS));
    expect(pipeline.output.anomaly).toBe(false);
    const broken = live(
      pipeline,
      pump(30, 2).map(([a, b]) => [a! + 60, b!]),
      2 * TICKS,
    );
    expect(broken.at(-1)!.anomaly).toBe(true);
    expect(pipeline.output.topIndex).toBe(0);
    expect(pipeline.output.confidence).toBe(pipeline.output.score);
    const after = live(pipeline, healthy, 2 * TICKS + 30);
    for (const [row, { score, anomaly }] of after.entries()) {
      if (row === 0) continue;
      expect(anomaly).toBe(score >= (after[row - 1]!.anomaly ? 1.5 : 3));
    }
    expect(after.at(-1)!.anomaly).toBe(false);
  });

  it('uses as many ticks as it is told', () => {
    const pipeline = makePipeline({ calibrationTicks: 35 });
    live(pipeline, pump(35));
    expect(pipeline.calibration!.ticks).toBe(35);
  });

  it('calibrates all the same where no tick makes a token after the first', () => {
    const pipeline = makePipeline({
      spikes: { delta: [1e9, 1e9], heartbeat: [1e9, 1e9], refractory: [0, 0] },
    });
    live(pipeline, pump(2 * TICKS));
    expect(pipeline.calibration).toBeDefined();
  });

  it('does not count a refused frame', () => {
    const pipeline = makePipeline();
    live(pipeline, pump(10));
    live(pipeline, pump(5)); // not later than the last
    expect(pipeline.counters.stale).toBe(5);
    expect(pipeline.calibrationProgress.ticks).toBe(10);
  });

  it('begins its calibration anew when the past is forgotten or time restarts, but keeps a finished one', () => {
    const pipeline = makePipeline();
    live(pipeline, pump(10));
    pipeline.forget();
    expect(pipeline.calibrationProgress.ticks).toBe(0);
    live(pipeline, pump(10));
    pipeline.restartTime();
    expect(pipeline.calibrationProgress.ticks).toBe(0);
    live(pipeline, pump(TICKS));
    const { calibration } = pipeline;
    pipeline.forget();
    pipeline.restartTime();
    expect(pipeline.calibration).toBe(calibration);
    pipeline.reset();
    expect(pipeline.calibration).toBeUndefined();
  });

  it('goes on from a calibration that was kept, and throws it away when told', () => {
    const first = makePipeline();
    live(first, pump(TICKS));
    const second = makePipeline();
    second.useCalibration(first.calibration!);
    first.forget();
    const rows = pump(TICKS, 3);
    expect(live(second, rows, TICKS).map(({ score }) => score)).toEqual(
      live(first, rows, TICKS).map(({ score }) => score),
    );
    second.recalibrate();
    expect(second.calibration).toBeUndefined();
    expect(second.calibrationProgress).toEqual({ ticks: 0, wanted: TICKS });
    expect(second.output.hasValue).toBe(false);
  });

  it('ends an alarm when the fault is over, though the plant has moved meanwhile', () => {
    const recovery = { share: 0.4, halfLife: 40, intervals: 5 };
    const fault = (values: number[], row: number) => [
      values[0]! + (row < 20 ? 0 : 15) + (row >= 20 && row < 80 ? 300 : 0),
      values[1]!,
    ];
    const alarms = (settings: object) => {
      const task = {
        kind: 'anomaly',
        threshold: 8,
        chart: { ...chart, unit: 'average', ...settings },
      } as const;
      const pipeline = makePipeline({}, { task });
      live(pipeline, pump(TICKS));
      return live(pipeline, pump(200, 2).map(fault), TICKS).map(({ anomaly }) => anomaly);
    };
    const recovering = alarms({ recovery });
    expect(recovering.slice(0, 15).some(Boolean)).toBe(false);
    expect(recovering.slice(40, 80).every(Boolean)).toBe(true);
    expect(recovering.slice(130).some(Boolean)).toBe(false);
    expect(alarms({}).slice(130).every(Boolean)).toBe(true);
  });

  it.each([{}, { unit: 'average', recovery: { share: 0.9, halfLife: 5, intervals: 1 } }] as const)(
    'allocates nothing once it is calibrated: %j',
    (settings) => {
      const task = { kind: 'anomaly', threshold: 1.5, chart: { ...chart, ...settings } } as const;
      const pipeline = makePipeline({}, { task });
      const rows = pump(1024);
      const frame = frameOf([0, 0]);
      const bytes = heapBytesPerCall((tick) => {
        frame.timeMs = 1000 * (tick + 1);
        frame.values.set(rows[tick & 1023]!);
        pipeline.tick(frame);
      }, 40_000);
      expect(bytes).toBeLessThan(NOTHING_BYTES);
      expect(pipeline.calibration).toBeDefined();
    },
  );
});

describe('a model without a chart', () => {
  it('refuses to calibrate, whatever it was asked for', () => {
    const pipeline = makePipeline({ calibrationTicks: 35 }, { task: { kind: 'anomaly', threshold: 3 } });
    expect(pipeline.calibrationProgress).toEqual({ ticks: 0, wanted: 0 });
    expect(() => pipeline.recalibrate()).toThrow(
      'calibration: expected a model with a control chart, got one without',
    );
  });
});
