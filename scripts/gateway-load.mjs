#!/usr/bin/env node
/**
 * How much a gateway process takes from a real Mosquitto, and how long a result takes; Linux, needs mosquitto and
 * `npm run build`.
 *
 *   node scripts/gateway-load.mjs [--messages 200000] [--seconds 10] [--qos 0|1] [--rate N] [--skip-rate N] [--program FILE]
 *                                 [--model FILE] [--only-skips]
 *
 * Four runs: as fast as it goes with messages that are all skipped, the same with a token each, and that at half of
 * the rate found, or at `--rate`, where the time from receipt by the gateway to the arrival of the result is measured,
 * broker included; and the same with messages that are all skipped, whose held output is published each time, at
 * `--skip-rate`, half of 20,000 per second. `--only-skips`: that alone.
 * Besides the rate by the clock there is the rate by the gateway's own CPU time, which other work on the machine
 * does not change: what one core does that has nothing else to do.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, createServer } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { connectAsync } from 'mqtt';

const root = resolve(new URL('.', import.meta.url).pathname, '..');
const { values: options } = parseArgs({
  options: {
    messages: { type: 'string', default: '200000' },
    seconds: { type: 'string', default: '10' },
    qos: { type: 'string', default: '1' },
    rate: { type: 'string' },
    'skip-rate': { type: 'string', default: '10000' },
    'only-skips': { type: 'boolean', default: false },
    program: { type: 'string', default: join(root, 'dist/dormouse.mjs') },
    model: { type: 'string', default: join(root, 'targets/models/occupancy.safetensors') },
    json: { type: 'boolean', default: false },
  },
});
const qos = Number(options.qos);
const topic = 'sensors/room';
const channels = ['temperature', 'humidity', 'light', 'co2', 'humidity_ratio'];
const ticksPerSecond = 100;
const folder = mkdtempSync(join(tmpdir(), 'dormouse-load-'));
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

async function startBroker(port) {
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'max_queued_messages 0',
    'log_dest none',
  ];
  if (process.getuid?.() === 0) lines.push('user root');
  writeFileSync(join(folder, 'mosquitto.conf'), `${lines.join('\n')}\n`);
  const child = spawn('mosquitto', ['-c', join(folder, 'mosquitto.conf')], { stdio: 'ignore' });
  await wait(500);
  return child;
}

/** Every message moves each channel by more than its threshold, or none does. */
function payload(index, moves) {
  const wave = moves ? (index % 2) * 400 : 0;
  const fields = channels.map((name, channel) => [
    name,
    20 + channel + wave + (moves ? channel * (index % 7) : 0),
  ]);
  return JSON.stringify({ time: performance.timeOrigin + performance.now(), ...Object.fromEntries(fields) });
}

function publishPacket(text, messageId) {
  const body = Buffer.from(text);
  const head = 2 + topic.length + (qos > 0 ? 2 : 0);
  const length = head + body.length;
  const size = length < 128 ? [length] : [(length & 127) | 128, length >> 7];
  const packet = Buffer.alloc(1 + size.length + length);
  packet[0] = 0x30 | (qos << 1);
  packet.set(size, 1);
  let at = 1 + size.length;
  packet.writeUInt16BE(topic.length, at);
  packet.write(topic, at + 2);
  at += 2 + topic.length;
  if (qos > 0) {
    packet.writeUInt16BE(messageId, at);
    at += 2;
  }
  packet.set(body, at);
  return packet;
}

/** A sender that costs little: MQTT 3.1.1 on a bare socket; it looks at no answer. */
async function connectSender(port) {
  const socket = connectTcp(port, '127.0.0.1');
  socket.on('data', () => {});
  const connect = Buffer.from('\x00\x04MQTT\x04\x02\x00\x00\x00\x04load', 'latin1');
  socket.write(Buffer.concat([Buffer.from([0x10, connect.length]), connect]));
  await wait(200);
  let sent = 0;
  const write = (count, moves) => {
    const packets = [];
    for (let i = 0; i < count; i++) packets.push(publishPacket(payload(sent, moves), (sent++ % 65_535) + 1));
    return socket.write(Buffer.concat(packets));
  };
  return {
    write,
    drained: () => new Promise((done) => socket.once('drain', done)),
    end: () => socket.destroy(),
  };
}

function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

async function withGateway(port, moves, { frame, publish = 'tokens' }, work) {
  const config = {
    gateway: 'load',
    model: resolve(options.model),
    mqtt: { url: `mqtt://127.0.0.1:${port}`, sessionExpiryS: 0 },
    source: { topic, object: true },
    frame,
    output: { publish, retain: false },
    spikes: Object.fromEntries(
      channels.map((name) => [name, { delta: moves ? 0.001 : 1e6, heartbeat: moves ? 1 : 1e6 }]),
    ),
    countersIntervalS: 0.25,
  };
  writeFileSync(join(folder, 'gateway.yaml'), JSON.stringify(config));
  const child = spawn(
    process.execPath,
    [resolve(options.program), 'run', join(folder, 'gateway.yaml'), '--quiet'],
    {
      stdio: 'inherit',
    },
  );
  const watcher = await connectAsync(`mqtt://127.0.0.1:${port}`);
  const latenciesMs = [];
  let counters;
  watcher.on('message', (name, bytes, { retain }) => {
    // Left behind by the run before.
    if (retain) return;
    const value = JSON.parse(bytes.toString());
    if (name.endsWith('counters')) counters = value;
    else latenciesMs.push(performance.timeOrigin + performance.now() - value.time);
  });
  await watcher.subscribeAsync(['dormouse/load/counters', 'dormouse/load/state']);
  const sender = await connectSender(port);
  while (counters === undefined) await wait(20);
  try {
    return await work({ sender, pid: child.pid, latenciesMs, counters: () => counters });
  } finally {
    sender.end();
    child.kill('SIGTERM');
    await new Promise((done) => child.once('close', done));
    await watcher.endAsync();
  }
}

async function worked(state, count) {
  const begin = performance.now();
  while (state.counters().pipeline.frames + state.counters().messages.dropped < count) {
    if (performance.now() - begin > 120_000) throw new Error(`stuck: ${JSON.stringify(state.counters())}`);
    await wait(5);
  }
}

function full(port, moves) {
  const messages = Number(options.messages);
  return withGateway(port, moves, { frame: { timestamp: '$.time' } }, async (state) => {
    const batch = 100;
    let sent = 0;
    const send = async (count) => {
      for (const end = sent + count; sent < end; sent += batch)
        if (!state.sender.write(batch, moves)) await state.sender.drained();
    };
    // What is compiled while running has then been compiled.
    await send(Math.min(20_000, messages / 4));
    await worked(state, sent);
    const [cpu, wall, before] = [cpuSeconds(state.pid), performance.now(), state.counters()];
    await send(messages - sent);
    await worked(state, sent);
    const after = state.counters();
    const count = after.pipeline.frames - before.pipeline.frames;
    return {
      perSecond: Math.round((count * 1000) / (performance.now() - wall)),
      perCpuSecond: Math.round(count / (cpuSeconds(state.pid) - cpu)),
      tokens: after.pipeline.tokens - before.pipeline.tokens,
      messages: count,
      dropped: after.messages.dropped,
    };
  });
}

function inTime(port, moves, rate) {
  return withGateway(port, moves, { frame: {}, publish: moves ? 'tokens' : 'all' }, async (state) => {
    const begin = performance.now();
    let sent = 0;
    while (performance.now() - begin < Number(options.seconds) * 1000) {
      const due = Math.floor(((performance.now() - begin) * rate) / 1000) - sent;
      if (due > 0) state.sender.write(due, moves);
      sent += Math.max(0, due);
      await wait(1);
      if (performance.now() - begin < 2000) state.latenciesMs.length = 0;
    }
    await worked(state, sent);
    await wait(500);
    const sorted = state.latenciesMs.sort((a, b) => a - b);
    const at = (share) =>
      Math.round(100 * (sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN)) / 100;
    return { rate: Math.round(rate), results: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99) };
  });
}

const port = await freePort();
const broker = await startBroker(port);
try {
  const print = (name, value) =>
    console.log(
      options.json
        ? JSON.stringify({
            suite: 'gateway-load',
            case: name,
            qos,
            cpu: cpus()[0].model,
            node: process.version,
            ...value,
          })
        : `${name}: ${JSON.stringify(value)}`,
    );
  if (!options.json) console.log(`${cpus()[0].model}, Node ${process.version}, QoS ${qos}`);
  if (!options['only-skips']) {
    const skipped = await full(port, false);
    print('all skipped', skipped);
    const tokens = await full(port, true);
    print('a token each', tokens);
    const rate = Number(options.rate ?? Math.min(tokens.perSecond, tokens.perCpuSecond) / 2);
    print('in time, a token each', await inTime(port, true, rate));
  }
  print('in time, all skipped and published', await inTime(port, false, Number(options['skip-rate'])));
} finally {
  broker.kill();
  rmSync(folder, { recursive: true });
}
