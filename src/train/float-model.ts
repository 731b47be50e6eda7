/** The float32 parameters behind a model, as a safetensors file: to compare with, not to run on a gateway. */
import { type TransformerConfig, validateConfig } from '../engine/config.ts';
import { readTensors, type Tensor, writeTensors } from '../engine/safetensors.ts';
import { parameterLayout } from './layout.ts';

export interface FloatModel {
  readonly config: TransformerConfig;
  /** [layout.count], see layout.ts. */
  readonly parameters: Float32Array;
}

const FORMAT = 'dormouse-float-1';

/** One F32 tensor per slice of the layout, under its name, [rows, columns]. */
export function saveFloatModel({ config, parameters }: FloatModel): Uint8Array {
  const tensors = new Map(
    parameterLayout(config).slices.map(({ name, offset, rows, columns }): [string, Tensor] => [
      name,
      { dtype: 'F32', shape: [rows, columns], data: parameters.slice(offset, offset + rows * columns) },
    ]),
  );
  const metadata = new Map(Object.entries({ format: FORMAT, config: JSON.stringify(config) }));
  return writeTensors({ tensors, metadata });
}

/** Throws an Error naming the tensor that is missing or has another shape, what was expected and what was got. */
export function loadFloatModel(bytes: Uint8Array): FloatModel {
  const { tensors, metadata } = readTensors(bytes);
  const format = metadata.get('format') ?? 'none';
  if (format !== FORMAT) throw new Error(`__metadata__.format: expected ${FORMAT}, got ${format}`);
  const config = validateConfig(JSON.parse(metadata.get('config') ?? 'null'));
  const layout = parameterLayout(config);
  const parameters = new Float32Array(layout.count);
  for (const { name, offset, rows, columns } of layout.slices) {
    const tensor = tensors.get(name);
    const got = tensor === undefined ? 'none' : `${tensor.dtype} [${tensor.shape}]`;
    if (tensor?.dtype !== 'F32' || tensor.shape.join() !== [rows, columns].join()) {
      throw new Error(`${name}: expected F32 [${rows},${columns}], got ${got}`);
    }
    parameters.set(tensor.data as Float32Array, offset);
  }
  return { config, parameters };
}
