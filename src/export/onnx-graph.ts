/** An ONNX graph under construction: tensors are named by strings, nodes are added in the order in which they run. */
import { ProtobufMessage } from '../protobuf/write.ts';

export type Attribute = number | string | readonly number[];

/** ONNX's numbers for element types. */
const elementTypes = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7 } as const;
const INTEGER = 2;
const STRING = 3;
const INTEGERS = 7;
const IR_VERSION = 8;
/** The first with everything that we use, so that old runtimes read it too. */
const OPSET = 17;

export class OnnxGraph {
  readonly #graph = new ProtobufMessage();
  readonly #metadata: ProtobufMessage[] = [];
  #names = 0;

  /** float32 of this shape, given by whoever runs the graph. */
  input(name: string, shape: readonly number[]): string {
    this.#graph.bytes(11, valueInfo(name, shape));
    return name;
  }

  /** Names the tensor as an output: float32 of this shape. */
  output(name: string, tensor: string, shape: readonly number[]): void {
    this.#graph.bytes(1, nodeMessage('Identity', [tensor], [name], {}));
    this.#graph.bytes(12, valueInfo(name, shape));
  }

  constant(values: ArrayLike<number>, shape: readonly number[]): string {
    return this.#initialiser('float32', new Uint8Array(Float32Array.from(values).buffer), shape);
  }

  int8Constant(values: Int8Array, shape: readonly number[]): string {
    return this.#initialiser('int8', new Uint8Array(values.buffer, values.byteOffset, values.length), shape);
  }

  /** A list of int64: a shape, a range, axes. */
  integers(values: readonly number[]): string {
    const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    return this.#initialiser('int64', bytes, [values.length]);
  }

  /** One operation with one result. */
  node(operator: string, inputs: readonly string[], attributes: Record<string, Attribute> = {}): string {
    return this.nodes(operator, inputs, 1, attributes)[0]!;
  }

  /** One operation with several results. */
  nodes(
    operator: string,
    inputs: readonly string[],
    results: number,
    attributes: Record<string, Attribute> = {},
  ): string[] {
    const outputs = Array.from({ length: results }, () => this.#name());
    this.#graph.bytes(1, nodeMessage(operator, inputs, outputs, attributes));
    return outputs;
  }

  metadata(key: string, value: string): void {
    this.#metadata.push(new ProtobufMessage().bytes(1, key).bytes(2, value));
  }

  /** The bytes of the .onnx file. */
  finish(name: string, producerVersion: string): Uint8Array {
    const model = new ProtobufMessage()
      .integer(1, IR_VERSION)
      .bytes(2, 'dormouse')
      .bytes(3, producerVersion)
      .bytes(7, this.#graph.bytes(2, name))
      .bytes(8, new ProtobufMessage().bytes(1, '').integer(2, OPSET));
    for (const entry of this.#metadata) model.bytes(14, entry);
    return model.finish();
  }

  #initialiser(type: keyof typeof elementTypes, bytes: Uint8Array, shape: readonly number[]): string {
    const name = this.#name();
    const tensor = new ProtobufMessage();
    for (const size of shape) tensor.integer(1, size);
    tensor.integer(2, elementTypes[type]).bytes(8, name).bytes(9, bytes);
    this.#graph.bytes(5, tensor);
    return name;
  }

  #name(): string {
    return `t${this.#names++}`;
  }
}

function valueInfo(name: string, shape: readonly number[]): ProtobufMessage {
  const dimensions = new ProtobufMessage();
  for (const size of shape) dimensions.bytes(1, new ProtobufMessage().integer(1, size));
  const tensor = new ProtobufMessage().integer(1, elementTypes.float32).bytes(2, dimensions);
  return new ProtobufMessage().bytes(1, name).bytes(2, new ProtobufMessage().bytes(1, tensor));
}

function nodeMessage(
  operator: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Record<string, Attribute>,
): ProtobufMessage {
  const node = new ProtobufMessage();
  for (const input of inputs) node.bytes(1, input);
  for (const output of outputs) node.bytes(2, output);
  node.bytes(3, outputs[0]!).bytes(4, operator);
  for (const [name, value] of Object.entries(attributes)) node.bytes(5, attributeMessage(name, value));
  return node;
}

function attributeMessage(name: string, value: Attribute): ProtobufMessage {
  const message = new ProtobufMessage().bytes(1, name);
  if (typeof value === 'number') return message.integer(3, value).integer(20, INTEGER);
  if (typeof value === 'string') return message.bytes(4, value).integer(20, STRING);
  for (const item of value) message.integer(8, item);
  return message.integer(20, INTEGERS);
}
