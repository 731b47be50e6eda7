/** How unsure an output is, for the gate to weigh before the next token. */
import type { Task } from '../engine/model.ts';
import { Q15_ONE } from '../gate/packets.ts';
import type { Output } from './output.ts';

/**
 * Q15. classify: 1 minus the probability of the class; anomaly: the score over the threshold, 0 to 1; forecast: 1,
 * since a forecast does not say how sure it is. 1 before the first output. A whole number: a double would be allocated.
 */
export function doubtOf(output: Output, task: Task): number {
  if (!output.hasValue || task.kind === 'forecast') return Q15_ONE;
  if (task.kind === 'classify') return Math.round((1 - output.confidence) * Q15_ONE);
  if (Number.isNaN(output.score)) return Q15_ONE;
  if (!(output.score > 0)) return 0;
  return output.score >= task.threshold ? Q15_ONE : Math.round((output.score / task.threshold) * Q15_ONE);
}
