/**
 * Messages through a whole gateway without a broker: from the MQTT callback through ring, decoder, frame, spike
 * encoder, coherence and controller to a skip, or to a token of the micro preset and its output.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { presetConfig } from '../engine/config.ts';
import { saveModel } from '../engine/model-file.ts';
import { featureCount } from '../gate/features.ts';
import { type LoadedConfig, parseGatewayConfig } from '../gateway/config/load-config.ts';
import { Gateway } from '../gateway/service.ts';
import { type BenchCase, type BenchResult, type Effort, measure, result, rounded } from './harness.ts';
import { randomModel } from './random-model.ts';

const CHANNELS = ['temperature', 'humidity', 'light', 'co2', 'humidityRatio'];
const TOPIC = 'sensors/room';
const MESSAGES = 256;
const silent = { info() {}, warning() {}, error() {} };
const proceed = () => {};

interface Subject extends BenchCase {
  readonly gateway: Gateway;
}

/** With the kernels that the gateway itself chooses. */
export async function gateway(effort: Effort): Promise<BenchResult[]> {
  const subjects = [
    makeSubject('JSON message, skipped', 'steady', false),
    makeSubject('JSON message, a token each', 'steady', true),
  ];
  const timings = await measure(subjects, effort);
  return subjects.map((subject, index) => {
    const { frames, tokens, perTier } = subject.gateway.pipeline.counters;
    const timing = timings[index]!;
    return result('gateway', subject.name, subject.gateway.engine.kernel, timing, {
      messagesPerSecond: Math.round(1e6 / timing.medianUs),
      payloadBytes: payload(0, false).length,
      tokenShare: rounded(tokens / frames),
      tiers: [...perTier].map((count) => `${Math.round((100 * count) / frames)} %`).join(' '),
      macsPerMessage: Math.round(subject.gateway.pipeline.counters.macs / frames),
    });
  });
}

/** `moves`: every message moves every channel by more than its threshold. */
function makeSubject(name: string, policy: string, moves: boolean): Subject {
  const made = new Gateway(loadConfig(policy), { log: silent });
  const payloads = Array.from({ length: MESSAGES }, (_, index) => payload(index, moves));
  let next = 0;
  const run = () => {
    made.intake.receive(TOPIC, payloads[next++ % MESSAGES]!, false, proceed);
    made.intake.drain(Number.POSITIVE_INFINITY);
  };
  return { name, run, gateway: made };
}

function payload(index: number, moves: boolean): Buffer {
  const values = CHANNELS.map((name, channel) => {
    const wave = Math.sin(index * 0.9 + channel) * (moves ? 4 : 0.01);
    return [name, Number((20 + wave).toFixed(3))];
  });
  return Buffer.from(JSON.stringify(Object.fromEntries(values)));
}

/** A config as a user would write it, and its model, by way of a folder that is gone afterwards. */
function loadConfig(policy: string): LoadedConfig {
  const folder = mkdtempSync(join(tmpdir(), 'dormouse-bench-'));
  try {
    const config = presetConfig('micro', featureCount(CHANNELS.length), 2);
    writeFileSync(join(folder, 'model.safetensors'), saveModel(randomModel({ channels: CHANNELS, config })));
    const text = `
gateway: bench
model: model.safetensors
mqtt: { url: mqtt://127.0.0.1:1 }
source: { topic: ${TOPIC}, object: true }
policy: ${policy}
countersIntervalS: 0`;
    return parseGatewayConfig(text, join(folder, 'gateway.yaml'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
