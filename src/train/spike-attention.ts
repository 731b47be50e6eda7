/**
 * Spike-driven attention (Yao et al. 2307.01694, made causal): queries, keys and values are binary; a channel counts the
 * positions of its window at which key and value are both 1, and gives its query where the count reaches a threshold.
 * No products. Backward, every step is taken for the ramp around it (straight-through, clipped).
 */
import { clamp, round } from '../engine/integer.ts';
import { ACTIVATION_MAX, ACTIVATION_ZERO } from '../engine/limits.ts';
import { type Slice, THRESHOLD_UNIT } from './layout.ts';
import type { BatchShape } from './network.ts';
import { floats, integers, type LayerTape, type Workspace } from './workspace.ts';

/** steps: as the engine does. ramps: what the backward pass takes them for, to check its gradients with. */
export type SpikeForm = 'steps' | 'ramps';

/** Half the width of a ramp on queries, keys and values, and, per position of the window, on counts. */
const RAMP = 1;
const COUNT_RAMP_SHARE = 0.25;
/** One step of a context activation, of which 63 are a spike. */
export const SPIKE_STEP = 1 / (ACTIVATION_MAX - ACTIVATION_ZERO);

const ramp = (x: number, half: number): number => clamp((x / half + 1) / 2, 0, 1);
const countRamp = (window: number): number => Math.max(1, COUNT_RAMP_SHARE * window);

/** [hidden] whole thresholds from a parameter slice: 1 (any) to window + 1 (never). */
export function spikeThresholds(
  parameters: Float32Array,
  { offset, columns }: Slice,
  window: number,
): Int32Array {
  return Int32Array.from({ length: columns }, (_, d) =>
    clamp(round(THRESHOLD_UNIT * parameters[offset + d]!), 1, window + 1),
  );
}

/** Spikes, counts and context from `tape.qkv`. */
export function spikeAttention(
  workspace: Workspace,
  shape: BatchShape,
  tape: LayerTape,
  slice: Slice,
  form: SpikeForm,
): void {
  const { hidden, window } = workspace.config;
  const rows = shape.sequences * shape.length;
  const spiking = tape.spiking!;
  const qkv = floats(workspace, tape.qkv, rows * 3 * hidden);
  const spikes = floats(workspace, spiking.spikes, qkv.length);
  for (let i = 0; i < qkv.length; i++) {
    spikes[i] = form === 'ramps' ? ramp(qkv[i]!, RAMP) : qkv[i]! > 0 ? 1 : 0;
  }
  count(workspace, shape, tape);
  const parameters = floats(workspace, workspace.parameters, workspace.layout.count);
  const whole = spikeThresholds(parameters, slice, window);
  const [excess, gates, context] = placesOf(workspace, tape, rows);
  for (let i = 0; i < rows * hidden; i++) {
    const d = i % hidden;
    const real = THRESHOLD_UNIT * parameters[slice.offset + d]!;
    const threshold = form === 'ramps' ? real : whole[d]!;
    excess[i]! -= threshold - 0.5;
    gates[i] = form === 'ramps' ? ramp(excess[i]!, countRamp(window)) : excess[i]! > 0 ? 1 : 0;
    context[i] = spikes[3 * i - 2 * d]! * gates[i]!;
  }
}

/** Rule 4 for spikes, from the whole numbers in `wide`. */
export function integerSpikeAttention(
  workspace: Workspace,
  shape: BatchShape,
  tape: LayerTape,
  slice: Slice,
): void {
  const { hidden } = workspace.config;
  const rows = shape.sequences * shape.length;
  const spiking = tape.spiking!;
  const qkv = floats(workspace, workspace.wide, rows * 3 * hidden);
  const spikes = floats(workspace, spiking.spikes, qkv.length);
  for (let i = 0; i < qkv.length; i++) spikes[i] = qkv[i]! > 0 ? 1 : 0;
  count(workspace, shape, tape);
  const thresholds = integers(workspace, workspace.integers + 4 * slice.offset, hidden);
  const [excess, gates, context] = placesOf(workspace, tape, rows);
  const whole = floats(workspace, workspace.context, rows * hidden);
  for (let i = 0; i < rows * hidden; i++) {
    const d = i % hidden;
    excess[i]! -= thresholds[d]! - 0.5;
    gates[i] = excess[i]! > 0 ? 1 : 0;
    context[i] = spikes[3 * i - 2 * d]! * gates[i]!;
    whole[i] = context[i] === 1 ? ACTIVATION_MAX : ACTIVATION_ZERO;
  }
}

function placesOf(workspace: Workspace, { context, spiking }: LayerTape, rows: number) {
  const { hidden } = workspace.config;
  const at = (place: number) => floats(workspace, place, rows * hidden);
  return [at(spiking!.excess), at(spiking!.gates), at(context)] as const;
}

/** Into `excess`, per channel, a running sum over the window of the products of key and value spikes of present tokens. */
function count(workspace: Workspace, { sequences, length }: BatchShape, tape: LayerTape): void {
  const { hidden, window } = workspace.config;
  const rows = sequences * length;
  const spikes = floats(workspace, tape.spiking!.spikes, rows * 3 * hidden);
  const [counts] = placesOf(workspace, tape, rows);
  const isPresent = presence(workspace, tape, rows);
  const both = (row: number, d: number) => {
    const at = row * 3 * hidden + d;
    return isPresent(row) ? spikes[at + hidden]! * spikes[at + 2 * hidden]! : 0;
  };
  for (let row = 0; row < rows; row++) {
    const place = row % length;
    for (let d = 0; d < hidden; d++) {
      let sum = both(row, d);
      if (place > 0) sum += counts[(row - 1) * hidden + d]!;
      if (place >= window) sum -= both(row - window, d);
      counts[row * hidden + d] = sum;
    }
  }
}

function presence(workspace: Workspace, { routing }: LayerTape, rows: number): (row: number) => boolean {
  if (!routing) return () => true;
  const gate = floats(workspace, routing.gate, rows);
  return (row) => gate[row]! > 0;
}

/** From `dContext` [rows, hidden] to `dQkv` [rows, 3 hidden], which it overwrites; adds the thresholds' gradients. */
export function spikeAttentionBackward(
  workspace: Workspace,
  shape: BatchShape,
  tape: LayerTape,
  slice: Slice,
  dContext: number,
  dQkv: number,
): void {
  const { hidden, window } = workspace.config;
  const rows = shape.sequences * shape.length;
  const [excess, gates] = placesOf(workspace, tape, rows);
  const dOut = floats(workspace, dContext, rows * hidden);
  const spikes = floats(workspace, tape.spiking!.spikes, rows * 3 * hidden);
  const gradient = floats(workspace, dQkv, rows * 3 * hidden);
  const dThreshold = floats(workspace, workspace.gradients + 4 * slice.offset, hidden);
  const half = countRamp(window);
  const dCount = new Float32Array(rows * hidden);
  for (let i = 0; i < rows * hidden; i++) {
    const d = i % hidden;
    const query = 3 * i - 2 * d;
    gradient[query] = dOut[i]! * gates[i]!;
    dCount[i] = Math.abs(excess[i]!) < half ? (dOut[i]! * spikes[query]!) / (2 * half) : 0;
    dThreshold[d]! -= THRESHOLD_UNIT * dCount[i]!;
  }
  spreadOverWindow(workspace, shape, tape, dCount, gradient);
  const qkv = floats(workspace, tape.qkv, rows * 3 * hidden);
  for (let i = 0; i < qkv.length; i++) gradient[i] = Math.abs(qkv[i]!) < RAMP ? gradient[i]! / (2 * RAMP) : 0;
}

/** A token's key and value are part of its own count and of those after it, as far as the window reaches. */
function spreadOverWindow(
  workspace: Workspace,
  { sequences, length }: BatchShape,
  tape: LayerTape,
  dCount: Float32Array,
  gradient: Float32Array,
): void {
  const { hidden, window } = workspace.config;
  const rows = sequences * length;
  const spikes = floats(workspace, tape.spiking!.spikes, rows * 3 * hidden);
  const isPresent = presence(workspace, tape, rows);
  const sums = new Float64Array(hidden);
  for (let row = rows - 1; row >= 0; row--) {
    const place = row % length;
    if (place === length - 1) sums.fill(0);
    for (let d = 0; d < hidden; d++) {
      sums[d]! += dCount[row * hidden + d]!;
      if (place + window < length) sums[d]! -= dCount[(row + window) * hidden + d]!;
      const key = row * 3 * hidden + hidden + d;
      const value = key + hidden;
      const own = isPresent(row) ? sums[d]! : 0;
      gradient[key] = own * spikes[value]!;
      gradient[value] = own * spikes[key]!;
    }
  }
}
