/** Every way in which a model file can be broken, and the error that says so. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { presetConfig } from '../../src/engine/config.ts';
import { crc32 } from '../../src/engine/crc32.ts';
import { Engine } from '../../src/engine/engine.ts';
import { MODEL_HEADER_BYTES_MAX } from '../../src/engine/limits.ts';
import type { Model } from '../../src/engine/model.ts';
import { loadModel, saveModel, tensorList } from '../../src/engine/model-file.ts';
import { ModelError, type ModelErrorCode, readTensors } from '../../src/engine/safetensors.ts';
import { tinyModel } from './tiny-model.ts';

const bytes = saveModel(tinyModel());

type Entry = { dtype: string; shape: number[]; data_offsets: [number, number] };
type Header = Record<string, Entry> & {
  __metadata__: Record<string, string>;
};

function split(file: Uint8Array): { header: Header; data: Uint8Array } {
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  return {
    header: JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))),
    data: file.slice(8 + length),
  };
}

function join(header: unknown, data: Uint8Array): Uint8Array {
  const json = typeof header === 'string' ? header : JSON.stringify(header);
  const text = new TextEncoder().encode(json);
  const file = new Uint8Array(8 + text.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(data, 8 + text.length);
  return file;
}

/** A file with a changed header whose checksum is right again. */
function forged(change: (header: Header) => void): Uint8Array {
  const { header, data } = split(bytes);
  change(header);
  header.__metadata__.crc32 = '00000000';
  const file = join(header, data);
  const at = new TextDecoder('latin1').decode(file).indexOf('"crc32":"') + 9;
  file.set(new TextEncoder().encode(crc32(file).toString(16).padStart(8, '0')), at);
  return file;
}

function refusal(file: Uint8Array): { code: ModelErrorCode; message: string } {
  try {
    loadModel(file);
  } catch (error) {
    if (error instanceof ModelError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('the file was accepted');
}

describe('a model file', () => {
  test('comes back as it was written, and is the same bytes each time', () => {
    const model = loadModel(bytes);
    expect(model).toEqual(tinyModel());
    expect(saveModel(model)).toEqual(bytes);
  });

  test('names its set of features, if it is not the first', () => {
    const model = tinyModel({ meaning: { features: 'trends' } });
    expect(loadModel(saveModel(model)).meaning.features).toBe('trends');
    expect(loadModel(bytes).meaning).not.toHaveProperty('features');
  });

  test("is read from Node's Buffer as from any bytes", () => {
    expect(loadModel(Buffer.from(bytes))).toEqual(tinyModel());
  });

  test('is plain safetensors with aligned tensors', () => {
    const { header } = split(bytes);
    expect(readTensors(bytes).tensors.size).toBe(Object.keys(header).length - 1);
    for (const [name, entry] of Object.entries(header)) {
      if (name === '__metadata__') continue;
      const elementBytes = entry.dtype === 'I8' || entry.dtype === 'U8' ? 1 : 4;
      expect((entry as Entry).data_offsets[0] % elementBytes).toBe(0);
    }
    expect(tensorList(loadModel(bytes)).map(({ name }) => name)).toContain('layers.1.feed_forward.gelu');
  });

  test('of the micro preset is smaller than half a megabyte', () => {
    expect(saveModel(tinyModel({ config: presetConfig('micro', 24, 2) })).length).toBeLessThan(500_000);
  });
});

describe('is refused', () => {
  test('when it is empty or cut at any byte', () => {
    for (let length = 0; length < bytes.length; length += length < 200 ? 1 : 97) {
      expect(['truncated', 'header']).toContain(refusal(bytes.slice(0, length)).code);
    }
    expect(refusal(bytes.slice(0, 5)).message).toBe('file: expected at least 8 bytes, got 5');
  });

  test('when any one bit is flipped', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length * 8 - 1 }), (bit) => {
        const damaged = bytes.slice();
        damaged[bit >> 3] = damaged[bit >> 3]! ^ (1 << (bit & 7));
        expect(() => loadModel(damaged)).toThrow(ModelError);
      }),
      { seed: 20261124, numRuns: 500 },
    );
    const damaged = bytes.slice();
    damaged[bytes.length - 1] = damaged[bytes.length - 1]! ^ 1;
    expect(refusal(damaged)).toMatchObject({
      code: 'checksum',
      message: expect.stringContaining('it is damaged'),
    });
  });

  test('when it has a byte too many', () => {
    expect(refusal(Uint8Array.of(...bytes, 0))).toMatchObject({ code: 'hole' });
  });

  test('when its header claims to be huge', () => {
    const file = bytes.slice();
    new DataView(file.buffer).setBigUint64(0, 2n ** 63n, true);
    expect(refusal(file).code).toBe('header');
    new DataView(file.buffer).setBigUint64(0, BigInt(MODEL_HEADER_BYTES_MAX), true);
    expect(refusal(file).code).toBe('truncated');
  });

  test('when it is another format, or another project made it', () => {
    expect(refusal(new TextEncoder().encode('PK\u0003\u0004 this is a zip file')).code).toBe('header');
    expect(refusal(join('[1,2]', new Uint8Array(0)))).toMatchObject({
      code: 'header',
      message: 'header: expected an object',
    });
    for (const metadata of [null, 'text', [1]]) {
      expect(refusal(join(JSON.stringify({ __metadata__: metadata }), new Uint8Array(0)))).toEqual({
        code: 'header',
        message: `__metadata__: expected an object, got ${JSON.stringify(metadata)}`,
      });
    }
    expect(refusal(join('{"a": nonsense', new Uint8Array(0))).code).toBe('header');
    const foreign = join({ w: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }, new Uint8Array(4));
    expect(refusal(foreign)).toEqual({
      code: 'foreign',
      message: '__metadata__.format: expected dormouse-model-1, got none',
    });
  });

  const cases: [string, (header: Header) => void, ModelErrorCode, string][] = [
    [
      'tensors overlap',
      (h) => {
        h['head.weight']!.data_offsets = [0, 32];
      },
      'overlap',
      'inside the tensor before it',
    ],
    [
      'there is a hole',
      (h) => {
        delete h.exponent_table;
      },
      'hole',
      'starts at',
    ],
    [
      'a type is unknown',
      (h) => {
        h['head.weight']!.dtype = 'F4';
      },
      'dtype',
      'head.weight: expected dtype I8, U8, I32, F32, F16, BF16, F64, BOOL, I16, U16, U32, I64, U64, F8_E4M3, F8_E5M2, got F4',
    ],
    [
      'a type is none of a model',
      (h) => {
        h['head.weight']!.dtype = 'F8_E4M3';
      },
      'dtype',
      'head.weight: expected I8, got F8_E4M3',
    ],
    [
      'a type is another',
      (h) => {
        h['layers.0.feed_forward.gelu']!.dtype = 'I8';
      },
      'dtype',
      'layers.0.feed_forward.gelu: expected U8, got I8',
    ],
    [
      'shape and bytes differ',
      (h) => {
        h['head.weight']!.shape = [2, 17];
      },
      'shape',
      'head.weight: shape [2,17] of I8 needs 34 bytes, got 32',
    ],
    [
      'a shape is another',
      (h) => {
        h['head.weight']!.shape = [16, 2];
      },
      'shape',
      'head.weight: expected [2,16], got [16,2]',
    ],
    [
      'a shape is negative',
      (h) => {
        h['head.weight']!.shape = [-2, -16];
      },
      'shape',
      'head.weight: expected a shape of whole numbers',
    ],
    [
      'offsets run backwards',
      (h) => {
        h['head.weight']!.data_offsets = [32, 0];
      },
      'header',
      'head.weight: expected data_offsets [from, to]',
    ],
    [
      'a tensor is missing',
      (h) => {
        h.other = h['head.bias']!;
        delete h['head.bias'];
      },
      'missing',
      'head.bias: expected I32 [2], got no such tensor',
    ],
    [
      'a tensor is not ours',
      (h) => {
        h.extra = { dtype: 'I8', shape: [0], data_offsets: [0, 0] };
      },
      'unexpected',
      'extra: no such tensor',
    ],
    [
      'metadata is no text',
      (h) => {
        (h.__metadata__ as Record<string, unknown>).n = 1;
      },
      'header',
      '__metadata__.n: expected a string',
    ],
    [
      'the configuration is wrong',
      (h) => {
        h.__metadata__.config = '{"hidden":16}';
      },
      'config',
      'config.features: expected a whole number',
    ],
    [
      'the configuration is no JSON',
      (h) => {
        h.__metadata__.config = '{';
      },
      'header',
      '__metadata__.config: expected JSON',
    ],
    [
      'the meaning is wrong',
      (h) => {
        h.__metadata__.meaning = '{"channels":[]}';
      },
      'meaning',
      'meaning.channels: expected a list that is not empty',
    ],
  ];
  test.each(cases)('when %s', (_, change, code, message) => {
    expect(refusal(forged(change))).toEqual({ code, message: expect.stringContaining(message) });
  });
});

describe('a model that could overflow or lie is not saved', () => {
  const changed = (change: (model: Model) => void): (() => void) => {
    const model = structuredClone(tinyModel()) as Model;
    change(model);
    return () => saveModel(model);
  };
  const cases: [string, (model: Model) => void, string][] = [
    [
      'a weight of -128',
      ({ weights }) => {
        weights.head.weight[3] = -128;
      },
      'head.weight[0]: expected +-127, got -128',
    ],
    [
      'a bias that overflows',
      ({ weights }) => {
        weights.head.bias[1] = 2 ** 28;
      },
      'head: row 1 can reach',
    ],
    [
      'a multiplier that overflows',
      ({ weights }) => {
        weights.layers[0]!.up.multiplier[2] = 1e9;
      },
      'layers.0.feed_forward.up.multiplier[2]: expected 0 to',
    ],
    [
      'a NaN multiplier',
      ({ weights }) => {
        weights.embedding.multiplier[0] = Number.NaN;
      },
      'embedding.multiplier[0]: expected 0 to',
    ],
    [
      'a negative gain',
      (model) => {
        Object.assign(model.weights, { headGain: -1 });
      },
      'norm.gain: expected 0 to 1024, got -1',
    ],
    [
      'a wide activation',
      ({ weights }) => {
        weights.layers[1]!.gelu[9] = 128;
      },
      'layers.1.feed_forward.gelu[9]: expected 0 to 127, got 128',
    ],
    [
      'a wild sink',
      ({ weights }) => {
        weights.layers[1]!.sink[0] = 2 ** 25;
      },
      'layers.1.attention: expected age_bias and sink within',
    ],
    [
      'a bias on the linear path',
      ({ weights }) => {
        weights.linear!.bias[0] = 1;
      },
      'linear.bias: expected zeros',
    ],
    [
      'a rising exponent table',
      ({ weights }) => {
        weights.exponentTable[7] = 70000;
      },
      'exponent_table: expected to fall',
    ],
    [
      'an unknown task',
      ({ meaning }) => {
        Object.assign(meaning, { task: { kind: 'guess' } });
      },
      'meaning.task.kind: expected classify, anomaly or forecast, got guess',
    ],
    ...(
      [
        [{ calibrationTicks: 1 }, 'calibrationTicks: expected a number above 0, got 1'],
        [{ levelHalfLife: 1.5 }, 'levelHalfLife: expected a whole number up to 1048576, got 1.5'],
        [
          { surpriseHalfLife: 2 ** 21 },
          'surpriseHalfLife: expected a whole number up to 1048576, got 2097152',
        ],
        [{ release: 0 }, 'release: expected a number above 0, got 0'],
        [{ release: 1.5 }, 'release: expected a number above 0 and up to 1, got 1.5'],
        [{ limit: 3 }, 'limit: unknown'],
        [{ unit: 'largest' }, 'unit: expected'],
        [
          { recovery: { share: 1, halfLife: 9, intervals: 9 } },
          'recovery.share: expected a number above 0 and below 1',
        ],
        [{ recovery: { share: 0.5, halfLife: 0, intervals: 9 } }, 'recovery.halfLife: expected'],
        [{ recovery: { share: 0.5, halfLife: 9, intervals: 0.5 } }, 'recovery.intervals: expected'],
        [{ recovery: { share: 0.5, halfLife: 9 } }, 'recovery.intervals: expected'],
      ] as const
    ).map(([change, message]): [string, (model: Model) => void, string] => [
      `a chart with ${JSON.stringify(change)}`,
      ({ meaning }) => {
        const chart = { calibrationTicks: 9, levelHalfLife: 3, surpriseHalfLife: 3, release: 1, ...change };
        Object.assign(meaning, { task: { kind: 'anomaly', threshold: 3, chart } });
      },
      `meaning.task.chart.${message}`,
    ]),
    [
      'outputs that do not fit the task',
      ({ meaning }) => {
        Object.assign(meaning, { task: { kind: 'forecast', horizon: 3 } });
      },
      'meaning.task: forecast needs 6 outputs, the configuration has 2',
    ],
    [
      'thresholds for another number of channels',
      ({ meaning }) => {
        Object.assign(meaning.spikes, { delta: [1] });
      },
      'meaning.spikes.delta: expected 2 entries, got 1',
    ],
    [
      'a scale of zero',
      ({ meaning }) => {
        Object.assign(meaning.channels[0]!, { scale: 0 });
      },
      'meaning.channels[0].scale: expected a number above 0, got 0',
    ],
    [
      'two channels of one name',
      ({ meaning }) => {
        Object.assign(meaning.channels[0]!, { name: 'humidity' });
      },
      'meaning.channels: expected different names',
    ],
    [
      'an unknown set of features',
      ({ meaning }) => {
        Object.assign(meaning, { features: 'levels' });
      },
      'meaning.features: expected one of changes, trends, got "levels"',
    ],
    [
      'an unknown field',
      ({ meaning }) => {
        Object.assign(meaning, { color: 1 });
      },
      'meaning.color: unknown; expected channels',
    ],
  ];
  test.each(cases)('%s', (_, change, message) => {
    expect(changed(change)).toThrow(ModelError);
    expect(changed(change)).toThrow(message);
  });
});

describe('a gain for each channel', () => {
  const model = tinyModel({ config: { normGains: 'channel' } });

  test('is a tensor of the file, with room in memory and in the cost', () => {
    const loaded = loadModel(saveModel(model));
    expect(loaded.weights).toEqual(model.weights);
    const gains = tensorList(loaded).filter(({ name }) => name.endsWith('.gain'));
    expect(gains.map(({ shape }) => shape)).toEqual(Array(5).fill([16]));
    const [own, shared] = [new Engine(loaded), new Engine(tinyModel())];
    const regions = own.memoryPlan.regions.filter(({ name }) => name.endsWith('.gain'));
    expect(regions.map(({ bytes }) => bytes)).toEqual(Array(5).fill(64));
    const bytes = (engine: Engine) => engine.cost(engine.plans[0]!.write).bytes;
    expect(bytes(own) - bytes(shared)).toBe(5 * 64);
  });

  test.each([
    [Float32Array.of(16), 'norm.gain: expected [16], got [1]'],
    [16, 'norm.gain: expected [16], got [1]'],
    [new Float32Array(16).fill(1025), 'norm.gain[0]: expected 0 to 1024, got 1025'],
    [new Float32Array(16).fill(Number.NaN, 3), 'norm.gain[3]: expected 0 to 1024, got NaN'],
  ])('is refused as %o', (headGain, message) => {
    expect(() => saveModel({ ...model, weights: { ...model.weights, headGain } })).toThrow(message);
  });

  test('is refused where the configuration has one for all', () => {
    const plain = tinyModel();
    const headGain = new Float32Array(16).fill(16);
    expect(() => saveModel({ ...plain, weights: { ...plain.weights, headGain } })).toThrow(
      'norm.gain: expected [1], got [16]',
    );
  });
});

describe('spike attention', () => {
  const model = tinyModel({ config: { attention: 'spike' } });

  test('has thresholds in the file, and none of the tables of a softmax', () => {
    const loaded = loadModel(saveModel(model));
    expect(loaded.config.attention).toBe('spike');
    expect(loaded.weights).toEqual(model.weights);
    const names = tensorList(loaded).map(({ name }) => name);
    expect(names).toContain('layers.1.attention.spike_threshold');
    expect(names.filter((name) => /age_bias|sink|exponent_scale|context_scale/.test(name))).toEqual([]);
  });

  test.each([0, 20_000])('refuses a threshold of %i', (threshold) => {
    const [first, second] = model.weights.layers;
    const layers = [{ ...first!, spikeThreshold: new Int32Array(16).fill(threshold) }, second!];
    expect(() => saveModel({ ...model, weights: { ...model.weights, layers } })).toThrow(
      `layers.0.attention.spike_threshold[0]: expected 1 to 16385, got ${threshold}`,
    );
  });
});
