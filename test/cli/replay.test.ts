import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { Aedes } from 'aedes';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { UsageError } from '../../src/cli/command.ts';
import { command } from '../../src/cli/replay.ts';
import { WitnessLog } from '../../src/gateway/disk/witness-log.ts';
import { Fixture, until } from '../gateway/fixture.ts';
import { freePort } from '../gateway/mosquitto.ts';

const fixture = new Fixture();
const received: { topic: string; payload: string }[] = [];
let server: Server;
let aedes: Aedes;
let url: string;

beforeAll(async () => {
  fixture.writeRecording(50);
  aedes = await Aedes.createBroker();
  aedes.on('publish', (packet, client) => {
    if (client !== null) received.push({ topic: packet.topic, payload: packet.payload.toString() });
  });
  server = createServer(aedes.handle);
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  url = `mqtt://127.0.0.1:${port}`;
});
afterAll(async () => {
  await new Promise<void>((resolve) => aedes.close(() => resolve()));
  server.close();
  fixture.remove();
});
afterEach(() => {
  vi.restoreAllMocks();
  received.length = 0;
});

async function replay(...args: string[]) {
  let stdout = '';
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += text;
    return true;
  });
  const code = await command.run(args);
  return { code, stdout };
}

describe('a CSV', () => {
  test('each row becomes one JSON object with its time; missing values are null', async () => {
    const args = [fixture.path('walk.csv'), '--broker', url, '--topic', 'room', '--max', '--json'];
    const { code, stdout } = await replay(...args);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      messages: 50,
      acknowledged: 50,
      resent: 0,
      refused: 0,
      connects: 1,
    });
    const { timeMs, values } = fixture.series();
    const orNull = (value: number) => (Number.isNaN(value) ? null : value);
    expect(received.map(({ topic, payload }) => [topic, JSON.parse(payload)])).toEqual(
      [...timeMs].map((time, row) => [
        'room',
        { time, temperature: orNull(values[2 * row]!), humidity: orNull(values[2 * row + 1]!) },
      ]),
    );
    expect(received.some(({ payload }) => payload.includes('null'))).toBe(true);
  });

  test('keeps its time: at 100 times the speed, 49 s take about half a second, not less', async () => {
    const { stdout } = await replay(
      ...[fixture.path('walk.csv'), '--broker', url, '--topic', 'room', '--rate', '100', '--json'],
    );
    expect(JSON.parse(stdout).seconds).toBeGreaterThanOrEqual(0.45);
  });

  test('the report for people says the same', async () => {
    const { stdout } = await replay(fixture.path('walk.csv'), '--broker', url, '--topic', 'room', '--max');
    expect(stdout).toMatch(
      /^50 messages in .* s \(\d+\/s\): 50 acknowledged, 0 sent again, 0 refused, one connection\n$/,
    );
  });
});

describe('raw messages', () => {
  const lines = [
    { t: 1, topic: 'a/b', payload: 'ON' },
    { t: 2, topic: 'c', payload: '{"x":1}' },
  ];

  test('are published as they were; an unfinished last line is left out', async () => {
    const text = lines.map((line) => JSON.stringify(line)).join('\n');
    writeFileSync(fixture.path('raw.ndjson'), `${text}\n{"t":3,"topic":"d","pay`);
    const { code } = await replay(fixture.path('raw.ndjson'), '--broker', url, '--max');
    expect(code).toBe(0);
    expect(received).toEqual(lines.map(({ topic, payload }) => ({ topic, payload })));
  });

  test('go to another topic if one is given', async () => {
    writeFileSync(fixture.path('raw.ndjson'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    await replay(fixture.path('raw.ndjson'), '--broker', url, '--max', '--topic', 'other');
    expect(received.map(({ topic }) => topic)).toEqual(['other', 'other']);
  });
});

describe('without a broker', () => {
  const rows = 200;
  const path = (name: string) => fixture.path(name);
  /** All bytes of a folder's witness log. */
  const witnesses = (name: string) =>
    Buffer.concat(
      readdirSync(path(name))
        .sort()
        .map((file) => readFileSync(path(join(name, file)))),
    );
  const offline = (witnessLog: string, ...args: string[]) =>
    replay(
      path('walk.csv'),
      '--topic',
      'room/climate',
      '--config',
      path('gateway.yaml'),
      '--witness-log',
      path(witnessLog),
      ...args,
    );

  test('leaves the witness log, and says what is published, as a gateway on a broker did; each time the same', async () => {
    fixture.writeRecording(rows);
    const config = { directory: path('live'), fileBytes: 2 ** 20, files: 8, flushMs: 60_000, bytesPerDay: 0 };
    const witnessLog = await WitnessLog.open(config, () => {});
    const gateway = fixture.gateway(url, {}, { parts: [witnessLog] });
    gateway.start();
    await until(() => gateway.connection.ready, 'a connection');
    received.length = 0;
    const played = [
      path('walk.csv'),
      '--broker',
      url,
      '--topic',
      'room/climate',
      '--max',
      '--in-flight',
      '1',
    ];
    await replay(...played);
    await until(() => gateway.pipeline.counters.frames === rows, 'every tick', 20_000);
    await gateway.stop();
    const published = received.filter(({ topic }) => topic === 'dormouse/test/state');

    const first = await offline('first');
    expect(first.code).toBe(0);
    expect(first.stdout).toBe(published.map(({ payload }) => `${payload}\n`).join(''));
    expect(witnesses('first').equals(witnesses('live'))).toBe(true);
    const second = await offline('second', '--json');
    expect(witnesses('second').equals(witnesses('first'))).toBe(true);
    expect(JSON.parse(second.stdout)).toMatchObject({ messages: rows, ticks: rows, results: rows });
  }, 60_000);

  test('ticks of a grid come by the clock of the messages', async () => {
    const minuteMs = 60_000;
    const line = (t: number, temperature: number) =>
      JSON.stringify({ t, topic: 'room/climate', payload: JSON.stringify({ temperature, humidity: 50 }) });
    const lines = [line(minuteMs + 1, 20), line(3 * minuteMs + 2, 21), line(4 * minuteMs + 3, 22)];
    writeFileSync(path('grid.ndjson'), lines.join('\n'));
    fixture.writeConfig(url, { frame: { mode: 'grid', intervalMs: minuteMs } });
    const { stdout } = await replay(path('grid.ndjson'), '--config', path('gateway.yaml'));
    const times = stdout
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text).time);
    expect(times).toEqual([2 * minuteMs, 3 * minuteMs, 4 * minuteMs]);
  });

  test('a folder with something in it is refused', async () => {
    mkdirSync(path('full'));
    writeFileSync(path('full/note'), '');
    fixture.writeConfig(url);
    await expect(offline('full')).rejects.toThrow(/--witness-log: expected a new or empty folder/);
  });
});

describe('what is wrong', () => {
  const csv = () => fixture.path('walk.csv');
  test.each<[string, () => string[], RegExp]>([
    ['no file', () => ['--broker', url], /expected a CSV or NDJSON file/],
    ['no broker', () => [csv(), '--topic', 'a'], /expected --broker URL or --config CONFIG/],
    ['no topic for a CSV', () => [csv(), '--broker', url], /expected --topic TOPIC/],
    [
      'a broker that is no URL',
      () => [csv(), '--broker', 'here', '--topic', 'a'],
      /broker\.url: expected a URL/,
    ],
    [
      'a wildcard',
      () => [csv(), '--broker', url, '--topic', 'a/#'],
      /--topic: expected a topic without wildcards/,
    ],
    ['a directory', () => [fixture.directory, '--broker', url, '--topic', 'a'], /is a directory/],
    [
      'both speeds',
      () => [csv(), '--broker', url, '--topic', 'a', '--max', '--rate', '2'],
      /exclude each other/,
    ],
    [
      'a rate of 0',
      () => [csv(), '--broker', url, '--topic', 'a', '--rate', '0'],
      /--rate: expected a number/,
    ],
    ['an unknown option', () => [csv(), '--brocker', url], /--brocker/],
  ])('%s is a usage error', async (_, args, message) => {
    const error = await command.run(args()).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toMatch(message);
  });

  test('a broker that is not there: one sentence after the time that was given', async () => {
    const gone = `mqtt://127.0.0.1:${await freePort()}`;
    const args = [fixture.path('walk.csv'), '--broker', gone, '--topic', 'a', '--give-up', '0.2'];
    await expect(replay(...args)).rejects.toThrow(/^no connection to mqtt:.* for 0.2 s: /);
  });

  test('a file that is not there', async () => {
    const args = [fixture.path('nothing.csv'), '--broker', url, '--topic', 'a'];
    await expect(replay(...args)).rejects.toThrow(
      /nothing\.csv: expected a CSV or NDJSON file, got no such file$/,
    );
  });

  test('having given up, it does not wait for the time of the next row', async () => {
    const set = vi.spyOn(globalThis, 'setTimeout');
    const cleared = vi.spyOn(globalThis, 'clearTimeout');
    const gone = `mqtt://127.0.0.1:${await freePort()}`;
    const args = [csv(), '--broker', gone, '--topic', 'a', '--rate', '0.001', '--give-up', '0.2'];
    await expect(replay(...args)).rejects.toThrow(/^no connection/);
    const long = set.mock.results.filter((_, call) => set.mock.calls[call]![1]! > 500_000);
    expect(long).toHaveLength(1);
    expect(cleared.mock.calls.flat()).toContain(long[0]!.value);
  });
});
