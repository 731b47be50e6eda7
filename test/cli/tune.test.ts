import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { command as generateCommand } from '../../src/cli/generate.ts';
import { command } from '../../src/cli/tune.ts';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { realRecording } from '../eval/helpers.ts';
import { captureOutput } from './captured-output.ts';

const room = {
  name: 'room',
  task: 'classify',
  classes: ['empty', 'occupied'],
  time: 'time',
  label: 'label',
  channels: { humidity: '', temperature: '' },
  train: ['train.csv'],
  test: ['absent.csv'],
  intervalS: 1,
  source: 'made for this test',
};
const model = tinyModel();

let directory = '';
const output = captureOutput();
const path = (name: string) => join(directory, name);

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-tune-'));
  writeFileSync(path('recording.json'), JSON.stringify(room));
  const rows = Array.from(
    { length: 200 },
    (_, t) => `${t},${20 + (t % 7)},${20 + Math.sin(t / 9)},${t & 32 ? 1 : 0}`,
  );
  writeFileSync(path('train.csv'), `time,humidity,temperature,label\n${rows.join('\n')}\n`);
  writeFileSync(path('model.safetensors'), saveModel(model));
});
afterAll(() => rmSync(directory, { recursive: true }));

const tune = (...args: string[]) => command.run([directory, '--model', path('model.safetensors'), ...args]);

describe('dormouse tune', () => {
  it('prints what it tried, and the sections of a config', async () => {
    expect(await tune('--retention', '0.2', '--trials', '12', '--policies', 'steady')).toBe(0);
    expect(output.written).toMatch(/^200 rows of training and validation/);
    expect(output.written).toMatch(/\nthe model as it is .* MACs|the model as it is/);
    expect(output.written).toMatch(/\nspikes:\n {2}temperature: \{ delta: .*\n {2}humidity: /);
  });

  it('writes a model with other thresholds, the same weights, and a note of how', async () => {
    await tune(
      '--retention',
      '0.2',
      '--trials',
      '12',
      '--policies',
      'steady',
      '-o',
      path('tuned.safetensors'),
    );
    const tuned = loadModel(readFileSync(path('tuned.safetensors')));
    expect(tuned.weights).toEqual(loadModel(saveModel(model)).weights);
    expect(tuned.meaning.spikes).not.toEqual(model.meaning.spikes);
    expect(tuned.meaning.provenance.tuned).toMatchObject({ recording: 'room', asked: 0.2, policy: 'steady' });
  });

  it('prints every trial as JSON', async () => {
    await tune('--retention', '0.2', '--trials', '5', '--policies', 'steady', '--json');
    const { trials, best, denseMacsPerTick } = JSON.parse(output.written);
    expect(trials.length).toBeGreaterThanOrEqual(5);
    expect(best.macsPerTick).toBeLessThanOrEqual(denseMacsPerTick);
  });

  it('fails, and writes nothing, when nothing keeps the quality', async () => {
    const output = path('none.yaml');
    await expect(
      tune('--retention', '1', '--trials', '3', '--policies', 'steady', '-o', output),
    ).rejects.toThrow(/no setting keeps 1 of the quality/);
    expect(() => readFileSync(output)).toThrow();
  });

  it.each([
    [['--retention', '2'], /--retention: expected a number from 0 to 1/],
    [['--policies', 'wild'], /--policies: expected one of steady/],
    [['-o', 'x.txt'], /--output: expected NAME.safetensors or NAME.yaml/],
    [['--trials', '0'], /--trials/],
    [['--first-heartbeats', '0'], /--first-heartbeats/],
  ])('refuses %j', async (args, message) => {
    await expect(tune(...args)).rejects.toThrow(message);
  });

  it('refuses to overwrite the model', async () => {
    await expect(tune('-o', path('model.safetensors'))).rejects.toThrow(/expected another file than --model/);
  });

  const occupancy = realRecording('occupancy');
  it.skipIf(occupancy === null)(
    'finds settings for the shipped model on its training rows',
    { timeout: 60_000 },
    async () => {
      const shipped = 'targets/models/occupancy.safetensors';
      expect(
        await command.run([occupancy!, '--model', shipped, '--trials', '14', '--policies', 'steady']),
      ).toBe(0);
      expect(output.written).toMatch(/^8143 rows of training and validation/);
      expect(output.written).toMatch(/\nBest of \d+: skips \d+\.\d % of ticks/);
    },
  );
});

describe('dormouse generate', () => {
  it('writes a recording', async () => {
    const output = path('streaming');
    expect(await generateCommand.run(['streaming', '-o', output, '--rows', '200', '--seed', '3'])).toBe(0);
    expect(readFileSync(join(output, 'train.csv'), 'utf8').split('\n').length).toBe(202);
    expect(JSON.parse(readFileSync(join(output, 'recording.json'), 'utf8'))).toMatchObject({
      name: 'streaming',
    });
  });

  it.each([
    [['-o', 'x'], /expected a workload \(streaming, /],
    [['fast', '-o', 'x'], /workload: expected one of streaming, .*, got 'fast'/],
    [['streaming'], /expected --output DIRECTORY/],
    [['streaming', '-o', 'x', '--rows', '1'], /--rows/],
  ])('refuses %j', async (args, message) => {
    await expect(generateCommand.run(args)).rejects.toThrow(message);
  });
});
