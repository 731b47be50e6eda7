/** `dormouse quantize`: from float tensors and a recording to a model that runs, and its refusals. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { command as inspect } from '../../src/cli/inspect.ts';
import { command } from '../../src/cli/quantize.ts';
import { validateConfig } from '../../src/engine/config.ts';
import { loadModel } from '../../src/engine/model-file.ts';
import { readTensors, type Tensor, writeTensors } from '../../src/engine/safetensors.ts';
import { featureCount } from '../../src/gate/features.ts';
import { saveFloatModel } from '../../src/train/float-model.ts';
import { initialParameters, parameterLayout } from '../../src/train/layout.ts';
import { smallConfig, smallDataset } from '../train/small-dataset.ts';
import { writeSmallRecording } from './small-recording.ts';

const task = { kind: 'classify', classes: ['below', 'above'] } as const;
const config = smallConfig(task);
const parameters = initialParameters(config, parameterLayout(config), 3);
const { channels, intervalMs, spikes } = smallDataset(task);
const meaning = { channels, intervalMs, task, spikes, provenance: { command: 'elsewhere' } };

let directory: string;
let out = '';
let errors = '';
const at = (name: string) => join(directory, name);

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-quantize-'));
  writeSmallRecording(at('recording'));
  writeFileSync(at('float.safetensors'), saveFloatModel({ config, parameters }));
  writeFileSync(at('told.safetensors'), saveFloatModel({ config, parameters, meaning }));
});
afterAll(() => rmSync(directory, { recursive: true }));

beforeEach(() => {
  [out, errors] = ['', ''];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += text;
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    errors += text;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

const quantize = (float: string, ...more: string[]) =>
  command.run([at(float), at('recording'), '-o', at('model.safetensors'), ...more]);

/** The float file with other tensors or metadata, under another name. */
function change(
  name: string,
  edit: (tensors: Map<string, Tensor>, metadata: Map<string, string>) => void,
): void {
  const file = readTensors(readFileSync(at('float.safetensors')));
  const tensors = new Map(file.tensors);
  const metadata = new Map(file.metadata);
  edit(tensors, metadata);
  writeFileSync(at(name), writeTensors({ tensors, metadata }));
}

describe('quantize', () => {
  test('makes a model of what the recording says, and tells how far it is from the float network', async () => {
    expect(await quantize('float.safetensors', '--heartbeat', '7', '--smooth', 'fixed')).toBe(0);
    expect(out).toContain('\n  smoothing: fixed\n');
    expect(out).toMatch(
      /int8 against float on 75 rows: error \d+\.\d\d % of the outputs' deviation, \d+\.\d\d % agree/,
    );
    expect(out).toMatch(/\n {4}above +\d/);
    expect(out).toMatch(/\n {2}float: 0\.\d+ dense.*\n {2}int8: 0\.\d+ dense/);
    const model = loadModel(readFileSync(at('model.safetensors')));
    expect(model.config).toEqual(config);
    expect(model.meaning.spikes.heartbeat).toEqual([7, 7]);
    expect(model.meaning.channels.map(({ name }) => name)).toEqual(['level', 'wave']);
    const { provenance } = model.meaning;
    expect(provenance).toMatchObject({
      recording: 'small',
      float: { sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    });
    expect(provenance.command).toBe(
      'dormouse quantize float.safetensors recording -o model.safetensors --heartbeat 7 --smooth fixed',
    );
    expect(JSON.stringify(provenance)).not.toContain(directory);
  });

  test('takes normalisers and thresholds that the float file tells', async () => {
    expect(await quantize('told.safetensors', '--json')).toBe(0);
    const own = loadModel(readFileSync(at('model.safetensors'))).meaning;
    expect([own.channels, own.spikes]).toEqual([channels, spikes]);
    expect(own.provenance.float).toMatchObject({ trained: meaning.provenance });
    const { comparison, bytes, engine, trials, smoothing } = JSON.parse(out);
    expect(trials.map((trial: { smoothing: unknown }) => trial.smoothing)).toContain(smoothing);
    expect(trials).toHaveLength(13);
    expect(bytes).toBe(readFileSync(at('model.safetensors')).length);
    expect(comparison.outputs).toHaveLength(2);
    expect(comparison.relativeError).toBeLessThan(0.2);
    expect(engine.dense.tokenShare).toBe(1);
  });

  test('sees trends where the float file, or the command, says so', async () => {
    const wide = validateConfig({ ...config, features: featureCount(2, 'trends') });
    const parameters = initialParameters(wide, parameterLayout(wide), 3);
    const told = { ...meaning, features: 'trends' } as const;
    writeFileSync(at('trends.safetensors'), saveFloatModel({ config: wide, parameters, meaning: told }));
    writeFileSync(at('untold.safetensors'), saveFloatModel({ config: wide, parameters }));
    for (const args of [['trends.safetensors'], ['untold.safetensors', '--features', 'trends']] as const) {
      const [name, ...more] = args;
      expect(await quantize(name, '--smooth', 'none', ...more)).toBe(0);
      expect(loadModel(readFileSync(at('model.safetensors'))).meaning.features).toBe('trends');
    }
    await expect(quantize('untold.safetensors')).rejects.toThrow('config.features: expected 24, ');
  });

  test('takes a configuration of its own file', async () => {
    change('bare.safetensors', (_, metadata) => metadata.clear());
    const { hidden, heads, layers, window, feedForward } = config;
    writeFileSync(at('config.json'), JSON.stringify({ hidden, heads, layers, window, feedForward }));
    expect(await quantize('bare.safetensors', '--config', at('config.json'), '--smooth', '0.5')).toBe(0);
    expect(loadModel(readFileSync(at('model.safetensors'))).config).toMatchObject({
      sequence: 32,
      normGains: 'channel',
    });
    await expect(quantize('bare.safetensors')).rejects.toThrow(
      /bare\.safetensors: config: expected one in .*--config/,
    );
    writeFileSync(at('broken.json'), '{');
    await expect(quantize('bare.safetensors', '--config', at('broken.json'))).rejects.toThrow(
      /broken\.json: expected JSON/,
    );
  });

  test('lists all that is wrong with the tensors, and writes nothing', async () => {
    rmSync(at('model.safetensors'), { force: true });
    change('wrong.safetensors', (tensors) => {
      tensors.set('heads.weight', tensors.get('head.weight')!);
      tensors.delete('head.weight');
    });
    await expect(quantize('wrong.safetensors')).rejects.toThrow(
      `${at('wrong.safetensors')}: expected the tensors of its configuration, got 2 problems`,
    );
    expect(errors).toBe(
      'head.weight: expected float [2,16], got heads.weight\n' +
        'heads.weight: no such tensor in this configuration; did you mean head.weight?\n',
    );
    expect(existsSync(at('model.safetensors'))).toBe(false);
  });

  test('refuses a recording that is another’s', async () => {
    writeSmallRecording(at('one-channel'), 300, { channels: { level: '' }, ignore: ['wave'] });
    const run = (float: string, recording: string) =>
      command.run([at(float), at(recording), '-o', at('model.safetensors')]);
    await expect(run('float.safetensors', 'one-channel')).rejects.toThrow(
      /config\.features: expected 20, as 1 channels and the task of small have it, got 24/,
    );
    await expect(run('told.safetensors', 'one-channel')).rejects.toThrow(
      "expected a channel 'wave', got level",
    );
    writeSmallRecording(at('slow'), 300, { intervalS: 60 });
    await expect(run('told.safetensors', 'slow')).rejects.toThrow('expected an interval in ms of 1000');
    await expect(run('float.safetensors', 'nowhere')).rejects.toThrow(/nowhere/);
    await expect(run('nowhere.safetensors', 'slow')).rejects.toThrow(
      'expected float tensors, got no such file',
    );
  });

  test.each([
    [[], 'expected a file of float tensors and a recording'],
    [['a'], 'expected a recording'],
    [['a', 'b'], 'expected --output FILE'],
    [['a', 'b', 'c', '-o', 'd'], "expected one file of float tensors and one recording, got also 'c'"],
    [
      ['a', 'b', '-o', 'd', '--smooth', '2'],
      '--smooth: expected a number from 0 to 1, search, none or fixed',
    ],
    [['a', 'b', '-o', 'd', '--delta=-1'], '--delta: expected a number from 0 to 100'],
    [['a', 'b', '-o', '/nowhere/d'], 'expected a file that can be written, got no directory /nowhere'],
  ])('refuses %j', async (args, message) => {
    await expect(command.run(args)).rejects.toThrow(message);
  });
});

describe('inspect', () => {
  test('says what float tensors are', async () => {
    expect(await inspect.run([at('told.safetensors')])).toBe(0);
    expect(out).toMatch(/^Float tensors, for dormouse quantize\n {2}parameters +\d/);
    expect(out).toMatch(/\n {2}level +0 +1 +0\.1 +20 +0\n/);
    expect(out).toMatch(/\n {2}layers\.1\.attention\.age_bias +F32 +\[2, 4\]\n/);
    expect(out).toMatch(/\nProblems\n {2}none\n$/);
  });

  test('lists what is absent and what is wrong, and fails', async () => {
    change('wrong.safetensors', (tensors) => {
      tensors.delete('norm.weight');
      tensors.delete('layers.0.attention.sink');
    });
    await expect(inspect.run([at('wrong.safetensors')])).rejects.toThrow('got 1 problem');
    expect(out).toContain('\n  norm.weight\n');
    expect(out).toContain('\n  layers.0.attention.sink: expected float [2], got no such tensor\n');
  });

  test('in one JSON object', async () => {
    const other = validateConfig({ ...config, routing: { layers: [1], capacity: 0.5 } });
    writeFileSync(at('other.json'), JSON.stringify(other));
    await expect(
      inspect.run([at('float.safetensors'), '--json', '--config', at('other.json')]),
    ).rejects.toThrow();
    const { kind, problems, config: seen } = JSON.parse(out);
    expect([kind, seen.routing.capacity]).toEqual(['float', 0.5]);
    expect(problems).toEqual(['layers.1.router.weight: expected float [1,16], got no such tensor']);
  });
});
