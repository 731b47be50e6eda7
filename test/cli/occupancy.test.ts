/**
 * The whole way with the shipped model, as processes: `dormouse run` on a real Mosquitto while `dormouse replay` plays
 * a real recording publishes, tick for tick, what `dormouse eval` computes from the file.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Collector, until } from '../gateway/fixture.ts';
import { findMosquitto, Mosquitto } from '../gateway/mosquitto.ts';
import { Running } from './gateway-program.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const program = join(root, 'dist/dormouse.mjs');
const model = join(root, 'targets/models/occupancy.safetensors');
const recording = join(root, '../shared/data/occupancy');
const mosquitto = findMosquitto();
const ready = existsSync(recording) && existsSync(program);
if (!ready) console.warn(`skipped without ${recording} and a built dist/dormouse.mjs`);

/** `eval --json` as far as this test reads it. */
interface Evaluation {
  readonly dense: { readonly metric: Record<string, number> };
  readonly gated: { readonly metric: Record<string, number>; readonly skipRate: number };
  readonly retention: number;
  readonly computeReduction: number;
  readonly tiers: readonly { readonly retention: number }[];
  readonly rivals: Record<string, { readonly metric: Record<string, number> }>;
}

function evaluate(...args: string[]): Evaluation {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [program, 'eval', model, ...args, '--json'],
    {
      encoding: 'utf8',
    },
  );
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Evaluation;
}

describe.skipIf(!ready)('the shipped occupancy model', () => {
  test('keeps its quality on rows that it never saw, asleep most of the time', () => {
    const { dense, gated, retention, computeReduction, tiers, rivals } = evaluate(recording);
    expect(dense.metric['accuracy:test.csv']).toBeGreaterThanOrEqual(0.978);
    expect(dense.metric['accuracy:test2.csv']).toBeGreaterThanOrEqual(0.99);
    expect(gated.metric['accuracy:test2.csv']).toBeGreaterThanOrEqual(0.993);
    expect(gated.skipRate).toBeGreaterThanOrEqual(0.96);
    expect(retention).toBeGreaterThanOrEqual(0.99);
    expect(computeReduction).toBeGreaterThanOrEqual(25);
    for (const { retention: kept } of tiers.slice(1)) expect(kept).toBeGreaterThanOrEqual(0.98);
    // No rule that looks at one minute alone does better over both files.
    for (const name of ['majority', 'bestThreshold', 'linearDiscriminant', 'decimation']) {
      expect(gated.metric.accuracy).toBeGreaterThan(rivals[name]!.metric.accuracy!);
    }
  });
});

describe.skipIf(!ready || mosquitto === undefined)('run while replay plays test.csv', () => {
  let directory: string;
  let broker: Mosquitto;
  let gateway: Running | undefined;
  let collector: Collector | undefined;
  let expected: Record<string, unknown>[];

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'dormouse-occupancy-'));
    const trace = join(directory, 'trace.ndjson');
    evaluate(join(recording, 'test.csv'), '--trace', trace);
    const lines = readFileSync(trace, 'utf8').trim().split('\n');
    expected = lines
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .map(({ file: _, ...result }) => result);
    return () => rmSync(directory, { recursive: true });
  });
  afterEach(async () => {
    gateway?.child.kill('SIGKILL');
    await collector?.close();
    await broker.remove();
  });

  async function begin(persistent: boolean) {
    broker = await Mosquitto.start(mosquitto!, { persistent });
    const config = {
      gateway: 'test',
      mqtt: { url: broker.url, keepaliveS: 5 },
      model,
      source: { topic: 'room/all', object: true },
      frame: { mode: 'message', timestamp: '$.time' },
      output: { publish: 'all' },
      limits: { outboxMessages: 4096 },
    };
    const path = join(directory, 'gateway.yaml');
    writeFileSync(path, JSON.stringify(config)); // JSON is YAML
    collector = new Collector(broker.url);
    await collector.ready();
    gateway = new Running(program, ['run', path]);
    await gateway.prints('connected');
  }

  function replay(...args: string[]) {
    const file = join(recording, 'test.csv');
    return new Running(program, [
      'replay',
      file,
      '--broker',
      broker.url,
      '--topic',
      'room/all',
      '--max',
      '--json',
      ...args,
    ]);
  }

  test('its outputs equal those of eval, tick for tick', async () => {
    await begin(false);
    const player = replay();
    expect((await player.exit).code).toBe(0);
    await until(() => collector!.results.size === expected.length, 'all outputs have come', 30_000);
    expect(collector!.sorted()).toEqual(expected);
    const { code } = await gateway!.end('SIGTERM');
    expect(code).toBe(0);
  }, 60_000);

  test('the broker killed and started again in the middle ends in the same state', async () => {
    await begin(true);
    const player = replay('--in-flight', '4');
    await until(() => collector!.results.size > 300, 'some outputs have come', 30_000);
    // A killed Mosquitto forgets what it took, and had neither handed on nor saved: the player stops for a moment.
    player.child.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 200));
    await broker.save();
    await broker.kill('SIGKILL');
    player.child.kill('SIGCONT');
    await new Promise((resolve) => setTimeout(resolve, 200));
    await broker.start();
    expect((await player.exit).code).toBe(0);
    const last = expected.at(-1)!;
    await until(() => collector!.results.has(last.sequence as number), 'the last output has come', 60_000);
    expect(collector!.results.get(last.sequence as number)).toEqual(last);
    expect(JSON.parse(player.stdout)).toMatchObject({
      messages: expected.length,
      acknowledged: expected.length,
    });
  }, 120_000);
});
