/**
 * The forward pass of quantisation-aware training: the engine's integer rules, bit for bit, on whole numbers in
 * float32. It leaves real values on the same tape as the float pass, so `backward` serves both (straight-through).
 */
import { headSize } from '../engine/config.ts';
import { NT } from './kernels/kernels.ts';
import type { FeedForwardSlices, LinearSlices, Slice } from './layout.ts';
import type { BatchShape } from './network.ts';
import { type FeedForwardScales, GAIN, type Scales } from './quantise.ts';
import { integerMix, integerRoute } from './routing.ts';
import { look } from './sight.ts';
import { integerSpikeAttention } from './spike-attention.ts';
import { type FeedForwardTape, floats, type Workspace } from './workspace.ts';

/** Fills the tape from `features` with what `loadQuantised` put in place. Numbers as in docs/integer-rules.md. */
export function integerForward(workspace: Workspace, shape: BatchShape, scales: Scales): void {
  const { config, kernels, layout } = workspace;
  const { hidden } = config;
  const rows = shape.sequences * shape.length;
  const step = 2 ** -scales.residualBits;
  look(workspace, shape);
  kernels.splitFeatures(
    workspace.features,
    workspace.featuresHigh,
    workspace.featuresLow,
    workspace.featuresReal,
    rows * config.features,
  );
  productOfFeatures(workspace, layout.embedding.weight, rows);
  kernels.integerEmbedding(
    workspace.pathHigh,
    workspace.pathLow,
    ...requantiser(workspace, layout.embedding),
    workspace.residual,
    workspace.embedded,
    step,
    rows,
    hidden,
  );
  for (let layer = 0; layer < config.layers; layer++) integerLayer(workspace, shape, layer, scales, step);
  for (const tape of workspace.rounds) {
    integerFeedForward(workspace, shape, layout.refinement!, tape, scales.refinement!, tape.out, step);
    exit(workspace, tape, rows, step);
  }
}

function integerLayer(
  workspace: Workspace,
  shape: BatchShape,
  layer: number,
  scales: Scales,
  step: number,
): void {
  const { config, kernels, layout, residual, normed, wide } = workspace;
  const { hidden } = config;
  const rows = shape.sequences * shape.length;
  const slices = layout.layers[layer]!;
  const tape = workspace.layers[layer]!;
  const own = scales.layers[layer]!;
  const { routing } = tape;

  kernels.integerNorm(
    residual,
    normed,
    tape.attentionNormed,
    tape.attentionInverse,
    GAIN,
    step,
    rows,
    hidden,
  );
  if (routing) {
    integerRoute(workspace, shape, routing, slices.router!);
    floats(workspace, routing.around, rows * hidden).set(floats(workspace, residual, rows * hidden));
  }
  product(workspace, normed, slices.qkv.weight, wide, rows);
  kernels.integerQkv(wide, ...requantiser(workspace, slices.qkv), tape.qkvScales, tape.qkv, rows, 3 * hidden);
  attend(workspace, shape, layer, own.context);
  product(workspace, workspace.context, slices.output.weight, wide, rows);
  addResidual(workspace, shape, slices.output, tape, tape.middle, step);
  integerFeedForward(workspace, shape, slices, tape, own, routing?.through ?? tape.out, step);
  if (routing) integerMix(workspace, rows, routing, tape.out, step);
  exit(workspace, tape, rows, step);
}

/** Rule 6; `real`: where the residual stream's real values go. */
function integerFeedForward(
  workspace: Workspace,
  shape: BatchShape,
  slices: FeedForwardSlices,
  tape: FeedForwardTape,
  own: FeedForwardScales,
  real: number,
  step: number,
): void {
  const { config, kernels, residual, normed, wide } = workspace;
  const { hidden, feedForward } = config;
  const rows = shape.sequences * shape.length;
  kernels.integerNorm(
    residual,
    normed,
    tape.feedForwardNormed,
    tape.feedForwardInverse,
    GAIN,
    step,
    rows,
    hidden,
  );
  product(workspace, normed, slices.up.weight, workspace.wider, rows);
  kernels.integerGelu(
    workspace.wider,
    ...requantiser(workspace, slices.up),
    tape.gelu,
    tape.up,
    tape.activated,
    own.upCenter,
    own.upStep,
    own.activatedZero,
    own.activatedStep,
    rows,
    feedForward,
  );
  product(workspace, workspace.wider, slices.down.weight, wide, rows);
  addResidual(workspace, shape, slices.down, tape, real, step);
}

/** Queries, keys and values lie in `wide`; the context comes to `context`. */
function attend(workspace: Workspace, shape: BatchShape, layer: number, contextStep: number): void {
  const { config, kernels } = workspace;
  const slices = workspace.layout.layers[layer]!;
  const tape = workspace.layers[layer]!;
  const { spikeThreshold } = slices;
  if (spikeThreshold) {
    integerSpikeAttention(workspace, shape, tape, spikeThreshold);
    return;
  }
  const { int4 } = workspace;
  const size = headSize(config);
  const rows = shape.sequences * shape.length;
  const places = [
    tape.probability,
    workspace.context,
    tape.context,
    workspace.integers + 4 * slices.ageBias.offset,
    workspace.integers + 4 * slices.sink.offset,
    tape.routing?.gate ?? 0,
    tape.exponentScale,
    tape.contextScale,
    workspace.exponentTable,
    contextStep,
  ] as const;
  const sizes = [
    workspace.sights.ofLayers[layer]!,
    workspace.sights.most,
    shape.sequences,
    shape.length,
    config.heads,
    size,
    config.window,
    workspace.scratch,
  ] as const;
  if (int4 === undefined) {
    kernels.integerAttention(workspace.wide, ...places, ...sizes);
    return;
  }
  const { codes, largest } = int4;
  const rotates = config.keyValues === 'int4-rotated' ? 1 : 0;
  kernels.int4Codes(
    workspace.wide,
    tape.qkvScales,
    codes,
    largest,
    tape.qkv,
    rotates,
    rows,
    config.heads,
    size,
  );
  kernels.int4Attention(codes, largest, ...places, rotates, ...sizes);
}

/** The residual stream takes the accumulators in `wide`. */
function addResidual(
  workspace: Workspace,
  shape: BatchShape,
  slices: LinearSlices,
  tape: FeedForwardTape,
  real: number,
  step: number,
): void {
  workspace.kernels.integerResidual(
    workspace.residual,
    workspace.wide,
    ...requantiser(workspace, slices),
    tape.keep,
    workspace.residual,
    real,
    step,
    shape.sequences,
    shape.length,
    workspace.config.hidden,
  );
}

function exit(workspace: Workspace, tape: FeedForwardTape, rows: number, step: number): void {
  const { config, kernels, layout, residual, normed } = workspace;
  const { hidden } = config;
  kernels.integerNorm(residual, normed, tape.exitNormed, tape.exitInverse, GAIN, step, rows, hidden);
  product(workspace, workspace.normed, layout.head.weight, workspace.wide, rows);
  productOfFeatures(workspace, layout.linear, rows);
  kernels.integerLogits(
    workspace.wide,
    ...requantiser(workspace, layout.head),
    workspace.pathHigh,
    workspace.pathLow,
    workspace.linearMultiplier,
    tape.integerLogits,
    tape.logits,
    rows,
    config.outputs,
  );
}

/** acc = x W^T on whole numbers. */
function product(workspace: Workspace, x: number, weight: Slice, acc: number, rows: number): void {
  const { rows: n, columns: k } = weight;
  const at = workspace.integers + 4 * weight.offset;
  workspace.kernels.gemm(NT, rows, n, k, x, k, at, k, acc, n, 0, workspace.scratch);
}

/** Both halves of W times the features: 128 `pathHigh` + `pathLow`. */
function productOfFeatures(workspace: Workspace, weight: Slice, rows: number): void {
  product(workspace, workspace.featuresHigh, weight, workspace.pathHigh, rows);
  product(workspace, workspace.featuresLow, weight, workspace.pathLow, rows);
}

/** Addresses of biases and multipliers. */
function requantiser(workspace: Workspace, { bias }: LinearSlices): [number, number] {
  return [workspace.integers + 4 * bias.offset, workspace.multipliers + 4 * bias.offset];
}
