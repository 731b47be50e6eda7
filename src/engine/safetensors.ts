/**
 * The safetensors file format, read and written whole.
 *
 * 8 bytes: header length, little endian. Header: JSON of name -> {dtype, shape, data_offsets}, and `__metadata__`
 * of strings. Then the data, every byte of which belongs to exactly one tensor: no holes, no overlap, no rest.
 * Source: https://github.com/huggingface/safetensors (format section).
 */
import { MODEL_FILE_BYTES_MAX, MODEL_HEADER_BYTES_MAX } from './limits.ts';

export type Dtype = keyof typeof arrays;
/** F16, BF16 and 8-bit floats as their bits. */
export type TensorData =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

export interface Tensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

export interface TensorFile {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** What was wrong with a model file. */
export type ModelErrorCode =
  | 'tooLarge'
  | 'truncated'
  | 'header'
  | 'dtype'
  | 'shape'
  | 'overlap'
  | 'hole'
  | 'foreign'
  | 'checksum'
  | 'config'
  | 'meaning'
  | 'missing'
  | 'unexpected'
  | 'range';

/** A model file that is refused: `code` for programs, the message for people. */
export class ModelError extends Error {
  override readonly name = 'ModelError';
  readonly code: ModelErrorCode;
  constructor(code: ModelErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Every type of the format, so that what is no model's is refused with its name. */
const arrays = {
  I8: Int8Array,
  U8: Uint8Array,
  I32: Int32Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  F64: Float64Array,
  BOOL: Uint8Array,
  I16: Int16Array,
  U16: Uint16Array,
  U32: Uint32Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  F8_E4M3: Uint8Array,
  F8_E5M2: Uint8Array,
} as const;
const LENGTH_BYTES = 8;

interface Entry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly from: number;
  readonly to: number;
}

/** Reads a whole file. Copies every tensor. Throws ModelError. */
export function readTensors(bytes: Uint8Array): TensorFile {
  if (bytes.length > MODEL_FILE_BYTES_MAX) {
    throw new ModelError(
      'tooLarge',
      `file: expected at most ${MODEL_FILE_BYTES_MAX} bytes, got ${bytes.length}`,
    );
  }
  const headerBytes = readHeaderLength(bytes);
  const header = parseHeader(bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + headerBytes));
  const dataStart = LENGTH_BYTES + headerBytes;
  const entries = Object.entries(header.tensors).map(([name, entry]) => readEntry(name, entry));
  requireTiling(entries, bytes.length - dataStart);
  const tensors = new Map<string, Tensor>();
  for (const { name, dtype, shape, from, to } of entries) {
    // Not bytes.slice: that of Node's Buffer does not copy.
    const copy = Uint8Array.prototype.slice.call(bytes, dataStart + from, dataStart + to);
    tensors.set(name, { dtype, shape, data: new arrays[dtype](copy.buffer) });
  }
  return { tensors, metadata: header.metadata };
}

function readHeaderLength(bytes: Uint8Array): number {
  if (bytes.length < LENGTH_BYTES) {
    throw new ModelError('truncated', `file: expected at least ${LENGTH_BYTES} bytes, got ${bytes.length}`);
  }
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  if (length > MODEL_HEADER_BYTES_MAX) {
    throw new ModelError(
      'header',
      `header length: expected at most ${MODEL_HEADER_BYTES_MAX}, got ${length}; this is no safetensors file`,
    );
  }
  if (length > bytes.length - LENGTH_BYTES) {
    throw new ModelError('truncated', `header: expected ${length} bytes, got ${bytes.length - LENGTH_BYTES}`);
  }
  return length;
}

function parseHeader(bytes: Uint8Array): { tensors: Record<string, unknown>; metadata: Map<string, string> } {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new ModelError('header', `header: expected JSON, got ${(error as Error).message}`);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw new ModelError('header', 'header: expected an object');
  }
  const { __metadata__: rawMetadata = {}, ...tensors } = header as Record<string, unknown>;
  if (typeof rawMetadata !== 'object' || rawMetadata === null || Array.isArray(rawMetadata)) {
    throw new ModelError('header', `__metadata__: expected an object, got ${JSON.stringify(rawMetadata)}`);
  }
  const metadata = new Map<string, string>();
  for (const [key, value] of Object.entries(rawMetadata)) {
    if (typeof value !== 'string') throw new ModelError('header', `__metadata__.${key}: expected a string`);
    metadata.set(key, value);
  }
  return { tensors, metadata };
}

function readEntry(name: string, entry: unknown): Entry {
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
  if (typeof dtype !== 'string' || !Object.hasOwn(arrays, dtype)) {
    throw new ModelError(
      'dtype',
      `${name}: expected dtype ${Object.keys(arrays).join(', ')}, got ${String(dtype)}`,
    );
  }
  if (!isSizes(shape))
    throw new ModelError('shape', `${name}: expected a shape of whole numbers, got ${JSON.stringify(shape)}`);
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw new ModelError(
      'header',
      `${name}: expected data_offsets [from, to], got ${JSON.stringify(offsets)}`,
    );
  }
  const [from, to] = offsets as [number, number];
  const expected = shape.reduce((product, size) => product * size, arrays[dtype as Dtype].BYTES_PER_ELEMENT);
  if (to - from !== expected) {
    throw new ModelError(
      'shape',
      `${name}: shape [${shape}] of ${dtype} needs ${expected} bytes, got ${to - from}`,
    );
  }
  return { name, dtype: dtype as Dtype, shape, from, to };
}

function isSizes(input: unknown): input is readonly number[] {
  return (
    Array.isArray(input) &&
    input.length <= 8 &&
    input.every((size) => Number.isSafeInteger(size) && size >= 0)
  );
}

function requireTiling(entries: readonly Entry[], dataBytes: number): void {
  let end = 0;
  for (const entry of [...entries].sort((a, b) => a.from - b.from || a.to - b.to)) {
    if (entry.from < end)
      throw new ModelError('overlap', `${entry.name}: starts at ${entry.from}, inside the tensor before it`);
    if (entry.from > end)
      throw new ModelError('hole', `${entry.name}: starts at ${entry.from}, expected ${end}`);
    end = entry.to;
  }
  if (end > dataBytes) throw new ModelError('truncated', `data: expected ${end} bytes, got ${dataBytes}`);
  if (end < dataBytes) throw new ModelError('hole', `data: expected ${end} bytes, got ${dataBytes}`);
}

/** Writes a whole file: tensors with wide elements first, so that every tensor is aligned. */
export function writeTensors(file: TensorFile): Uint8Array {
  const ordered = [...file.tensors].sort(
    ([, a], [, b]) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT,
  );
  const header: Record<string, unknown> = { __metadata__: Object.fromEntries(file.metadata) };
  let end = 0;
  for (const [name, { dtype, shape, data }] of ordered) {
    header[name] = { dtype, shape, data_offsets: [end, (end += data.byteLength)] };
  }
  const text = JSON.stringify(header);
  const json = new TextEncoder().encode(text);
  const headerBytes = Math.ceil(json.length / LENGTH_BYTES) * LENGTH_BYTES;
  const bytes = new Uint8Array(LENGTH_BYTES + headerBytes + end).fill(
    0x20,
    LENGTH_BYTES,
    LENGTH_BYTES + headerBytes,
  );
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.set(json, LENGTH_BYTES);
  let at = LENGTH_BYTES + headerBytes;
  for (const [, { data }] of ordered) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}
