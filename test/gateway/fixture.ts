/** A model, a recording and a config on disk for tests of the whole gateway. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type MqttClient } from 'mqtt';
import { stringify } from 'yaml';
import { Engine } from '../../src/engine/engine.ts';
import { saveModel } from '../../src/engine/model-file.ts';
import { loadGatewayConfig } from '../../src/gateway/config/load-config.ts';
import type { Log } from '../../src/gateway/log.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import { resultOf } from '../../src/gateway/results.ts';
import { Gateway, type GatewayOptions } from '../../src/gateway/service.ts';
import { openRecording, readSeries, type Series } from '../../src/recording/recording.ts';
import { randomNumbers, tinyModel } from '../engine/tiny-model.ts';

export type Result = Record<string, unknown> & { sequence: number; time: number };

/** A temporary directory with `model.safetensors` and what is asked for. */
export class Fixture {
  readonly directory = mkdtempSync(join(tmpdir(), 'dormouse-gateway-'));
  readonly model = tinyModel();

  constructor() {
    writeFileSync(join(this.directory, 'model.safetensors'), saveModel(this.model));
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Writes a config for the broker at `url`, with some sections replaced; gives its path. */
  writeConfig(url: string, overrides: Record<string, unknown> = {}): string {
    const config = {
      gateway: 'test',
      model: 'model.safetensors',
      mqtt: { url, reconnectMinMs: 20, reconnectMaxMs: 200, ...(overrides.mqtt as object) },
      source: { topic: 'room/climate', object: true },
      frame: { timestamp: '$.time' },
      output: { publish: 'all' },
      countersIntervalS: 0,
    };
    const path = this.path('gateway.yaml');
    writeFileSync(path, stringify({ ...config, ...overrides, mqtt: config.mqtt }));
    return path;
  }

  gateway(
    url: string,
    overrides: Record<string, unknown> = {},
    options: Partial<GatewayOptions> = {},
  ): Gateway {
    return new Gateway(loadGatewayConfig(this.writeConfig(url, overrides)), { log: silentLog, ...options });
  }

  /** A seeded walk of the two channels that now stands, now moves, now has no value; gives the CSV's path. */
  writeRecording(rows: number, seed = 1): string {
    const random = randomNumbers(seed);
    const lines = ['time,temperature,humidity'];
    const values = [20, 21];
    for (let row = 0; row < rows; row++) {
      const moves = row % 40 < 15;
      const fields = values.map((value, channel) => {
        values[channel] = value + (moves ? (random() - 0.5) * 2 : (random() - 0.5) * 0.1);
        return random() < 0.02 ? '' : String(values[channel]);
      });
      lines.push([new Date(Date.UTC(2026, 0, 1) + row * 1000).toISOString(), ...fields].join(','));
    }
    writeFileSync(this.path('walk.csv'), `${lines.join('\n')}\n`);
    writeFileSync(
      this.path('recording.json'),
      JSON.stringify({
        name: 'walk',
        task: 'anomaly',
        time: 'time',
        channels: { temperature: 'Celsius', humidity: '%' },
        intervalS: 1,
        source: 'made for this test',
        train: ['walk.csv'],
        test: ['walk.csv'],
      }),
    );
    return this.path('walk.csv');
  }

  series(): Series {
    return readSeries(openRecording(this.path('walk.csv')), 'walk.csv');
  }

  /** What the pipeline makes of the recording without any MQTT. */
  expectedResults(): Result[] {
    const { rows, timeMs, values } = this.series();
    const engine = new Engine(this.model, { streams: 1 });
    const pipeline = new Pipeline(engine, 0);
    return Array.from({ length: rows }, (_, row) => {
      const witness = pipeline.tick({ timeMs: timeMs[row]!, values: values.slice(row * 2, row * 2 + 2) });
      return resultOf(witness, pipeline.output, this.model.meaning) as Result;
    });
  }
}

export const silentLog: Log = { info: () => {}, warning: () => {}, error: () => {} };

/** A log that can be asked. */
export function noteLog(): Log & { lines: string[] } {
  const lines: string[] = [];
  const note = (level: string) => (text: string) => void lines.push(`${level}: ${text}`);
  return { lines, info: note('info'), warning: note('warning'), error: note('error') };
}

/** A subscriber with a lasting session; results by sequence, since QoS 1 may bring one twice. */
export class Collector {
  readonly results = new Map<number, Result>();
  readonly messages: { topic: string; payload: string; retain: boolean }[] = [];
  readonly client: MqttClient;
  readonly #ready: Promise<void>;

  constructor(url: string, topics: readonly string[] = ['dormouse/test/state']) {
    this.client = connect(url, { clientId: 'collector', clean: false, reconnectPeriod: 50 });
    this.client.on('error', () => {});
    this.client.on('message', (topic, payload, { retain }) => {
      this.messages.push({ topic, payload: payload.toString(), retain });
      if (!topic.endsWith('/state')) return;
      const result = JSON.parse(payload.toString()) as Result;
      this.results.set(result.sequence, result);
    });
    this.#ready = this.client.subscribeAsync([...topics], { qos: 1 }).then(() => {});
  }

  ready(): Promise<void> {
    return this.#ready;
  }

  /** Results in order of their sequence. */
  sorted(): Result[] {
    return [...this.results.values()].sort((a, b) => a.sequence - b.sequence);
  }

  texts(topic: string): string[] {
    return this.messages.filter((message) => message.topic === topic).map(({ payload }) => payload);
  }

  async close(): Promise<void> {
    await this.client.endAsync(true);
  }
}

/** Waits until `condition` holds; throws with `what` after so long. */
export async function until(condition: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`timed out waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
