/**
 * Mixture-of-depths (Raposo et al. 2404.02258): a router per routed layer, r = w . n + b on the layer's normed input,
 * lets a token through or around the layer. Through, it takes sigmoid(r) of what the layer changes; around, it leaves
 * no key and no value.
 *
 * Training takes the capacity's share of largest logits in each sequence, which looks ahead; an auxiliary loss teaches
 * the router that sigmoid(r) > 0.5 means just those, so that r >= 0 decides as well, without looking ahead. That is the
 * causal rule of the engine, with its credits (docs/integer-rules.md, 8).
 */
import { round, sigmoidQ15 } from '../engine/integer.ts';
import { TABLE_SIZE } from '../engine/limits.ts';
import type { LinearSlices } from './layout.ts';
import type { BatchShape } from './network.ts';
import { floats, integers, type RoutingTape, type Workspace } from './workspace.ts';

/** top: the largest logits of a sequence. causal: r >= 0 as long as there is credit. */
export type RouteRule = 'top' | 'causal';

const GATE_ONE = 32768;
const BURST_TICKS = 32;

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Logits of all rows from the float parameters; decides who goes through. `normed`: [rows, hidden]. */
export function route(
  workspace: Workspace,
  shape: BatchShape,
  tape: RoutingTape,
  { weight, bias }: LinearSlices,
  normed: number,
  rule: RouteRule,
): void {
  const { hidden } = workspace.config;
  const rows = shape.sequences * shape.length;
  const n = floats(workspace, normed, rows * hidden);
  const w = floats(workspace, workspace.parameters + 4 * weight.offset, hidden);
  const [b] = floats(workspace, workspace.parameters + 4 * bias.offset, 1);
  const logit = floats(workspace, tape.logit, rows);
  for (let row = 0; row < rows; row++) logit[row] = b! + dot(n, row * hidden, w, hidden);
  markTop(workspace, shape, tape);
  const gate = floats(workspace, tape.gate, rows);
  if (rule === 'top') {
    const top = floats(workspace, tape.top, rows);
    for (let row = 0; row < rows; row++) gate[row] = top[row]! * sigmoid(logit[row]!);
    return;
  }
  admit(
    workspace,
    shape,
    (row) => logit[row]! >= 0,
    (row, isAdmitted) => {
      gate[row] = isAdmitted ? sigmoid(logit[row]!) : 0;
    },
  );
}

/** The same by the integer rules: the whole-number logit from the normed whole numbers, and the gate in 32768ths. */
export function integerRoute(
  workspace: Workspace,
  shape: BatchShape,
  tape: RoutingTape,
  { weight, bias }: LinearSlices,
): void {
  const { hidden } = workspace.config;
  const rows = shape.sequences * shape.length;
  const n = floats(workspace, workspace.normed, rows * hidden);
  const w = floats(workspace, workspace.integers + 4 * weight.offset, hidden);
  const [b] = integers(workspace, workspace.integers + 4 * bias.offset, 1);
  const [multiplier] = floats(workspace, workspace.multipliers + 4 * bias.offset, 1);
  const table = integers(workspace, workspace.exponentTable, TABLE_SIZE);
  const logit = floats(workspace, tape.logit, rows);
  const gate = floats(workspace, tape.gate, rows);
  const whole = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    whole[row] = round((b! + dot(n, row * hidden, w, hidden)) * multiplier!);
    logit[row] = whole[row]! / 65536;
  }
  markTop(workspace, shape, tape);
  admit(
    workspace,
    shape,
    (row) => whole[row]! >= 0,
    (row, isAdmitted) => {
      gate[row] = isAdmitted ? sigmoidQ15(whole[row]!, table) / GATE_ONE : 0;
    },
  );
}

/** The share of a sequence's tokens with the largest logits, the earlier of two equal ones; padding is no token. */
function markTop(workspace: Workspace, { sequences, length }: BatchShape, tape: RoutingTape): void {
  const { capacity } = workspace.config.routing!;
  const logit = floats(workspace, tape.logit, sequences * length);
  const weights = floats(workspace, workspace.weights, sequences * length);
  const top = floats(workspace, tape.top, sequences * length).fill(0);
  for (let first = 0; first < sequences * length; first += length) {
    const tokens: number[] = [];
    for (let row = first; row < first + length; row++) if (weights[row]! > 0) tokens.push(row);
    tokens.sort((a, b) => logit[b]! - logit[a]! || a - b);
    for (const row of tokens.slice(0, Math.round(capacity * tokens.length))) top[row] = 1;
  }
}

/** Tokens that want to go through and have credit; each sequence begins as a new stream does, with all of it. */
function admit(
  workspace: Workspace,
  { sequences, length }: BatchShape,
  wants: (row: number) => boolean,
  decide: (row: number, isAdmitted: boolean) => void,
): void {
  const perTick = Math.round(workspace.config.routing!.capacity * GATE_ONE);
  const most = Math.max(GATE_ONE, BURST_TICKS * perTick);
  for (let sequence = 0; sequence < sequences; sequence++) {
    let credit = most;
    for (let row = sequence * length; row < (sequence + 1) * length; row++) {
      credit = Math.min(credit + perTick, most);
      const isAdmitted = wants(row) && credit >= GATE_ONE;
      if (isAdmitted) credit -= GATE_ONE;
      decide(row, isAdmitted);
    }
  }
}

/** out = x + gate (through - x), [rows, hidden] each. */
export function mix(workspace: Workspace, rows: number, tape: RoutingTape, x: number, out: number): void {
  const { hidden } = workspace.config;
  const gate = floats(workspace, tape.gate, rows);
  const [before, through, after] = [x, tape.through, out].map((at) => floats(workspace, at, rows * hidden));
  for (let i = 0; i < rows * hidden; i++) {
    const share = gate[Math.floor(i / hidden)]!;
    after![i] = share === 0 ? before![i]! : before![i]! + share * (through![i]! - before![i]!);
  }
}

/** The same on the whole numbers of `residual` (rule 8), with what they stand for in `out`. */
export function integerMix(
  workspace: Workspace,
  rows: number,
  tape: RoutingTape,
  out: number,
  step: number,
): void {
  const { hidden } = workspace.config;
  const gate = floats(workspace, tape.gate, rows);
  const [before, residual, after] = [tape.around, workspace.residual, out].map((at) =>
    floats(workspace, at, rows * hidden),
  );
  for (let i = 0; i < rows * hidden; i++) {
    const x = before![i]!;
    const share = gate[Math.floor(i / hidden)]! * GATE_ONE;
    residual![i] = x + Math.floor((share * (residual![i]! - x)) / GATE_ONE + 0.5);
    after![i] = residual![i]! * step;
  }
}

/** Sum over tokens of the cross-entropy between sigmoid(r) and being among the top; `weight` times it and its gradient. */
export function routerLoss(workspace: Workspace, rows: number, tape: RoutingTape, weight: number): number {
  const [logit, top, dLogit, weights] = [tape.logit, tape.top, tape.dLogit, workspace.weights].map((at) =>
    floats(workspace, at, rows),
  );
  let sum = 0;
  for (let row = 0; row < rows; row++) {
    const isToken = weights![row]! > 0;
    const r = logit![row]!;
    dLogit![row] = isToken ? weight * (sigmoid(r) - top![row]!) : 0;
    if (isToken) sum += Math.max(r, 0) - r * top![row]! + Math.log1p(Math.exp(-Math.abs(r)));
  }
  return weight * sum;
}

/** Splits the gradient of `mix`: what goes through stays in `dResidual`, what goes around is put aside. */
export function splitGradient(workspace: Workspace, rows: number, tape: RoutingTape, x: number): void {
  const { hidden } = workspace.config;
  const [gate, dLogit] = [tape.gate, tape.dLogit].map((at) => floats(workspace, at, rows));
  const [before, through, around, dOut] = [x, tape.through, tape.around, workspace.dResidual].map((at) =>
    floats(workspace, at, rows * hidden),
  );
  for (let row = 0; row < rows; row++) {
    const share = gate![row]!;
    let dShare = 0;
    for (let i = row * hidden; i < (row + 1) * hidden; i++) {
      const gradient = dOut![i]!;
      dShare += gradient * (through![i]! - before![i]!);
      around![i] = (1 - share) * gradient;
      dOut![i] = share * gradient;
    }
    dLogit![row]! += dShare * share * (1 - share);
  }
}

/** Adds the router's gradients, and what it sends back into `dNormed`. `weights`: as in `backward`. */
export function routerBackward(
  workspace: Workspace,
  rows: number,
  tape: RoutingTape,
  { weight, bias }: LinearSlices,
  normed: number,
  weights: number,
): void {
  const { hidden } = workspace.config;
  const dLogit = floats(workspace, tape.dLogit, rows);
  const w = floats(workspace, weights + 4 * weight.offset, hidden);
  const dWeight = floats(workspace, workspace.gradients + 4 * weight.offset, hidden);
  const dBias = floats(workspace, workspace.gradients + 4 * bias.offset, 1);
  const [n, dNormed] = [normed, workspace.dNormed].map((at) => floats(workspace, at, rows * hidden));
  for (let row = 0; row < rows; row++) {
    const gradient = dLogit[row]!;
    dBias[0]! += gradient;
    for (let i = 0; i < hidden; i++) {
      dWeight[i]! += gradient * n![row * hidden + i]!;
      dNormed![row * hidden + i]! += gradient * w[i]!;
    }
  }
}

function dot(x: Float32Array, from: number, w: Float32Array, count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += x[from + i]! * w[i]!;
  return sum;
}
