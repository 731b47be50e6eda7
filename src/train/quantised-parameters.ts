/** Quantised weights and tables in the workspace, for `integerForward`, and where values stop moving by them. */
import { headSize } from '../engine/config.ts';
import { ACTIVATION_MAX, ACTIVATION_ZERO, assert, TABLE_SIZE, WEIGHT_MAX } from '../engine/limits.ts';
import type { FeedForwardWeights, LayerWeights, Linear } from '../engine/model.ts';
import type { FeedForwardSlices, LinearSlices, Slice } from './layout.ts';
import type { ClipLimits } from './network.ts';
import { type FeedForwardScales, GAIN, type LayerScales, type Quantised, type Scales } from './quantise.ts';
import { type FeedForwardTape, floats, integers, type Workspace } from './workspace.ts';

/** Sums of whole numbers below this are exact in float32. */
const EXACT_MAX = 2 ** 24;

/** Puts quantised weights and tables into the workspace; to be called after every change of the parameters. */
export function loadQuantised(
  workspace: Workspace,
  { weights, dequantised }: Quantised,
  scales: Scales,
): void {
  const { layout } = workspace;
  floats(workspace, workspace.dequantised, layout.count).set(dequantised);
  integers(workspace, workspace.exponentTable, TABLE_SIZE).set(weights.exponentTable);
  putLinear(workspace, layout.embedding, [weights.embedding], 128);
  putLinear(workspace, layout.head, [weights.head], ACTIVATION_MAX);
  if (weights.linear !== undefined) putPath(workspace, weights.linear);
  for (const [index, layer] of weights.layers.entries()) {
    putLayer(workspace, index, layer, scales.layers[index]!);
  }
  if (layout.refinement) {
    putFeedForward(workspace, layout.refinement, workspace.rounds[0]!, weights.refinement!);
  }
}

function putPath(workspace: Workspace, linear: Linear): void {
  const { layout, config } = workspace;
  floats(workspace, workspace.integers + 4 * layout.linear.offset, linear.weight.length).set(linear.weight);
  requireExact('linear', linear, 128);
  floats(workspace, workspace.linearMultiplier, config.outputs).set(linear.multiplier);
}

function putLayer(workspace: Workspace, index: number, layer: LayerWeights, scales: LayerScales): void {
  const { config } = workspace;
  const slices = workspace.layout.layers[index]!;
  const tape = workspace.layers[index]!;
  putLinear(workspace, slices.qkv, [layer.query, layer.key, layer.value], ACTIVATION_MAX);
  putLinear(workspace, slices.output, [layer.output], ACTIVATION_MAX);
  putFeedForward(workspace, slices, tape, layer);
  if (slices.router) putLinear(workspace, slices.router, [layer.router!], ACTIVATION_MAX);
  const place = ({ offset }: Slice, values: Int32Array) =>
    integers(workspace, workspace.integers + 4 * offset, values.length).set(values);
  place(slices.ageBias, layer.ageBias);
  place(slices.sink, layer.sink);
  if (slices.spikeThreshold) place(slices.spikeThreshold, layer.spikeThreshold!);
  floats(workspace, tape.exponentScale, config.heads).set(layer.exponentScale);
  floats(workspace, tape.contextScale, config.heads).set(layer.contextScale);
  const steps = [...scales.query, ...scales.key, ...scales.value];
  const qkvScales = floats(workspace, tape.qkvScales, 3 * config.hidden);
  const limits = floats(workspace, tape.qkvLimits, 3 * config.hidden);
  for (let row = 0; row < 3 * config.hidden; row++) {
    qkvScales[row] = steps[Math.floor(row / headSize(config))]!;
    limits[row] = (WEIGHT_MAX - 0.5) * qkvScales[row]!;
  }
}

function putFeedForward(
  workspace: Workspace,
  slices: FeedForwardSlices,
  tape: FeedForwardTape,
  { up, gelu, down }: FeedForwardWeights,
): void {
  putLinear(workspace, slices.up, [up], ACTIVATION_MAX);
  putLinear(workspace, slices.down, [down], ACTIVATION_MAX);
  new Uint8Array(workspace.memory.buffer, tape.gelu, TABLE_SIZE).set(gelu);
}

/** Stacks the rows of one or more linear layers. `inputMax`: largest input of their products. */
function putLinear(
  workspace: Workspace,
  slices: LinearSlices,
  linears: readonly Linear[],
  inputMax: number,
): void {
  let weightAt = workspace.integers + 4 * slices.weight.offset;
  let biasAt = 4 * slices.bias.offset;
  for (const linear of linears) {
    requireExact(slices.weight.name, linear, inputMax);
    floats(workspace, weightAt, linear.weight.length).set(linear.weight);
    integers(workspace, workspace.integers + biasAt, linear.bias.length).set(linear.bias);
    floats(workspace, workspace.multipliers + biasAt, linear.bias.length).set(linear.multiplier);
    weightAt += 4 * linear.weight.length;
    biasAt += 4 * linear.bias.length;
  }
}

/** Up to 1040 inputs every sum is exact whatever the weights; beyond, it is up to them. */
function requireExact(name: string, { weight, bias }: Linear, inputMax: number): void {
  const columns = weight.length / bias.length;
  if (columns * WEIGHT_MAX * inputMax < EXACT_MAX) return;
  for (let row = 0; row < bias.length; row++) {
    let sum = 0;
    for (let i = row * columns; i < (row + 1) * columns; i++) sum += Math.abs(weight[i]!);
    assert(sum * inputMax < EXACT_MAX, `${name}: row ${row} is exact in float32`);
  }
}

/** Where values stop moving, for `backward`. */
export function clipLimits(scales: Scales, isSpiking: boolean): ClipLimits {
  const signed = (step: number) =>
    [(0.5 - ACTIVATION_ZERO) * step, (ACTIVATION_MAX - ACTIVATION_ZERO - 0.5) * step] as const;
  const ofUp = ({ upCenter, upStep }: FeedForwardScales) =>
    [upCenter - 127.5 * upStep, upCenter + 126.5 * upStep] as const;
  return {
    normed: signed(1 / GAIN),
    layers: scales.layers.map((layer) => ({
      context: isSpiking ? null : signed(layer.context),
      up: ofUp(layer),
    })),
    ...(scales.refinement && { refinement: { up: ofUp(scales.refinement) } }),
  };
}
