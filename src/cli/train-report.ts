/** What `dormouse train` says at its end. */
import type { HistoryFit } from '../train/history-fit.ts';
import { describeValidation } from '../train/progress.ts';
import type { TrainingResult } from '../train/training-result.ts';

export function describeFit({ rows, ranks, ridge, validation }: HistoryFit): string {
  const errors = ranks.map((rank, tier) => `rank ${rank} ${validation[tier]!.toFixed(4)}`);
  return `linear path: ${rows} ticks back, ridge ${ridge}, validation loss ${errors.join(', ')}`;
}

/** `bytes`: of the file `output`. */
export function resultText(output: string, bytes: number, result: TrainingResult): string {
  const { model, bestStep, exits, alone, tiers, routedShares, leftOut } = result;
  const { layers } = model.config;
  const place = (exit: number) => (exit < layers ? `layer ${exit + 1}` : `refinement ${exit - layers + 1}`);
  const shares = routedShares.map((share) => `${(100 * share).toFixed(1)} %`);
  const lines = [
    `${output}: ${bytes} bytes, int8, from step ${bestStep}`,
    ...exits.map((exit, index) => `after ${place(index)}: ${describeValidation(exit)}`),
    ...(alone === null ? [] : [`linear path alone: ${describeValidation(alone)}`]),
    ...tiers.map((tier, index) => `tier ${index}: ${describeValidation(tier)}`),
    ...(shares.length === 0 ? [] : [`through routed layers: ${shares.join(', ')} of the tokens`]),
    ...(leftOut === null ? [] : [`rows left out: ${describeValidation(leftOut, '')}`]),
  ];
  return `${lines.join('\n  ')}\n`;
}

export function resultJson(output: string, bytes: number, seed: number, result: TrainingResult): string {
  const { validation, exits, alone, tiers, leftOut, bestStep, routedShares } = result;
  const ofHistory = alone === null ? {} : { alone, tiers };
  return `${JSON.stringify({ output, bytes, seed, bestStep, validation, exits, ...ofHistory, routedShares, leftOut })}\n`;
}
