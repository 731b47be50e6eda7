/** Which of the meters that this machine has counts the joules, and why not the others. */
import { findHwmonChips, type HwmonChip, hwmonSensor } from './hwmon.ts';
import { type Meter, MeterProblem, type MeterSource } from './meter.ts';
import type { MeterSettings } from './meter-settings.ts';
import { PlugMeter } from './plug.ts';
import { pmicSensor } from './pmic.ts';
import { PolledMeter } from './polled-meter.ts';
import type { RunProgram } from './programs.ts';
import { findRaplZones, RaplMeter } from './rapl.ts';
import type { SystemFiles } from './system-files.ts';

/** The machine that is asked. */
export interface Machine {
  readonly files: SystemFiles;
  readonly run: RunProgram;
  readonly monotonicMs?: () => number;
}

/** Nearest to what the board draws at a gateway's few watts. */
const bestFirst: readonly MeterSource[] = ['hwmon', 'pmic', 'plug', 'rapl'];

export interface MeterChoice {
  /** Undefined: the watt model. */
  readonly meter: Meter | undefined;
  /** Why each better source was not taken: `hwmon: no power chip ...`. */
  readonly passedOver: readonly string[];
}

/** `auto`: the best that answers. A source that is asked for and does not answer is passed over too: the model remains. */
export async function chooseMeter(settings: MeterSettings, machine: Machine): Promise<MeterChoice> {
  const { meter: wanted } = settings;
  const order: readonly MeterSource[] = wanted === 'auto' ? bestFirst : [wanted];
  const passedOver: string[] = [];
  for (const source of order) {
    if (source === 'model') break;
    try {
      return { meter: await openers[source](settings, machine), passedOver };
    } catch (error) {
      if (!(error instanceof MeterProblem)) throw error;
      passedOver.push(`${source}: ${error.message}`);
    }
  }
  return { meter: undefined, passedOver };
}

type Opener = (settings: MeterSettings, machine: Machine) => Promise<Meter>;

const openers: Readonly<Record<Exclude<MeterSource, 'model'>, Opener>> = {
  hwmon: async ({ chip }, { files, monotonicMs }) => {
    const sensor = hwmonSensor(
      files,
      findChip(
        guarded(() => findHwmonChips(files)),
        chip,
      ),
    );
    await sensor.sample();
    return new PolledMeter(sensor, monotonicMs);
  },
  pmic: async (_, { files, run, monotonicMs }) => {
    if (!hasFirmware(files)) throw new MeterProblem('no /dev/vcio: this is no Raspberry Pi');
    const sensor = pmicSensor(run);
    await sensor.sample();
    return new PolledMeter(sensor, monotonicMs);
  },
  plug: async ({ plug }, { monotonicMs }) => {
    if (plug === undefined) throw new MeterProblem('none is configured');
    return new PlugMeter(plug.kind, plug.topic, monotonicMs);
  },
  rapl: async (_, { files, monotonicMs }) => {
    const zones = guarded(() => findRaplZones(files));
    if (zones.length === 0) throw new MeterProblem('no package under /sys/class/powercap');
    return new RaplMeter(files, zones, monotonicMs);
  },
};

function findChip(chips: readonly HwmonChip[], device: string | undefined): HwmonChip {
  const chip = device === undefined ? chips[0] : chips.find((each) => each.device === device);
  if (chip !== undefined) return chip;
  const got = chips.map((each) => each.device).join(', ') || 'none';
  throw new MeterProblem(
    `expected a power chip${device === undefined ? '' : ` ${device}`} (INA219, INA226, INA260 ...) under /sys/class/hwmon, got ${got}`,
  );
}

/** Whether the machine has the Raspberry Pi's firmware to ask. */
export function hasFirmware(files: SystemFiles): boolean {
  return guarded(() => files.list('/dev')).includes('vcio');
}

/** A directory that can't be listed is a meter that can't be used. */
function guarded<T>(list: () => T): T {
  try {
    return list();
  } catch (error) {
    if (error instanceof MeterProblem) throw error;
    throw new MeterProblem((error as Error).message, { cause: error });
  }
}
