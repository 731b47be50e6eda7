/** How sure an answer is, from its logits alone. */
import type { Task } from '../engine/model.ts';

/**
 * classify: the lead of the best class over the next, natural log, Q16.
 * anomaly: minus the mean predicted log scale, Q16. A forecast says nothing of its certainty.
 */
export function confidenceQ16(task: Task, logits: Int32Array): number {
  return task.kind === 'classify' ? leadOf(logits) : task.kind === 'anomaly' ? sharpnessOf(logits) : 0;
}

function leadOf(logits: Int32Array): number {
  let best = Number.NEGATIVE_INFINITY;
  let second = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i]!;
    if (logit > best) {
      second = best;
      best = logit;
    } else if (logit > second) second = logit;
  }
  return best - second;
}

function sharpnessOf(logits: Int32Array): number {
  const channels = logits.length / 2;
  let sum = 0;
  for (let channel = 0; channel < channels; channel++) sum += logits[channels + channel]!;
  return Math.round(-sum / channels);
}
