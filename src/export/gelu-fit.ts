/**
 * What the steps of a GELU table stand for, read from the table itself: the file holds no scales, but the curve of
 * GELU has only one place where it bends, so 256 samples of it tell where they were taken.
 */
import { ACTIVATION_MAX, TABLE_SIZE } from '../engine/limits.ts';

/** table[u + 128] is about zero + GELU(center + u step) / outputStep, within 0 and 127. */
export interface GeluScales {
  readonly center: number;
  readonly step: number;
  readonly zero: number;
  readonly outputStep: number;
}

const HALF = TABLE_SIZE / 2;
/** The table was rounded to whole steps; a fit that is further off than this is no GELU. */
const DEVIATION_MAX = 1;
/** A curve flatter than this, in steps per unit, is a constant. */
const SLOPE_MIN = 1e-3;
const GRID = 48;
const REFINEMENTS = 400;

/** Abramowitz and Stegun 7.1.26 with an error below 1.5e-7. */
export function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - series * Math.exp(-x * x));
}

export function gelu(x: number): number {
  return 0.5 * x * (1 + erf(x / Math.SQRT2));
}

/** The scales of this table, or null if it is no GELU (by more than one step anywhere). */
export function fitGelu(table: Uint8Array): GeluScales | null {
  let best = coarse(table);
  let center = 0.25;
  let ratio = 0.25;
  for (let i = 0; i < REFINEMENTS; i++) {
    const around = [
      attempt(table, best.center + center * best.step * 8, best.step),
      attempt(table, best.center - center * best.step * 8, best.step),
      attempt(table, best.center, best.step * (1 + ratio)),
      attempt(table, best.center, best.step / (1 + ratio)),
      attempt(table, best.center * (1 + ratio), best.step * (1 + ratio)),
      attempt(table, best.center / (1 + ratio), best.step / (1 + ratio)),
    ].reduce((a, b) => (b.error < a.error ? b : a));
    if (around.error < best.error) best = around;
    else [center, ratio] = [center * 0.7, ratio * 0.7];
  }
  return maximumDeviation(table, best) <= DEVIATION_MAX ? best : null;
}

/** The table's entry for index u, without the rounding. */
function geluStep({ center, step, zero, outputStep }: GeluScales, u: number): number {
  return Math.min(Math.max(zero + gelu(center + u * step) / outputStep, 0), ACTIVATION_MAX);
}

interface Attempt extends GeluScales {
  readonly error: number;
}

function coarse(table: Uint8Array): Attempt {
  let best = attempt(table, 0, 0.03);
  for (let i = 0; i < GRID; i++) {
    const step = 0.002 * 500 ** (i / (GRID - 1));
    for (let j = 0; j < GRID; j++) {
      const center = -step * (j / (GRID - 1) - 0.5) * 1.9 * HALF;
      const one = attempt(table, center, step);
      if (one.error < best.error) best = one;
    }
  }
  return best;
}

/** Least squares of zero and outputStep for this center and step, over the entries that do not saturate. */
function attempt(table: Uint8Array, center: number, step: number): Attempt {
  let [n, x, y, xx, xy, yy] = [0, 0, 0, 0, 0, 0];
  for (let index = 0; index < TABLE_SIZE; index++) {
    const value = table[index]!;
    if (value === 0 || value === ACTIVATION_MAX) continue;
    const curve = gelu(center + (index - HALF) * step);
    n++;
    x += curve;
    y += value;
    xx += curve * curve;
    xy += curve * value;
    yy += value * value;
  }
  const slope = (n * xy - x * y) / (n * xx - x * x);
  const zero = (y - slope * x) / n;
  const error = yy - zero * y - slope * xy;
  const usable = n > 2 && slope > SLOPE_MIN && Number.isFinite(zero);
  return {
    center,
    step,
    zero: usable ? zero : 0,
    outputStep: usable ? 1 / slope : 1,
    error: usable ? error : Infinity,
  };
}

function maximumDeviation(table: Uint8Array, scales: GeluScales): number {
  return table.reduce(
    (worst, value, index) => Math.max(worst, Math.abs(value - geluStep(scales, index - HALF))),
    0,
  );
}
