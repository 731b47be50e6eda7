import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { command } from '../../src/cli/calibrate-gate.ts';
import { UsageError } from '../../src/cli/command.ts';
import { Engine } from '../../src/engine/engine.ts';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import { regretModelOf } from '../../src/gate/regret.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import { randomNumbers, tinyModel } from '../engine/tiny-model.ts';
import { captureOutput } from './captured-output.ts';

let directory = '';
const output = captureOutput();
const at = (name: string) => join(directory, name);

function writeRecording(trainRows: number, task: 'classify' | 'anomaly' = 'classify'): void {
  const random = randomNumbers(3);
  const csv = (rows: number) =>
    `time,temperature,humidity,label\n${Array.from({ length: rows }, (_, row) => `${row},${18 + 4 * random()},${18 + 4 * random()},${row % 2}`).join('\n')}\n`;
  writeFileSync(at('train.csv'), csv(trainRows));
  writeFileSync(at('test.csv'), csv(300));
  writeFileSync(
    at('recording.json'),
    JSON.stringify({
      name: 'room',
      task,
      ...(task === 'classify' && { classes: ['empty', 'occupied'] }),
      time: 'time',
      label: 'label',
      channels: { temperature: '', humidity: '' },
      train: ['train.csv'],
      test: ['test.csv'],
      intervalS: 1,
      source: 'made for this test',
    }),
  );
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-calibrate-'));
  writeFileSync(at('model.safetensors'), saveModel(tinyModel()));
});
afterAll(() => rmSync(directory, { recursive: true }));

describe('calibrate gate', () => {
  it('writes the same model with a regret that the policy `energy` follows', async () => {
    writeRecording(1600);
    expect(
      await command.run([at('model.safetensors'), directory, '-o', at('out.safetensors'), '--json']),
    ).toBe(0);
    const report = JSON.parse(output.written);
    const made = loadModel(readFileSync(at('out.safetensors')));
    expect(made.weights).toEqual(loadModel(readFileSync(at('model.safetensors'))).weights);
    expect(regretModelOf(made.meaning)).toEqual(report.regret);
    expect(report.validation.tokens).toBeGreaterThan(200);
    expect(report.test.realised).toBeGreaterThan(0.05);
    expect(Math.abs(report.test.predicted - report.test.realised)).toBeLessThan(0.1);
    expect(() => new Pipeline(new Engine(made), 0, { policy: 'energy' })).not.toThrow();
  });

  it('tells a person the same', async () => {
    expect(await command.run([at('model.safetensors'), directory, '-o', at('out.safetensors')])).toBe(0);
    expect(output.written).toMatch(
      /out.safetensors: tier 1 answers otherwise than tier 0 with a probability from [\d.]+ to [\d.]+\n/,
    );
    expect(output.written).toMatch(/\n {2}doubt +-?[\d.e-]+\n/);
    expect(output.written).toMatch(
      /\ntest rows, which nothing was fitted on: \d+ tokens, predicted [\d.]+, realised/,
    );
  });

  it('fits when tokens may leave early, where that is asked for', async () => {
    const call = (share: string) => [
      at('model.safetensors'),
      directory,
      '-o',
      at('out.safetensors'),
      '--exit',
      share,
    ];
    expect(await command.run([...call('0.6'), '--json'])).toBe(0);
    const { exit } = JSON.parse(output.written);
    expect(loadModel(readFileSync(at('out.safetensors'))).meaning.exit).toEqual(exit.rule);
    expect(exit.validation.exitShare).toBeGreaterThan(0);
    expect(exit.test.tokens).toBeGreaterThan(100);
    output.written = '';
    expect(await command.run(call('0.6'))).toBe(0);
    expect(output.written).toMatch(/\nearly exit after 1 of the layers from a confidence of -?[\d.e-]+ on\n/);
    output.written = '';
    expect(await command.run(call('0.00001'))).toBe(0);
    expect(output.written).toContain(
      '\nearly exit: none that keeps the promise on these rows and saves work\n',
    );
    expect(loadModel(readFileSync(at('out.safetensors'))).meaning.exit).toBeUndefined();
    await expect(command.run(call('2'))).rejects.toThrow('--exit');
  });

  it('fits what predicts the next tick beside the model, where that is asked for', async () => {
    writeRecording(1600, 'anomaly');
    const predicting = tinyModel({
      config: { outputs: 4 },
      meaning: { task: { kind: 'anomaly', threshold: 2 } },
    });
    writeFileSync(at('predicting.safetensors'), saveModel(predicting));
    const call = [at('predicting.safetensors'), directory, '-o', at('out.safetensors'), '--candidates'];
    expect(await command.run([...call, '--json'])).toBe(0);
    const { candidates } = JSON.parse(output.written);
    expect(loadModel(readFileSync(at('out.safetensors'))).meaning.candidates).toEqual(candidates.rule);
    expect(candidates.validation.errorRatio[1]).toBeLessThan(1);
    output.written = '';
    expect(await command.run(call)).toBe(0);
    expect(output.written).toMatch(
      /\ncandidates: half-lives of \d+ intervals for errors, \d+ for the average\n/,
    );
    writeRecording(1600);
    await expect(
      command.run([at('model.safetensors'), directory, '-o', at('out.safetensors'), '--candidates']),
    ).rejects.toThrow(/got one that classifies/);
  });

  it('fits how far a model is refined, where that is asked for', async () => {
    writeRecording(1600);
    const refined = tinyModel({
      seed: 3,
      config: { refinement: { rounds: 2 } },
      meaning: { refinement: { gainQ16: 0 } },
    });
    writeFileSync(at('refined.safetensors'), saveModel(refined));
    const call = [at('refined.safetensors'), directory, '-o', at('out.safetensors'), '--refinement', '0.8'];
    expect(await command.run([...call, '--json'])).toBe(0);
    const { refinement } = JSON.parse(output.written);
    expect(loadModel(readFileSync(at('out.safetensors'))).meaning.refinement ?? null).toEqual(
      refinement.rule,
    );
    expect(refinement.validation.rounds).toHaveLength(3);
    expect(refinement.test.bars.length).toBe(refinement.validation.bars.length);
    output.written = '';
    expect(await command.run(call)).toBe(0);
    expect(output.written).toMatch(/\nrefinement: (a further round as long as|rounds gain nothing on)/);
    expect(output.written).toMatch(/\n {2}always 2 +2.00 +1.000 +[\d.]+ +0.0000 +[\d.]+/);
    await expect(command.run([...call, '--exit', '0.5'])).rejects.toThrow(UsageError);
  });

  it('refuses a recording with too few tokens, a file that can not be written, and wrong calls', async () => {
    await expect(command.run([at('model.safetensors'), directory, '-o', at('no/out')])).rejects.toThrow(
      /--output .*no\/out: expected a file that can be written, got/,
    );
    writeRecording(300);
    await expect(command.run([at('model.safetensors'), directory, '-o', at('x')])).rejects.toThrow(
      /expected 200 tokens or more in the validation rows, got \d+/,
    );
    await expect(command.run([at('model.safetensors'), directory])).rejects.toThrow(/expected --output FILE/);
    await expect(command.run(['one'])).rejects.toThrow(UsageError);
  });
});
