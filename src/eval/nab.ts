/**
 * The Numenta anomaly benchmark's score, as the SKAB benchmark uses it: a window of time after each change point, of
 * which the first detection counts, the more the earlier.
 *
 * Lavin and Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms" (2015); its sigmoid in SKAB's form: a tanh from 1
 * at the window's begin to the value of a false alarm at its end.
 */

/** One file's scored rows. */
export interface ChangeRows {
  /** [rows] */
  readonly timeMs: ArrayLike<number>;
  /** [rows], 1 at a change point. */
  readonly changePoints: ArrayLike<number>;
  /** [rows], 1 where an alarm stands: its begin and its end are detections, for both are changes. */
  readonly alarms: ArrayLike<number>;
}

/** Profile "standard". */
const FALSE_ALARM = -0.11;
const MISSED = -1;
const NAB_WINDOW_MS = 60_000;

/**
 * 100 for a detection at every change point and no other, 0 for none at all; false detections take away without end. NaN
 * if nothing changes. Where a change point lies in the window of the one before, that window ends there.
 */
export function nabStandard(files: readonly ChangeRows[], windowMs = NAB_WINDOW_MS): number {
  let score = 0;
  let points = 0;
  for (const file of files) {
    const starts = rowsOf(file.timeMs, (row) => file.changePoints[row] === 1);
    const detections = rowsOf(file.timeMs, (row) => row > 0 && file.alarms[row] !== file.alarms[row - 1]);
    points += starts.length;
    score += scoreFile(starts, detections, windowMs);
  }
  if (points === 0) return Number.NaN;
  const nothing = MISSED * points;
  return (100 * (score - nothing)) / (points - nothing);
}

/** Times of the rows that are wanted. */
function rowsOf(timeMs: ArrayLike<number>, isWanted: (row: number) => boolean): number[] {
  return Array.from(timeMs).filter((_, row) => isWanted(row));
}

function scoreFile(starts: readonly number[], detections: readonly number[], windowMs: number): number {
  let score = 0;
  let used = 0;
  for (const [index, start] of starts.entries()) {
    const end = Math.min(start + windowMs, starts[index + 1] ?? Number.POSITIVE_INFINITY);
    const isLast = end === start + windowMs;
    const inside = detections.filter((time) => time >= start && (isLast ? time <= end : time < end));
    used += inside.length;
    score += inside.length === 0 ? MISSED : reward((inside[0]! - start) / (end - start));
  }
  return score + FALSE_ALARM * (detections.length - used);
}

/** 1 at 0, FALSE_ALARM at 1. */
function reward(share: number): number {
  const steep = Math.tanh(Math.PI * (share - 0.5)) / Math.tanh(Math.PI / 2);
  return (FALSE_ALARM + 1 - (1 - FALSE_ALARM) * steep) / 2;
}
