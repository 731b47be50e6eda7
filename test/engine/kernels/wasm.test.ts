/** The WebAssembly kernels against the plain truth, bit for bit, over random shapes and extreme values. */
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { isTrusted } from '../../../src/engine/kernels/choose.ts';
import type { Kernels } from '../../../src/engine/kernels/contract.ts';
import { TruthKernels } from '../../../src/engine/kernels/truth.ts';
import { type WasmBuild, WasmKernels } from '../../../src/engine/kernels/wasm.ts';
import type { AttentionLayout, Matrix } from '../../../src/engine/memory-layout.ts';
import { randomNumbers } from '../tiny-model.ts';

const seed = 20261124;
const INPUT = 1024;
const WEIGHT = 65536;
const OUTPUT = 3 * 65536;
const WIDENED = 4 * 65536;
const LINEAR = 5 * 65536;

/** What weights and inputs are made of: the extremes, zeros, or anything. */
type Kind = 'lowest' | 'highest' | 'zero' | 'mixed extremes' | 'random';
const kinds = fc.constantFrom<Kind>('lowest', 'highest', 'zero', 'mixed extremes', 'random');

function value(kind: Kind, low: number, high: number, random: number): number {
  if (kind === 'zero') return Math.max(low, 0);
  if (kind === 'random') return Math.round(low + random * (high - low));
  return kind === 'lowest' || (kind === 'mixed extremes' && random < 0.5) ? low : high;
}

interface Case {
  readonly inputs: number;
  readonly outputs: number;
  readonly rows: number;
  readonly weights: Kind;
  readonly activations: Kind;
  readonly multiplier: number;
  readonly seed: number;
}

const cases: fc.Arbitrary<Case> = fc.record({
  inputs: fc.integer({ min: 1, max: 8 }).map((vectors) => vectors * 16),
  outputs: fc.integer({ min: 1, max: 4 }).map((vectors) => vectors * 16),
  rows: fc.integer({ min: 1, max: 5 }),
  weights: kinds,
  activations: kinds,
  multiplier: fc.constantFrom(0, 1e-6, 1 / 4096, 0.013, 1, 100),
  seed: fc.integer(),
});

interface World {
  readonly memory: WebAssembly.Memory;
  readonly kernels: Kernels;
}

let build: WasmBuild = 'exact';

/** Two worlds: the truth, and the build under test. */
function worlds(): World[] {
  const makers = [
    (memory: WebAssembly.Memory) => new TruthKernels(memory),
    (memory: WebAssembly.Memory) => new WasmKernels(build, memory, WIDENED),
  ];
  return makers.map((make) => {
    const memory = new WebAssembly.Memory({ initial: 8, maximum: 8 });
    return { memory, kernels: make(memory) };
  });
}

function matrixAt(at: number, { inputs, outputs }: Case): Matrix {
  return { weight: at, bias: at + 32768, multiplier: at + 40960, inputs, outputs };
}

/** The same weights, biases, multipliers, features or activations and earlier outputs in one world. */
function fill(
  { memory, kernels }: World,
  matrix: Matrix,
  one: Case,
  inputIs: 'features' | 'activations',
): void {
  const random = randomNumbers(one.seed);
  const weight = Int8Array.from({ length: one.inputs * one.outputs }, () =>
    value(one.weights, -127, 127, random()),
  );
  kernels.pack(matrix, weight, inputIs);
  const bias = new Int32Array(memory.buffer, matrix.bias, one.outputs);
  const multiplier = new Float32Array(memory.buffer, matrix.multiplier, one.outputs);
  for (let c = 0; c < one.outputs; c++) {
    bias[c] = Math.round((random() - 0.5) * 2 ** 20);
    multiplier[c] = Math.min(
      one.multiplier * (0.5 + random()),
      2 ** 30 / (2 ** 20 + 127 * 8191 * one.inputs),
    );
  }
  const count = one.inputs * one.rows;
  if (inputIs === 'features') {
    const features = new Int16Array(memory.buffer, INPUT, count);
    for (let i = 0; i < count; i++) features[i] = value(one.activations, -8191, 8191, random());
  } else {
    const activations = new Uint8Array(memory.buffer, INPUT, count);
    for (let i = 0; i < count; i++) activations[i] = value(one.activations, 0, 127, random());
  }
  const before = new Int16Array(memory.buffer, OUTPUT, one.outputs * one.rows * 2);
  for (let i = 0; i < before.length; i++) before[i] = value(one.activations, -32767, 32767, random());
}

function outputBytes({ memory }: World): Uint8Array {
  return new Uint8Array(memory.buffer, OUTPUT, 16384);
}

function sameInBothWorlds(
  one: Case,
  inputIs: 'features' | 'activations',
  run: (world: World, matrix: Matrix) => void,
): void {
  const [truth, exact] = worlds().map((world) => {
    const matrix = matrixAt(WEIGHT, one);
    fill(world, matrix, one, inputIs);
    run(world, matrix);
    return outputBytes(world);
  });
  expect(Buffer.compare(truth!, exact!)).toBe(0);
}

const property = (predicate: (one: Case) => void) =>
  fc.assert(fc.property(cases, predicate), { seed, numRuns: 150 });

describe.each<WasmBuild>(['exact', 'relaxed'])('the %s build gives the bits of the truth', (name) => {
  beforeEach(({ skip }) => {
    build = name;
    if (!isTrusted(name)) skip(`${name} SIMD does not run on Node ${process.version}`);
  });

  test('embed', () => {
    property((one) =>
      sameInBothWorlds(one, 'features', ({ kernels }, matrix) =>
        kernels.embed(INPUT, matrix, OUTPUT, one.rows),
      ),
    );
  });

  test('project', () => {
    property((one) =>
      sameInBothWorlds(one, 'activations', ({ kernels }, matrix) =>
        kernels.project(INPUT, matrix, OUTPUT, one.outputs + 16, one.rows),
      ),
    );
  });

  test('addProjection, from saturated residuals too', () => {
    property((one) =>
      sameInBothWorlds(one, 'activations', ({ kernels }, matrix) =>
        kernels.addProjection(INPUT, matrix, OUTPUT, one.rows),
      ),
    );
  });

  test('activate', () => {
    property((one) =>
      sameInBothWorlds(one, 'activations', ({ memory, kernels }, matrix) => {
        const gelu = new Uint8Array(memory.buffer, LINEAR, 256);
        for (let i = 0; i < 256; i++) gelu[i] = (i * 89 + 7) % 128;
        kernels.activate(INPUT, matrix, LINEAR, OUTPUT, one.rows);
      }),
    );
  });

  test('score and addFeatures', () => {
    property((one) =>
      sameInBothWorlds(one, 'activations', ({ memory, kernels }, matrix) => {
        const random = randomNumbers(one.seed + 1);
        const linear = { ...matrixAt(LINEAR, one), inputs: 32 };
        kernels.pack(
          linear,
          Int8Array.from({ length: 32 * one.outputs }, () => value(one.weights, -127, 127, random())),
          'features',
        );
        new Float32Array(memory.buffer, linear.multiplier, one.outputs).fill(Math.min(one.multiplier, 4));
        const features = new Int16Array(memory.buffer, LINEAR + 49152, 32 * one.rows);
        for (let i = 0; i < features.length; i++) features[i] = value(one.activations, -8191, 8191, random());
        kernels.score(INPUT, matrix, OUTPUT, one.rows);
        kernels.addFeatures(LINEAR + 49152, linear, OUTPUT, one.rows);
      }),
    );
  });

  test('normalise, at every width', () => {
    const rowsOf = fc.tuple(
      fc.integer({ min: 1, max: 100 }),
      kinds,
      fc.constantFrom(0, 1, 3, 200, 32767),
      fc.integer(),
    );
    fc.assert(
      fc.property(
        rowsOf,
        fc.constantFrom(0.25, 8, 16, 31.4, 1000),
        ([hidden, kind, size, seedOfRow], gain) => {
          const stride = Math.ceil(hidden / 16) * 16;
          const [truth, exact] = worlds().map(({ memory, kernels }) => {
            const random = randomNumbers(seedOfRow);
            const residual = new Int16Array(memory.buffer, INPUT, stride * 2);
            for (let i = 0; i < residual.length; i++) {
              residual[i] = i % stride < hidden ? value(kind, -size, size, random()) : 0;
            }
            kernels.normalise(INPUT, Math.fround(gain), hidden, OUTPUT, 2);
            return new Uint8Array(memory.buffer, OUTPUT, stride * 2);
          });
          expect([...exact!]).toEqual([...truth!]);
        },
      ),
      { seed, numRuns: 300 },
    );
  });

  test('normalise with a gain for each channel, at every width', () => {
    const gains = [0, 2 ** -10, 0.3, 16, 31.4, 1024];
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        kinds,
        fc.constantFrom(0, 1, 3, 200, 32767),
        fc.integer(),
        (hidden, kind, size, seedOfRow) => {
          const stride = Math.ceil(hidden / 16) * 16;
          const [truth, exact] = worlds().map(({ memory, kernels }) => {
            const random = randomNumbers(seedOfRow);
            const residual = new Int16Array(memory.buffer, INPUT, stride * 2);
            const gain = new Float32Array(memory.buffer, INPUT + 1024, stride);
            for (let i = 0; i < residual.length; i++) {
              residual[i] = i % stride < hidden ? value(kind, -size, size, random()) : 0;
            }
            for (let i = 0; i < stride; i++) {
              const picked = gains[Math.floor(random() * gains.length)]!;
              gain[i] = i < hidden ? picked * (1 - random() / 4) : 0;
            }
            kernels.normaliseChannels(INPUT, INPUT + 1024, hidden, OUTPUT, 2);
            return new Uint8Array(memory.buffer, OUTPUT, stride * 2);
          });
          expect([...exact!]).toEqual([...truth!]);
        },
      ),
      { seed, numRuns: 300 },
    );
  });

  test('attend, by softmax and by spikes, over rings with holes, wraps and scratch slots', () => {
    const rings = fc.record({
      heads: fc.integer({ min: 1, max: 4 }),
      headVectors: fc.integer({ min: 1, max: 3 }),
      slots: fc.integer({ min: 1, max: 12 }),
      window: fc.integer({ min: 1, max: 12 }),
      kind: kinds,
      scale: fc.constantFrom(0, 0.001, 0.3, 200),
      spikes: fc.boolean(),
      seed: fc.integer(),
    });
    fc.assert(
      fc.property(rings, (ring) => {
        const [truth, exact] = worlds().map((world) =>
          attendInRing(world, { ...ring, window: Math.min(ring.window, ring.slots) }),
        );
        expect(exact).toEqual(truth);
      }),
      { seed, numRuns: 300 },
    );
  });
});

const THRESHOLDS = LINEAR + 3072;

interface RingCase {
  readonly heads: number;
  readonly headVectors: number;
  readonly slots: number;
  readonly window: number;
  readonly kind: Kind;
  readonly scale: number;
  readonly spikes: boolean;
  readonly seed: number;
}

function attendInRing({ memory, kernels }: World, ring: RingCase): { visible: number; bytes: number[] } {
  const random = randomNumbers(ring.seed);
  const headStride = ring.headVectors * 16;
  const width = ring.heads * headStride;
  const attention: AttentionLayout = {
    heads: ring.heads,
    headStride,
    width,
    spikeThreshold: ring.spikes ? THRESHOLDS : 0,
    biasStride: ring.window,
    slots: ring.slots,
    ageBias: LINEAR,
    sink: LINEAR + 1024,
    exponentScale: LINEAR + 1280,
    contextScale: LINEAR + 1536,
    exponentTable: LINEAR + 2048,
    scratch: WIDENED,
  };
  const ints = new Int32Array(memory.buffer, LINEAR, 1024 + 256);
  const floats = new Float32Array(memory.buffer, LINEAR, 1024);
  for (let i = 0; i < ring.heads * ring.window; i++) ints[i] = Math.round((random() - 0.5) * 4000);
  for (let head = 0; head < ring.heads; head++) {
    ints[256 + head] = Math.round((random() - 0.5) * 4000);
    floats[320 + head] = ring.scale * random();
    floats[384 + head] = random() / 20000;
  }
  for (let i = 0; i < 256; i++) ints[512 + i] = Math.round(65536 * 2 ** (-i / 256));
  const thresholds = new Int32Array(memory.buffer, THRESHOLDS, width);
  for (let i = 0; i < width; i++) thresholds[i] = 1 + Math.floor(random() * (ring.window + 1));
  const bytes = new Int8Array(memory.buffer);
  for (let i = 0; i < 3 * width; i++) bytes[INPUT + i] = value(ring.kind, -127, 127, random());
  const keys = WEIGHT;
  const values = WEIGHT + 32768;
  for (let i = 0; i < (ring.slots + 1) * width; i++) {
    bytes[keys + i] = value(ring.kind, -127, 127, random());
    bytes[values + i] = value(ring.kind, -127, 127, random());
  }
  const slotPositions = new Float64Array(memory.buffer, 16384, ring.slots + 1);
  const newest = Math.floor(random() * ring.slots);
  const filled = Math.floor(random() * ring.slots);
  let position = 2 ** 40 + Math.floor(random() * 1000);
  const now = position;
  for (let i = 0; i < ring.slots; i++) {
    position -= 1 + Math.floor(random() * 2);
    slotPositions[(newest - i + ring.slots) % ring.slots] = position;
  }
  const self = random() < 0.3 ? ring.slots : (newest + 1) % ring.slots;
  const visible = kernels.attend(
    attention,
    INPUT,
    keys,
    values,
    16384,
    self,
    newest,
    self === newest ? 0 : filled,
    now,
    ring.window,
    OUTPUT,
  );
  return {
    visible,
    bytes: [
      ...new Uint8Array(memory.buffer, OUTPUT, width),
      ...new Uint8Array(memory.buffer, keys, 2 * width),
    ],
  };
}
