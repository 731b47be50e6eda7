/** The watt model of one machine, fitted against a meter: two coefficients, and how far off they are. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileProblem } from '../text/file-problem.ts';
import { deviationsOf95, type MeterSource } from './meter.ts';
import type { WattModel } from './watt-model.ts';

/** What a meter showed while so many cores were busy. */
export interface LoadMeasurement {
  /** By the machine's own CPU times, so that what else ran is counted. */
  readonly busyCores: number;
  /** Watts, one for each reading. */
  readonly watts: readonly number[];
}

/** One load beside what the fit makes of it. */
export interface LoadResidual {
  readonly busyCores: number;
  readonly watts: number;
  /** Sample deviation of single readings. */
  readonly deviationWatts: number;
  readonly readings: number;
  readonly residualWatts: number;
}

export interface Calibration {
  readonly version: 1;
  readonly madeMs: number;
  /** The meter that it was made against. */
  readonly source: MeterSource;
  readonly title: string;
  readonly cores: number;
  /** The clock under load; null where it was not told. */
  readonly clockMHz: number | null;
  readonly idleWatts: number;
  readonly coreWatts: number;
  readonly idleErrorWatts: number;
  readonly coreErrorWatts: number;
  readonly rmsWatts: number;
  readonly loads: readonly LoadResidual[];
}

export const calibrationName = 'calibration.json';

/** A calibration that can't be made, or a file that holds none. */
export class CalibrationError extends Error {
  override readonly name = 'CalibrationError';
}

type Fit = Pick<
  Calibration,
  'idleWatts' | 'coreWatts' | 'idleErrorWatts' | 'coreErrorWatts' | 'rmsWatts' | 'loads'
>;

/**
 * Least squares of `watts = idle + core x busyCores` over the loads' means, each load counted alike. The errors are 95 %
 * of what the readings scatter, and how far the line misses the loads: the first busy core often takes more than the
 * fourth. Throws CalibrationError unless there are two loads that differ, with two readings each.
 */
export function fitLoads(measurements: readonly LoadMeasurement[]): Fit {
  const loads = measurements.map(meanOfLoad);
  const center = mean(loads.map(({ busyCores }) => busyCores));
  const spread = loads.reduce((sum, { busyCores }) => sum + (busyCores - center) ** 2, 0);
  if (!(spread > 0.01)) {
    const got = loads.map(({ busyCores }) => busyCores.toFixed(1)).join(', ');
    throw new CalibrationError(
      `expected loads that differ, got ${got} busy cores: does something else keep them busy?`,
    );
  }
  const coreWatts = loads.reduce((sum, load) => sum + (load.busyCores - center) * load.watts, 0) / spread;
  const idleWatts = mean(loads.map(({ watts }) => watts)) - coreWatts * center;
  if (!(coreWatts > 0 && idleWatts >= 0))
    throw new CalibrationError(
      `expected a busy core to take more than an idle one, got ${coreWatts.toFixed(3)} W more; idle ${idleWatts.toFixed(3)} W`,
    );
  const residuals = loads.map((load) => ({
    ...load,
    residualWatts: load.watts - idleWatts - coreWatts * load.busyCores,
  }));
  return { idleWatts, coreWatts, ...errorsOf(residuals, center, spread), loads: residuals };
}

function meanOfLoad({ busyCores, watts }: LoadMeasurement) {
  if (watts.length < 2)
    throw new CalibrationError(
      `expected at least 2 readings of the meter with ${busyCores.toFixed(1)} busy cores, got ${watts.length}`,
    );
  const middle = mean(watts);
  const variance = watts.reduce((sum, each) => sum + (each - middle) ** 2, 0) / (watts.length - 1);
  return { busyCores, watts: middle, deviationWatts: Math.sqrt(variance), readings: watts.length };
}

function errorsOf(loads: readonly LoadResidual[], center: number, spread: number) {
  const variances = loads.map(({ deviationWatts, readings }) => deviationWatts ** 2 / readings);
  const coreVariance = loads.reduce(
    (sum, load, at) => sum + ((load.busyCores - center) / spread) ** 2 * variances[at]!,
    0,
  );
  const idleVariance = loads.reduce(
    (sum, load, at) =>
      sum + (1 / loads.length - (center * (load.busyCores - center)) / spread) ** 2 * variances[at]!,
    0,
  );
  const [lightest] = [...loads].sort((a, b) => a.busyCores - b.busyCores);
  const missedCore = Math.max(
    ...loads.map(({ busyCores, residualWatts }) =>
      busyCores > 0.5 ? Math.abs(residualWatts) / busyCores : 0,
    ),
  );
  return {
    idleErrorWatts: deviationsOf95 * Math.sqrt(idleVariance) + Math.abs(lightest!.residualWatts),
    coreErrorWatts: deviationsOf95 * Math.sqrt(coreVariance) + missedCore,
    rmsWatts: Math.sqrt(mean(loads.map(({ residualWatts }) => residualWatts ** 2))),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, each) => sum + each, 0) / values.length;
}

export function wattModelFrom(calibration: Calibration): WattModel {
  const { idleWatts, coreWatts, idleErrorWatts, coreErrorWatts, clockMHz } = calibration;
  return {
    idleWatts,
    coreWatts,
    idleErrorWatts,
    coreErrorWatts,
    clockMHz: clockMHz ?? Number.NaN,
    basis: 'calibrated',
  };
}

/** Writes the file whole or not at all. Throws what the disk throws. */
export function saveCalibration(path: string, calibration: Calibration): void {
  const partial = `${path}.partial`;
  writeFileSync(partial, `${JSON.stringify(calibration, null, 2)}\n`);
  renameSync(partial, path);
}

/** The calibration in a file; undefined when there is no such file. Throws CalibrationError for anything else. */
export function loadCalibration(path: string): Calibration | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CalibrationError(`${path}: expected a calibration, got ${fileProblem(error)}`, {
      cause: error,
    });
  }
  return parseCalibration(text, path);
}

function parseCalibration(text: string, path: string): Calibration {
  let value: Partial<Calibration>;
  try {
    value = JSON.parse(text) ?? {};
  } catch {
    throw new CalibrationError(
      `${path}: expected a calibration in JSON, got ${JSON.stringify(text.slice(0, 60))}`,
    );
  }
  if (value.version !== 1)
    throw new CalibrationError(`${path}: expected version 1, got ${JSON.stringify(value.version)}`);
  for (const key of ['idleWatts', 'coreWatts', 'idleErrorWatts', 'coreErrorWatts'] as const) {
    const watts = value[key];
    if (!(typeof watts === 'number' && watts >= 0 && watts <= 10_000))
      throw new CalibrationError(
        `${path}: ${key}: expected watts from 0 to 10000, got ${JSON.stringify(watts)}`,
      );
  }
  return value as Calibration;
}
