/** Whether the machine had to slow down, or its supply sagged, while joules were counted. */
import type { RunProgram } from './programs.ts';
import { type SystemFiles, tryText } from './system-files.ts';

/** Bits as `vcgencmd get_throttled` gives them: now, and (16 to 19) since the board was started. */
const names: Readonly<Record<number, string>> = {
  0: 'undervoltage',
  1: 'frequency capped',
  2: 'throttled',
  3: 'soft temperature limit',
};
const nowBits = 0xf;
const sinceBootShift = 16;
const firmwareFile = '/sys/devices/platform/soc/soc:firmware/get_throttled';
const throttledBit = 4;
const undervoltageBit = 1;

/** What the bits mean; of the sticky ones those that do not hold now as well. */
export function throttleNames(bits: number): readonly string[] {
  const named = (shift: number, suffix: string) =>
    Object.entries(names).flatMap(([bit, name]) =>
      (bits >> (shift + Number(bit))) & 1 ? [`${name}${suffix}`] : [],
    );
  const earlier = named(sinceBootShift, ' since boot');
  return [...named(0, ''), ...earlier.filter((text) => ((bits & nowBits) >> bitOf(text)) % 2 === 0)];
}

function bitOf(text: string): number {
  return Number(Object.keys(names).find((bit) => text.startsWith(names[Number(bit)]!)));
}

/** Bits of `throttled=0x50005`, or of the number alone; undefined for anything else. */
export function parseThrottled(text: string): number | undefined {
  const [, digits] = /^(?:throttled=)?(?:0x)?([0-9a-f]{1,8})$/i.exec(text.trim()) ?? [];
  return digits === undefined ? undefined : Number.parseInt(digits, 16);
}

/** Looks at each interval; remembers what held at any look since it was last asked. */
export class ThrottleWatch {
  readonly #files: SystemFiles;
  readonly #run: RunProgram | undefined;
  #bits: number | undefined;
  #events = Number.NaN;

  /** `run`: for boards whose firmware must be asked by vcgencmd. */
  constructor(files: SystemFiles, run?: RunProgram) {
    this.#files = files;
    this.#run = run;
  }

  /** Never rejects: where nothing tells, nothing is known. */
  async look(): Promise<void> {
    const bits = await this.#read();
    if (bits !== undefined) this.#bits = (this.#bits ?? 0) | bits;
  }

  /** What held since the last time; null where nothing tells. */
  take(): number | null {
    const bits = this.#bits ?? null;
    this.#bits = undefined;
    return bits;
  }

  async #read(): Promise<number | undefined> {
    const firmware = tryText(this.#files, firmwareFile);
    if (firmware !== undefined) return parseThrottled(firmware);
    const told = this.#run && (await this.#run('vcgencmd', ['get_throttled']).catch(() => undefined));
    if (told !== undefined) return parseThrottled(told);
    return this.#undervoltage() ?? this.#packageEvents();
  }

  /** The Pi's voltage alarm, where hwmon has it. */
  #undervoltage(): number | undefined {
    const path = list(this.#files, '/sys/class/hwmon')
      .map((entry) => `/sys/class/hwmon/${entry}`)
      .find((each) => tryText(this.#files, `${each}/name`) === 'rpi_volt');
    const alarm = path && tryText(this.#files, `${path}/in0_lcrit_alarm`);
    if (alarm !== '0' && alarm !== '1') return undefined;
    return alarm === '1' ? undervoltageBit : 0;
  }

  /** How often an x64 processor has become too hot. */
  #packageEvents(): number | undefined {
    const events = Number(
      tryText(this.#files, '/sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count') ||
        Number.NaN,
    );
    if (Number.isNaN(events)) return undefined;
    const hasRisen = events > this.#events;
    this.#events = events;
    return hasRisen ? throttledBit : 0;
  }
}

function list(files: SystemFiles, path: string): readonly string[] {
  try {
    return files.list(path);
  } catch {
    return [];
  }
}
