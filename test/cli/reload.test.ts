/** SIGHUP, --max-memory and --log-level on a real process: what an operator does to a running gateway. */
import { writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
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

function run(url: string, options: readonly string[] = [], overrides: Record<string, unknown> = {}): Running {
  running = new Running(program, ['run', fixture.writeConfig(url, overrides), ...options]);
  return running;
}

describe.skipIf(mosquitto === undefined)('SIGHUP', () => {
  let broker: Mosquitto;
  let collector: Collector;
  beforeEach(async () => {
    broker = await Mosquitto.start(mosquitto!);
    collector = new Collector(broker.url, ['dormouse/test/state', 'elsewhere']);
    await collector.ready();
  });
  afterEach(async () => {
    await collector.close();
    await broker.remove();
  });

  const publish = (time: number) =>
    collector.client.publishAsync('room/climate', JSON.stringify({ time, temperature: time, humidity: 21 }), {
      qos: 1,
    });
  /** Times of all results that came, on whatever topic. */
  const times = () => new Set(collector.messages.map(({ payload }) => JSON.parse(payload).time as number));

  test('takes on a good config, and nothing that was sent meanwhile is lost', async () => {
    const gateway = run(broker.url);
    await gateway.prints('connected to');
    let sent = 0;
    let stopped = false;
    const sending = (async () => {
      for (; !stopped; await publish(++sent)) {
        // The outbox is bounded: a flood of results would push out older ones.
        if (sent - times().size > 200) await new Promise((resolve) => setTimeout(resolve, 1));
      }
    })();
    await until(() => times().size > 20, 'it works');
    fixture.writeConfig(broker.url, { output: { topic: 'elsewhere', publish: 'all' } });
    gateway.child.kill('SIGHUP');
    await until(() => collector.texts('elsewhere').length > 20, 'the new config works');
    stopped = true;
    await sending;
    await until(() => times().size === sent, `${sent} results have come`);
    expect(gateway.stdout).toContain('read again: dormouse');
    expect(gateway.stdout).toContain('session resumed');
    expect((await gateway.end('SIGTERM')).code).toBe(0);
  });

  test('says what is wrong with a bad config, and goes on with the old one', async () => {
    const gateway = run(broker.url);
    await gateway.prints('connected to');
    writeFileSync(fixture.path('gateway.yaml'), 'gateway: x\nmodel: nowhere\n');
    gateway.child.kill('SIGHUP');
    await gateway.prints('not taken on; it goes on as it was');
    expect(gateway.stdout).toContain('model (line 2): expected a model file, got "nowhere": no such file');
    await publish(1);
    await until(() => collector.results.size === 1, 'it goes on');
    expect(gateway.stdout).not.toContain('stopped after');
    expect((await gateway.end('SIGTERM')).code).toBe(0);
  });

  test('goes back to the old config when the new one can not have its files', async () => {
    const gateway = run(broker.url);
    await gateway.prints('connected to');
    fixture.writeConfig(broker.url, {
      witnessLog: { directory: fixture.path('model.safetensors/is-no-folder') },
    });
    gateway.child.kill('SIGHUP');
    await gateway.prints('not taken on; it goes on as it was');
    await publish(1);
    await until(() => collector.results.size === 1, 'it goes on');
    expect((await gateway.end('SIGTERM')).code).toBe(0);
  });

  test('many at once, and SIGTERM among them, end in order', async () => {
    const gateway = run(broker.url);
    await gateway.prints('connected to');
    for (let i = 0; i < 5; i++) gateway.child.kill('SIGHUP');
    await gateway.prints('read again');
    gateway.child.kill('SIGHUP');
    const { code, tookMs } = await gateway.end('SIGTERM');
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(1000);
  });
});

test('more memory than --max-memory ends it in order, with exit code 75', async () => {
  const gateway = run(`mqtt://127.0.0.1:${await freePort()}`, ['--max-memory', '1M']);
  expect((await gateway.exit).code).toBe(75);
  expect(gateway.stdout).toMatch(/error: \d+ MiB in use, of 1 allowed \(--max-memory\): stopping/);
  expect(gateway.stdout).toContain('stopped after 0 ticks');
});

test('--log-level leaves out what is less grave', async () => {
  const gateway = run(`mqtt://127.0.0.1:${await freePort()}`, ['--log-level', 'warning']);
  await gateway.prints('not connected');
  expect((await gateway.end('SIGTERM')).code).toBe(0);
  expect(gateway.stdout).toMatch(/^warning: not connected/);
  expect(gateway.stdout).not.toContain('stopped');
});

test.each([
  ['--log-level', 'loud', "--log-level: expected one of error, warning, info, got 'loud'"],
  ['--max-memory', 'much', "--max-memory: expected a size of at least 1M, such as 128M or 1G, got 'much'"],
])('%s %s is a usage error', async (option, value, message) => {
  const gateway = run('mqtt://127.0.0.1:1', [option, value]);
  expect((await gateway.exit).code).toBe(2);
  expect(gateway.stderr).toContain(message);
});
