/** Alarms as who is woken by them counts: how often for nothing, and how long after something began. */
import { median } from '../statistics/statistics.ts';
import type { Metric } from './metrics.ts';

/** Rows `from` to `to` (excluded) that are 1. */
export interface Episode {
  readonly from: number;
  readonly to: number;
}

/** One file's scored rows. */
export interface AlarmRows {
  /** [rows] */
  readonly timeMs: ArrayLike<number>;
  /** [rows], 1 where something is wrong. */
  readonly labels: ArrayLike<number>;
  /** [rows], 1 where an alarm stands. */
  readonly alarms: ArrayLike<number>;
}

const DAY_MS = 86_400_000;

/** The longest runs of 1. */
export function episodesOf(flags: ArrayLike<number>): Episode[] {
  const episodes: Episode[] = [];
  for (let row = 0; row < flags.length; row++) {
    if (flags[row] !== 1) continue;
    const from = row;
    while (flags[row] === 1) row++;
    episodes.push({ from, to: row });
  }
  return episodes;
}

/**
 * falseAlarmsPerDay: alarms that touch nothing wrong, per day in which nothing was wrong. detectedShare: anomalies in
 * which an alarm stood; detectionDelayS: median seconds from the begin of those to the first row with an alarm. NaN where
 * there is nothing to count over.
 */
export function episodeMetric(files: readonly AlarmRows[], intervalMs: number): Metric {
  let falseAlarms = 0;
  let quietRows = 0;
  let anomalies = 0;
  const delaysS: number[] = [];
  for (const { timeMs, labels, alarms } of files) {
    falseAlarms += episodesOf(alarms).filter((alarm) => !holds(labels, alarm)).length;
    for (let row = 0; row < labels.length; row++) if (labels[row] !== 1) quietRows++;
    for (const anomaly of episodesOf(labels)) {
      anomalies++;
      const first = firstSet(alarms, anomaly);
      if (first !== null) delaysS.push((timeMs[first]! - timeMs[anomaly.from]!) / 1000);
    }
  }
  return {
    falseAlarmsPerDay: quietRows === 0 ? Number.NaN : falseAlarms / ((quietRows * intervalMs) / DAY_MS),
    detectedShare: anomalies === 0 ? Number.NaN : delaysS.length / anomalies,
    detectionDelayS: delaysS.length === 0 ? Number.NaN : median(delaysS),
  };
}

function firstSet(flags: ArrayLike<number>, { from, to }: Episode): number | null {
  for (let row = from; row < to; row++) if (flags[row] === 1) return row;
  return null;
}

function holds(flags: ArrayLike<number>, episode: Episode): boolean {
  return firstSet(flags, episode) !== null;
}
