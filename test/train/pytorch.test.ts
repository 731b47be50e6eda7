/** The PyTorch module of docs/bring-your-own-model.md, as it stands there, against the float network. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { FEATURE_ONE } from '../../src/engine/limits.ts';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import { readTensors, writeTensors } from '../../src/engine/safetensors.ts';
import { encodeDataset } from '../../src/train/encode.ts';
import { floatPredictor } from '../../src/train/evaluate.ts';
import { loadFloatModel, saveFloatModel } from '../../src/train/float-model.ts';
import { initialParameters, parameterLayout } from '../../src/train/layout.ts';
import { quantiseFloatModel, settingsFor } from '../../src/train/post-training.ts';
import { Random } from '../../src/train/random.ts';
import { referenceLogits } from '../../src/train/reference.ts';
import { floats, makeWorkspace } from '../../src/train/workspace.ts';
import { pythonBlock, pythonWithTorch } from './pytorch.ts';
import { smallConfig, smallDataset, smallSettings } from './small-dataset.ts';

const interpreter = pythonWithTorch();
const config = smallConfig({ kind: 'classify', classes: ['a', 'b'] });
const layout = parameterLayout(config);
const sequences = 3;
const length = 11;
const rows = sequences * length;

describe.skipIf(interpreter === undefined)('the module in PyTorch', { timeout: 120_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'dormouse-pytorch-'));
  const at = (name: string) => join(directory, name);
  afterAll(() => rmSync(directory, { recursive: true }));
  const random = new Random(9);
  /** Whole Q10 numbers, so that every network sees the same. */
  const features = Int16Array.from({ length: rows * config.features }, () =>
    Math.round(FEATURE_ONE * random.normal()),
  );

  function python(name: string, program: string, ...args: string[]): void {
    writeFileSync(at(name), program);
    // Threads that wait for each other are slow where others compute, too.
    const env = { ...process.env, OMP_NUM_THREADS: '1' };
    execFileSync(interpreter!, [name, ...args], { cwd: directory, env });
  }

  /** Runs the page's module on the features; `body` makes `model`. Returns [layers] of [rows, outputs]. */
  function run(body: string): Float32Array[] {
    const data = Float32Array.from(features, (feature) => feature / FEATURE_ONE);
    const shape = [sequences, length, config.features];
    const tensors = new Map([['features', { dtype: 'F32', shape, data } as const]]);
    writeFileSync(at('features.safetensors'), writeTensors({ tensors, metadata: new Map() }));
    const script = [
      pythonBlock('class Dormouse'),
      pythonBlock('def save'),
      body,
      "exits = model(load('features.safetensors')[0]['features'])",
      "save('logits.safetensors', {f'layer{i}': exit for i, exit in enumerate(exits)}, {})",
    ].join('\n');
    python('exits.py', script);
    const logits = readTensors(readFileSync(at('logits.safetensors'))).tensors;
    return Array.from(
      { length: config.layers },
      (_, layer) => logits.get(`layer${layer}`)!.data as Float32Array,
    );
  }

  function reference(parameters: Float32Array): Float64Array[] {
    return referenceLogits(config, layout, Float64Array.from(parameters), {
      sequences,
      length,
      features: Float64Array.from(features, (feature) => feature / FEATURE_ONE),
      marks: new Int32Array(rows),
      targets: new Float64Array(rows),
      weights: new Float64Array(rows).fill(1),
      keep: Array.from({ length: config.layers }, () => Array(sequences).fill(1)),
    });
  }

  function expectClose(got: readonly Float32Array[], expected: readonly Float64Array[]): void {
    expected.forEach((logits, layer) => {
      expect(Math.max(...logits.map(Math.abs))).toBeGreaterThan(0.5);
      logits.forEach((logit, index) => {
        expect(got[layer]![index]).toBeCloseTo(logit, 4);
      });
    });
  }

  it('computes what our float network does, of the weights that train writes', () => {
    const parameters = initialParameters(config, layout, 3);
    for (const { offset, rows: count, columns } of layout.slices) {
      for (let i = 0; i < count * columns; i++) parameters[offset + i]! += 0.2 * random.normal();
    }
    writeFileSync(at('model.safetensors'), saveFloatModel({ config, parameters }));
    const exits = run(`
tensors, metadata = load('model.safetensors')
model = Dormouse(**json.loads(metadata['config']))
model.load_state_dict(tensors)
`);
    expectClose(exits, reference(parameters));
    const workspace = makeWorkspace(config, 'classify', { sequences: 1, rows });
    floats(workspace, workspace.parameters, layout.count).set(parameters);
    const own = floatPredictor(workspace)({
      features: features.subarray(0, length * config.features),
      count: length,
      ticks: Array.from({ length }, (_, tick) => tick),
      marks: new Int32Array(length),
      forecasts: null,
    });
    own.forEach((logit, index) => {
      expect(logit).toBeCloseTo(exits.at(-1)![index]!, 4);
    });
  });

  it('is read back as it computes, gains of norms folded into the weights', () => {
    const { features, outputs, hidden, heads, layers, window, feedForward } = config;
    const sizes = JSON.stringify({ features, outputs, hidden, heads, layers, window, feedForward });
    const exits = run(`
torch.manual_seed(4)
config = ${sizes}
model = Dormouse(**config)
with torch.no_grad():
    for parameter in model.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
save('model.safetensors', model.state_dict(), {'config': json.dumps(config)})
`);
    const { parameters } = loadFloatModel(readFileSync(at('model.safetensors')));
    expectClose(exits, reference(parameters));
  });

  it('learns a recording by the program on the page, and is quantised', () => {
    const task = { kind: 'classify', classes: ['below', 'above'] } as const;
    const dataset = smallDataset(task);
    writeFileSync(at('tokens.safetensors'), encodeDataset(dataset, { ...smallSettings.pool, seed: 1 }));
    const program = ['class Dormouse', 'def save', 'sys.argv[1]'].map(pythonBlock).join('\n');
    // Debian's PyTorch may have no fast matrix product.
    const smaller = program.replace(/'hidden': 64(.*)'feedForward': 256/, "'hidden': 16$1'feedForward': 32");
    expect(smaller).not.toBe(program);
    python('train.py', smaller, 'tokens.safetensors', 'trained.safetensors', '60');
    const float = loadFloatModel(readFileSync(at('trained.safetensors')));
    expect(float.meaning).toMatchObject({ channels: dataset.channels, spikes: dataset.spikes, task });
    const settings = settingsFor(float.config, smallSettings);
    const result = quantiseFloatModel(dataset, float, settings, ['none', 0.5]);
    expect(result.float!.dense.accuracy).toBeGreaterThan(0.9);
    expect(result.comparison.agreement).toBeGreaterThan(0.97);
    expect(loadModel(saveModel(result.model)).config.hidden).toBe(16);
  });
});
