/**
 * SmoothQuant (Xiao et al., 2211.10438): a norm's gains per channel, so that activations with outliers are no harder to
 * quantise than the weights that follow. What a channel's gain takes from its activations, its weights get back.
 */
import { ACTIVATION_MAX, ACTIVATION_ZERO } from '../engine/limits.ts';
import type { Gain } from '../engine/model.ts';
import type { ParameterLayout, Slice } from './layout.ts';
import { type BatchShape, forward } from './network.ts';
import type { Gains } from './quantise.ts';
import { exitTapes, floats, type Workspace } from './workspace.ts';

/** Other rows reach further than those that were seen: so many times as far before anything saturates. */
const HEADROOM = 1.25;
/** Steps for the largest that was seen, of those that signed activations have up. */
export const STEPS_SEEN = (ACTIVATION_MAX - ACTIVATION_ZERO) / HEADROOM;
/** What the model file allows. */
const GAIN_MAX = 1024;
/** Channels that hardly stir, or hardly matter, count as so much of the norm's largest: their ratio would be noise. */
const LEAST_SHARE = 1e-3;

/** [hidden] each: the largest size of each channel, in root mean squares of the residual stream. */
export interface NormRanges {
  readonly layers: readonly { readonly attention: Float32Array; readonly feedForward: Float32Array }[];
  readonly refinement?: Float32Array;
  readonly head: Float32Array;
}

/** Runs `batches`, each filled by `fill`, through the float network with the workspace's parameters. */
export function normRanges(
  workspace: Workspace,
  shape: BatchShape,
  batches: number,
  fill: (batch: number) => void,
): NormRanges {
  const { hidden } = workspace.config;
  const empty = () => new Float32Array(hidden);
  const layers = workspace.layers.map(() => ({ attention: empty(), feedForward: empty() }));
  const [refinement, head] = [empty(), empty()];
  const rows = shape.sequences * shape.length;
  const widen = (range: Float32Array, place: number) => {
    const values = floats(workspace, place, rows * hidden);
    for (let i = 0; i < values.length; i++) {
      range[i % hidden] = Math.max(range[i % hidden]!, Math.abs(values[i]!));
    }
  };
  for (let batch = 0; batch < batches; batch++) {
    fill(batch);
    forward(workspace, shape);
    for (const [index, tape] of workspace.layers.entries()) {
      widen(layers[index]!.attention, tape.attentionNormed);
      widen(layers[index]!.feedForward, tape.feedForwardNormed);
    }
    for (const { feedForwardNormed } of workspace.rounds) widen(refinement, feedForwardNormed);
    for (const { exitNormed } of exitTapes(workspace)) widen(head, exitNormed);
  }
  return { layers, head, ...(workspace.rounds.length > 0 && { refinement }) };
}

/** One gain per norm that fits what was seen: what quantisation is without smoothing. */
export function sharedGains(ranges: NormRanges): Gains {
  return gainsOf(ranges, (range) => Math.min(GAIN_MAX, STEPS_SEEN / Math.max(...range)));
}

/**
 * Channel j of a norm gets s_j = max|x_j|^alpha / max|W_j|^(1 - alpha) times larger steps; all steps are as small as
 * what was seen, and some headroom, allows. `alpha`: 0 to 1, the share of the difficulty that goes to the weights. `parameters`:
 * [layout.count].
 */
export function smoothGains(
  layout: ParameterLayout,
  parameters: Float32Array,
  ranges: NormRanges,
  alpha: number,
): Gains {
  return gainsOf(ranges, (range, following) => {
    const activations = withFloor(range);
    const weights = withFloor(columnSizes(parameters, following(layout), range.length));
    const larger = activations.map((size, j) => size ** alpha / weights[j]! ** (1 - alpha));
    const most = activations.reduce((max, size, j) => Math.max(max, size / larger[j]!), 0);
    return larger.map((times) => Math.min(GAIN_MAX, STEPS_SEEN / (most * times)));
  });
}

type Following = (layout: ParameterLayout) => readonly Slice[];

function gainsOf(ranges: NormRanges, gain: (range: Float32Array, following: Following) => Gain): Gains {
  const { layers, refinement, head } = ranges;
  return {
    layers: layers.map(({ attention, feedForward }, index) => ({
      attention: gain(attention, (layout) => {
        const { qkv, router } = layout.layers[index]!;
        return router ? [qkv.weight, router.weight] : [qkv.weight];
      }),
      feedForward: gain(feedForward, (layout) => [layout.layers[index]!.up.weight]),
    })),
    ...(refinement && { refinement: gain(refinement, (layout) => [layout.refinement!.up.weight]) }),
    head: gain(head, (layout) => [layout.head.weight]),
  };
}

function withFloor(sizes: Float32Array): Float32Array {
  const least = Math.max(1e-12, LEAST_SHARE * Math.max(...sizes));
  return sizes.map((size) => Math.max(least, size));
}

/** The largest weight of each column of all the matrices. */
function columnSizes(parameters: Float32Array, slices: readonly Slice[], columns: number): Float32Array {
  const sizes = new Float32Array(columns);
  for (const { offset, rows } of slices) {
    for (let i = 0; i < rows * columns; i++) {
      sizes[i % columns] = Math.max(sizes[i % columns]!, Math.abs(parameters[offset + i]!));
    }
  }
  return sizes;
}
