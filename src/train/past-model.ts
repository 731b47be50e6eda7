/** The linear path over the past of a training run: as it was fitted, as the engine will have it, and as training sees it. */
import type { TransformerConfig } from '../engine/config.ts';
import { embeddingInputs } from '../engine/config.ts';
import { FEATURE_MAX } from '../engine/limits.ts';
import type { HistoryWeights } from '../engine/model.ts';
import { featuresPerChannel } from '../gate/features.ts';
import type { Dataset } from './dataset.ts';
import type { HistoryFit } from './history-fit.ts';
import { integerPast, type PastMap, quantiseHistory, realPast, tracePast } from './past.ts';
import { encodeSeries, tokenShape } from './tokens.ts';

/** What 1 of a component stands for, beside the fit. */
export interface FloatPast {
  readonly fit: HistoryFit;
  readonly step: number;
}

export interface PastModel extends FloatPast {
  readonly weights: HistoryWeights;
  readonly map: PastMap;
}

/** Components beyond so many times the largest of the training rows saturate. */
const ROOM = 2;

export function makePastModel(dataset: Dataset, fit: HistoryFit): PastModel {
  const shape = tokenShape(dataset);
  const largest = dataset.train.map((series) => {
    const { features, rows } = encodeSeries(series, { ...dataset, dense: true });
    return tracePast(realPast(fit, 1), features, shape, rows).largest;
  });
  const step = (ROOM * Math.max(1e-6, ...largest)) / FEATURE_MAX;
  const weights = quantiseHistory(fit, step);
  return { fit, step, weights, map: integerPast(weights) };
}

/** The same configuration with the linear path over the past, and tier 2 left to it. */
export function withHistory(
  config: TransformerConfig,
  fit: HistoryFit,
  { channels, features }: Dataset,
): TransformerConfig {
  const [full, reduced, safe] = config.tiers;
  return {
    ...config,
    tiers: [full, reduced, { ...safe, layers: 0 }],
    history: {
      rows: fit.rows,
      channels: channels.length,
      stride: featuresPerChannel(features),
      ranks: fit.ranks,
    },
  };
}

/** As the trainer sees it: what the past amounts to is features, and where it leads is none of the network's business. */
export function networkConfig(config: TransformerConfig): TransformerConfig {
  const { history, ...rest } = config;
  return history === undefined ? config : { ...rest, features: embeddingInputs(config) };
}
