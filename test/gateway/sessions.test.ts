/** Who may come in and what a session remembers, against real brokers. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Aedes } from 'aedes';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { Storage } from '../../src/gateway/disk/storage.ts';
import type { Gateway } from '../../src/gateway/service.ts';
import { Authority, hasOpenssl } from './certificates.ts';
import { Collector, Fixture, noteLog, until } from './fixture.ts';
import { findMosquitto, freePort, Mosquitto } from './mosquitto.ts';

const mosquitto = findMosquitto();
const fixture = new Fixture();
let broker: Mosquitto | undefined;
let gateway: Gateway | undefined;
let collector: Collector | undefined;
afterEach(async () => {
  await gateway?.stop();
  await collector?.close();
  await broker?.remove();
  gateway = broker = collector = undefined;
});
afterAll(() => fixture.remove());

function start(url: string, mqtt: Record<string, unknown>, overrides: Record<string, unknown> = {}) {
  const log = noteLog();
  gateway = fixture.gateway(url, { mqtt, ...overrides }, { log });
  gateway.start();
  return { gateway, log };
}

const isReady = () => until(() => gateway!.connection.ready, 'the gateway is connected');
const said = (log: { lines: string[] }, text: string) =>
  until(() => log.lines.some((line) => line.includes(text)), `the log says '${text}'`);

describe.skipIf(mosquitto === undefined || !hasOpenssl())('TLS', () => {
  let authority: Authority;
  let client: { certFile: string; keyFile: string };
  const url = () => broker!.url.replace('mqtt:', 'mqtts:');

  beforeAll(() => {
    authority = new Authority(fixture.path('authority'));
    client = authority.issue('gateway');
  });

  async function startBroker(certificate: { certFile: string; keyFile: string }): Promise<void> {
    const lines = [
      `cafile ${authority.path('ca.pem')}`,
      `certfile ${certificate.certFile}`,
      `keyfile ${certificate.keyFile}`,
      'require_certificate true',
      'use_identity_as_username true',
    ];
    broker = await Mosquitto.start(mosquitto!, { access: () => lines });
  }

  test.each(['3.1.1', '5'])('MQTT %s with a client certificate', async (version) => {
    await startBroker(authority.issue('server'));
    start(url(), { version, caFile: authority.path('ca.pem'), ...client });
    await isReady();
    await until(() => gateway!.outbox.count === 0, 'nothing is owed');
  });

  test('without a client certificate it is not let in, and tries on', async () => {
    await startBroker(authority.issue('server'));
    const { log } = start(url(), { caFile: authority.path('ca.pem') });
    await until(() => log.lines.length > 2, 'it tried again');
    expect(gateway!.connection.connects).toBe(0);
    expect(log.lines[0]).toMatch(/^warning: not connected to mqtts:.*trying again/s);
  });

  test.each([
    ['an authority that it does not know', 2, undefined, /self[- ]signed|unable to|certificate/i],
    ['a certificate that has expired', 0, 'ca.pem', /expired/i],
  ])('a broker with %s is not trusted', async (_, days, caFile, expected) => {
    await startBroker(authority.issue('doubtful', days));
    // A certificate of no days is over in the second in which it began.
    if (days === 0) await new Promise((resolve) => setTimeout(resolve, 1100));
    const { log } = start(url(), {
      ...(caFile === undefined ? {} : { caFile: authority.path(caFile) }),
      ...client,
    });
    await until(() => log.lines.length > 0, 'the log says why');
    expect(log.lines[0]).toMatch(expected);
    expect(gateway!.connection.connects).toBe(0);
  });
});

const hasPasswords = spawnSync('mosquitto_passwd', ['-h']).error === undefined;

describe.skipIf(mosquitto === undefined || !hasPasswords)('passwords', () => {
  const secret = 'correct horse battery';

  test.each(['3.1.1', '5'])(
    'MQTT %s: a wrong one is refused and tried again, the right one never printed',
    async (version) => {
      const access = (directory: string) => {
        const path = join(directory, 'passwords');
        writeFileSync(path, '');
        spawnSync('mosquitto_passwd', ['-b', path, 'dormouse', secret]);
        return ['allow_anonymous false', `password_file ${path}`];
      };
      broker = await Mosquitto.start(mosquitto!, { access });
      const passwordFile = fixture.path('password');
      writeFileSync(passwordFile, 'wrong\n');
      const { log } = start(broker.url, { version, username: 'dormouse', passwordFile });
      await said(log, 'uthorized');
      // Somebody mends it while we run.
      writeFileSync(passwordFile, `${secret}\n`);
      await isReady();
      const everything = [...log.lines, JSON.stringify(gateway!.counters()), JSON.stringify(gateway!.config)];
      for (const text of everything) expect(text).not.toContain(secret);
    },
  );
});

describe('websockets', () => {
  test('carry MQTT as a socket does, acknowledgements too', async () => {
    const aedes = await Aedes.createBroker();
    const port = await freePort();
    const server = new WebSocketServer({ port, host: '127.0.0.1' });
    server.on('connection', (socket) => aedes.handle(createWebSocketStream(socket)));
    const acknowledged: number[] = [];
    aedes.on('ack', (packet) => void acknowledged.push((packet as { messageId: number }).messageId));
    start(`ws://127.0.0.1:${port}`, {});
    await isReady();
    const payload = Buffer.from('{"time":1000,"temperature":20,"humidity":50}');
    aedes.publish(
      { cmd: 'publish', topic: 'room/climate', payload, qos: 1, retain: false, dup: false },
      () => {},
    );
    await until(() => gateway!.outbox.acknowledged === 1, 'the output was taken');
    await until(() => acknowledged.length === 1, 'the input was acknowledged');
    await gateway!.stop();
    await new Promise<void>((resolve) => aedes.close(() => resolve()));
    server.close();
  });
});

describe.skipIf(mosquitto === undefined)('a session', () => {
  const openStorage = (of: Gateway) =>
    Storage.open(of.config.storage!, { onProblem: () => {}, onKept: () => {} });

  async function run(overrides: Record<string, unknown>): Promise<Gateway> {
    gateway = fixture.gateway(broker!.url, { storage: { directory: 'session' }, ...overrides });
    gateway.useStorage(await openStorage(gateway));
    gateway.start();
    await isReady();
    return gateway;
  }

  test('forgets filters that the config has no more, wildcards too', async () => {
    broker = await Mosquitto.start(mosquitto!);
    const first = await run({ source: { topic: 'old/#', object: true } });
    await first.stop();
    const second = await run({});
    collector = new Collector(broker.url);
    await collector.client.publishAsync('old/a/b', '{"temperature":1}', { qos: 1 });
    await collector.client.publishAsync('room/climate', '{"time":1000,"temperature":1,"humidity":1}', {
      qos: 1,
    });
    await until(() => second.pipeline.counters.frames === 1, 'what is wanted has come');
    expect(second.intake).toMatchObject({ received: 1, unrouted: 0 });
  });

  test('brings back what was not acknowledged when the process was gone', async () => {
    broker = await Mosquitto.start(mosquitto!);
    const first = await run({ output: { publish: 'all' } });
    collector = new Collector(broker.url);
    await collector.ready();
    // What came of it can not be settled, so it is not acknowledged.
    first.outbox.detach();
    await collector.client.publishAsync('room/climate', '{"time":1000,"temperature":1,"humidity":1}', {
      qos: 1,
    });
    await until(() => first.intake.inbox.unacknowledged === 1, 'the message is worked on, and owed');
    expect(first.intake.workedOff).toBe(1);
    first.connection.renew('for a test');
    await until(() => first.intake.inbox.duplicates === 1, 'it came again, and was recognised');
    await until(() => first.intake.inbox.unacknowledged === 0, 'it was acknowledged');
    expect(first.pipeline.counters.frames).toBe(1);
    await until(() => collector!.results.size === 1, 'its result has come');
  });
});
