import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Engine } from '../../../src/engine/engine.ts';
import { CalibrationPart } from '../../../src/gateway/calibration/calibration-part.ts';
import { Storage } from '../../../src/gateway/disk/storage.ts';
import type { OutgoingMessage } from '../../../src/gateway/outbox.ts';
import { Pipeline } from '../../../src/gateway/pipeline.ts';
import { Random } from '../../../src/train/random.ts';
import { tinyModel } from '../../engine/tiny-model.ts';
import { frameOf } from '../../gate/fixtures.ts';
import { noteLog } from '../fixture.ts';

const TICKS = 40;
const chart = { calibrationTicks: TICKS, levelHalfLife: 3, surpriseHalfLife: 3, release: 0.5 };
const meaning = {
  task: { kind: 'anomaly', threshold: 3, chart },
  spikes: { delta: [2, 2], heartbeat: [4, 4], refractory: [0, 0] },
} as const;

function make(modelSha256 = 'abc') {
  const model = tinyModel({ config: { outputs: 4 }, meaning });
  const pipeline = new Pipeline(new Engine(model), 0);
  const log = noteLog();
  const reports: Record<string, unknown>[] = [];
  const served = { pipeline, modelSha256 };
  const part = new CalibrationPart({ model: () => served, topic: 'd/calibration', reportTicks: 25, log });
  part.onReady(({ topic, payload, retain }: OutgoingMessage) => {
    expect({ topic, retain }).toEqual({ topic: 'd/calibration', retain: true });
    reports.push(JSON.parse(payload as string));
  });
  let tick = 0;
  const random = new Random(4);
  const live = (ticks: number, level = 300) => {
    for (let end = tick + ticks; tick < end; tick++) {
      const frame = frameOf([level + random.normal(), 7 + random.normal()], 1000 * (tick + 1));
      part.onTick(pipeline.tick(frame), pipeline.output, frame);
    }
  };
  return { pipeline, part, log, reports, live, served, channels: model.meaning.channels };
}

const directory = mkdtempSync(join(tmpdir(), 'dormouse-calibration-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const open = () =>
  Storage.open(
    {
      directory,
      commitMs: 1000,
      intakeBytes: 1 << 16,
      outboxBytes: 1 << 16,
      outboxMs: 1e6,
      outboxFlushMs: 1000,
      resendPerS: 1,
    },
    { onProblem: () => {}, onKept: () => {} },
  );

describe('CalibrationPart', () => {
  it('tells how far the calibration is, then its result, then the drift', () => {
    const { reports, live, log, part } = make();
    expect(reports).toEqual([{ state: 'calibrating', ticks: 0, wanted: TICKS }]);
    live(30);
    expect(reports.at(-1)).toEqual({ state: 'calibrating', ticks: 25, wanted: TICKS });
    live(10);
    expect(reports.at(-1)).toMatchObject({
      state: 'calibrated',
      ticks: TICKS,
      time: 1000 * TICKS,
      drifted: [],
    });
    expect(log.lines).toContain(`info: calibrated by ${TICKS} ticks`);
    live(400, 310);
    const { channels, drifted } = reports.at(-1) as {
      channels: Record<string, { drift: number; center: number }>;
      drifted: string[];
    };
    expect(drifted).toEqual(['temperature']);
    expect(channels.temperature!.center).toBeCloseTo(300, -1);
    expect(channels.temperature!.drift).toBeGreaterThan(5);
    expect(Math.abs(channels.humidity!.drift)).toBeLessThan(1);
    expect(part.counters().calibration).toMatchObject({ ticks: 0, wanted: 0 });
  });

  it('tells when the model at work calibrates anew, and when it is another', () => {
    const { reports, live, pipeline, served } = make();
    live(TICKS);
    pipeline.recalibrate();
    live(1);
    expect(reports.at(-1)).toEqual({ state: 'calibrating', ticks: 1, wanted: TICKS });
    live(TICKS);
    expect(reports.at(-1)).toMatchObject({ state: 'calibrated' });
    served.pipeline = make().pipeline;
    live(1);
    expect(reports.at(-1)).toMatchObject({ state: 'calibrating' });
  });

  it('goes on after a restart with what was kept on disk, for the same model alone', async () => {
    const first = make();
    const storage = await open();
    const saved: Promise<void>[] = [];
    const save = (text: string) => {
      const done = storage.saveCalibration(text);
      saved.push(done);
      return done;
    };
    first.part.useStore({ text: storage.formerCalibration, save }, first.channels);
    first.live(TICKS);
    await Promise.all(saved);
    expect(saved).toHaveLength(1);

    storage.close();
    const again = await open();
    const second = make();
    second.part.useStore({ text: again.formerCalibration, save }, second.channels);
    expect(second.pipeline.calibration).toEqual(first.pipeline.calibration);
    second.live(5);
    expect(second.pipeline.output.score).not.toBeNaN();
    expect(saved).toHaveLength(1);

    const other = make('abd');
    other.part.useStore({ text: again.formerCalibration, save }, other.channels);
    expect(other.pipeline.calibration).toBeUndefined();
    expect(other.log.lines.at(-1)).toMatch(/^warning: calibration: expected one of the model at work/);
  });

  it('does not bring back after a restart what was thrown away', () => {
    const { part, live, pipeline, channels } = make();
    const saved: string[] = [];
    part.useStore({ text: '', save: async (text) => void saved.push(text) }, channels);
    live(TICKS);
    pipeline.recalibrate();
    live(1);
    expect(saved.map((text) => text !== '')).toEqual([true, false]);
  });

  it('says so and goes on when the disk refuses', async () => {
    const { part, live, log, pipeline, channels } = make();
    part.useStore({ text: '', save: () => Promise.reject(new Error('no space')) }, channels);
    live(TICKS + 1);
    await Promise.resolve();
    expect(log.lines).toContain('warning: calibration not kept: no space');
    expect(pipeline.calibration).toBeDefined();
  });
});
