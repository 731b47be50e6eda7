import { afterAll, expect, test } from 'vitest';
import { GatewayHost } from '../../src/cli/gateway-host.ts';
import { loadGatewayConfig } from '../../src/gateway/load-config.ts';
import { Fixture, silentLog } from '../gateway/fixture.ts';
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
