/** A simulated day of a gateway's ledger and witness log with default settings; what they say they wrote. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Ledger } from '../../src/energy/ledger.ts';
import { LedgerFile, ledgerName } from '../../src/energy/ledger-file.ts';
import { findTarget } from '../../src/energy/target.ts';
import { Witness } from '../../src/gate/witness.ts';
import type { GatewayConfig } from '../../src/gateway/config/config.ts';
import { parseGatewayConfig } from '../../src/gateway/config/load-config.ts';
import { WitnessLog } from '../../src/gateway/disk/witness-log.ts';
import { Random } from '../../src/train/random.ts';

export interface DayOfWriting {
  readonly ledgerBytes: number;
  readonly records: number;
  readonly witnessBytes: number;
  readonly witnesses: number;
  /** Witnesses that the day's bytes did not suffice for. */
  readonly passedOver: number;
  /** Times that a file was written and synchronised. */
  readonly flushes: number;
}

const costs = [
  { cpuNs: 2.1e6, bytes: 432_016 },
  { cpuNs: 1.3e6, bytes: 230_144 },
  { cpuNs: 0.9e6, bytes: 228_608 },
] as const;
const daySeconds = 86_400;

/** Writes into `directory`. `model` is the path of a model file; nothing of it is run. */
export async function writeDay(
  directory: string,
  model: string,
  ticksPerSecond: number,
): Promise<DayOfWriting> {
  const { witnessLog: logConfig, ledger: ledgerConfig } = defaults(directory, model);
  const now = { ms: 0, cpuMs: 0, busyMs: 0 };
  const clock = { monotonicMs: () => now.ms, cpuMs: () => now.cpuMs, busyMs: () => now.busyMs };
  const witnessLog = await WitnessLog.open(logConfig!, fail, clock.monotonicMs);
  const file = new LedgerFile({ path: join(ledgerConfig!.directory, ledgerName) });
  const wallClockMs = () => 1.76e12 + now.ms;
  const ledger = new Ledger({ target: findTarget('pi4'), file, clock, costs, wallClockMs });
  const makeTick = witnesses();
  let flushes = 2;
  for (let second = 1; second <= daySeconds; second++) {
    for (let i = 0; i < ticksPerSecond; i++) {
      const witness = makeTick();
      ledger.onTick(witness);
      witnessLog.onTick(witness);
      now.cpuMs += 0.37;
      now.busyMs += 0.61;
    }
    now.ms = second * 1000;
    // A real second has time for what a full batch began to write.
    await witnessLog.records.settled();
    if (now.ms % ledgerConfig!.intervalMs === 0) ledger.closeInterval();
    if (now.ms % ledgerConfig!.flushMs === 0) flushes += await once(ledger.flush());
    if (now.ms % logConfig!.flushMs === 0) flushes += await once(witnessLog.flush());
  }
  await ledger.flush();
  await witnessLog.stop();
  const { writtenBytes: witnessBytes, passedOver, written } = witnessLog.counters().witnessLog;
  const { writtenBytes: ledgerBytes, written: records } = ledger;
  return {
    ledgerBytes,
    records,
    witnessBytes: witnessBytes!,
    witnesses: written!,
    passedOver: passedOver!,
    flushes,
  };
}

async function once(work: Promise<void>): Promise<number> {
  await work;
  return 1;
}

/** What a config says that only names the directories. */
function defaults(directory: string, model: string): GatewayConfig {
  const text = JSON.stringify({
    gateway: 'card',
    model,
    mqtt: { url: 'mqtt://127.0.0.1' },
    source: { topic: 'room', object: true },
    witnessLog: { directory: join(directory, 'witness') },
    ledger: { directory: join(directory, 'ledger'), target: 'pi4' },
  });
  return parseGatewayConfig(text, join(directory, 'card.yaml')).config;
}

/** Half of the ticks compute, and trust changes now and then: more than a quiet room has. The witness is reused. */
function witnesses(): () => Witness {
  const random = new Random(1);
  const witness = new Witness();
  return () => {
    const u = random.uniform();
    witness.tier = u < 0.1 ? 0 : u < 0.4 ? 1 : u < 0.5 ? 2 : 3;
    witness.trust = random.uniform() < 0.999 ? 'allow' : 'reduceScope';
    witness.sequence++;
    witness.macs = witness.tier === 3 ? 0 : 400_000;
    witness.macsDense = 400_000;
    return witness;
  };
}

function fail(problem: string): never {
  throw new Error(problem);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [directory, model, ticksPerSecond] = process.argv.slice(2) as [string, string, string];
  process.stdout.write(`${JSON.stringify(await writeDay(directory, model, Number(ticksPerSecond)))}\n`);
}
