/**
 * One real Mosquitto, one replay, and a gateway for each executable that hears it: what they publish must be equal, text
 * for text. The first executable is the measure of the others.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { runProgram, startProgram, until } from './program.mjs';

const places = ['mosquitto', '/usr/sbin/mosquitto', '/usr/local/sbin/mosquitto'];

/** Its path, or undefined. */
export function findMosquitto() {
  return places.find((path) => spawnSync(path, ['-h']).error === undefined);
}

/** Gives what `use(url)` gives, while a Mosquitto of its own listens on `url`. */
export async function withBroker(mosquitto, use) {
  const directory = mkdtempSync(join(tmpdir(), 'dormouse-broker-'));
  const broker = await startBroker(mosquitto, directory);
  try {
    return await use(broker.url);
  } finally {
    broker.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * `programs`: [{ name, command: [program, ...args], env }], the first of them x64. `messages` is an NDJSON file of `ticks`
 * messages that lasts `seconds`. Gives the SHA-256 of what all published. Throws Error on any difference.
 */
export async function proveEqualOutputs({ mosquitto, programs, model, messages, ticks, rate, seconds }) {
  const directory = mkdtempSync(join(tmpdir(), 'dormouse-prove-'));
  const broker = await startBroker(mosquitto, directory);
  const collector = await collect(broker.url);
  const gateways = programs.map((program, index) =>
    startGateway(program, index, { directory, model, url: broker.url }),
  );
  try {
    for (const { name, running } of gateways) {
      const isUp = () => running.stdout.includes('connected to mqtt') && running.stdout.includes('session');
      await until(isUp, () => `${name} is connected; it said ${running.stdout}${running.stderr}`, 120);
    }
    await replay(programs[0], messages, broker.url, rate);
    const complete = () => gateways.every((_, index) => collector.of(index).length === ticks);
    const counts = () =>
      gateways.map(({ name }, index) => `${name} ${collector.of(index).length}`).join(', ');
    await until(complete, () => `each has published ${ticks} results: ${counts()}`, seconds);
    if (rate !== undefined) gateways.slice(1).forEach(requireReleased);
    for (const { running } of gateways) running.stop();
    for (const { running } of gateways) await running.done;
    return requireEqual(gateways, collector);
  } finally {
    await collector.close();
    broker.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function startGateway({ name, command, env }, index, { directory, model, url }) {
  const config = {
    gateway: `g${index}`,
    model,
    mqtt: { url },
    source: { topic: 'prove/room', object: true },
    frame: { timestamp: '$.time' },
    output: { topic: `prove/out/${index}`, publish: 'all', retain: false },
    countersIntervalS: 0,
    limits: { outboxMessages: 100_000 },
  };
  const path = join(directory, `g${index}.yaml`);
  writeFileSync(path, JSON.stringify(config)); // JSON is YAML
  const [program, ...args] = command;
  return { name, running: startProgram(program, [...args, 'run', path], { env }) };
}

async function replay({ command: [program, ...args], env }, messages, url, rate) {
  const pace = rate === undefined ? ['--max'] : ['--rate', String(rate)];
  await runProgram(program, [...args, 'replay', messages, '--broker', url, ...pace], { env });
}

/** What src/cli/program-pages.ts does in an executable, some time after the start. */
function requireReleased({ name, running }) {
  if (!/^\d+ MB that only starting needed given back$/m.test(running.stdout))
    throw new Error(`${name}: expected it to give back what only starting needed; it said ${running.stdout}`);
}

function requireEqual(gateways, collector) {
  const [expected, ...others] = gateways.map(({ name }, index) => ({ name, texts: collector.of(index) }));
  for (const { name, texts } of others) {
    const at = texts.findIndex((text, index) => text !== expected.texts[index]);
    if (at >= 0) throw new Error(`${name}, result ${at}: expected ${expected.texts[at]}, got ${texts[at]}`);
  }
  return createHash('sha256').update(expected.texts.join('\n')).digest('hex');
}

/** Every result by gateway, in order; QoS 1 may bring one twice, but its sequence tells. */
async function collect(url) {
  const client = await connectAsync(url, { clientId: 'collector' });
  const byTopic = new Map();
  client.on('message', (topic, payload) => {
    const text = payload.toString();
    const results = byTopic.get(topic) ?? [];
    byTopic.set(topic, results);
    if (JSON.parse(text).sequence === results.length) results.push(text);
  });
  await client.subscribeAsync('prove/out/+', { qos: 1 });
  return { of: (index) => byTopic.get(`prove/out/${index}`) ?? [], close: () => client.endAsync(true) };
}

async function startBroker(program, directory) {
  const port = await freePort();
  const asRoot = process.getuid?.() === 0 ? ['user root'] : [];
  const lines = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', 'max_queued_messages 0', ...asRoot];
  writeFileSync(join(directory, 'mosquitto.conf'), `${lines.join('\n')}\n`);
  const child = spawn(program, ['-c', join(directory, 'mosquitto.conf')], { stdio: 'ignore' });
  let listens = false;
  const look = setInterval(() => {
    const socket = connectTcp(port, '127.0.0.1', () => {
      listens = true;
      socket.destroy();
    });
    socket.on('error', () => {});
  }, 100);
  await until(
    () => listens,
    () => `mosquitto listens on port ${port}`,
    10,
  ).finally(() => clearInterval(look));
  return { url: `mqtt://127.0.0.1:${port}`, stop: () => child.kill() };
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
