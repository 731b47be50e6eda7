import { writeFileSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { GatewayHost } from '../../src/cli/gateway-host.ts';
import { saveModel } from '../../src/engine/model-file.ts';
import { loadGatewayConfig } from '../../src/gateway/config/load-config.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { Fixture, noteLog, silentLog } from '../gateway/fixture.ts';
import { freePort } from '../gateway/mosquitto.ts';

const fixture = new Fixture();
afterAll(() => fixture.remove());

const load = (url: string, overrides: Record<string, unknown> = {}) =>
  loadGatewayConfig(fixture.writeConfig(url, overrides));

test('results that wait for a broker survive a change of config, and one that fails', async () => {
  const url = `mqtt://127.0.0.1:${await freePort()}`;
  const host = await GatewayHost.start(load(url), { log: silentLog });
  const first = host.gateway;
  const waiting = { topic: 'dormouse/test/state', payload: 'a result', qos: 1, retain: true } as const;
  first.connection.publish(waiting);

  await host.replace(load(url, { policy: 'prototype' }));
  const second = host.gateway;
  expect(second).not.toBe(first);
  expect(second.outbox.remaining()).toEqual([waiting]);

  const impossible = { directory: fixture.path('model.safetensors/is-no-folder'), target: 'pi5' };
  await expect(host.replace(load(url, { ledger: impossible }))).rejects.toThrow('ENOTDIR');
  expect(host.loaded.config.policy).toBe('prototype');
  expect(host.gateway.outbox.remaining()).toEqual([waiting]);
  await host.stop();
});

const result = (n: number) =>
  ({ topic: 'dormouse/test/state', payload: `{"n":${n}}`, qos: 1, retain: true, keep: true }) as const;

test('with storage, results that wait survive the process', async () => {
  const config = load(`mqtt://127.0.0.1:${await freePort()}`, { storage: { directory: 'waiting' } });
  const log = noteLog();
  const first = await GatewayHost.start(config, { log });
  for (let n = 0; n < 5; n++) first.gateway.connection.publish(result(n));
  await first.replace(config);
  first.gateway.connection.publish(result(5));
  expect(first.gateway.outbox.count).toBe(6);
  await first.stop();
  const second = await GatewayHost.start(config, { log });
  expect(second.gateway.outbox.count).toBe(6);
  expect(log.lines).toContain('info: found on disk: 0 messages to be worked on, 6 results to be sent');
  expect(second.gateway.counters()).toMatchObject({
    storage: { outbox: { records: 6 }, journal: { records: 0 } },
  });
  await second.stop();
});

test('a disk that can not be written is told, and the gateway works without', async () => {
  const directory = fixture.path('model.safetensors/is-no-folder');
  const log = noteLog();
  const config = load(`mqtt://127.0.0.1:${await freePort()}`, { storage: { directory } });
  const host = await GatewayHost.start(config, { log });
  expect(log.lines[0]).toMatch(/^error: storage: ENOTDIR.*; what waits is kept in memory alone$/);
  const payload = Buffer.from('{"time":1000,"temperature":20,"humidity":50}');
  host.gateway.intake.receive('room/climate', payload, false, () => {});
  expect(host.gateway.intake.drain(Number.POSITIVE_INFINITY)).toBe(true);
  await host.stop();
});

test('a folder that another gateway works in is refused, and given back when a later file can not be had', async () => {
  const url = `mqtt://127.0.0.1:${await freePort()}`;
  const config = load(url, { storage: { directory: 'one-at-a-time' } });
  const first = await GatewayHost.start(config, { log: silentLog });
  const second = GatewayHost.start(config, { log: silentLog });
  await expect(second).rejects.toThrow(`that the process with pid ${process.pid} works in`);
  const impossible = { directory: fixture.path('model.safetensors/is-no-folder') };
  const other = load(url, { storage: { directory: 'one-at-a-time' }, witnessLog: impossible });
  await expect(first.replace(other)).rejects.toThrow('ENOTDIR');
  expect(first.gateway.counters()).toHaveProperty('storage');
  await first.stop();
  const third = await GatewayHost.start(config, { log: silentLog });
  await third.stop();
});

test('what the device has calibrated survives the process', async () => {
  const chart = { calibrationTicks: 400, levelHalfLife: 3, surpriseHalfLife: 3, release: 0.75 };
  const task = { kind: 'anomaly', threshold: 2.5, chart } as const;
  writeFileSync(
    fixture.path('chart.safetensors'),
    saveModel(tinyModel({ config: { outputs: 4 }, meaning: { task } })),
  );
  const config = load(`mqtt://127.0.0.1:${await freePort()}`, {
    model: 'chart.safetensors',
    calibration: { minutes: 1 },
    storage: { directory: 'calibrated' },
  });
  const log = noteLog();
  const first = await GatewayHost.start(config, { log });
  const { intake } = first.gateway;
  for (let tick = 1; tick <= 61; tick++) {
    const payload = { time: 1000 * tick, temperature: 300 + (tick % 7), humidity: 5 - (tick % 3) };
    intake.receive('room/climate', Buffer.from(JSON.stringify(payload)), false, () => {});
    expect(intake.drain(Number.POSITIVE_INFINITY)).toBe(true);
  }
  const { calibration } = first.gateway.pipeline;
  expect(calibration).toMatchObject({ ticks: 60, timeMs: 60_000 });
  expect(first.gateway.counters()).toMatchObject({ calibration: { ticks: 0, wanted: 0 } });
  await first.stop();
  const second = await GatewayHost.start(config, { log });
  expect(second.gateway.pipeline.calibration).toEqual(calibration);
  expect(log.lines).toContain('info: calibration of 1970-01-01T00:01:00.000Z found');
  await second.stop();
});
