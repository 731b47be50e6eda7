/**
 * The model file: one safetensors file with weights, tables, configuration, meaning and provenance.
 *
 * Everything that the engine relies on is checked here, once: after `loadModel` nothing can overflow.
 */
import { ConfigError, type TransformerConfig, validateConfig } from './config.ts';
import { validateMeaning } from './meaning.ts';
import type { Model } from './model.ts';
import { NO_CHECKSUM, requireChecksum, stampChecksum } from './model-checksum.ts';
import { checkRanges } from './model-ranges.ts';
import { namedTensors, readWeights } from './model-tensors.ts';
import { type Dtype, ModelError, readTensors, writeTensors } from './safetensors.ts';

const FORMAT = 'dormouse-model-1';

/** Reads and checks a whole model file. Throws ModelError: a code, and a sentence that names the tensor. */
export function loadModel(bytes: Uint8Array): Model {
  const { tensors, metadata } = readTensors(bytes);
  if (metadata.get('format') !== FORMAT) {
    throw new ModelError(
      'foreign',
      `__metadata__.format: expected ${FORMAT}, got ${metadata.get('format') ?? 'none'}`,
    );
  }
  requireChecksum(bytes, metadata.get('crc32'));
  const config = readConfig(metadata);
  const meaning = validateMeaning(readJson(metadata, 'meaning'), config);
  const weights = readWeights(tensors, config);
  checkRanges(weights, config);
  return Object.freeze({ config, weights, meaning });
}

/** The bytes of a model file; the same model gives the same bytes. Throws ModelError if the model is not valid. */
export function saveModel(model: Model): Uint8Array {
  const config = validateConfig(model.config);
  const meaning = validateMeaning(model.meaning, config);
  checkRanges(model.weights, config);
  const metadata = new Map([
    ['format', FORMAT],
    ['crc32', NO_CHECKSUM],
    ['config', JSON.stringify(config)],
    ['meaning', JSON.stringify(meaning)],
  ]);
  const bytes = writeTensors({ tensors: namedTensors(model.weights, config), metadata });
  stampChecksum(bytes);
  return bytes;
}

/** The names, types and shapes that a model file of this configuration holds; for `inspect` and for converters. */
export function tensorList(model: Model): { name: string; dtype: Dtype; shape: readonly number[] }[] {
  return [...namedTensors(model.weights, model.config)].map(([name, { dtype, shape }]) => ({
    name,
    dtype,
    shape,
  }));
}

function readJson(metadata: ReadonlyMap<string, string>, key: string): unknown {
  try {
    return JSON.parse(metadata.get(key) ?? '');
  } catch {
    throw new ModelError(
      'header',
      `__metadata__.${key}: expected JSON, got ${metadata.get(key) ?? 'nothing'}`,
    );
  }
}

function readConfig(metadata: ReadonlyMap<string, string>): TransformerConfig {
  try {
    return validateConfig(readJson(metadata, 'config'));
  } catch (error) {
    if (error instanceof ConfigError) throw new ModelError('config', error.message);
    throw error;
  }
}
