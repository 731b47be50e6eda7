import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { readWitnesses } from '../../src/gateway/disk/witness-log.ts';
import { Collector, Fixture, until } from '../gateway/fixture.ts';
import { findMosquitto, freePort, Mosquitto } from '../gateway/mosquitto.ts';
import { buildProgram, Running } from './gateway-program.ts';

const fixture = new Fixture();
const mosquitto = findMosquitto();
let program: string;
let running: Running | undefined;

beforeAll(async () => {
  program = await buildProgram(fixture.directory);
});
afterEach(() => void running?.child.kill('SIGKILL'));
afterAll(() => fixture.remove());

function run(url: string, overrides: Record<string, unknown> = {}, env: Record<string, string> = {}) {
  running = new Running(program, ['run', fixture.writeConfig(url, overrides)], env);
  return running;
}

/** Stopping within a second is a promise to systemd and to people, not a matter of speed. */
const promisedMs = 1000;

describe('without a broker', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s ends it within a second, with exit code 0',
    async (signal) => {
      const gateway = run(`mqtt://127.0.0.1:${await freePort()}`);
      await gateway.prints('not connected');
      const { code, tookMs } = await gateway.end(signal);
      expect(code).toBe(0);
      expect(tookMs).toBeLessThan(promisedMs);
      expect(gateway.stdout).toContain('stopped after 0 ticks');
    },
  );

  test('a broken config is told whole, with exit code 1', async () => {
    writeFileSync(fixture.path('broken.yaml'), 'gateway: x\nmqtt: { url: nowhere }\n');
    const gateway = new Running(program, ['run', fixture.path('broken.yaml')]);
    expect((await gateway.exit).code).toBe(1);
    expect(gateway.stderr).toContain('has 2 problems:\n  model: expected the path of a model file');
    expect(gateway.stderr).toContain('mqtt.url (line 2): expected a URL');
  });

  test('no config at all is a usage error', async () => {
    const gateway = new Running(program, ['run']);
    expect((await gateway.exit).code).toBe(2);
    expect(gateway.stderr).toBe("dormouse run: expected a config file (see 'dormouse run --help')\n");
  });

  test('under systemd its lines carry priorities', async () => {
    const gateway = run(`mqtt://127.0.0.1:${await freePort()}`, {}, { JOURNAL_STREAM: '8:1' });
    await gateway.prints('<4>not connected');
    expect(gateway.stdout).toMatch(
      /^<6>dormouse .*: gateway test, task classify, channels temperature, humidity;/,
    );
    await gateway.end('SIGTERM');
  });
});

describe.skipIf(mosquitto === undefined)('with a real Mosquitto', () => {
  let broker: Mosquitto;
  let collector: Collector;
  beforeAll(async () => {
    broker = await Mosquitto.start(mosquitto!);
    collector = new Collector(
      broker.url,
      ['status', 'state', 'counters'].map((name) => `dormouse/test/${name}`),
    );
    await collector.ready();
  });
  afterAll(async () => {
    await collector.close();
    await broker.remove();
  });

  const row = (time: number) => JSON.stringify({ time, temperature: time / 1000, humidity: 21 });
  const countersTopic = 'dormouse/test/counters';
  const statuses = () => collector.texts('dormouse/test/status');

  test('SIGTERM ends it within a second, and it says goodbye', async () => {
    const gateway = run(broker.url);
    await gateway.prints('connected to');
    const { code, tookMs } = await gateway.end('SIGTERM');
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(promisedMs);
    await until(() => statuses().at(-1) === 'offline', 'offline has come');
  });

  test('killed, its last will says offline', async () => {
    const before = statuses().length;
    const gateway = run(broker.url);
    await until(() => statuses().length === before + 1, 'online has come');
    await gateway.end('SIGKILL');
    await until(() => statuses().length === before + 2, 'the will has come');
    expect(statuses().slice(before)).toEqual(['online', 'offline']);
  });

  test('what it did is in the witness log and in the ledger after it stopped', async () => {
    const gateway = run(broker.url, {
      witnessLog: { directory: 'state/witness' },
      ledger: { directory: 'state/ledger', target: 'pi5' },
    });
    await gateway.prints('connected to');
    for (let i = 1; i <= 5; i++)
      await collector.client.publishAsync('room/climate', row(i * 1000), { qos: 1 });
    await until(() => collector.results.size === 5, 'all outputs have come');
    expect((await gateway.end('SIGTERM')).code).toBe(0);
    const times: number[] = [];
    for await (const witness of readWitnesses(fixture.path('state/witness'))) times.push(witness.timeMs);
    expect(times).toEqual([1000, 2000, 3000, 4000, 5000]);
    expect(existsSync(fixture.path('state/ledger/ledger.ndjson'))).toBe(true);
    const records = readFileSync(fixture.path('state/ledger/ledger.ndjson'), 'utf8').trim().split('\n');
    expect(JSON.parse(records.at(-1)!)).toMatchObject({ ticks: 5, target: 'pi5', source: 'model' });
  });

  test('payloads that nobody can read are counted, and it goes on', async () => {
    collector.results.clear();
    const gateway = run(broker.url, { frame: {}, countersIntervalS: 3600 });
    await gateway.prints('connected to');
    for (const payload of [
      ...[
        'not JSON',
        '{"temperature":1',
        '{"temperature":NaN,"humidity":1}',
        '',
        Buffer.alloc(10_000_000, '1'),
      ],
      ...['null', '{"temperature":null,"humidity":"NaN"}', '{"temperature":"21.5","humidity":[]}'],
      ...['{"humidity":1e999}', '['.repeat(60_000), '{"temperature":22,"humidity":40}'],
    ])
      await collector.client.publishAsync('room/climate', payload, { qos: 1 });
    await until(() => collector.results.size === 4, 'the readable ones have become ticks');
    expect((await gateway.end('SIGTERM')).code).toBe(0);
    await until(() => collector.texts(countersTopic).length > 0, 'the counters have come');
    expect(JSON.parse(collector.texts(countersTopic).at(-1)!)).toMatchObject({
      messages: { received: 11, dropped: 0, waiting: 0 },
      payloads: {
        notJson: 4,
        tooLarge: 1,
        tooDeep: 1,
        missingKey: 3,
        null: 1,
        notANumber: 2,
        wrongType: 1,
        converted: 1,
      },
      pipeline: { frames: 4 },
    });
  });

  // The last, since the broker does not come back from it.
  test('SIGTERM ends it within a second while the broker is frozen', async () => {
    const gateway = run(broker.url);
    await gateway.prints('connected to');
    broker.freeze();
    const { code, tookMs } = await gateway.end('SIGTERM');
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(promisedMs);
  });
});
