/**
 * The float32 network: forward, each line a formula of the paper, and the losses of its exits.
 *
 * `x` is the residual stream, [rows, hidden]; y = x W^T + b throughout. The backward pass (`backward.ts`) reads real
 * values from the tape and weights from `weights`, so it serves the quantised forward pass too (straight-through).
 */
import { headSize } from '../engine/config.ts';
import { divergence } from './distillation.ts';
import { NT } from './kernels/kernels.ts';
import type { FeedForwardSlices, LinearSlices } from './layout.ts';
import { type LossSettings, loss } from './losses.ts';
import { mix, type RouteRule, route, routerLoss } from './routing.ts';
import { look } from './sight.ts';
import { type SpikeForm, spikeAttention } from './spike-attention.ts';
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
