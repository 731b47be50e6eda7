/** Static activation scales from what the float network computes on training batches. */
import { headSize } from '../engine/config.ts';
import { ACTIVATION_MAX, RESIDUAL_MAX, TABLE_SIZE, WEIGHT_MAX } from '../engine/limits.ts';
import { type BatchShape, forward } from './network.ts';
import type { FeedForwardScales, LayerScales, Scales } from './quantise.ts';
import { SPIKE_STEP } from './spike-attention.ts';
import { floats, type LayerTape, type Workspace } from './workspace.ts';

/** Values beyond this quantile are clipped: a finer step for all others is worth more. */
const CLIP_QUANTILE = 0.9998;
/** The residual stream keeps so many times the room that it was seen to need. */
const RESIDUAL_HEADROOM = 4;
/** GELU's least value is -0.16997. */
const GELU_LEAST = 0.17;
/** GELU is flat below this. */
const GELU_FLAT = -4;

/** All values of one kind that were seen. */
class Samples {
  readonly #parts: Float32Array[] = [];

  add(values: Float32Array): void {
    this.#parts.push(values.slice());
  }

  sorted(): Float32Array {
    const all = new Float32Array(this.#parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    return all.sort();
  }
}

interface LayerSamples {
  /** [3 heads]. */
  readonly qkv: readonly Samples[];
  readonly context: Samples;
  readonly up: Samples;
}

/** Runs `batches` (each filled by `fill`) through the float network with the workspace's parameters. */
export function calibrate(
  workspace: Workspace,
  shape: BatchShape,
  batches: number,
  fill: (batch: number) => void,
): Scales {
  const { heads, layers, attention } = workspace.config;
  const samples = Array.from({ length: layers }, () => ({
    qkv: Array.from({ length: 3 * heads }, () => new Samples()),
    context: new Samples(),
    up: new Samples(),
  }));
  const refinedUp = new Samples();
  let residual = 0;
  for (let batch = 0; batch < batches; batch++) {
    fill(batch);
    forward(workspace, shape);
    residual = Math.max(residual, largestResidual(workspace, shape));
    for (const [layer, tape] of workspace.layers.entries()) collect(workspace, shape, tape, samples[layer]!);
    const count = shape.sequences * shape.length * workspace.config.feedForward;
    for (const { up } of workspace.rounds) refinedUp.add(floats(workspace, up, count));
  }
  return {
    residualBits: Math.floor(Math.log2(RESIDUAL_MAX / (RESIDUAL_HEADROOM * Math.max(residual, 2 ** -8)))),
    layers: samples.map((layer) => layerScales(layer, heads, attention === 'spike')),
    ...(workspace.rounds.length > 0 && { refinement: feedForwardScales(refinedUp) }),
  };
}

/**
 * Shifts the routers' biases in `parameters` [layout.count] so that the capacity's share of tokens has a logit of at
 * least 0, layer by layer, since a later layer sees what an earlier one let through. `infer` runs a batch with the
 * parameters as they are by then.
 */
export function calibrateRouters(
  workspace: Workspace,
  shape: BatchShape,
  parameters: Float32Array,
  batches: number,
  infer: (batch: number) => void,
): void {
  for (const [layer, { routing }] of workspace.layers.entries()) {
    if (!routing) continue;
    const samples = new Samples();
    for (let batch = 0; batch < batches; batch++) {
      infer(batch);
      samples.add(ofTokens(workspace, shape, routing.logit));
    }
    const least = quantile(samples.sorted(), 1 - workspace.config.routing!.capacity);
    parameters[workspace.layout.layers[layer]!.router!.bias.offset]! -= least;
  }
}

/** [routed layers]: the share of tokens that goes through, in what `infer` runs. */
export function routedShares(
  workspace: Workspace,
  shape: BatchShape,
  batches: number,
  infer: (batch: number) => void,
): number[] {
  const routers = workspace.layers.flatMap(({ routing }) => (routing ? [routing] : []));
  const through = routers.map(() => 0);
  let tokens = 0;
  for (let batch = 0; batch < batches; batch++) {
    infer(batch);
    for (const [index, { gate }] of routers.entries()) {
      const gates = ofTokens(workspace, shape, gate);
      if (index === 0) tokens += gates.length;
      through[index]! += gates.filter((share) => share > 0).length;
    }
  }
  return through.map((count) => count / Math.max(1, tokens));
}

/** What [rows] at `place` says of tokens, padding left out. */
function ofTokens(workspace: Workspace, { sequences, length }: BatchShape, place: number): Float32Array {
  const rows = sequences * length;
  const weights = floats(workspace, workspace.weights, rows);
  return floats(workspace, place, rows).filter((_, row) => weights[row]! > 0);
}

function largestResidual(workspace: Workspace, { sequences, length }: BatchShape): number {
  const count = sequences * length * workspace.config.hidden;
  const rounds = workspace.rounds.map(({ out }) => out);
  const layers = workspace.layers.flatMap(({ middle, out }) => [middle, out]);
  const places = [workspace.embedded, ...layers, ...rounds];
  let largest = 0;
  for (const place of places) {
    for (const value of floats(workspace, place, count)) largest = Math.max(largest, Math.abs(value));
  }
  return largest;
}

function collect(workspace: Workspace, shape: BatchShape, tape: LayerTape, samples: LayerSamples): void {
  const { config } = workspace;
  const rows = shape.sequences * shape.length;
  const size = headSize(config);
  const qkv = floats(workspace, tape.qkv, rows * 3 * config.hidden);
  for (let row = 0; row < rows; row++) {
    for (const [part, sample] of samples.qkv.entries()) {
      const at = row * 3 * config.hidden + part * size;
      sample.add(qkv.subarray(at, at + size));
    }
  }
  samples.context.add(floats(workspace, tape.context, rows * config.hidden));
  samples.up.add(floats(workspace, tape.up, rows * config.feedForward));
}

function layerScales({ qkv, context, up }: LayerSamples, heads: number, isSpiking: boolean): LayerScales {
  const steps = qkv.map((samples) => largest(samples) / WEIGHT_MAX);
  return {
    query: steps.slice(0, heads),
    key: steps.slice(heads, 2 * heads),
    value: steps.slice(2 * heads),
    // Signed activations reach 63 steps up.
    context: isSpiking ? SPIKE_STEP : largest(context) / 63,
    ...feedForwardScales(up),
  };
}

function feedForwardScales(up: Samples): FeedForwardScales {
  const values = up.sorted();
  const most = Math.max(1, quantile(values, CLIP_QUANTILE));
  const least = Math.min(-1, Math.max(GELU_FLAT, quantile(values, 1 - CLIP_QUANTILE)));
  const upStep = (most - least) / (TABLE_SIZE - 1);
  const activatedStep = (most + GELU_LEAST) / (ACTIVATION_MAX - 1);
  return {
    upStep,
    upCenter: least + (TABLE_SIZE / 2) * upStep,
    activatedStep,
    activatedZero: Math.ceil(GELU_LEAST / activatedStep),
  };
}

/** Never 0: a head that is silent now may speak after a few more steps. */
function largest(samples: Samples): number {
  const sorted = samples.sorted();
  return Math.max(quantile(sorted, CLIP_QUANTILE), -quantile(sorted, 1 - CLIP_QUANTILE), 2 ** -10);
}

function quantile(sorted: Float32Array, share: number): number {
  return sorted[Math.round(share * (sorted.length - 1))]!;
}
