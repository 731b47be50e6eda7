/** `dormouse replay --config`: a recording through a gateway that has no broker, by the recording's own clock. */
import { existsSync, readdirSync } from 'node:fs';
import { targets } from '../energy/target.ts';
import { policyNames } from '../gate/policy.ts';
import { loadGatewayConfig } from '../gateway/config/load-config.ts';
import { WitnessLog } from '../gateway/disk/witness-log.ts';
import { makeLog } from '../gateway/log.ts';
import { OfflineGateway } from '../gateway/offline.ts';
import type { RawMessage } from '../recording/messages.ts';
import { UsageError } from './command.ts';
import { makeGateway } from './device.ts';

/** Witnesses that the log holds in memory until they are written. */
const ticksPerFlush = 512;
/** All of it is kept. */
const filesMax = 1_000_000;
const fileBytes = 2 ** 24;

export async function replayOffline(
  messages: AsyncIterable<RawMessage> | Iterable<RawMessage>,
  configPath: string,
  witnesses: string | undefined,
  json: boolean,
): Promise<number> {
  const loaded = loadGatewayConfig(configPath, { policies: policyNames, targets: Object.keys(targets) });
  const log = makeLog((text) => void process.stderr.write(text), false, 'warning');
  const witnessLog = witnesses === undefined ? undefined : await openWitnessLog(witnesses);
  const gateway = makeGateway(loaded, { log, ...(witnessLog && { parts: [witnessLog] }) });
  const offline = new OfflineGateway(gateway, log, (result) => {
    if (!json) process.stdout.write(`${JSON.stringify(result)}\n`);
  });
  const startMs = performance.now();
  let flushed = 0;
  for await (const message of messages) {
    offline.accept(message);
    const { frames } = offline.pipeline.counters;
    if (frames < flushed + ticksPerFlush) continue;
    flushed = frames;
    await witnessLog?.flush();
  }
  await witnessLog?.stop();
  const text = describe(offline, (performance.now() - startMs) / 1000, json);
  if (json) process.stdout.write(`${text}\n`);
  else process.stderr.write(`${text}\n`);
  return (witnessLog?.records.lost ?? 0) === 0 ? 0 : 1;
}

/** Throws UsageError where something lies already: a log that goes on would not be the recording's. */
function openWitnessLog(directory: string): Promise<WitnessLog> {
  if (existsSync(directory) && readdirSync(directory).length > 0)
    throw new UsageError(
      `--witness-log: expected a new or empty folder, got ${directory} with something in it`,
    );
  const config = { directory, fileBytes, files: filesMax, flushMs: 60_000, bytesPerDay: 0 };
  return WitnessLog.open(config, (text) => void process.stderr.write(`${text}\n`));
}

function describe({ intake, pipeline, results }: OfflineGateway, seconds: number, json: boolean): string {
  const { received: messages } = intake;
  const { frames: ticks, skips, perTier } = pipeline.counters;
  const tiers = [...perTier];
  if (json) return JSON.stringify({ messages, ticks, skips, tiers, results, seconds });
  const share = ((100 * skips) / Math.max(1, ticks)).toFixed(1);
  return `${messages} messages, ${ticks} ticks (${share} % skipped), ${results} results, in ${seconds.toFixed(1)} s`;
}
