/** From a config to a ledger with its meter: which one counts, by what calibration, and what is told about it. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Calibration, calibrationName, loadCalibration, wattModelFrom } from '../energy/calibration.ts';
import { chooseMeter, hasFirmware, type MeterChoice } from '../energy/choose-meter.ts';
import { Ledger } from '../energy/ledger.ts';
import { LedgerFile, ledgerName } from '../energy/ledger-file.ts';
import { PlugMeter } from '../energy/plug.ts';
import { runProgram } from '../energy/programs.ts';
import { systemFiles } from '../energy/system-files.ts';
import { findTarget } from '../energy/target.ts';
import { ThrottleWatch, throttleNames } from '../energy/throttling.ts';
import { measureTierCosts, type TierCosts } from '../energy/tier-cost.ts';
import { wattModelOf } from '../energy/watt-model.ts';
import { Engine } from '../engine/engine.ts';
import { type GatewayConfig, type LedgerConfig, ownTopics } from '../gateway/config/config.ts';
import { EnergyPart, PlugPart } from '../gateway/energy-part.ts';
import type { Log } from '../gateway/log.ts';
import type { GatewayPart } from '../gateway/part.ts';

/** What held within an interval, not at some time since the board was started. */
const heldBits = 0xf;

/** The parts of a gateway that a chosen meter hears messages by. */
export function meterParts({ meter }: MeterChoice): GatewayPart[] {
  return meter instanceof PlugMeter ? [new PlugPart(meter)] : [];
}

/** Asks this machine for its meters. */
export function chooseMachineMeter(config: LedgerConfig): Promise<MeterChoice> {
  return chooseMeter(config, { files: systemFiles(), run: runProgram });
}

/** The ledger of a config, its directory made. Throws what the disk throws. */
export function openLedger(
  config: GatewayConfig,
  { meter, passedOver }: MeterChoice,
  engine: Engine,
  log: Log,
): EnergyPart {
  const settings = config.ledger!;
  mkdirSync(settings.directory, { recursive: true });
  const target = findTarget(settings.target);
  const calibration = calibrationOf(settings, log);
  const files = systemFiles();
  const make = (onRecord: NonNullable<ConstructorParameters<typeof Ledger>[0]['onRecord']>) =>
    new Ledger({
      target,
      watts: calibration === undefined ? wattModelOf(target) : wattModelFrom(calibration),
      ...(meter === undefined ? {} : { meter, isCalibrated: calibration?.source === meter.source }),
      file: new LedgerFile({ path: join(settings.directory, ledgerName) }),
      intervalMs: settings.intervalMs,
      batch: Math.max(1, Math.floor(settings.flushMs / settings.intervalMs)),
      costs: measureTierCosts(engine),
      throttling: new ThrottleWatch(files, hasFirmware(files) ? runProgram : undefined),
      onRecord: (record) => {
        tellMeter();
        tellThrottling(record.throttled);
        onRecord(record);
      },
    });
  let ledger: Ledger | undefined;
  const tellMeter = failureTeller(() => ledger, log);
  const tellThrottling = throttlingTeller(log);
  const part = new EnergyPart((onRecord) => (ledger = make(onRecord)), ownTopics(config).energy, costsOfTwin);
  tellChoice(ledger!, settings, passedOver, log);
  return part;
}

/** Measured on an engine of its own, since measuring empties its stream. */
function costsOfTwin({ model, kernel }: Engine): TierCosts {
  return measureTierCosts(new Engine(model, { kernels: kernel }));
}

/** A damaged calibration is no reason not to start. */
function calibrationOf({ directory }: LedgerConfig, log: Log): Calibration | undefined {
  try {
    return loadCalibration(join(directory, calibrationName));
  } catch (error) {
    log.warning(`${(error as Error).message}; the target's watts stand in`);
    return undefined;
  }
}

function tellChoice(
  ledger: Ledger,
  { meter: wanted }: LedgerConfig,
  passedOver: readonly string[],
  log: Log,
): void {
  const isWanted = wanted === 'auto' || wanted === ledger.meter.source;
  const why = passedOver.length === 0 ? '' : `; not ${passedOver.join('; not ')}`;
  const text = `ledger: joules from ${ledger.meter.source}, ${ledger.meter.title}${why}`;
  if (isWanted) log.info(text);
  else log.warning(text);
}

/** Tells of a meter's failures once an interval at most, and only when there are new ones. */
function failureTeller(ledger: () => Ledger | undefined, log: Log): () => void {
  let told = 0;
  return () => {
    const meter = ledger()?.meter;
    if (meter === undefined || meter.failures === told) return;
    log.warning(`${meter.source} meter: ${meter.failures - told} readings failed: ${meter.lastFailure}`);
    told = meter.failures;
  };
}

/** Tells that the supply sags or the board slows itself down, when that changes from one interval to the next. */
function throttlingTeller(log: Log): (bits: number | null) => void {
  let told = '';
  return (bits) => {
    const held = throttleNames((bits ?? 0) & heldBits).join(', ');
    if (held !== told) {
      if (held === '') log.info(`no longer ${told}`);
      else log.warning(`${held}: readings of this time are not those of a healthy board`);
    }
    told = held;
  };
}
