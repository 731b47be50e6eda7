/** A gateway that keeps its state, killed again and again: what it says is what an undisturbed one says. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, type MqttClient } from 'mqtt';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { buildProgram, Running } from '../../cli/gateway-program.ts';
import { Fixture, type Result, until } from '../fixture.ts';
import { findMosquitto, Mosquitto } from '../mosquitto.ts';

const mosquitto = findMosquitto();
const patienceMs = 30_000;

describe.skipIf(mosquitto === undefined)('on a real Mosquitto', () => {
  let fixture: Fixture;
  let program: string;
  let programs: Fixture;
  let broker: Mosquitto;
  let client: MqttClient;
  let gateway: Running | undefined;
  /** By time; and those that came with another content than before. */
  let results: Map<number, Result>;
  let contradictions: string[];

  beforeAll(async () => {
    programs = new Fixture();
    program = await buildProgram(programs.directory);
  }, 60_000);
  afterAll(() => programs.remove());
  beforeEach(async () => {
    fixture = new Fixture();
    fixture.writeRecording(400);
    broker = await Mosquitto.start(mosquitto!);
    client = connect(broker.url, { clientId: 'sensors' });
    results = new Map();
    contradictions = [];
    client.on('message', (_topic, payload) => {
      const result = JSON.parse(payload.toString()) as Result;
      const before = results.get(result.time);
      if (before !== undefined && JSON.stringify(before) !== JSON.stringify(result))
        contradictions.push(`${JSON.stringify(before)}\n${JSON.stringify(result)}`);
      results.set(result.time, result);
    });
    await client.subscribeAsync('dormouse/test/state', { qos: 1 });
  });
  afterEach(async () => {
    gateway?.child.kill('SIGKILL');
    await client.endAsync(true);
    await broker.remove();
    fixture.remove();
  });

  function begin(overrides: object = {}): void {
    const state = { directory: 'state', snapshotS: 0.2 };
    gateway = new Running(program, ['run', fixture.writeConfig(broker.url, { state, ...overrides })]);
  }

  async function say(from: number, to: number): Promise<void> {
    const { timeMs, values } = fixture.series();
    for (let row = from; row < to; row++) {
      const known = (value: number) => (Number.isNaN(value) ? null : value);
      const payload = {
        time: timeMs[row]!,
        temperature: known(values[2 * row]!),
        humidity: known(values[2 * row + 1]!),
      };
      await client.publishAsync('room/climate', JSON.stringify(payload), { qos: 1 });
    }
  }

  const sorted = () => [...results.values()].sort((a, b) => a.time - b.time);

  test('killed at any moment, it goes on as if it had not been', { timeout: 120_000 }, async () => {
    begin();
    await gateway!.prints('connected to');
    for (let at = 0; at < 400; at += 80) {
      // While messages are under way, and at another moment each time.
      await say(at, at + 50);
      const saying = say(at + 50, at + 80);
      if (at % 160 === 0) await new Promise((resolve) => setTimeout(resolve, at / 25));
      await gateway!.end('SIGKILL');
      begin();
      await saying;
    }
    await until(() => results.size === 400, 'all results have come', patienceMs);
    expect(sorted()).toEqual(fixture.expectedResults());
    expect(contradictions).toEqual([]);
    expect(gateway!.stdout).toContain('state: goes on from before');
  });

  test('with the journal, and after a stop in order too', {
    timeout: 120_000,
  }, async () => {
    const overrides = { storage: { directory: 'waiting', commitMs: 10 }, output: { publish: 'all' } };
    begin(overrides);
    await gateway!.prints('connected to');
    for (let at = 0; at < 200; at += 50) {
      await say(at, at + 30);
      const saying = say(at + 30, at + 50);
      await gateway!.end(at % 100 === 0 ? 'SIGKILL' : 'SIGTERM');
      begin(overrides);
      await saying;
    }
    await until(() => results.size === 200, 'all results have come', patienceMs);
    expect(sorted()).toEqual(fixture.expectedResults().slice(0, 200));
    expect(contradictions).toEqual([]);
  });

  test('a state that is cut, damaged, or of another policy is left alone', { timeout: 60_000 }, async () => {
    begin();
    await gateway!.prints('connected to');
    await say(0, 20);
    await until(() => results.size === 20, 'results have come', patienceMs);
    await gateway!.end('SIGTERM');
    const snapshot = fixture.path('state/snapshot');
    const whole = readFileSync(snapshot);
    expect(readdirSync(fixture.path('state'))).not.toContain('lock');
    const sequences: number[] = [];
    const damages = [
      () => writeFileSync(snapshot, whole),
      () => writeFileSync(snapshot, whole.subarray(0, -1)),
      () => writeFileSync(snapshot, ''),
      () =>
        writeFileSync(
          snapshot,
          Buffer.concat([whole.subarray(0, 200), Buffer.from([whole[200]! ^ 1]), whole.subarray(201)]),
        ),
    ];
    let row = 20;
    for (const damage of damages) {
      damage();
      begin();
      await gateway!.prints('connected to');
      await say(row, row + 1);
      row++;
      await until(() => results.size === row, 'its result has come', patienceMs);
      sequences.push(sorted().at(-1)!.sequence);
      await gateway!.end('SIGTERM');
    }
    // Only the whole one is gone on from.
    expect(sequences).toEqual([20, 0, 0, 0]);
    begin({ policy: 'prototype' });
    await gateway!.prints('of another model, policy or config');
  });
});
