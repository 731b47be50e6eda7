/** From sensors on a real Mosquitto to a recording, a model trained on it, and a gateway that runs it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, type MqttClient } from 'mqtt';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { command as trainCommand } from '../../src/cli/train.ts';
import { loadRecorderConfig } from '../../src/gateway/config/load-config.ts';
import { readMessages } from '../../src/recording/messages.ts';
import { openRecording, readSeries } from '../../src/recording/recording.ts';
import { Collector, Fixture, until } from '../gateway/fixture.ts';
import { findMosquitto, Mosquitto } from '../gateway/mosquitto.ts';
import { buildProgram, Running } from './gateway-program.ts';

const mosquitto = findMosquitto();
const fixture = new Fixture();
afterAll(() => fixture.remove());

function writeConfig(url: string, overrides: Record<string, unknown> = {}): string {
  const path = fixture.path('desk.yaml');
  const config = {
    gateway: 'desk',
    model: 'desk.safetensors',
    mqtt: { url, reconnectMinMs: 20, reconnectMaxMs: 200 },
    channels: {
      temperature: { topic: 'desk/climate', unit: 'Celsius' },
      power: { topic: 'desk/climate', value: '$.plug.watts', unit: 'W' },
    },
    frame: { timestamp: '$.time' },
    record: { classes: ['idle', 'busy'], label: { topic: 'desk/label' } },
    output: { publish: 'all' },
  };
  writeFileSync(path, stringify({ ...config, ...overrides }));
  return path;
}

describe('the section record', () => {
  const problemsOf = (record: unknown, more = {}) => {
    try {
      loadRecorderConfig(writeConfig('mqtt://localhost', { record, ...more }));
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };

  test('channels are those of the config, with their units, whether there is a model or not', () => {
    const { channels, record } = loadRecorderConfig(writeConfig('mqtt://localhost'));
    expect(channels.map(({ name, unit }) => [name, unit])).toEqual([
      ['temperature', 'Celsius'],
      ['power', 'W'],
    ]);
    expect(record).toEqual({
      task: 'classify',
      classes: ['idle', 'busy'],
      label: { filter: 'desk/label', isButton: false },
    });
    const named = { channels: { temperature: 'Fahrenheit', power: 'W' } };
    const { config } = loadRecorderConfig(writeConfig('mqtt://localhost', { record: named }));
    // Of a recording in Fahrenheit from a sensor in Celsius.
    expect(config.routes[0]!.channels[0]!.conversion!.scale).toBeCloseTo(1.8);
  });

  test.each([
    [
      { task: 'classify' },
      'record.classes (line 18): expected a list of 2 to 127 different names, got nothing',
    ],
    [{ task: 'clasify' }, 'did you mean "classify"?'],
    [{ classes: ['a', 'A'], label: { topic: 'x' } }, 'record.classes'],
    [{ classes: ['a', 'b'] }, 'record.label'],
    [{ task: 'forecast', label: { topic: 'x' } }, 'record.label (line 20): expected nothing'],
    [{ classes: ['a', 'b'], label: { topic: 'x/#/y' } }, 'record.label.topic'],
    [{ classes: ['a', 'b'], label: { topic: 'x', value: '$..' } }, 'record.label.value'],
    [{ lable: 1 }, 'did you mean "label"?'],
  ])('%j is refused', (record, message) => expect(problemsOf(record)).toContain(message));

  test('of a config that gateways share one device is recorded', () => {
    const shared = { gateway: 'desk-{device}', share: { group: 'desks' }, frame: {}, record: {} };
    const channels = { channels: { power: { topic: 'desk/{device}/power', value: 'plain' } } };
    const path = writeConfig('mqtt://localhost', { ...shared, ...channels });
    expect(() => loadRecorderConfig(path)).toThrow(
      'expected one of its devices to record (--device NAME), got none',
    );
    const { config } = loadRecorderConfig(path, { device: 'left' });
    expect(config.routes.map(({ filter }) => filter)).toEqual(['desk/left/power']);
  });

  test('without channels and without a model there is nothing to record; a grid needs its interval', () => {
    expect(problemsOf({}, { channels: {} })).toContain(
      'the channels to be recorded, here or under record.channels',
    );
    expect(problemsOf({}, { frame: { mode: 'grid' } })).toContain('frame.intervalMs');
  });
});

describe.skipIf(mosquitto === undefined)('on a real Mosquitto', () => {
  let program: string;
  let broker: Mosquitto;
  let client: MqttClient;
  let running: Running | undefined;

  beforeAll(async () => {
    program = await buildProgram(fixture.directory);
  }, 60_000);
  beforeEach(async () => {
    broker = await Mosquitto.start(mosquitto!);
    client = connect(broker.url, { clientId: 'sensors' });
  });
  afterEach(async () => {
    running?.child.kill('SIGKILL');
    await client.endAsync(true);
    await broker.remove();
    vi.restoreAllMocks();
  });

  const startMs = Date.UTC(2026, 0, 1);
  /** Idle and busy in turns of ten: warm and drawing power, or neither. */
  const isBusy = (row: number) => row % 20 >= 10;
  function payloadOf(row: number): string {
    const wiggle = ((row * 37) % 11) / 10;
    return JSON.stringify({
      time: startMs + row * 1000,
      temperature: (isBusy(row) ? 25 : 20) + wiggle,
      plug: row % 13 === 0 ? {} : { watts: (isBusy(row) ? 80 : 5) + wiggle },
    });
  }

  async function say(from: number, to: number): Promise<void> {
    for (let row = from; row < to; row++) {
      if (row % 10 === 0)
        await client.publishAsync('desk/label', isBusy(row) ? 'busy' : 'idle', { qos: 1, retain: true });
      await client.publishAsync('desk/climate', payloadOf(row), { qos: 1 });
    }
  }

  const linesOf = (file: string) => {
    try {
      return readFileSync(fixture.path(file), 'utf8').split('\n').length - 1;
    } catch {
      return 0;
    }
  };

  test('record, train a few steps, run', { timeout: 60_000 }, async () => {
    const config = writeConfig(broker.url);
    running = new Running(program, ['record', config, '-o', fixture.path('desk'), '--json']);
    await until(() => running!.stderr.includes('connected to'), 'it listens', 30_000);
    await say(0, 200);
    await until(() => linesOf('desk/rows-000001.csv') > 200, 'all rows are on the disk', 30_000);
    expect((await running.end('SIGTERM')).code).toBe(0);
    expect(JSON.parse(running.stdout)).toEqual({
      rows: 200,
      rowsKept: 200,
      stale: 0,
      received: 200,
      unlabelled: 0,
    });

    const recording = openRecording(fixture.path('desk'));
    expect(recording).toMatchObject({ task: 'classify', classes: ['idle', 'busy'], intervalMs: 1000 });
    const series = readSeries(recording, 'rows-000001.csv');
    // A value that is not there leaves the last one in place, as in a gateway; before the first there is none.
    expect([...series.values.subarray(0, 4)]).toEqual([20, Number.NaN, 20.4, 5.4]);
    for (let row = 0; row < 200; row++) expect(series.labels![row]).toBe(isBusy(row) ? 1 : 0);

    vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const trained = [
      fixture.path('desk'),
      '-o',
      fixture.path('desk.safetensors'),
      '--steps',
      '4',
      '--hidden',
      '32',
      '--threads',
      '1',
    ];
    expect(await trainCommand.run(trained)).toBe(0);
    vi.restoreAllMocks();

    const results = new Collector(broker.url, ['dormouse/desk/state']);
    await results.ready();
    running = new Running(program, ['run', config]);
    await running.prints('connected to');
    await say(200, 240);
    await until(() => results.results.size === 40, 'each tick has its result', 30_000);
    const result = results.sorted().at(-1)!;
    expect(Object.keys(result.probabilities as object)).toEqual(['idle', 'busy']);
    expect(result.time).toBe(startMs + 239_000);
    await running.end('SIGTERM');
    await results.close();
  });

  test('--raw writes what replay plays; a second one does not write over it', {
    timeout: 60_000,
  }, async () => {
    const args = ['record', writeConfig(broker.url), '--raw', '-o', fixture.path('raw')];
    running = new Running(program, args);
    await until(() => running!.stderr.includes('connected to'), 'it listens', 30_000);
    await say(0, 15);
    await client.publishAsync('desk/climate', Buffer.from([0xff, 0xfe]), { qos: 1 });
    await until(() => linesOf('raw/messages.ndjson') === 15, 'all messages are on the disk', 30_000);
    await running.end('SIGTERM');
    expect(running.stdout).toMatch(/^15 messages in .*, without 1 that are no text\n$/);
    const messages = [];
    for await (const message of readMessages(fixture.path('raw/messages.ndjson'))) messages.push(message);
    expect(messages.map(({ payload }) => payload)).toEqual(
      Array.from({ length: 15 }, (_, row) => payloadOf(row)),
    );
    running = new Running(program, args);
    expect((await running.exit).code).not.toBe(0);
    expect(running.stderr).toContain('messages.ndjson');
  });
});
