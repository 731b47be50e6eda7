/** The three losses, in double precision, with their gradients; shared by the trainer and its reference. */
import type { Task } from '../engine/model.ts';

export type TaskKind = Task['kind'];

/** What the loss needs to know beside the numbers. */
export interface LossSettings {
  readonly kind: TaskKind;
  /** classify: this share of the target goes to all classes alike. */
  readonly labelSmoothing: number;
  /** Weight of each router's loss beside the task's; see routing.ts. */
  readonly routerWeight?: number;
  /** So much of an earlier exit's loss is its distance from the last one; see distillation.ts. */
  readonly distillation?: number;
}

/** Log-scales below this count as this, so that a constant channel cannot win without end. */
export const LOG_SCALE_MIN = -6;

/** Target numbers per row: the class; the next tick's channels; or the outputs themselves. */
export function targetSize(kind: TaskKind, outputs: number): number {
  if (kind === 'classify') return 1;
  return kind === 'anomaly' ? outputs / 2 : outputs;
}

type Floats = Float32Array | Float64Array;

/**
 * Weighted sum over rows of the loss; if `gradient` is given, `scale` times its gradient by the logits is written
 * there; it may be `logits` itself.
 *
 * logits, gradient: [rows, outputs]; targets: [rows, targetSize], NaN where unknown; weights: [rows].
 */
export function loss(
  settings: LossSettings,
  logits: Floats,
  targets: Floats,
  weights: Floats,
  rows: number,
  outputs: number,
  gradient: Floats | null,
  scale: number,
): number {
  const size = targetSize(settings.kind, outputs);
  let sum = 0;
  for (let row = 0; row < rows; row++) {
    const weight = weights[row]!;
    const at = row * outputs;
    if (weight === 0) {
      gradient?.fill(0, at, at + outputs);
      continue;
    }
    const target = row * size;
    const factor = weight * scale;
    if (settings.kind === 'classify') {
      sum +=
        weight *
        crossEntropy(logits, at, outputs, targets[target]!, settings.labelSmoothing, gradient, factor);
    } else if (settings.kind === 'anomaly') {
      sum += weight * laplace(logits, at, size, targets, target, gradient, factor);
    } else {
      sum += weight * squaredError(logits, at, outputs, targets, target, gradient, factor);
    }
  }
  return sum;
}

function crossEntropy(
  logits: Floats,
  at: number,
  classes: number,
  label: number,
  smoothing: number,
  gradient: Floats | null,
  factor: number,
): number {
  let top = Number.NEGATIVE_INFINITY;
  for (let c = 0; c < classes; c++) top = Math.max(top, logits[at + c]!);
  let total = 0;
  for (let c = 0; c < classes; c++) total += Math.exp(logits[at + c]! - top);
  const logTotal = top + Math.log(total);
  let sum = 0;
  for (let c = 0; c < classes; c++) {
    const share = smoothing / classes + (c === label ? 1 - smoothing : 0);
    sum += share * (logTotal - logits[at + c]!);
    if (gradient) gradient[at + c] = factor * (Math.exp(logits[at + c]! - logTotal) - share);
  }
  return sum;
}

/** Mean over channels of log 2 + s + |y - mean| e^-s; outputs: all means, then all log-scales s. */
function laplace(
  logits: Floats,
  at: number,
  channels: number,
  targets: Floats,
  target: number,
  gradient: Floats | null,
  factor: number,
): number {
  let sum = 0;
  for (let c = 0; c < channels; c++) {
    const error = targets[target + c]! - logits[at + c]!;
    if (Number.isNaN(error)) {
      if (gradient) gradient[at + c] = gradient[at + channels + c] = 0;
      continue;
    }
    const logScale = Math.max(logits[at + channels + c]!, LOG_SCALE_MIN);
    const free = logits[at + channels + c]! > LOG_SCALE_MIN;
    const inverse = Math.exp(-logScale);
    sum += Math.LN2 + logScale + Math.abs(error) * inverse;
    if (!gradient) continue;
    gradient[at + c] = (-Math.sign(error) * inverse * factor) / channels;
    gradient[at + channels + c] = free ? ((1 - Math.abs(error) * inverse) * factor) / channels : 0;
  }
  return sum / channels;
}

function squaredError(
  logits: Floats,
  at: number,
  outputs: number,
  targets: Floats,
  target: number,
  gradient: Floats | null,
  factor: number,
): number {
  let sum = 0;
  for (let c = 0; c < outputs; c++) {
    const error = logits[at + c]! - targets[target + c]!;
    if (Number.isNaN(error)) {
      if (gradient) gradient[at + c] = 0;
      continue;
    }
    sum += error * error;
    if (gradient) gradient[at + c] = (2 * error * factor) / outputs;
  }
  return sum / outputs;
}

/**
 * Weight of the exit after each layer, summing to 1, rising with depth (LayerSkip, arXiv 2404.16710, section 4.1.2).
 * Counted from 1, not 0 as there: with two layers the first exit would get no weight at all, and tier 1 is that exit.
 * Each round of refinement weighs as much as the last layer, since any of them may be the answer.
 */
export function exitWeights(layers: number, exitScale: number, rounds = 0): number[] {
  const raw = Array.from({ length: layers }, (_, index) => {
    const layer = index + 1;
    const before = (exitScale * layer * (layer + 1)) / 2;
    return layer < layers ? before : layer + (exitScale * layer * (layer - 1)) / 2;
  });
  raw.push(...Array.from({ length: rounds }, () => raw[layers - 1]!));
  const total = raw.reduce((sum, value) => sum + value, 0);
  return raw.map((value) => value / total);
}

/** Probability that a sequence leaves out a layer: 0 at the first, `max` at the last (LayerSkip, section 4.1.1). */
export function layerDropout(layer: number, layers: number, max: number): number {
  if (layers === 1) return 0;
  return max * (2 ** (layer / (layers - 1)) - 1);
}
