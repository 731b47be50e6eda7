/** A real process, killed outright between two ticks: the next one goes on as if nothing had happened. */
import { statSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { rowsAsMessages } from '../../src/gateway/player.ts';
import { Collector, Fixture, type Result, until } from '../gateway/fixture.ts';
import { findMosquitto, Mosquitto } from '../gateway/mosquitto.ts';
import { buildProgram, Running } from './gateway-program.ts';

const mosquitto = findMosquitto();
const rows = 200;
const killAt = 120;
/** Hash, flags, time, two channels, checksum. */
const recordBytes = 16 + 16 + 4;

describe.skipIf(mosquitto === undefined)('against a real Mosquitto', () => {
  const fixture = new Fixture();
  let program: string;
  let broker: Mosquitto;
  let collector: Collector;
  let running: Running | undefined;

  beforeAll(async () => {
    fixture.writeRecording(rows);
    program = await buildProgram(fixture.directory);
    broker = await Mosquitto.start(mosquitto!);
    collector = new Collector(broker.url);
    await collector.ready();
  });
  afterEach(() => void running?.child.kill('SIGKILL'));
  afterAll(async () => {
    await collector.close();
    await broker.remove();
    fixture.remove();
  });

  async function start(): Promise<void> {
    const memory = { directory: 'memory', flushS: 0.05 };
    running = new Running(program, ['run', fixture.writeConfig(broker.url, { memory })]);
    await running.prints('connected to');
  }

  const messages = () =>
    [
      ...rowsAsMessages(fixture.series(), [{ name: 'temperature' }, { name: 'humidity' }], 'room/climate'),
    ].map(({ topic, payload }) => ({ topic, payload: payload as string | Buffer }));

  async function play(from: number, to: number): Promise<void> {
    for (const { topic, payload } of messages().slice(from, to))
      await collector.client.publishAsync(topic, payload, { qos: 1 });
    const expected = to;
    await until(() => times().size === expected, `${expected} ticks were answered`);
  }

  /** Of all results, whichever process gave them. */
  const results = () =>
    collector.messages
      .filter(({ topic }) => topic.endsWith('/state'))
      .map(({ payload }) => JSON.parse(payload) as Result);
  const times = () => new Set(results().map(({ time }) => time));

  test('every answer, before and after, is that of a pipeline that was never stopped', async () => {
    await start();
    await play(0, killAt);
    const file = fixture.path('memory/ticks-00000001.log');
    const written = () => ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) - 16) / recordBytes;
    await until(() => written() === killAt, 'all ticks are written');
    await running!.end('SIGKILL');
    await start();
    expect(running!.stdout).toContain(`memory: ${killAt} ticks of before are remembered`);
    await play(killAt, rows);
    // One whose acknowledgement the broker has not seen comes twice, and is answered twice, alike.
    const comparable = (all: Result[]) =>
      new Set(all.map(({ sequence: _, ...rest }) => JSON.stringify(rest)));
    expect(comparable(results())).toEqual(comparable(fixture.expectedResults()));
  });
});
