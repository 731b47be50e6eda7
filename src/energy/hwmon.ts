/**
 * INA219, INA226, INA260 and their kin through Linux' hwmon: power of whatever hangs behind the shunt.
 * Units as in the kernel's Documentation/hwmon/ina2xx.rst: in1_input mV, curr1_input mA, power1_input uW.
 */
import { basename } from 'node:path';
import { MeterProblem } from './meter.ts';
import type { PowerSensor } from './polled-meter.ts';
import { readNumber, readText, type SystemFiles, tryText } from './system-files.ts';

const directory = '/sys/class/hwmon';
const chips = ['ina219', 'ina220', 'ina226', 'ina230', 'ina231', 'ina260'];
/** More than any of them can measure: 36 V times 15 A, and 80 A through a large shunt. */
const microwattsMax = 3e9;
const millivoltsMax = 40_000;
const milliamperesMax = 100_000;
/** Volts times amperes and the chip's own product may differ by rounding, or by being read a moment apart. */
const ratioMax = 2;
const comparableWatts = 0.2;

export interface HwmonChip {
  /** Such as `/sys/class/hwmon/hwmon2`; the number may be another after the next boot. */
  readonly path: string;
  readonly name: string;
  /** On its bus, such as `1-0040`: this stays. */
  readonly device: string;
}

/** Every power chip present, in the order of hwmon. Throws MeterProblem when hwmon itself can't be read. */
export function findHwmonChips(files: SystemFiles): readonly HwmonChip[] {
  return files
    .list(directory)
    .map((entry) => `${directory}/${entry}`)
    .map((path) => ({ path, name: tryText(files, `${path}/name`) ?? '', device: deviceOf(files, path) }))
    .filter(({ name }) => chips.includes(name));
}

function deviceOf(files: SystemFiles, path: string): string {
  try {
    return basename(files.resolve(`${path}/device`));
  } catch {
    return basename(path);
  }
}

/** The sensor of a chip. The accuracy is that of a shunt of one percent, an assumption. */
export function hwmonSensor(files: SystemFiles, chip: HwmonChip): PowerSensor {
  return {
    source: 'hwmon',
    scope: 'board',
    title: `${chip.name} ${chip.device} (${chip.path})`,
    resolutionWatts: 0.01,
    accuracyShare: 0.01,
    intervalMs: 1000,
    sample: () => hwmonWatts(files, chip.path),
  };
}

/**
 * Watts now: the chip's own product, or volts times amperes where it has none. Throws MeterProblem where something is
 * missing, no number, or where the two say different things, as when a driver changes a unit.
 */
export function hwmonWatts(files: SystemFiles, path: string): number {
  const product = productWatts(files, path);
  if (tryText(files, `${path}/power1_input`) === undefined) return product ?? missing(files, path);
  const told = readNumber(files, `${path}/power1_input`, 0, microwattsMax) / 1e6;
  if (product !== undefined && !agree(told, Math.abs(product)))
    throw new MeterProblem(
      `${path}: expected power1_input in microwatts, got ${told * 1e6}, but in1_input times curr1_input is ${Math.round(product * 1e6)}`,
    );
  return told;
}

function productWatts(files: SystemFiles, path: string): number | undefined {
  const has = (name: string) => tryText(files, `${path}/${name}`) !== undefined;
  if (!has('in1_input') || !has('curr1_input')) return undefined;
  const millivolts = readNumber(files, `${path}/in1_input`, 0, millivoltsMax);
  const milliamperes = readNumber(files, `${path}/curr1_input`, -milliamperesMax, milliamperesMax);
  return (millivolts * milliamperes) / 1e6;
}

function missing(files: SystemFiles, path: string): never {
  readText(files, `${path}/power1_input`);
  throw new MeterProblem(`${path}: expected power1_input, or in1_input and curr1_input, got neither`);
}

function agree(a: number, b: number): boolean {
  if (Math.max(a, b) < comparableWatts) return true;
  return a <= ratioMax * b && b <= ratioMax * a;
}
