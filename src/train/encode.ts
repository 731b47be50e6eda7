/** A recording as tensors to train on elsewhere: what the gateway's own encoders make of it, and what is to be said. */

import { FEATURE_ONE } from '../engine/limits.ts';
import type { Model } from '../engine/model.ts';
import { type Tensor, writeTensors } from '../engine/safetensors.ts';
import type { Series } from '../recording/recording.ts';
import { type Dataset, outputCount } from './dataset.ts';
import { targetSize } from './losses.ts';
import { writeTarget } from './sampler.ts';
import { makePool, type PoolSettings, plainPool, type TokenPool } from './tokens.ts';

const FORMAT = 'dormouse-tokens-1';

/**
 * A safetensors file. For `train` and, if there are rows, `validation`, all streams one after another: `.features` F32
 * [tokens, features], real; `.targets`, I32 [tokens] classes (-1: unknown) or F32 [tokens, values] of ticks to come,
 * normalised (NaN: unknown); `.hold` I32 [tokens], the ticks that a token counts for; `.starts` I32 [streams + 1].
 * The first streams are dense, one per series, then those with the thresholds of the meaning, then others.
 */
export function encodeDataset(dataset: Dataset, settings: PoolSettings): Uint8Array {
  const { channels, intervalMs, task, spikes, features = 'changes' } = dataset;
  const pool = makePool(dataset, dataset.train, settings);
  const tensors = new Map(tensorsOf('train', dataset, pool));
  if (dataset.validation.length > 0) {
    for (const [name, tensor] of validationTensors(dataset, dataset.validation)) tensors.set(name, tensor);
  }
  const meaning: Model['meaning'] = {
    channels,
    intervalMs,
    task,
    spikes,
    ...(features !== 'changes' && { features }),
    provenance: {},
  };
  const config = { features: pool.featureCount, outputs: outputCount(task, channels.length) };
  const metadata = new Map([
    ['format', FORMAT],
    ['config', JSON.stringify(config)],
    ['meaning', JSON.stringify(meaning)],
  ]);
  return writeTensors({ tensors, metadata });
}

function validationTensors(dataset: Dataset, series: readonly Series[]): [string, Tensor][] {
  return tensorsOf('validation', dataset, makePool(dataset, series, plainPool));
}

function tensorsOf(name: string, dataset: Dataset, pool: TokenPool): [string, Tensor][] {
  const tokens = pool.ticks.length;
  const features = Float32Array.from(pool.features, (feature) => feature / FEATURE_ONE);
  const ints = (data: Int32Array): Tensor => ({ dtype: 'I32', shape: [data.length], data: data.slice() });
  return [
    [`${name}.features`, { dtype: 'F32', shape: [tokens, pool.featureCount], data: features }],
    [`${name}.targets`, targetsOf(dataset, pool)],
    [`${name}.hold`, ints(pool.hold)],
    [`${name}.starts`, ints(pool.streamStarts)],
  ];
}

function targetsOf({ task, channels }: Dataset, pool: TokenPool): Tensor {
  const { kind } = task;
  const size = targetSize(kind, outputCount(task, channels.length));
  const tokens = pool.ticks.length;
  const data = new Float32Array(tokens * size).fill(Number.NaN);
  for (let stream = 0; stream < pool.streamEnds.length; stream++) {
    for (let token = pool.streamStarts[stream]!; token < pool.streamStarts[stream + 1]!; token++) {
      const row = data.subarray(token * size, (token + 1) * size);
      writeTarget({ kind }, pool, pool.ticks[token]!, pool.streamEnds[stream]!, null, null, row);
    }
  }
  if (kind === 'classify') return { dtype: 'I32', shape: [tokens], data: Int32Array.from(data) };
  return { dtype: 'F32', shape: [tokens, size], data };
}
