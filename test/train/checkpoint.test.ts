/** A run that is killed and goes on ends with the same bytes as one that is left alone. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { saveModel } from '../../src/engine/model-file.ts';
import {
  CheckpointFile,
  type Checkpoints,
  fingerprint,
  type TrainingState,
} from '../../src/train/checkpoint.ts';
import { train } from '../../src/train/trainer.ts';
import type { TrainingResult } from '../../src/train/training-result.ts';
import { smallConfig, smallDataset, smallSettings } from './small-dataset.ts';

const directory = mkdtempSync(join(tmpdir(), 'dormouse-checkpoint-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const classify = { kind: 'classify', classes: ['below', 'above'] } as const;
const dataset = smallDataset(classify);
const config = smallConfig(classify);
/** 15 float steps, of which patience ends some early, and 5 quantised ones. */
const settings = { ...smallSettings, steps: 20, evaluateEvery: 2, patience: 2 };
const run = fingerprint(dataset, config, settings);

class Killed extends Error {}

/** Trains until `steps` steps were done in this attempt. */
async function trainUntil(steps: number, checkpoints: Checkpoints | null): Promise<TrainingResult> {
  let done = 0;
  const killer = () => {
    if (++done > steps) throw new Killed();
  };
  return train(dataset, config, settings, 1, killer, checkpoints);
}

const bytesOf = ({ model, parameters }: TrainingResult) =>
  Buffer.concat([saveModel(model), Buffer.from(parameters.buffer)]);

const fileOf = (name: string, everyMs = 0, nowMs = () => 0) =>
  new CheckpointFile(join(directory, name), run, everyMs, nowMs);

describe('a resumed run', () => {
  it.each([1, 2, 3, 7])('killed after every %i steps, gives the same bytes', async (steps) => {
    const undisturbed = await trainUntil(Number.POSITIVE_INFINITY, null);
    let result: TrainingResult | null = null;
    let kills = 0;
    while (result === null) {
      result = await trainUntil(steps, fileOf(`every-${steps}`)).catch((error: Error) => {
        if (!(error instanceof Killed)) throw error;
        kills++;
        return null;
      });
    }
    expect(kills).toBeGreaterThan(1);
    expect(bytesOf(result).equals(bytesOf(undisturbed))).toBe(true);
    expect(result.bestStep).toBe(undisturbed.bestStep);
    expect(result.validation).toEqual(undisturbed.validation);
  });

  it('repeats the steps since the last write, when writes are rare', async () => {
    let now = 0;
    const file = () => fileOf('rare', 3, () => now);
    const first = file();
    const dying = train(
      dataset,
      config,
      settings,
      1,
      () => {
        if (++now > 8) throw new Killed();
      },
      first,
    );
    await expect(dying).rejects.toThrow(Killed);
    expect(file().load()!.step).toBe(6);
  });
});

describe('CheckpointFile', () => {
  const state: TrainingState = {
    step: 3,
    optimiser: {
      parameters: Float32Array.of(1, 2),
      first: Float32Array.of(3, 4),
      second: Float32Array.of(5, 6),
      power1: 0.9 ** 3,
      power2: 0.98 ** 3,
    },
    best: { step: 1, score: 0.5, validation: null, parameters: Float32Array.of(7, 8) },
    scales: null,
  };

  it('gives back what it was given', () => {
    const file = fileOf('whole');
    expect(file.load()).toBeNull();
    file.save(state);
    expect(file.load()).toEqual(state);
    file.remove();
    expect(file.load()).toBeNull();
  });

  it('is not used when it belongs to another run', () => {
    fileOf('other').save(state);
    const other = fingerprint(dataset, config, { ...settings, seed: 8 });
    expect(new CheckpointFile(join(directory, 'other'), other, 0, () => 0).load()).toBeNull();
  });

  it('is not used when any byte is damaged or missing', () => {
    const file = fileOf('damaged');
    file.save(state);
    const whole = readFileSync(join(directory, 'damaged'));
    for (let at = 0; at < whole.length; at++) {
      const damaged = Buffer.from(whole);
      damaged[at]! ^= 1;
      writeFileSync(join(directory, 'damaged'), damaged);
      // Padding may change; what is read back may not.
      expect([null, state]).toContainEqual(file.load());
      writeFileSync(join(directory, 'damaged'), whole.subarray(0, at));
      expect(file.load()).toBeNull();
    }
  });
});

describe('fingerprint', () => {
  it('changes with settings, configuration and any row', () => {
    const [first, ...others] = dataset.train;
    const values = first!.values.slice();
    values[0]! += 1e-9;
    const runs = [
      run,
      fingerprint(dataset, config, { ...settings, steps: 21 }),
      fingerprint(dataset, { ...config, window: 3 }, settings),
      fingerprint({ ...dataset, train: [{ ...first!, values }, ...others] }, config, settings),
      fingerprint({ ...dataset, validation: [] }, config, settings),
    ];
    expect(new Set(runs).size).toBe(runs.length);
    expect(fingerprint(smallDataset(classify), smallConfig(classify), { ...settings })).toBe(run);
  });
});
