/** What is wrong with the tensors of a float model: everything at once, each by name, with expected and got. */
import type { Dtype, Tensor, TensorData } from '../engine/safetensors.ts';
import { nearestName } from '../text/nearest.ts';
import type { FloatTensors } from './float-tensors.ts';

interface Expected {
  readonly name: string;
  readonly shape: readonly number[];
  readonly absent?: number;
}

const floatTypes: readonly Dtype[] = ['F32', 'F16', 'BF16'];

/** One sentence per tensor that is missing, not part of the model, or of another type, shape or kind of number. */
export function checkFloatTensors(
  expected: FloatTensors,
  tensors: ReadonlyMap<string, Tensor>,
): readonly string[] {
  const known = new Map<string, Expected>(
    [...expected.parameters, ...expected.gains].map((one) => [one.name, one]),
  );
  const unused = [...known.keys()].filter((name) => !tensors.has(name));
  const extra = [...tensors.keys()].filter((name) => !known.has(name));
  return [
    ...[...known.values()].flatMap((one) => checkOne(one, tensors.get(one.name), extra)),
    ...extra.map((name) => {
      const near = nearestName(name, unused);
      const hint = near === undefined ? '' : `; did you mean ${near}?`;
      return `${name}: no such tensor in this configuration${hint}`;
    }),
  ];
}

function checkOne(expected: Expected, tensor: Tensor | undefined, extra: readonly string[]): string[] {
  const { name, shape } = expected;
  if (tensor !== undefined) return checkTensor(expected, tensor);
  if (expected.absent !== undefined) return [];
  const near = nearestName(name, extra);
  const got = near === undefined ? 'got no such tensor' : `got ${near}`;
  return [`${name}: expected float [${shape}], ${got}`];
}

function checkTensor({ name, shape }: Expected, { dtype, shape: got, data }: Tensor): string[] {
  const isFloat = floatTypes.includes(dtype);
  const problems = isFloat ? [] : [`expected ${floatTypes.join(', ')}, got ${dtype}`];
  const isShaped = got.join() === shape.join();
  if (!isShaped) problems.push(`expected [${shape}], got [${got}]${shapeHint(shape, got)}`);
  if (isFloat && isShaped) problems.push(...checkFinite(toFloats(dtype, data), shape));
  return problems.map((problem) => `${name}: ${problem}`);
}

function shapeHint(shape: readonly number[], got: readonly number[]): string {
  return got.length === 2 && got.toReversed().join() === shape.join() ? ', which is transposed' : '';
}

function checkFinite(values: Float32Array, shape: readonly number[]): string[] {
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return [];
  const columns = shape.at(-1)!;
  const place = shape.length === 2 ? `${Math.floor(at / columns)}, ${at % columns}` : at;
  const count = values.reduce((sum, value) => sum + (Number.isFinite(value) ? 0 : 1), 0);
  const others = count > 1 ? ` and ${count - 1} more` : '';
  return [`expected finite numbers, got ${values[at]} at [${place}]${others}`];
}

/** A tensor's numbers as float32. `dtype`: one of F32, F16, BF16. */
export function toFloats(dtype: Dtype, data: TensorData): Float32Array {
  if (dtype === 'F32') return data as Float32Array;
  return Float32Array.from(data as Uint16Array, dtype === 'BF16' ? fromBfloat16 : fromHalf);
}

const word = new Uint32Array(1);
const wordAsFloat = new Float32Array(word.buffer);

/** bfloat16 is the upper half of a float32. */
function fromBfloat16(bits: number): number {
  word[0] = bits << 16;
  return wordAsFloat[0]!;
}

/** IEEE 754 binary16: 1 sign bit, 5 of exponent (bias 15), 10 of fraction. */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}
