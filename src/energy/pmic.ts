/**
 * The Raspberry Pi 5's power management chip, through `vcgencmd pmic_read_adc`: volts and amperes of its rails. Their
 * sum leaves out whatever hangs at 5 V (USB, HATs, NVMe) and what the conversion itself takes.
 */
import { MeterProblem } from './meter.ts';
import type { PowerSensor } from './polled-meter.ts';
import type { RunProgram } from './programs.ts';

export interface Rail {
  readonly name: string;
  readonly volts: number;
  readonly amperes: number;
}

/** Without them the sum would not be the board's. */
const mainRail = 'VDD_CORE';
/** More than any rail carries. */
const amperesMax = 50;
const voltsMax = 30;

const line = /^(\w+)_([AV])\s+(current|volt)\(\d+\)=(\d+(?:\.\d+)?)([AV])$/;

/** The rails that tell both, in the order of their currents. Throws MeterProblem for output that is cut or foreign. */
export function parsePmic(text: string): readonly Rail[] {
  const volts = new Map<string, number>();
  const amperes = new Map<string, number>();
  for (const each of text.split('\n').map((part) => part.trim())) {
    if (each !== '') readLine(each, volts, amperes);
  }
  const rails = [...amperes].map(([name, current]) => pair(name, current, volts.get(name)));
  if (!amperes.has(mainRail))
    throw new MeterProblem(`pmic_read_adc: expected a rail ${mainRail}, got ${quote(text)}`);
  return rails;
}

function readLine(text: string, volts: Map<string, number>, amperes: Map<string, number>): void {
  const [, name, kind, quantity, number, unit] = line.exec(text) ?? [];
  const isCurrent = kind === 'A';
  const value = Number(number);
  if (name === undefined || unit !== kind || quantity !== (isCurrent ? 'current' : 'volt'))
    throw new MeterProblem(
      `pmic_read_adc: expected lines such as 'VDD_CORE_A current(7)=1.25A', got ${quote(text)}`,
    );
  if (!(value <= (isCurrent ? amperesMax : voltsMax)))
    throw new MeterProblem(
      `pmic_read_adc: expected at most ${amperesMax} A and ${voltsMax} V, got ${quote(text)}`,
    );
  (isCurrent ? amperes : volts).set(name, value);
}

function pair(name: string, amperes: number, volts: number | undefined): Rail {
  if (volts !== undefined) return { name, volts, amperes };
  throw new MeterProblem(`pmic_read_adc: expected ${name}_V beside ${name}_A, got nothing`);
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}

/** What the rails sum up to, watts. */
export function railWatts(rails: readonly Rail[]): number {
  return rails.reduce((sum, { volts, amperes }) => sum + volts * amperes, 0);
}

/**
 * Watts at the USB-C plug, by a line that was fitted on one bare board with a meter before it (jfikar/RPi5-power).
 * Other boards, hats and power supplies differ: `dormouse calibrate energy` against a better meter says by how much.
 */
export function correctedWatts(rawWatts: number): number {
  return 1.1451 * rawWatts + 0.5879;
}

/** A process is started for each sample, which is work on an idle gateway: so not every second. */
const intervalMs = 10_000;

/** The accuracy is what the fit's plot scatters by at a gateway's load, an assumption for any other board. */
export function pmicSensor(run: RunProgram): PowerSensor {
  let rails: readonly Rail[] = [];
  return {
    source: 'pmic',
    scope: 'board',
    title: 'Raspberry Pi 5 PMIC (sum of its rails, corrected: 1.1451 x sum + 0.5879 W)',
    resolutionWatts: 0.05,
    accuracyShare: 0.1,
    intervalMs,
    async sample() {
      rails = parsePmic(await run('vcgencmd', ['pmic_read_adc']));
      return correctedWatts(railWatts(rails));
    },
    get lastText() {
      const raw = railWatts(rails);
      return `${correctedWatts(raw).toFixed(2)} W, of which ${rails.length} rails tell ${raw.toFixed(2)} W`;
    },
  };
}
