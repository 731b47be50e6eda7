/** Float models as files: whole round trips, and every way in which tensors can be wrong, all at once. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomModel } from '../../src/bench/random-model.ts';
import { ConfigError, type TransformerConfig, validateConfig } from '../../src/engine/config.ts';
import { saveModel } from '../../src/engine/model-file.ts';
import { ModelError, readTensors, type Tensor, writeTensors } from '../../src/engine/safetensors.ts';
import {
  FloatModelError,
  loadFloatModel,
  readFloatFile,
  saveFloatModel,
} from '../../src/train/float-model.ts';
import { floatTensors } from '../../src/train/float-tensors.ts';
import { initialParameters, parameterLayout } from '../../src/train/layout.ts';
import { Random } from '../../src/train/random.ts';
import { smallConfig, smallDataset } from './small-dataset.ts';

const task = { kind: 'classify', classes: ['below', 'above'] } as const;
const config = smallConfig(task);
const everything = validateConfig({
  ...config,
  attention: 'spike',
  routing: { layers: [1], capacity: 0.5 },
  refinement: { rounds: 2 },
});

/** No number is that of another. */
function distinct(of: TransformerConfig): Float32Array {
  const layout = parameterLayout(of);
  const parameters = new Float32Array(layout.count);
  for (const { offset, rows, columns } of layout.slices) {
    for (let i = offset; i < offset + rows * columns; i++) parameters[i] = 1 + i / 2 ** 16;
  }
  return parameters;
}

const parameters = distinct(config);
const bytes = saveFloatModel({ config, parameters });

/** The file with other tensors or metadata. */
function changed(change: (tensors: Map<string, Tensor>, metadata: Map<string, string>) => void): Uint8Array {
  const file = readTensors(bytes);
  const tensors = new Map(file.tensors);
  const metadata = new Map(file.metadata);
  change(tensors, metadata);
  return writeTensors({ tensors, metadata });
}

const f32 = (shape: readonly number[], fill = 1): Tensor => ({
  dtype: 'F32',
  shape,
  data: new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(fill),
});

function problemsOf(file: Uint8Array, given?: unknown): readonly string[] {
  try {
    loadFloatModel(file, given);
  } catch (error) {
    if (error instanceof FloatModelError) return error.problems;
    throw error;
  }
  return [];
}

describe('a float model', () => {
  it.each([
    ['softmax', config],
    ['every technique', everything],
  ])('comes back as it was written: %s', (_, of) => {
    const own = distinct(of);
    expect(loadFloatModel(saveFloatModel({ config: of, parameters: own }))).toEqual({
      config: of,
      parameters: own,
    });
  });

  it.each([
    ['softmax', config],
    ['every technique', everything],
  ])('has each parameter in one tensor: %s', (_, of) => {
    const layout = parameterLayout(of);
    const covered = new Uint8Array(layout.count);
    for (const { slice } of floatTensors(of, layout).parameters) {
      for (let i = slice.offset; i < slice.offset + slice.rows * slice.columns; i++) covered[i]!++;
    }
    const expected = new Uint8Array(layout.count);
    for (const { offset, rows, columns } of layout.slices) expected.fill(1, offset, offset + rows * columns);
    expect(covered).toEqual(expected);
  });

  it('keeps what it was trained for', () => {
    const { channels, intervalMs, spikes } = smallDataset(task);
    const meaning = { channels, intervalMs, task, spikes, provenance: { recording: 'small' } };
    expect(loadFloatModel(saveFloatModel({ config, parameters, meaning })).meaning).toEqual(meaning);
  });

  it('takes what may be absent for zeros and ones, and says so', () => {
    const part = changed((tensors) => {
      for (const name of [...tensors.keys()])
        if (/bias$|norm|^linear/.test(name) && !/age/.test(name)) tensors.delete(name);
    });
    const { absent, problems } = readFloatFile(part);
    expect(problems).toEqual([]);
    expect(absent).toHaveLength(2 + 2 * (4 + 2 + 2) + 2);
    const layout = parameterLayout(config);
    const loaded = loadFloatModel(part).parameters;
    const { weight, bias } = layout.layers[1]!.up;
    expect(loaded.subarray(bias.offset, bias.offset + 32).every((value) => value === 0)).toBe(true);
    expect(loaded[weight.offset + 5]).toBe(parameters[weight.offset + 5]);
    expect(loaded[layout.linear.offset]).toBe(0);
  });

  it('folds the gains of norms into the columns of what follows, and into nothing else', () => {
    const random = new Random(2);
    const gains = Float32Array.from({ length: 16 }, () => random.normal());
    const layout = parameterLayout(everything);
    const own = distinct(everything);
    const file = readTensors(saveFloatModel({ config: everything, parameters: own }));
    const tensors = new Map(file.tensors);
    tensors.set('layers.1.attention_norm.weight', { dtype: 'F32', shape: [16], data: gains });
    const { parameters: loaded } = loadFloatModel(writeTensors({ ...file, tensors }));
    const { qkv, router } = layout.layers[1]!;
    for (const { offset, rows, columns } of [qkv.weight, router!.weight]) {
      for (let i = 0; i < rows * columns; i++) {
        expect(loaded[offset + i]).toBe(Math.fround(own[offset + i]! * gains[i % 16]!));
        loaded[offset + i] = own[offset + i]!;
      }
    }
    expect(loaded).toEqual(own);
  });

  it('reads half precision, subnormals and all, and bfloat16', () => {
    const halves = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x83ff, 0x7bff, 0x3555, 0x8000, 0x0400);
    const values = [1, -2, 2 ** -24, -1023 * 2 ** -24, 65504, 0.333251953125, -0, 2 ** -14];
    const load = (dtype: 'F16' | 'BF16', data: Uint16Array) => {
      const file = changed((tensors) => {
        tensors.set('layers.0.attention.age_bias', { dtype, shape: [2, 4], data });
      });
      const { offset } = parameterLayout(config).layers[0]!.ageBias;
      return [...loadFloatModel(file).parameters.subarray(offset, offset + 8)];
    };
    expect(load('F16', halves)).toEqual(values);
    const bfloats = Uint16Array.of(0x3f80, 0xc000, 0x0001, 0x7f7f, 0x8000, 0x3eab, 0, 0x4049);
    const upper = new Uint32Array(8).map((_, i) => bfloats[i]! << 16);
    expect(load('BF16', bfloats)).toEqual([...new Float32Array(upper.buffer)]);
  });

  it('takes off what torch.compile and DataParallel put before every name', () => {
    const wrapped = changed((tensors) => {
      for (const [name, tensor] of [...tensors]) {
        tensors.delete(name);
        tensors.set(`_orig_mod.module.${name}`, tensor);
      }
    });
    expect(loadFloatModel(wrapped).parameters).toEqual(parameters);
  });
});

describe('tensors that are wrong', () => {
  it('are listed all at once, each with what was expected and got', () => {
    const file = changed((tensors) => {
      const head = tensors.get('head.weight')!;
      tensors.delete('head.weight');
      tensors.set('heads.weight', head);
      tensors.delete('layers.1.attention.sink');
      tensors.set('layers.0.feed_forward.up.weight', f32([16, 32]));
      tensors.set('layers.0.attention.query.weight', f32([16]));
      tensors.set('layers.0.attention.key.bias', { dtype: 'I64', shape: [16], data: new BigInt64Array(16) });
      const broken = f32([32, 16]);
      (broken.data as Float32Array)[3 * 16 + 2] = Number.NaN;
      (broken.data as Float32Array)[100] = Number.NEGATIVE_INFINITY;
      tensors.set('layers.1.feed_forward.up.weight', broken);
      tensors.set('norm.weight', f32([16], Number.POSITIVE_INFINITY));
      tensors.set('nothing.like.it', f32([1]));
    });
    expect(problemsOf(file)).toEqual([
      'layers.0.attention.query.weight: expected [16,16], got [16]',
      'layers.0.attention.key.bias: expected F32, F16, BF16, got I64',
      'layers.0.feed_forward.up.weight: expected [32,16], got [16,32], which is transposed',
      'layers.1.attention.sink: expected float [2], got no such tensor',
      'layers.1.feed_forward.up.weight: expected finite numbers, got NaN at [3, 2] and 1 more',
      'head.weight: expected float [2,16], got heads.weight',
      'norm.weight: expected finite numbers, got Infinity at [0] and 15 more',
      'heads.weight: no such tensor in this configuration; did you mean head.weight?',
      'nothing.like.it: no such tensor in this configuration',
    ]);
  });

  it('are those of the configuration that is given, if one is', () => {
    expect(problemsOf(bytes, { hidden: 16, heads: 2, layers: 2, window: 3, feedForward: 32 })).toEqual([
      'layers.0.attention.age_bias: expected [2,3], got [2,4]',
      'layers.1.attention.age_bias: expected [2,3], got [2,4]',
    ]);
  });
});

describe('the configuration', () => {
  const sizes = { hidden: 16, heads: 2, layers: 2, window: 4, feedForward: 32 };

  it('is completed from the tensors, and as the preset micro has it', () => {
    const bare = changed((_, metadata) => metadata.delete('config'));
    const { config: completed } = readFloatFile(bare, sizes);
    expect(completed).toMatchObject({ ...sizes, features: 24, outputs: 2, sequence: 32 });
    expect(completed.tiers).toEqual([
      { layers: 2, sequence: 32, window: 4 },
      { layers: 1, sequence: 16, window: 2 },
      { layers: 1, sequence: 4, window: 2 },
    ]);
    const short = readFloatFile(bare, { ...sizes, sequence: 6 }).config;
    expect(short.tiers.map(({ sequence }) => sequence)).toEqual([6, 3, 2]);
  });

  it.each([
    [
      undefined,
      'got none; from the tensors it might be {"hidden":16,"heads":2,"layers":2,"window":4,"feedForward":32}',
    ],
    [[], 'config: expected an object, got []'],
    [{ hidden: 16 }, 'config.heads: expected a whole number, got none'],
    [{ ...sizes, heads: 3 }, 'config.hidden: expected a multiple of heads (3), got 16'],
    [{ ...sizes, window: '4' }, 'config.window: expected a whole number from 1 to'],
    [{ ...sizes, window: 1e9 }, 'config.window: expected a whole number from 1 to'],
    [{ ...sizes, dropout: 0.1 }, 'config.dropout: unknown; expected features, '],
    [{ ...sizes, history: { rows: 8 } }, 'config.history: expected none, since float tensors have no path'],
    [{ ...sizes, normGains: 'channel' }, 'config.normGains: expected none, since quantisation decides it'],
    [{ ...sizes, features: 24.5 }, 'config.features: expected a whole number from 1 to 4096, got 24.5'],
  ])('%j is refused', (given, message) => {
    const bare = changed((_, metadata) => metadata.delete('config'));
    expect(() => loadFloatModel(bare, given)).toThrow(message);
  });

  it('in the file must be JSON, and what it was trained for must fit', () => {
    const config = changed((_, metadata) => metadata.set('config', '{'));
    expect(() => loadFloatModel(config)).toThrow('__metadata__.config: expected JSON, got ');
    const meaning = changed((_, metadata) => metadata.set('meaning', '{"channels":[]}'));
    expect(() => loadFloatModel(meaning)).toThrow('meaning.channels: expected a list that is not empty');
  });

  it('of an int8 model is no float model’s', () => {
    expect(() => loadFloatModel(saveModel(randomModel()))).toThrow(
      '__metadata__.format: expected float tensors, got dormouse-model-1, an int8 model',
    );
  });
});

describe('a file that is damaged', () => {
  const headerBytes = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const refusals = [ModelError, ConfigError, FloatModelError];

  it.each([
    [
      'one byte of the header',
      fc.tuple(fc.nat(headerBytes - 1), fc.nat(255)),
      (at: number, to: number) => {
        const damaged = bytes.slice();
        damaged[at] = to;
        return damaged;
      },
    ],
    ['the end', fc.tuple(fc.nat(bytes.length - 1), fc.nat(3)), (at: number) => bytes.slice(0, at)],
  ] as const)('is read or refused by name, whatever becomes of %s', (_, places, damage) => {
    fc.assert(
      fc.property(places, ([at, to]) => {
        try {
          loadFloatModel(damage(at, to));
        } catch (error) {
          const isNamed = (error as Error).message.startsWith('__metadata__');
          expect(isNamed || refusals.some((refusal) => error instanceof refusal)).toBe(true);
        }
      }),
      { seed: 20261124, numRuns: 400 },
    );
  });
});

it('starting values are finite, whatever the technique', () => {
  const own = initialParameters(everything, parameterLayout(everything), 1);
  expect(problemsOf(saveFloatModel({ config: everything, parameters: own }))).toEqual([]);
});
