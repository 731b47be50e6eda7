/** Runs the ONNX that we write, one number at a time, as ONNX's operator definitions say. */
import { erf } from '../../src/export/gelu-fit.ts';
import type { OnnxModel, OnnxNode, Tensor } from './onnx-reader.ts';

type Attributes = OnnxNode['attributes'];

/** Every output by name. */
export function runOnnx(model: OnnxModel, feeds: Record<string, Tensor>): Map<string, Tensor> {
  const values = new Map(model.constants);
  for (const [name, shape] of model.inputs) values.set(name, requireShape(name, feeds[name], shape));
  for (const node of model.nodes) {
    const inputs = node.inputs.map((name) => {
      const value = values.get(name);
      if (value === undefined) throw new Error(`${node.operator}: ${name} is not there yet`);
      return value;
    });
    const operator = operators[node.operator];
    if (operator === undefined) throw new Error(`no operator ${node.operator}`);
    operator(inputs, node.attributes, node.outputs.length).forEach((result, i) => {
      values.set(node.outputs[i]!, result);
    });
  }
  return new Map(
    [...model.outputs].map(([name, shape]) => [name, requireShape(name, values.get(name), shape)]),
  );
}

function requireShape(name: string, tensor: Tensor | undefined, shape: readonly number[]): Tensor {
  if (tensor === undefined || tensor.shape.join() !== shape.join()) {
    throw new Error(`${name}: expected shape ${shape.join()}, got ${tensor?.shape.join()}`);
  }
  return tensor;
}

const count = (shape: readonly number[]) => shape.reduce((size, n) => size * n, 1);
const strides = (shape: readonly number[]) => shape.map((_, i) => count(shape.slice(i + 1)));

/** A tensor of this shape whose values are made from their indices. */
function make(shape: readonly number[], value: (index: readonly number[]) => number): Tensor {
  const steps = strides(shape);
  const data = Float64Array.from({ length: count(shape) }, (_, at) =>
    value(shape.map((size, axis) => Math.floor(at / steps[axis]!) % size)),
  );
  return { shape, data };
}

/** The value at an index, aligned to the right and repeated where the size is 1. */
function at({ shape, data }: Tensor, index: readonly number[]): number {
  const steps = strides(shape);
  const skip = index.length - shape.length;
  return data[
    shape.reduce((sum, size, axis) => sum + (size === 1 ? 0 : index[axis + skip]!) * steps[axis]!, 0)
  ]!;
}

function broadcast(combine: (a: number, b: number) => number) {
  return ([a, b]: Tensor[]): Tensor[] => {
    const rank = Math.max(a!.shape.length, b!.shape.length);
    const size = (tensor: Tensor, axis: number) => tensor.shape[axis - rank + tensor.shape.length] ?? 1;
    const shape = Array.from({ length: rank }, (_, axis) => Math.max(size(a!, axis), size(b!, axis)));
    return [make(shape, (index) => combine(at(a!, index), at(b!, index)))];
  };
}

const each =
  (change: (x: number) => number) =>
  ([x]: Tensor[]): Tensor[] => [make(x!.shape, (index) => change(at(x!, index)))];

function matMul([a, b]: Tensor[]): Tensor[] {
  const inner = a!.shape.at(-1)!;
  if (b!.shape.at(-2) !== inner) throw new Error('MatMul: inner sizes differ');
  const shape = [...a!.shape.slice(0, -1), b!.shape.at(-1)!];
  const product = make(shape, (index) => {
    let sum = 0;
    for (let k = 0; k < inner; k++) {
      sum += at(a!, [...index.slice(0, -1), k]) * at(b!, [...index.slice(0, -2), k, index.at(-1)!]);
    }
    return sum;
  });
  return [product];
}

function alongLast({ shape, data }: Tensor, change: (row: number[]) => number[]): Tensor {
  const size = shape.at(-1)!;
  const rows = Array.from({ length: data.length / size }, (_, row) =>
    change(Array.from(data).slice(row * size, (row + 1) * size)),
  );
  return { shape: [...shape.slice(0, -1), rows[0]!.length], data: rows.flat() };
}

function softmax(row: number[]): number[] {
  const top = Math.max(...row);
  const weights = row.map((x) => Math.exp(x - top));
  const total = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / total);
}

function slice(x: Tensor, axis: number, from: number, to: number): Tensor {
  const shape = x.shape.map((size, i) => (i === axis ? to - from : size));
  return make(shape, (index) =>
    at(
      x,
      index.map((n, i) => (i === axis ? n + from : n)),
    ),
  );
}

function concat(tensors: Tensor[], axis: number): Tensor {
  const sizes = tensors.map(({ shape }) => shape[axis]!);
  const shape = tensors[0]!.shape.map((size, i) => (i === axis ? sizes.reduce((a, b) => a + b) : size));
  return make(shape, (index) => {
    let n = index[axis]!;
    let which = 0;
    while (n >= sizes[which]!) n -= sizes[which++]!;
    return at(
      tensors[which]!,
      index.map((old, i) => (i === axis ? n : old)),
    );
  });
}

function quantise(x: Tensor): Tensor[] {
  const values = Array.from(x.data);
  const low = Math.min(0, ...values);
  const step = (Math.max(0, ...values) - low) / 255;
  const zero = Math.round(-low / step);
  const [quantised] = each((value) => Math.min(255, Math.max(0, Math.round(value / step) + zero)))([x]);
  return [quantised!, { shape: [], data: [step] }, { shape: [], data: [zero] }];
}

const operators: Record<string, (inputs: Tensor[], attributes: Attributes, results: number) => Tensor[]> = {
  Add: broadcast((a, b) => a + b),
  Mul: broadcast((a, b) => a * b),
  Div: broadcast((a, b) => a / b),
  Pow: broadcast((a, b) => a ** b),
  Max: broadcast(Math.max),
  Min: broadcast(Math.min),
  Clip: ([x, low, high]) => each((value) => Math.min(Math.max(value, low!.data[0]!), high!.data[0]!))([x!]),
  Sqrt: each(Math.sqrt),
  Erf: each(erf),
  Round: each((x) => x + 1.5 * 2 ** 52 - 1.5 * 2 ** 52),
  Cast: each((x) => x),
  Identity: (inputs) => inputs,
  MatMul: matMul,
  Gemm: ([a, b, c]) => broadcast((x, y) => x + y)([...matMul([a!, b!]), c!]),
  MatMulInteger: ([a, b, zero]) => matMul([...each((value) => value - zero!.data[0]!)([a!]), b!]),
  DynamicQuantizeLinear: ([x]) => quantise(x!),
  ReduceMean: ([x]) => [alongLast(x!, (row) => [row.reduce((a, b) => a + b) / row.length])],
  Softmax: ([x]) => [alongLast(x!, softmax)],
  Gather: ([table, index]) => each((i) => table!.data[i]!)([index!]),
  Reshape: ([x, shape]) => [{ shape: Array.from(shape!.data), data: x!.data }],
  Transpose: ([x], { perm }) => {
    const order = perm as number[];
    const shape = order.map((axis) => x!.shape[axis]!);
    return [
      make(shape, (index) =>
        at(
          x!,
          x!.shape.map((_, axis) => index[order.indexOf(axis)]!),
        ),
      ),
    ];
  },
  Split: ([x], { axis }, results) => {
    const size = x!.shape[axis as number]! / results;
    return Array.from({ length: results }, (_, i) => slice(x!, axis as number, i * size, (i + 1) * size));
  },
  Concat: (inputs, { axis }) => [concat(inputs, axis as number)],
  Slice: ([x, from, to, axis]) => [slice(x!, axis!.data[0]!, from!.data[0]!, to!.data[0]!)],
};
