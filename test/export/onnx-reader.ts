/** Reads back the ONNX that we write, with a protocol buffers reader of its own. */

export interface Tensor {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

export interface OnnxNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, number | string | readonly number[]>>;
}

export interface OnnxModel {
  readonly irVersion: number;
  readonly opset: number;
  readonly nodes: readonly OnnxNode[];
  readonly constants: ReadonlyMap<string, Tensor>;
  readonly inputs: ReadonlyMap<string, readonly number[]>;
  readonly outputs: ReadonlyMap<string, readonly number[]>;
}

type Field = { readonly field: number; readonly value: number | Uint8Array };

const text = (value: number | Uint8Array) =>
  new TextDecoder('utf-8', { fatal: true }).decode(value as Uint8Array);

/** Throws if the bytes are no protocol buffers message. */
function fields(bytes: Uint8Array): Field[] {
  const list: Field[] = [];
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error('cut off');
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(BigInt.asIntN(64, value));
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const field = tag >> 3;
    if ((tag & 7) === 0) list.push({ field, value: varint() });
    else if ((tag & 7) === 2) {
      const length = varint();
      if (at + length > bytes.length) throw new Error('cut off');
      list.push({ field, value: bytes.slice(at, (at += length)) });
    } else throw new Error(`wire type ${tag & 7}`);
  }
  return list;
}

const all = (list: Field[], field: number) =>
  list.filter((one) => one.field === field).map(({ value }) => value);
const messages = (list: Field[], field: number) =>
  all(list, field).map((value) => fields(value as Uint8Array));

export function readOnnx(bytes: Uint8Array): OnnxModel {
  // A Buffer's slices would share its memory.
  const model = fields(new Uint8Array(bytes));
  const graph = messages(model, 7)[0]!;
  return {
    irVersion: all(model, 1)[0] as number,
    opset: all(messages(model, 8)[0]!, 2)[0] as number,
    nodes: messages(graph, 1).map(readNode),
    constants: new Map(messages(graph, 5).map((tensor) => [text(all(tensor, 8)[0]!), readTensor(tensor)])),
    inputs: new Map(messages(graph, 11).map(readValue)),
    outputs: new Map(messages(graph, 12).map(readValue)),
  };
}

function readNode(node: Field[]): OnnxNode {
  const attributes = messages(node, 5).map((attribute) => {
    const type = all(attribute, 20)[0];
    const value =
      type === 2
        ? (all(attribute, 3)[0] as number)
        : type === 3
          ? text(all(attribute, 4)[0]!)
          : (all(attribute, 8) as number[]);
    return [text(all(attribute, 1)[0]!), value] as const;
  });
  return {
    operator: text(all(node, 4)[0]!),
    inputs: all(node, 1).map(text),
    outputs: all(node, 2).map(text),
    attributes: Object.fromEntries(attributes),
  };
}

function readTensor(tensor: Field[]): Tensor {
  const { buffer } = all(tensor, 9)[0] as Uint8Array;
  const shape = all(tensor, 1) as number[];
  const type = all(tensor, 2)[0];
  const data =
    type === 1
      ? new Float32Array(buffer)
      : type === 3
        ? new Int8Array(buffer)
        : Array.from(new BigInt64Array(buffer), Number);
  const expected = shape.reduce((size, n) => size * n, 1);
  if (data.length !== expected) throw new Error(`tensor: expected ${expected} values, got ${data.length}`);
  return { shape, data };
}

function readValue(value: Field[]): [string, number[]] {
  const tensor = messages(messages(value, 2)[0]!, 1)[0]!;
  const dimensions = messages(messages(tensor, 2)[0]!, 1);
  return [text(all(value, 1)[0]!), dimensions.map((dimension) => all(dimension, 1)[0] as number)];
}
