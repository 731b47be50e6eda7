/** The tensors of a float model under the names that a PyTorch state_dict gives them; docs/bring-your-own-model.md. */
import type { TransformerConfig } from '../engine/config.ts';
import { assert } from '../engine/limits.ts';
import {
  type FeedForwardSlices,
  type LayerSlices,
  type LinearSlices,
  type ParameterLayout,
  rowsOf,
  type Slice,
  THRESHOLD_UNIT,
} from './layout.ts';

/** A tensor of parameters. */
export interface ParameterTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly slice: Slice;
  /** What all its numbers are when it is absent; undefined: it must be there. */
  readonly absent?: number;
  /** The tensor's numbers are so many times the parameters. Default 1. */
  readonly unit?: number;
}

/** A norm's gain per channel, [hidden]: not a parameter here, but part of the weights that follow. Absent: ones. */
export interface GainTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Matrices whose columns it scales. */
  readonly into: readonly Slice[];
  readonly absent: number;
}

export interface FloatTensors {
  readonly parameters: readonly ParameterTensor[];
  readonly gains: readonly GainTensor[];
}

/** All tensors that a float model of this configuration may hold. */
export function floatTensors(config: TransformerConfig, layout: ParameterLayout): FloatTensors {
  const { hidden, outputs, features } = config;
  const parts = [
    { parameters: linear('embedding', layout.embedding), gains: [] },
    ...layout.layers.map((slices, index) => layerTensors(config, `layers.${index}`, slices)),
    ...(layout.refinement ? [feedForward(config, 'refinement', layout.refinement)] : []),
    { parameters: linear('head', layout.head), gains: [gain('norm', hidden, [layout.head.weight])] },
    { parameters: [matrix('linear.weight', layout.linear, [outputs, features], 0)], gains: [] },
  ];
  const parameters = parts.flatMap((part) => part.parameters);
  const size = (slices: readonly Slice[]) =>
    slices.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  assert(
    size(parameters.map(({ slice }) => slice)) === size(layout.slices),
    'every parameter is in a tensor of the file',
  );
  return {
    parameters,
    gains: parts.flatMap(({ gains }) => gains),
  };
}

function layerTensors(config: TransformerConfig, name: string, slices: LayerSlices): FloatTensors {
  const { hidden, heads, window } = config;
  const { qkv, output, ageBias, sink, spikeThreshold, router } = slices;
  const third = (part: string, which: number) =>
    linear(`${name}.attention.${part}`, {
      weight: rowsOf(qkv.weight, which * hidden, hidden),
      bias: rowsOf(qkv.bias, which * hidden, hidden),
    });
  const scores = spikeThreshold
    ? [{ ...matrix(`${name}.attention.spike_threshold`, spikeThreshold, [hidden]), unit: THRESHOLD_UNIT }]
    : [
        matrix(`${name}.attention.age_bias`, ageBias, [heads, window]),
        matrix(`${name}.attention.sink`, sink, [heads]),
      ];
  const block = feedForward(config, name, slices);
  return {
    parameters: [
      ...(router ? linear(`${name}.router`, router) : []),
      ...['query', 'key', 'value'].flatMap(third),
      ...linear(`${name}.attention.output`, output),
      ...scores,
      ...block.parameters,
    ],
    gains: [
      gain(`${name}.attention_norm`, hidden, [qkv.weight, ...(router ? [router.weight] : [])]),
      ...block.gains,
    ],
  };
}

function feedForward(
  { hidden }: TransformerConfig,
  name: string,
  { up, down }: FeedForwardSlices,
): FloatTensors {
  return {
    parameters: [...linear(`${name}.feed_forward.up`, up), ...linear(`${name}.feed_forward.down`, down)],
    gains: [gain(`${name}.feed_forward_norm`, hidden, [up.weight])],
  };
}

function linear(name: string, { weight, bias }: LinearSlices): ParameterTensor[] {
  return [
    matrix(`${name}.weight`, weight, [weight.rows, weight.columns]),
    matrix(`${name}.bias`, bias, [weight.rows], 0),
  ];
}

function matrix(name: string, slice: Slice, shape: readonly number[], absent?: number): ParameterTensor {
  return { name, shape, slice, ...(absent !== undefined && { absent }) };
}

function gain(name: string, hidden: number, into: readonly Slice[]): GainTensor {
  return { name: `${name}.weight`, shape: [hidden], into, absent: 1 };
}
