/**
 * The float32 network: forward and backward by hand, each line a formula of the paper.
 *
 * `x` is the residual stream, [rows, hidden]; y = x W^T + b throughout. The backward pass reads real values from the
 * tape and weights from `weights`, so it serves the quantised forward pass too (straight-through).
 */
import { headSize } from '../engine/config.ts';
import { divergence } from './distillation.ts';
import { NN, NT, TN } from './kernels/kernels.ts';
import type { FeedForwardSlices, LinearSlices, Slice } from './layout.ts';
import { type LossSettings, loss } from './losses.ts';
import { mix, type RouteRule, route, routerBackward, routerLoss, splitGradient } from './routing.ts';
import { look } from './sight.ts';
import { type SpikeForm, spikeAttention, spikeAttentionBackward } from './spike-attention.ts';
import { exitTapes, type FeedForwardTape, floats, type Workspace } from './workspace.ts';

/** `sequences` of `length` tokens each, already in the workspace. */
export interface BatchShape {
  readonly sequences: number;
  readonly length: number;
}

/** Where values stop moving in the quantised pass; absent in the float pass. Real units. */
export interface ClipLimits {
  readonly normed: readonly [number, number];
  readonly layers: readonly {
    /** null: nothing is clipped, as spikes are not. */
    readonly context: readonly [number, number] | null;
    readonly up: readonly [number, number];
  }[];
  readonly refinement?: { readonly up: readonly [number, number] };
}

/** Fills the tape from `features` with the parameters as they are. `rule`: how routed layers choose their tokens. */
export function forward(
  workspace: Workspace,
  shape: BatchShape,
  rule: RouteRule = 'causal',
  form: SpikeForm = 'steps',
): void {
  const { config, kernels, layout } = workspace;
  const rows = shape.sequences * shape.length;
  look(workspace, shape);
  kernels.splitFeatures(
    workspace.features,
    workspace.featuresHigh,
    workspace.featuresLow,
    workspace.featuresReal,
    rows * config.features,
  );
  project(workspace, workspace.featuresReal, layout.embedding, workspace.embedded, rows);
  let x = workspace.embedded;
  for (const [index, tape] of workspace.layers.entries()) {
    const slices = layout.layers[index]!;
    kernels.rmsNorm(x, tape.attentionNormed, tape.attentionInverse, rows, config.hidden);
    const { routing } = tape;
    if (routing) route(workspace, shape, routing, slices.router!, tape.attentionNormed, rule);
    project(workspace, tape.attentionNormed, slices.qkv, tape.qkv, rows);
    attend(workspace, shape, index, form);
    project(workspace, tape.context, slices.output, workspace.wide, rows);
    residual(workspace, tape.middle, x, tape.keep, shape);
    feedForward(workspace, shape, slices, tape, tape.middle, routing?.through ?? tape.out);
    if (routing) mix(workspace, rows, routing, x, tape.out);
    exit(workspace, tape, rows);
    x = tape.out;
  }
  for (const tape of workspace.rounds) {
    feedForward(workspace, shape, layout.refinement!, tape, x, tape.out);
    exit(workspace, tape, rows);
    x = tape.out;
  }
}

/** The context of all tokens from queries, keys and values. */
function attend(workspace: Workspace, shape: BatchShape, layer: number, form: SpikeForm): void {
  const { config, kernels, parameters } = workspace;
  const tape = workspace.layers[layer]!;
  const { ageBias, sink, spikeThreshold } = workspace.layout.layers[layer]!;
  if (spikeThreshold) {
    spikeAttention(workspace, shape, tape, spikeThreshold, form);
    return;
  }
  kernels.attention(
    tape.qkv,
    tape.probability,
    tape.context,
    parameters + 4 * ageBias.offset,
    parameters + 4 * sink.offset,
    tape.routing?.gate ?? 0,
    workspace.sights.ofLayers[layer]!,
    workspace.sights.most,
    shape.sequences,
    shape.length,
    config.heads,
    headSize(config),
    config.window,
  );
}

/** out = x + block(x). */
function feedForward(
  workspace: Workspace,
  shape: BatchShape,
  slices: FeedForwardSlices,
  tape: FeedForwardTape,
  x: number,
  out: number,
): void {
  const { config, kernels } = workspace;
  const rows = shape.sequences * shape.length;
  kernels.rmsNorm(x, tape.feedForwardNormed, tape.feedForwardInverse, rows, config.hidden);
  project(workspace, tape.feedForwardNormed, slices.up, tape.up, rows);
  kernels.gelu(tape.up, tape.activated, rows * config.feedForward);
  project(workspace, tape.activated, slices.down, workspace.wide, rows);
  residual(workspace, out, x, tape.keep, shape);
}

/** The shared norm and head, and the linear path beside them. */
function exit(workspace: Workspace, tape: FeedForwardTape, rows: number): void {
  const { config, kernels, layout, parameters, scratch } = workspace;
  const { features, outputs } = config;
  kernels.rmsNorm(tape.out, tape.exitNormed, tape.exitInverse, rows, config.hidden);
  project(workspace, tape.exitNormed, layout.head, tape.logits, rows);
  const path = parameters + 4 * layout.linear.offset;
  kernels.gemm(
    NT,
    rows,
    outputs,
    features,
    workspace.featuresReal,
    features,
    path,
    features,
    tape.logits,
    outputs,
    1,
    scratch,
  );
}

/** y = x W^T + b. */
function project(
  workspace: Workspace,
  x: number,
  { weight, bias }: LinearSlices,
  y: number,
  rows: number,
): void {
  const { kernels, parameters, scratch } = workspace;
  const { rows: n, columns: k } = weight;
  kernels.gemm(NT, rows, n, k, x, k, parameters + 4 * weight.offset, k, y, n, 0, scratch);
  kernels.addBias(y, parameters + 4 * bias.offset, rows, n);
}

/** out = x + branch (in `wide`), for the sequences that keep the layer. */
function residual(workspace: Workspace, out: number, x: number, keep: number, shape: BatchShape): void {
  const count = shape.length * workspace.config.hidden;
  workspace.kernels.addResidual(out, x, workspace.wide, keep, shape.sequences, count);
}

/**
 * Weighted sum of the exits' losses, sum over l of exits[l] sum over rows of weight loss, and of the routers'; the
 * tape's logits become their gradients.
 */
export function exitLosses(
  workspace: Workspace,
  shape: BatchShape,
  settings: LossSettings,
  exits: readonly number[],
): number {
  const { config } = workspace;
  const { outputs } = config;
  const rows = shape.sequences * shape.length;
  const targets = floats(workspace, workspace.targets, rows * workspace.targetSize);
  const weights = floats(workspace, workspace.weights, rows);
  let total = 0;
  for (const [index, tape] of exitTapes(workspace).entries()) {
    const logits = floats(workspace, tape.logits, rows * outputs);
    const scale = exits[index]!;
    const pull = index < config.layers - 1 ? distil(workspace, rows, settings, logits, scale) : null;
    const own = pull === null ? scale : scale * (1 - settings.distillation!);
    total += own * loss(settings, logits, targets, weights, rows, outputs, logits, own);
    if (pull === null) continue;
    total += pull.loss;
    for (const [i, part] of pull.gradient.entries()) logits[i]! += part;
  }
  for (const { routing } of workspace.layers) {
    if (routing) total += routerLoss(workspace, rows, routing, settings.routerWeight ?? 0);
  }
  return total;
}

/** What an exit before the last layer's is drawn to: that one's answer, whose logits are still whole. null: to nothing. */
function distil(
  workspace: Workspace,
  rows: number,
  { kind, distillation = 0 }: LossSettings,
  logits: Float32Array,
  scale: number,
): { loss: number; gradient: Float32Array } | null {
  if (distillation === 0) return null;
  const { outputs } = workspace.config;
  const teacher = floats(workspace, workspace.layers.at(-1)!.logits, rows * outputs);
  const weights = floats(workspace, workspace.weights, rows);
  const gradient = new Float32Array(rows * outputs);
  const share = scale * distillation;
  return { loss: share * divergence(kind, teacher, logits, weights, outputs, gradient, share), gradient };
}

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
