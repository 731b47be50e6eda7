/** `dormouse calibrate energy`: fit the watt model of this machine against its meter. */
import { mkdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import {
  type Calibration,
  calibrationName,
  fitLoads,
  type LoadMeasurement,
  saveCalibration,
} from '../energy/calibration.ts';
import { makeProcessClock } from '../energy/cpu-time.ts';
import { type LoadBench, type LoadTimes, measureLoad } from '../energy/measure-loads.ts';
import type { Meter } from '../energy/meter.ts';
import { PlugMeter } from '../energy/plug.ts';
import { findTarget, targets } from '../energy/target.ts';
import { wattModelOf } from '../energy/watt-model.ts';
import { policyNames } from '../gate/policy.ts';
import type { LedgerConfig, MqttConfig } from '../gateway/config/config.ts';
import { loadGatewayConfig } from '../gateway/config/load-config.ts';
import { PlugPart } from '../gateway/energy-part.ts';
import { MqttConnection } from '../gateway/mqtt/mqtt.ts';
import { Outbox } from '../gateway/outbox.ts';
import { burn } from './burn.ts';
import type { Command } from './command.ts';
import { chooseMachineMeter } from './open-ledger.ts';
import { numberOption, parseOptions, requireArguments } from './options.ts';
import { alignColumns } from './terminal/columns.ts';

const usage = `Usage: dormouse calibrate energy CONFIG [options]

Measures with the meter that CONFIG's ledger would take (hwmon, pmic, rapl or plug) what this machine draws idle, with one
core busy and with all, fits watts = idle + core x busy cores, and writes both, with their errors and what the line misses
each load by, to calibration.json in the ledger's directory. 'dormouse run' then takes them for the target's watts.
Stop the gateway and whatever else is busy before; it takes three minutes by default.

  --seconds N   for each load (default 60; a plug that reports every 5 minutes needs 1200 or more)
  --settle N    seconds before each, not measured (default 10)
  --dry-run     writes nothing
  --json        prints the calibration as one JSON object
`;

export const command: Command = {
  name: 'calibrate energy',
  summary: 'fit the watt model of this machine against its meter',
  usage,
  async run(args) {
    const { values, positionals } = parseOptions({
      args,
      options: {
        seconds: { type: 'string' },
        settle: { type: 'string' },
        'dry-run': { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
      },
      allowPositionals: true,
    });
    const [path] = requireArguments(positionals, 'a config file');
    const times = {
      measureMs: 1000 * numberOption('seconds', values.seconds, 60, 2, 86_400),
      settleMs: 1000 * numberOption('settle', values.settle, 10, 0, 3600),
    };
    const { config } = loadGatewayConfig(path, {
      policies: policyNames,
      targets: Object.keys(targets),
    });
    const { ledger, mqtt } = config;
    if (ledger === undefined) throw new Error(`${positionals[0]}: expected a section 'ledger', got none`);
    const calibration = await calibrate(ledger, mqtt, times);
    if (!values['dry-run']) save(ledger.directory, calibration);
    const text = values.json
      ? JSON.stringify(calibration)
      : describe(calibration, ledger, values['dry-run']).join('\n');
    process.stdout.write(`${text}\n`);
    return 0;
  },
};

async function calibrate(ledger: LedgerConfig, mqtt: MqttConfig, times: LoadTimes): Promise<Calibration> {
  const { meter, passedOver } = await chooseMachineMeter(ledger);
  if (meter === undefined)
    throw new Error(
      `no meter to calibrate against: ${passedOver.join('; ') || "the config asks for 'model'"}`,
    );
  process.stderr.write(`meter: ${meter.source}, ${meter.title}\n`);
  const plug = meter instanceof PlugMeter ? await listen(meter, mqtt) : undefined;
  try {
    return await calibrateAgainst(meter, cpus().length, machineBench(), times);
  } finally {
    await plug?.stop(500);
  }
}

export interface ClockedBench extends LoadBench {
  /** Mean clock since the last call, MHz; NaN where nobody tells. */
  clockMHz(): number;
}

function machineBench(): ClockedBench {
  const { busyMs, clockMHz, monotonicMs } = makeProcessClock();
  const sleep = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms));
  return { burn, sleep, monotonicMs, busyMs, clockMHz };
}

/** Idle, one core, all cores. Throws CalibrationError, which says what the meter said last. */
export async function calibrateAgainst(
  meter: Meter,
  cores: number,
  bench: ClockedBench,
  times: LoadTimes,
): Promise<Calibration> {
  const loads: LoadMeasurement[] = [];
  let clockMHz = Number.NaN;
  for (const busy of [...new Set([0, 1, cores])]) {
    process.stderr.write(`${busy === 0 ? 'idle' : `${busy} busy`} ...\n`);
    bench.clockMHz();
    loads.push(await measureLoad(meter, busy, bench, times));
    clockMHz = bench.clockMHz();
  }
  if (meter.failures > 0) process.stderr.write(`${meter.failures} readings failed: ${meter.lastFailure}\n`);
  return {
    version: 1,
    madeMs: Date.now(),
    source: meter.source,
    title: meter.title,
    cores,
    clockMHz: Number.isNaN(clockMHz) ? null : Math.round(clockMHz),
    ...fitLoads(loads),
  };
}

/** Connected and subscribed to the plug. Rejects with the reason when there is no broker. */
function listen(meter: PlugMeter, mqtt: MqttConfig): Promise<MqttConnection> {
  const part = new PlugPart(meter);
  return new Promise((resolve, reject) => {
    const connection: MqttConnection = new MqttConnection({
      mqtt: { ...mqtt, clientId: `${mqtt.clientId}-calibrate` },
      filters: part.filters,
      keepSession: false,
      outbox: new Outbox(2, 1),
      receiveMaximum: 100,
      packetBytes: 1 << 20,
      events: {
        onMessage: (topic, payload, retained, proceed) => {
          part.onMessage(topic, payload, retained);
          proceed();
        },
        onReady: () => resolve(connection),
        onLost: (reason) => {
          void connection.stop(0);
          reject(new Error(`${mqtt.url}: ${reason}`));
        },
        onFatal: reject,
        onProblem: (text) => void process.stderr.write(`${text}\n`),
      },
    });
    connection.start();
  });
}

function save(directory: string, calibration: Calibration): void {
  mkdirSync(directory, { recursive: true });
  saveCalibration(join(directory, calibrationName), calibration);
}

function describe(calibration: Calibration, ledger: LedgerConfig, isDry: boolean): string[] {
  const { idleWatts, coreWatts, idleErrorWatts, coreErrorWatts, rmsWatts, loads } = calibration;
  const target = wattModelOf(findTarget(ledger.target));
  const two = (value: number) => value.toFixed(3);
  return [
    `idle ${two(idleWatts)} W +- ${two(idleErrorWatts)}, a busy core ${two(coreWatts)} W +- ${two(coreErrorWatts)} more (95 %)`,
    `${ledger.target} says ${two(target.idleWatts)} W and ${two(target.coreWatts)} W (${target.basis})`,
    '',
    ...alignColumns([
      ['busy cores', 'W', 'deviation', 'readings', 'residual'],
      ...loads.map(({ busyCores, watts, deviationWatts, readings, residualWatts }) => [
        busyCores.toFixed(2),
        two(watts),
        two(deviationWatts),
        String(readings),
        two(residualWatts),
      ]),
    ]),
    `root mean square of the residuals ${two(rmsWatts)} W`,
    isDry ? 'not written' : `written to ${join(ledger.directory, calibrationName)}`,
  ];
}
