/** The float tensors of a linear path over the past. */
import type { HistoryConfig, TransformerConfig } from '../engine/config.ts';
import { historyHorizon } from '../engine/cost.ts';
import type { Tensor } from '../engine/safetensors.ts';
import type { FloatPast } from './past-model.ts';

/** All of them are F32; the last three are about the path, not part of what it computes. */
export const pastNames: ReadonlySet<string> = new Set(
  ['basis', 'bias', 'readout', 'step', 'ridge', 'validation'].map((name) => `history.${name}`),
);

export function pastTensors({ fit, step }: FloatPast): [string, Tensor][] {
  const { rows, ranks, horizon, basis, bias, readout, ridge, validation } = fit;
  const [rank] = ranks;
  const one = (name: string, shape: number[], data: ArrayLike<number>): [string, Tensor] => [
    `history.${name}`,
    { dtype: 'F32', shape, data: Float32Array.from(data) },
  ];
  return [
    one('basis', [rank, rows], basis),
    one('bias', [rank], bias),
    one('readout', [horizon, rank], readout),
    one('step', [1], [step]),
    one('ridge', [1], [ridge]),
    one('validation', [3], validation),
  ];
}

/** Throws an Error that names the tensor which is missing or has another shape. */
export function readPast(
  tensors: ReadonlyMap<string, Tensor>,
  config: TransformerConfig,
  { rows, ranks }: HistoryConfig,
): FloatPast {
  const [rank] = ranks;
  const horizon = historyHorizon(config);
  const read = (name: string, ...shape: number[]) => take(tensors, `history.${name}`, shape);
  const [first, second, third] = read('validation', 3);
  const fit = {
    rows,
    ranks,
    horizon,
    basis: read('basis', rank, rows),
    bias: read('bias', rank),
    readout: read('readout', horizon, rank),
    ridge: read('ridge', 1)[0]!,
    validation: [first!, second!, third!] as const,
  };
  return { fit, step: read('step', 1)[0]! };
}

function take(tensors: ReadonlyMap<string, Tensor>, name: string, shape: readonly number[]): Float64Array {
  const tensor = tensors.get(name);
  const got = tensor === undefined ? 'none' : `${tensor.dtype} [${tensor.shape}]`;
  if (tensor?.dtype === 'F32' && tensor.shape.join() === shape.join()) {
    return Float64Array.from(tensor.data as Float32Array);
  }
  throw new Error(`${name}: expected F32 [${shape}], got ${got}`);
}
