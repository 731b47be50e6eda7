/** Page and commands of a whole gateway, as its config asks for them. */
import { connect } from 'mqtt';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { GatewayHost } from '../../src/cli/gateway-host.ts';
import { loadGatewayConfig } from '../../src/gateway/config/load-config.ts';
import { Fixture, noteLog, until } from '../gateway/fixture.ts';
import { findMosquitto, freePort, Mosquitto } from '../gateway/mosquitto.ts';

const fixture = new Fixture();
afterAll(() => fixture.remove());
const program = findMosquitto();

describe.skipIf(program === undefined)('against a real Mosquitto', () => {
  let broker: Mosquitto | undefined;
  let host: GatewayHost | undefined;
  afterEach(async () => {
    await host?.stop();
    await broker?.remove();
  });

  test('is well while it is connected, obeys, answers, and tells Prometheus and the ledger of it', async () => {
    broker = await Mosquitto.start(program!);
    const port = await freePort();
    const overrides = {
      page: { port },
      commands: true,
      ledger: { directory: 'ledger', target: 'x64', meter: 'model' },
    };
    const log = noteLog();
    host = await GatewayHost.start(loadGatewayConfig(fixture.writeConfig(broker.url, overrides)), { log });
    await until(() => host!.gateway.connection.ready, 'it is connected');
    await until(
      () => log.lines.includes(`info: page: http://127.0.0.1:${port}/`),
      'it says where its page is',
    );
    const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
    expect((await get('/healthz')).status).toBe(200);

    const client = connect(broker.url);
    const replies: Record<string, unknown>[] = [];
    client.on('message', (_, payload) => replies.push(JSON.parse(payload.toString())));
    await client.subscribeAsync('dormouse/test/reply', { qos: 1 });
    await client.publishAsync('dormouse/test/command/safe', '{"id":"x"}', { qos: 1 });
    await until(() => replies.length > 0, 'it answers');
    expect(replies).toEqual([{ id: 'x', command: 'safe', ok: true, override: 'safe', policy: 'events' }]);
    await client.publishAsync('room/climate', '{"time":1000,"temperature":20,"humidity":50}', { qos: 1 });
    await until(() => host!.gateway.pipeline.counters.frames === 1, 'it ticks');
    await client.endAsync();

    const metrics = await (await get('/metrics')).text();
    for (const line of [
      'dormouse_mqtt_connected 1',
      'dormouse_override{state="safe"} 1',
      'dormouse_commands_total{what="done"} 1',
      'dormouse_ticks_by_tier_total{tier="2"} 1',
    ])
      expect(metrics).toContain(`${line}\n`);
    expect(metrics).toMatch(
      /dormouse_energy_joules_total\{source="model",scope="board",state="idle"\} [\d.]+\n/,
    );
    const names = [...metrics.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    expect(new Set(names).size).toBe(names.length);

    await broker.kill();
    await until(() => !host!.gateway.connection.ready, 'it has lost the broker');
    expect((await get('/healthz')).status).toBe(503);
    await host.stop();
    await expect(get('/healthz')).rejects.toThrow();
  });
});

test('a page that others can reach needs a token', () => {
  const load = (page: object) => () => loadGatewayConfig(fixture.writeConfig('mqtt://127.0.0.1:1', { page }));
  for (const host of ['0.0.0.0', '::', '192.168.1.2', 'gateway.example', '127.0.0.1.example'])
    expect(load({ host }), host).toThrow('expected a file with a token');
  for (const host of ['127.0.0.1', '::1', 'localhost', '127.9.9.9'])
    expect(load({ host })().config.page, host).toMatchObject({ host, port: 8420 });
  expect(load({ host: '0.0.0.0', tokenFile: 'token' })().config.page!.tokenFile).toBe(fixture.path('token'));
  expect(load({ port: 70_000 })).toThrow('page.port');
  expect(load({ names: ['a/b'] })).toThrow('page.names');
  expect(load({ hots: '::1' })).toThrow('did you mean "host"');
});
