/**
 * A model in float32, as a safetensors file with the names of a PyTorch state_dict: to compare with, to train elsewhere,
 * to quantise; not to run on a gateway. The format: docs/bring-your-own-model.md.
 */
import { ConfigError, type TransformerConfig, validateConfig } from '../engine/config.ts';
import { SEQUENCE_MAX } from '../engine/limits.ts';
import { validateMeaning } from '../engine/meaning.ts';
import type { ModelMeaning } from '../engine/model.ts';
import { readTensors, type Tensor, type TensorFile, writeTensors } from '../engine/safetensors.ts';
import { checkFloatTensors, toFloats } from './float-check.ts';
import { pastNames, pastTensors, readPast } from './float-past.ts';
import { type FloatTensors, floatTensors, type GainTensor } from './float-tensors.ts';
import { type ParameterLayout, parameterLayout, type Slice } from './layout.ts';
import { type FloatPast, networkConfig } from './past-model.ts';
import { requireLearnable } from './sight.ts';
import { resizedPreset, type Sizes } from './sizes.ts';

export interface FloatModel {
  readonly config: TransformerConfig;
  /** [layout.count], see layout.ts; gains of norms are part of the weights that follow them. */
  readonly parameters: Float32Array;
  /** If the file tells it: what it was trained for. */
  readonly meaning?: ModelMeaning;
  /** The linear path over the past, of a configuration that has one. */
  readonly past?: FloatPast;
}

/** A file that was read but not yet believed. */
export interface FloatFile {
  readonly config: TransformerConfig;
  readonly meaning: ModelMeaning | null;
  /** Without those of the linear path over the past. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly past: FloatPast | null;
  /** One sentence per tensor that is not as the configuration has it. */
  readonly problems: readonly string[];
  /** Tensors that may be absent and are: biases and the linear path (zeros), gains of norms (ones). */
  readonly absent: readonly string[];
}

/** Tensors that are not as the configuration has them: `problems` names each, with what was expected and got. */
export class FloatModelError extends Error {
  override readonly name = 'FloatModelError';
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** The format of int8 models: the one kind of file that is certainly none of these. */
const INTEGER_FORMAT = /^dormouse-model-/;
const FORMAT = 'dormouse-float-2';
/** What torch.compile and DataParallel put before every name. */
const WRAPPERS = ['_orig_mod.', 'module.'];

/** The file's bytes: every tensor as F32, gains of norms as ones. */
export function saveFloatModel({ config, parameters, meaning, past }: FloatModel): Uint8Array {
  const network = networkConfig(config);
  const expected = floatTensors(network, parameterLayout(network));
  const tensors = new Map<string, Tensor>();
  const put = (name: string, shape: readonly number[], data: Float32Array) =>
    tensors.set(name, { dtype: 'F32', shape, data });
  for (const { name, shape, slice, unit = 1 } of expected.parameters) {
    put(
      name,
      shape,
      partOf(parameters, slice).map((value) => unit * value),
    );
  }
  for (const { name, shape } of expected.gains) put(name, shape, new Float32Array(shape[0]!).fill(1));
  if (past) for (const [name, tensor] of pastTensors(past)) tensors.set(name, tensor);
  const metadata = new Map([
    ['format', FORMAT],
    ['config', JSON.stringify(config)],
  ]);
  if (meaning) metadata.set('meaning', JSON.stringify(meaning));
  return writeTensors({ tensors, metadata });
}

/**
 * Reads a file and checks it. `config`: in place of the one in its metadata. Throws ModelError for what is no safetensors
 * file, ConfigError for a configuration that is none, FloatModelError for all that is wrong with its tensors.
 */
export function loadFloatModel(bytes: Uint8Array, config?: unknown): FloatModel {
  const file = readFloatFile(bytes, config);
  if (file.problems.length > 0) throw new FloatModelError(file.problems);
  const parameters = parametersOf(file);
  return {
    config: file.config,
    parameters,
    ...(file.meaning && { meaning: file.meaning }),
    ...(file.past && { past: file.past }),
  };
}

/** The same, but problems with tensors are listed and not thrown. */
export function readFloatFile(bytes: Uint8Array, given?: unknown): FloatFile {
  const { tensors: raw, metadata } = readTensors(bytes);
  const format = metadata.get('format') ?? 'none';
  if (INTEGER_FORMAT.test(format)) {
    throw new Error(`__metadata__.format: expected float tensors, got ${format}, an int8 model`);
  }
  const all = unwrapped(raw);
  const config = configOf(all, given ?? parsed(metadata, 'config'));
  const past = config.history === undefined ? null : readPast(all, config, config.history);
  const tensors = past === null ? all : new Map([...all].filter(([name]) => !pastNames.has(name)));
  const network = networkConfig(config);
  const expected = floatTensors(network, parameterLayout(network));
  const meaning = parsed(metadata, 'meaning');
  return {
    config,
    meaning: meaning === undefined ? null : validateMeaning(meaning, config),
    tensors,
    past,
    problems: checkFloatTensors(expected, tensors),
    absent: absentOf(expected, tensors),
  };
}

function absentOf({ parameters, gains }: FloatTensors, tensors: FloatFile['tensors']): string[] {
  return [...parameters, ...gains]
    .filter(({ name, absent }) => absent !== undefined && !tensors.has(name))
    .map(({ name }) => name);
}

function unwrapped(tensors: TensorFile['tensors']): TensorFile['tensors'] {
  const names = [...tensors.keys()];
  const wrapper = WRAPPERS.find(
    (prefix) => names.length > 0 && names.every((name) => name.startsWith(prefix)),
  );
  if (wrapper === undefined) return tensors;
  return unwrapped(new Map([...tensors].map(([name, tensor]) => [name.slice(wrapper.length), tensor])));
}

function parsed(metadata: ReadonlyMap<string, string>, key: string): unknown {
  const text = metadata.get(key);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`__metadata__.${key}: expected JSON, got ${(error as Error).message}`);
  }
}

/** What is left out is completed: from the tensors what they show, the rest as the preset micro has it. */
function configOf(tensors: FloatFile['tensors'], given: unknown): TransformerConfig {
  if (given === undefined) {
    const hint = JSON.stringify(sizesOf(tensors));
    throw new ConfigError(
      `config: expected one in the file's __metadata__.config or in a file of its own (--config), got none; ` +
        `from the tensors it might be ${hint}`,
    );
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new ConfigError(`config: expected an object, got ${JSON.stringify(given)}`);
  }
  const fields = given as Record<string, number>;
  const {
    features = tensors.get('embedding.weight')?.shape[1],
    outputs = tensors.get('head.weight')?.shape[0],
  } = fields;
  if (fields.history !== undefined && !tensors.has('history.basis')) {
    throw new ConfigError('config.history: expected none, since float tensors have no path over the past');
  }
  if (fields.normGains !== undefined) {
    throw new ConfigError('config.normGains: expected none, since quantisation decides it');
  }
  for (const name of ['hidden', 'heads', 'layers', 'window']) {
    if (fields[name] === undefined)
      throw new ConfigError(`config.${name}: expected a whole number, got none`);
  }
  const whole = { features, outputs, ...fields };
  // Checked before anything is computed of it; what is left out stands here for what is always valid.
  const least = { layers: 1, sequence: 1, window: 1 };
  requireLearnable(
    validateConfig({ sequence: SEQUENCE_MAX, tiers: [least, least, least], feedForward: 1, ...whole }),
  );
  const { sequence, tiers, feedForward: wide } = resizedPreset('micro', features!, outputs!, fields as Sizes);
  return validateConfig({ sequence, tiers, feedForward: wide, ...whole });
}

/** What the tensors show of a configuration. */
function sizesOf(tensors: FloatFile['tensors']): Record<string, number | undefined> {
  const names = [...tensors.keys()].flatMap((name) => /^layers\.(\d+)\./.exec(name)?.[1] ?? []);
  const [heads, window] = tensors.get('layers.0.attention.age_bias')?.shape ?? [];
  return {
    hidden: tensors.get('embedding.weight')?.shape[0],
    heads,
    layers: names.length === 0 ? undefined : Math.max(...names.map(Number)) + 1,
    window,
    feedForward: tensors.get('layers.0.feed_forward.up.weight')?.shape[0],
  };
}

function parametersOf({ config, tensors }: FloatFile): Float32Array {
  const network = networkConfig(config);
  const layout: ParameterLayout = parameterLayout(network);
  const { parameters: expected, gains } = floatTensors(network, layout);
  const parameters = new Float32Array(layout.count);
  for (const { name, slice, absent, unit = 1 } of expected) {
    const tensor = tensors.get(name);
    const to = partOf(parameters, slice);
    if (tensor === undefined) to.fill(absent!);
    else to.set(toFloats(tensor.dtype, tensor.data).map((value) => value / unit));
  }
  for (const gain of gains) foldGain(gain, tensors.get(gain.name), parameters);
  return parameters;
}

/** W diag(g): the weights take what the norm before them would have multiplied. */
function foldGain({ into }: GainTensor, tensor: Tensor | undefined, parameters: Float32Array): void {
  if (tensor === undefined) return;
  const gains = toFloats(tensor.dtype, tensor.data);
  for (const slice of into) {
    const weight = partOf(parameters, slice);
    for (let i = 0; i < weight.length; i++) weight[i]! *= gains[i % gains.length]!;
  }
}

function partOf(parameters: Float32Array, { offset, rows, columns }: Slice): Float32Array {
  return parameters.subarray(offset, offset + rows * columns);
}
