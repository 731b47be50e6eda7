/** The float32 network backward, by hand, each line the derivative of a line of `network.ts`. */
import { headSize } from '../engine/config.ts';
import { NN, TN } from './kernels/kernels.ts';
import type { FeedForwardSlices, LinearSlices, Slice } from './layout.ts';
import type { BatchShape, ClipLimits } from './network.ts';
import { routerBackward, splitGradient } from './routing.ts';
import { spikeAttentionBackward } from './spike-attention.ts';
import { type FeedForwardTape, floats, type Workspace } from './workspace.ts';

/**
 * Adds the gradients of all parameters, from the logits' gradients on the tape. `weights`: byte address of the flat
 * array that the forward pass used (the parameters, or their dequantised values).
 */
export function backward(
  workspace: Workspace,
  shape: BatchShape,
  weights: number,
  clip: ClipLimits | null,
): void {
  const { config, kernels, layout, dResidual } = workspace;
  const rows = shape.sequences * shape.length;
  floats(workspace, dResidual, rows * config.hidden).fill(0);
  for (const tape of workspace.rounds.toReversed()) {
    exitBackward(workspace, tape, rows, weights, clip);
    const up = clip && clip.refinement!.up;
    feedForwardBackward(workspace, layout.refinement!, tape, shape, weights, clip, up);
  }
  for (let index = config.layers - 1; index >= 0; index--) {
    const tape = workspace.layers[index]!;
    const { routing } = tape;
    exitBackward(workspace, tape, rows, weights, clip);
    if (routing) splitGradient(workspace, rows, routing, inputOf(workspace, index));
    const up = clip && clip.layers[index]!.up;
    feedForwardBackward(workspace, layout.layers[index]!, tape, shape, weights, clip, up);
    attentionBackward(workspace, index, shape, weights, clip);
    if (routing) kernels.add(dResidual, routing.around, rows * config.hidden);
  }
  weightGradient(workspace, dResidual, workspace.featuresReal, layout.embedding, rows);
}

/** The residual stream before a layer, in real units. */
function inputOf(workspace: Workspace, layer: number): number {
  return layer === 0 ? workspace.embedded : workspace.layers[layer - 1]!.out;
}

function exitBackward(
  workspace: Workspace,
  tape: FeedForwardTape,
  rows: number,
  weights: number,
  clip: ClipLimits | null,
): void {
  const { config, kernels, layout, dNormed, dResidual } = workspace;
  weightGradient(workspace, tape.logits, tape.exitNormed, layout.head, rows);
  matrixGradient(workspace, tape.logits, workspace.featuresReal, layout.linear, rows);
  inputGradient(workspace, tape.logits, layout.head.weight, weights, dNormed, rows);
  clipNormed(workspace, tape.exitNormed, rows, clip);
  kernels.rmsNormBackward(dNormed, tape.exitNormed, tape.exitInverse, dResidual, rows, config.hidden);
}

/** `clipUp`: where the input of GELU stops moving. */
function feedForwardBackward(
  workspace: Workspace,
  slices: FeedForwardSlices,
  tape: FeedForwardTape,
  shape: BatchShape,
  weights: number,
  clip: ClipLimits | null,
  clipUp: readonly [number, number] | null,
): void {
  const { config, kernels, dNormed, dResidual, wide, wider } = workspace;
  const rows = shape.sequences * shape.length;
  const count = rows * config.feedForward;
  kernels.scaleSequences(wide, dResidual, tape.keep, shape.sequences, shape.length * config.hidden);
  weightGradient(workspace, wide, tape.activated, slices.down, rows);
  inputGradient(workspace, wide, slices.down.weight, weights, wider, rows);
  kernels.geluBackward(tape.up, wider, count);
  if (clipUp) kernels.maskClipped(tape.up, wider, ...clipUp, count);
  weightGradient(workspace, wider, tape.feedForwardNormed, slices.up, rows);
  inputGradient(workspace, wider, slices.up.weight, weights, dNormed, rows);
  clipNormed(workspace, tape.feedForwardNormed, rows, clip);
  kernels.rmsNormBackward(
    dNormed,
    tape.feedForwardNormed,
    tape.feedForwardInverse,
    dResidual,
    rows,
    config.hidden,
  );
}

function attentionBackward(
  workspace: Workspace,
  index: number,
  shape: BatchShape,
  weights: number,
  clip: ClipLimits | null,
): void {
  const { config, kernels, dNormed, dResidual, wide, wider } = workspace;
  const tape = workspace.layers[index]!;
  const slices = workspace.layout.layers[index]!;
  const rows = shape.sequences * shape.length;
  kernels.scaleSequences(wide, dResidual, tape.keep, shape.sequences, shape.length * config.hidden);
  weightGradient(workspace, wide, tape.context, slices.output, rows);
  inputGradient(workspace, wide, slices.output.weight, weights, dNormed, rows);
  const clipContext = clip && clip.layers[index]!.context;
  if (clipContext) kernels.maskClipped(tape.context, dNormed, ...clipContext, rows * config.hidden);
  contextBackward(workspace, index, shape);
  if (clip) kernels.maskColumns(tape.qkv, wider, tape.qkvLimits, rows, 3 * config.hidden);
  weightGradient(workspace, wider, tape.attentionNormed, slices.qkv, rows);
  inputGradient(workspace, wider, slices.qkv.weight, weights, dNormed, rows);
  if (tape.routing) {
    routerBackward(workspace, rows, tape.routing, slices.router!, tape.attentionNormed, weights);
  }
  clipNormed(workspace, tape.attentionNormed, rows, clip);
  kernels.rmsNormBackward(
    dNormed,
    tape.attentionNormed,
    tape.attentionInverse,
    dResidual,
    rows,
    config.hidden,
  );
}

/** From the context's gradient in `dNormed` to those of queries, keys and values in `wider`. */
function contextBackward(workspace: Workspace, index: number, shape: BatchShape): void {
  const { config, kernels, dNormed, gradients, wider } = workspace;
  const tape = workspace.layers[index]!;
  const { ageBias, sink, spikeThreshold } = workspace.layout.layers[index]!;
  if (spikeThreshold) {
    spikeAttentionBackward(workspace, shape, tape, spikeThreshold, dNormed, wider);
    return;
  }
  floats(workspace, wider, shape.sequences * shape.length * 3 * config.hidden).fill(0);
  kernels.attentionBackward(
    tape.qkv,
    tape.probability,
    dNormed,
    wider,
    gradients + 4 * ageBias.offset,
    gradients + 4 * sink.offset,
    workspace.sights.ofLayers[index]!,
    workspace.sights.most,
    shape.sequences,
    shape.length,
    config.heads,
    headSize(config),
    config.window,
    workspace.scratch,
  );
}

function clipNormed(workspace: Workspace, normed: number, rows: number, clip: ClipLimits | null): void {
  if (clip === null) return;
  workspace.kernels.maskClipped(normed, workspace.dNormed, ...clip.normed, rows * workspace.config.hidden);
}

/** dW += dy^T x; db += sum of dy. */
function weightGradient(
  workspace: Workspace,
  dy: number,
  x: number,
  slices: LinearSlices,
  rows: number,
): void {
  matrixGradient(workspace, dy, x, slices.weight, rows);
  workspace.kernels.sumColumns(dy, workspace.gradients + 4 * slices.bias.offset, rows, slices.weight.rows);
}

function matrixGradient(workspace: Workspace, dy: number, x: number, weight: Slice, rows: number): void {
  const { gradients, kernels, scratch } = workspace;
  const { rows: m, columns: n } = weight;
  kernels.gemm(TN, m, n, rows, dy, m, x, n, gradients + 4 * weight.offset, n, 1, scratch);
}

/** dx = dy W. */
function inputGradient(
  workspace: Workspace,
  dy: number,
  weight: Slice,
  weights: number,
  dx: number,
  rows: number,
): void {
  const { rows: k, columns: n } = weight;
  workspace.kernels.gemm(NN, rows, n, k, dy, k, weights + 4 * weight.offset, n, dx, n, 0, workspace.scratch);
}
