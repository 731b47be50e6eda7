import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UsageError } from '../../src/cli/command.ts';
import { command } from '../../src/cli/explain.ts';
import { readModelTag } from '../../src/cli/files.ts';
import { Engine } from '../../src/engine/engine.ts';
import { saveModel } from '../../src/engine/model-file.ts';
import { writeHeader } from '../../src/gateway/disk/record-file.ts';
import { WitnessLog } from '../../src/gateway/disk/witness-log.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { Fixture } from '../gateway/fixture.ts';
import { captureOutput } from './captured-output.ts';

const fixture = new Fixture();
const log = fixture.path('witness');
const model = fixture.path('model.safetensors');
let recording = '';
const output = captureOutput();

/** Logs a run over the walk, as `dormouse run` does; the log has `ticks` ticks of each of two starts. */
async function writeLog(ticks: number): Promise<void> {
  const { timeMs, values } = fixture.series();
  for (let start = 0; start < 2; start++) {
    const pipeline = new Pipeline(new Engine(fixture.model), 0, { modelTag: readModelTag(model) });
    const witnesses = await WitnessLog.open(
      { directory: log, fileBytes: 1 << 20, files: 4, flushMs: 60_000, bytesPerDay: 0 },
      (text) => expect.fail(text),
    );
    for (let row = start * ticks; row < (start + 1) * ticks; row++) {
      witnesses.onTick(pipeline.tick({ timeMs: timeMs[row]!, values: values.slice(row * 2, row * 2 + 2) }));
    }
    await witnesses.stop();
  }
}

beforeAll(async () => {
  recording = fixture.writeRecording(200);
  await writeLog(100);
});
afterAll(() => fixture.remove());

async function json(...args: string[]) {
  expect(await command.run([...args, '--json'])).toBe(0);
  return JSON.parse(output.written);
}

describe('explain of a log', () => {
  it('takes the last tick, or the last start that has the sequence, or the time', async () => {
    expect((await json(log)).witness.sequence).toBe(99);
    output.written = '';
    const found = await json(log, '--sequence', '4');
    expect(found.witness).toMatchObject({ sequence: 4, timeMs: Date.UTC(2026, 0, 1) + 104_000 });
    expect(found.policy).toBe('events');
    output.written = '';
    expect((await json(log, '--time', '2026-01-01T00:00:07.5Z')).witness.timeMs).toBe(
      Date.UTC(2026, 0, 1) + 7000,
    );
  });

  it('reads like this', async () => {
    expect(await command.run([log, '--sequence', '0', '--model', model])).toBe(0);
    expect(output.written).toMatch(/^tick 0 at 2026-01-01T00:01:40.000Z, policy events\n/);
    expect(output.written).toContain(
      'decided  tier 0 (full), trust allow, reason novelty; keys and values: write\n',
    );
    expect(output.written).toMatch(/\nmodel {4}[0-9a-f]{6}\n/);
    expect(output.written).toContain('fired    temperature, humidity\n');
    expect(output.written).toMatch(/\nlambda, freeze .* coherence means nothing yet\n/);
    expect(output.written).toMatch(/\none notch away: \d+ tried, 0 change the decision\n$/);
  });

  it('says which ticks the log had no bytes for', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'dormouse-explain-'));
    const witnesses = await WitnessLog.open(
      { directory, fileBytes: 1 << 20, files: 4, flushMs: 60_000, bytesPerDay: 0 },
      (text) => expect.fail(text),
    );
    const { timeMs, values } = fixture.series();
    const pipeline = new Pipeline(new Engine(fixture.model), 0);
    for (let row = 0; row < 20; row++) {
      const witness = pipeline.tick({ timeMs: timeMs[row]!, values: values.slice(row * 2, row * 2 + 2) });
      if (row < 5 || row > 8) witnesses.onTick(witness);
    }
    await witnesses.stop();
    expect((await json(directory, '--sequence', '9')).missingBefore).toEqual({ from: 5, to: 8 });
    output.written = '';
    expect((await json(directory, '--sequence', '10')).missingBefore).toBeNull();
    output.written = '';
    expect(await command.run([directory, '--sequence', '9'])).toBe(0);
    expect(output.written).toMatch(
      /\nbefore {3}ticks 5 to 8 are not in the log: left out where witnessLog.bytesPerDay/,
    );
    await expect(command.run([directory, '--sequence', '6'])).rejects.toThrow(
      /no tick with sequence 6 among 16; ticks 5 to 8 are not in the log/,
    );
    rmSync(directory, { recursive: true });
  });

  it('says so when the model that is given is not the one that decided', async () => {
    writeFileSync(fixture.path('other.safetensors'), saveModel(tinyModel({ seed: 2 })));
    await command.run([log, '--model', fixture.path('other.safetensors')]);
    expect(output.written).toMatch(
      /\nmodel {4}([0-9a-f]{6}); not the one given, which is (?!\1)[0-9a-f]{6}\n/,
    );
  });

  it.each([
    [['--sequence', '100'], /no tick with sequence 100 among 200/],
    [['--time', '2025-01-01'], /no tick at or before that time among 200/],
  ])('says so when there is no such tick: %j', async (args, message) => {
    await expect(command.run([log, ...args])).rejects.toThrow(message);
  });

  it('says which file another version wrote', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'dormouse-explain-'));
    const bytes = Buffer.alloc(16 + 108);
    writeHeader(bytes, 108);
    writeFileSync(join(directory, 'witness-00000001.log'), bytes);
    await expect(command.run([directory])).rejects.toThrow(
      /another version wrote witness-00000001.log \(108 bytes\), whose records are not 140 bytes long/,
    );
    rmSync(directory, { recursive: true });
  });

  it('says so when there is no log', async () => {
    await expect(command.run([fixture.path('nothing')])).rejects.toThrow(
      /expected a witness log, found nothing there/,
    );
    await expect(command.run([model])).rejects.toThrow(/expected a witness log, got/);
  });
});

const classify = () =>
  writeFileSync(
    fixture.path('recording.json'),
    JSON.stringify({
      name: 'walk',
      task: 'classify',
      classes: ['empty', 'occupied'],
      label: 'label',
      time: 'time',
      channels: { temperature: '', humidity: '' },
      train: ['walk.csv'],
      test: ['walk.csv'],
      intervalS: 1,
      source: 'made for this test',
    }),
  );

describe('explain of a recording', () => {
  beforeAll(classify);

  it('plays the file up to the row, and decides as the gateway did', async () => {
    const found = await json(model, recording, '--row', '99');
    expect(found.witness.sequence).toBe(99);
    expect(found.decision).toEqual(expect.objectContaining({ trust: 'allow' }));
    output.written = '';
    expect((await json(model, recording, '--time', '2026-01-01T00:00:12.9Z')).witness.sequence).toBe(12);
    output.written = '';
    expect((await json(model, fixture.directory, '--policy', 'events')).policy).toBe('events');
  });

  it.each([
    [['--row', '200'], /expected a row below 200, got 200/],
    [['--time', '2020-01-01'], /expected a time from 2026-01-01T00:00:00.000Z on/],
  ])('says so when there is no such row: %j', async (args, message) => {
    await expect(command.run([model, recording, ...args])).rejects.toThrow(message);
  });
});

describe('explain, called wrongly', () => {
  it.each([
    [[], /expected a witness log, or a model and a recording/],
    [['a', 'b', 'c'], /expected a witness log, or a model and a recording/],
    [['a', '--row', '1'], /--row: does not go with a witness log/],
    [['a', 'b', '--sequence', '1'], /--sequence: does not go with a recording/],
    [['a', '--time', 'noon'], /--time: expected ISO 8601 or seconds, got 'noon'/],
    [['a', '--time', '1', '--sequence', '2'], /expected --sequence or --time, got both/],
    [['a', '--sequence', '1.5'], /--sequence: expected a whole number/],
    [[model, 'x', '--policy', 'kind'], /--policy: expected one of steady, .*, got 'kind'/],
  ])('%j', async (args, message) => {
    await expect(command.run(args)).rejects.toThrow(message);
    await expect(command.run(args)).rejects.toThrow(UsageError);
  });
});

describe('explain of a model with candidates', () => {
  it('says what else than the model predicts', async () => {
    const ranked = tinyModel({
      config: { outputs: 4 },
      meaning: {
        task: { kind: 'anomaly', threshold: 2 },
        candidates: { energyHalfLife: 8, levelHalfLife: 2 },
      },
    });
    const units = ['Celsius', '%'];
    const channels = ranked.meaning.channels.map((channel, i) => ({ ...channel, unit: units[i]! }));
    const path = fixture.path('ranked.safetensors');
    writeFileSync(path, saveModel({ ...ranked, meaning: { ...ranked.meaning, channels } }));
    // Tests before have made it one to classify.
    fixture.writeRecording(200);
    output.written = '';
    expect(await command.run([path, recording])).toBe(0);
    expect(output.written).toMatch(
      /\npredicts [12] of 2 channels otherwise than the model: (hold|trend|average)/,
    );
    output.written = '';
    const { witness } = await json(path, recording);
    expect(witness.produced.rivals.channels).toBeGreaterThan(0);
  });
});
