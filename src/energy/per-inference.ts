/** Joules of one inference, or why nobody can tell. */
import type { LedgerTotals } from './ledger-totals.ts';
import type { MeterSource } from './meter.ts';

export type PerInference =
  | {
      readonly kind: 'figure';
      /** Above idle. */
      readonly joules: number;
      /** Half width of 95 %. */
      readonly errorJ: number;
      readonly inferences: number;
      readonly windowMs: number;
    }
  | { readonly kind: 'refused'; readonly reason: string };

/**
 * What the meter shows above idle, times this process's share of the CPU time, times the engine's share of that, over
 * the number of inferences. Refused where the meter can't resolve it: where what is above idle is not larger than its
 * error and its resolution.
 */
export function energyPerInference(totals: LedgerTotals, source: MeterSource): PerInference {
  const inferences = totals.ticks - totals.tiers[3];
  const aboveJ = totals.energyAboveIdleJ;
  if (inferences === 0) return refused('nothing was inferred');
  if (Number.isNaN(aboveJ))
    return refused(`what the ${source} meter shows at idle is not known: calibrate first`);
  if (totals.engineCpuMs === 0) return refused('the CPU time of a step was not measured');
  const errorJ = aboveErrorJ(totals, source);
  const limitJ = Math.max(source === 'model' ? 0 : errorJ, totals.resolutionJ);
  if (!(aboveJ > limitJ))
    return refused(
      `${format(aboveJ)} J above idle are less than what the ${source} meter can tell (${format(limitJ)} J)`,
    );
  const share = ownShare(totals) * Math.min(1, totals.engineCpuMs / totals.cpuMs);
  return {
    kind: 'figure',
    joules: (aboveJ * share) / inferences,
    errorJ: (errorJ * share) / inferences,
    inferences,
    windowMs: totals.knownMs,
  };
}

/** This process's part of all that was drawn above idle, by CPU time. */
function ownShare({ ownJ, othersJ }: LedgerTotals): number {
  return Number.isNaN(othersJ) ? 1 : ownJ / (ownJ + othersJ);
}

/**
 * Of what was drawn above idle, half width of 95 %. The model takes off the idle that it has put in, right or wrong, so
 * that only the cores are in doubt. A meter's scale is wrong by the same share at idle, so of that a share remains.
 */
function aboveErrorJ(totals: LedgerTotals, source: MeterSource): number {
  const { errorJ, noiseJ, idleErrorJ, energyJ, energyAboveIdleJ } = totals;
  if (source === 'model') return Math.max(0, errorJ - idleErrorJ);
  return noiseJ + idleErrorJ + (errorJ - noiseJ) * Math.abs(energyAboveIdleJ / energyJ);
}

function refused(reason: string): PerInference {
  return { kind: 'refused', reason };
}

function format(value: number): string {
  return String(Number(value.toPrecision(3)));
}
