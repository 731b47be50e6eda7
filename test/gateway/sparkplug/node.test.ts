/** The edge node through a broker in this process. */
import { createServer, type Server, type Socket } from 'node:net';
import { Aedes } from 'aedes';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { Witness } from '../../../src/gate/witness.ts';
import { parseGatewayConfig } from '../../../src/gateway/config/load-config.ts';
import { Output } from '../../../src/gateway/output.ts';
import { rebirthRequest } from '../../../src/gateway/payloads/sparkplug.ts';
import { SparkplugNode } from '../../../src/gateway/sparkplug/node.ts';
import { Fixture, silentLog, until } from '../fixture.ts';
import { freePort } from '../mosquitto.ts';
import { get } from './oracle.ts';

const settings = { group: 'plant', edge: 'office' };
const fixture = new Fixture();
let server: Server;
let aedes: Aedes;
const sockets = new Set<Socket>();
let heard: { topic: string; payload: Buffer; qos: number; retain: boolean }[];
let node: SparkplugNode;

beforeEach(async () => {
  heard = [];
  aedes = await Aedes.createBroker();
  aedes.on('publish', ({ topic, payload, qos, retain }) => {
    if (topic.startsWith('spBv1.0/')) heard.push({ topic, payload: payload as Buffer, qos, retain });
  });
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    aedes.handle(socket);
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const text = stringify({
    gateway: 'office',
    model: 'model.safetensors',
    mqtt: { url: `mqtt://127.0.0.1:${port}`, reconnectMinMs: 20, reconnectMaxMs: 50 },
    source: { topic: 'room' },
    sparkplug: settings,
    output: { publish: 'all' },
  });
  const { config, model } = parseGatewayConfig(text, fixture.path('gateway.yaml'));
  expect(config.sparkplug).toEqual({ group: 'plant', edge: 'office' });
  node = new SparkplugNode(config.sparkplug!, config, model.meaning, silentLog);
  node.start();
});

afterEach(async () => {
  await node.stop();
  await new Promise<void>((resolve) => aedes.close(() => resolve()));
  server.close();
});

const kinds = () => heard.map(({ topic }) => topic.split('/')[2]);
const bdSeqOf = (index: number) => get(heard[index]!).metrics.find(({ name }) => name === 'bdSeq')!.value;

function tick(top: number): void {
  const output = new Output(fixture.model.meaning);
  output.update(Int32Array.of(top === 0 ? 65_536 : 0, top === 0 ? 0 : 65_536), Float64Array.of(1, 1));
  node.onTick(Object.assign(new Witness(), { timeMs: 5 }), output);
}

test('birth, data, goodbye', async () => {
  await until(() => heard.length === 1, 'there is a birth');
  tick(0);
  tick(0);
  tick(1);
  await until(() => heard.length === 3, 'there is data');
  await node.stop();
  expect(kinds()).toEqual(['NBIRTH', 'NDATA', 'NDATA', 'NDEATH']);
  expect(heard.map((each) => get(each).seq)).toEqual([0, 1, 2, undefined]);
  for (const { qos, retain } of heard) expect([qos, retain]).toEqual([0, false]);
  expect([bdSeqOf(0), bdSeqOf(3)]).toEqual([0, 0]);
  expect(node.counters()).toEqual({ sparkplug: { connects: 1, births: 1, published: 4, dropped: 0 } });
});

test('a host may ask for a birth', async () => {
  await until(() => heard.length === 1, 'there is a birth');
  tick(0);
  const { topic, payload } = rebirthRequest(settings, Date.now());
  aedes.publish(
    { cmd: 'publish', topic, payload: Buffer.from(payload), qos: 0, retain: false, dup: false },
    () => {},
  );
  await until(() => kinds().filter((kind) => kind === 'NBIRTH').length === 2, 'it is born again');
  expect(bdSeqOf(heard.length - 1)).toBe(0);
});

test('a lost connection is a death by the will, and the next life has the next number', async () => {
  await until(() => heard.length === 1, 'there is a birth');
  for (const socket of sockets) socket.destroy();
  tick(1);
  await until(() => kinds().filter((kind) => kind === 'NBIRTH').length === 2, 'it is born again');
  expect(kinds()).toEqual(['NBIRTH', 'NDEATH', 'NBIRTH']);
  expect(heard[1]).toMatchObject({ qos: 1, retain: false });
  expect([0, 1, 2].map(bdSeqOf)).toEqual([0, 0, 1]);
  const birth = get(heard[2]!);
  expect(birth.metrics.find(({ name }) => name === 'class')!.value).toBe('occupied');
});
