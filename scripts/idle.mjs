#!/usr/bin/env node
/**
 * What a gateway costs that skips everything: messages that say nothing new arrive, and CPU time and memory of
 * `dormouse run` are read from /proc. Broker (mosquitto) and publisher are processes of their own. Linux; run
 * `npm run build` first.
 *
 *   node scripts/idle.mjs [--seconds 60] [--warm-up 20] [--messages-per-second 10] [--program dist/dormouse.mjs] [--bare]
 *                         [--node PATH] [--environment 'NAME=VALUE ...']
 *
 * `--program` is a bundle, run by `--node` (default this one), or an executable such as dist/x64/dormouse. The
 * environment reaches the gateway alone; the default is that of the service's unit. With --bare the gateway has no ledger
 * and no witness log. Prints one JSON object. CPU time is a share of one core, megabytes are 10^6 bytes: `rssMB` all that
 * is resident, at most, of it `rssAnonMB` what nobody else has and `rssFileMB` pages of files, which the kernel can take
 * back.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connectAsync } from 'mqtt';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    'warm-up': { type: 'string', default: '20' },
    'messages-per-second': { type: 'string', default: '10' },
    program: { type: 'string', default: join(import.meta.dirname, '../dist/dormouse.mjs') },
    bare: { type: 'boolean', default: false },
    node: { type: 'string', default: process.execPath },
    environment: { type: 'string', default: environmentOfUnit() },
    publish: { type: 'string' },
  },
});
const isBundle = /\.[cm]?js$/.test(values.program);
const rate = Number(values['messages-per-second']);
const topic = 'idle/room';
/** Linux counts CPU times of processes in hundredths of a second. */
const jiffyMs = 10;

/** This very script, as the publisher. */
if (values.publish !== undefined) {
  const client = await connectAsync(values.publish);
  const payload = JSON.stringify({
    temperature: 21.5,
    humidity: 40,
    light: 120,
    co2: 600,
    humidity_ratio: 0.0063,
  });
  setInterval(() => client.publish(topic, payload), 1000 / rate);
} else await main();

async function main() {
  const directory = mkdtempSync(join(tmpdir(), 'dormouse-idle-'));
  const children = [];
  const start = (program, args, stdio = 'ignore', env = {}) => {
    const child = spawn(program, args, { stdio, env: { ...process.env, ...env } });
    children.push(child);
    return child;
  };
  try {
    const port = await freePort();
    const url = `mqtt://127.0.0.1:${port}`;
    const broker = start('mosquitto', ['-p', String(port)]);
    broker.on('error', () => {
      throw new Error('mosquitto: expected it to be installed');
    });
    await sleep(1000);
    const config = join(directory, 'idle.yaml');
    writeFileSync(config, JSON.stringify(settings(directory, url)));
    const [program, ...words] = isBundle ? [values.node, values.program] : [values.program];
    const environment = Object.fromEntries(
      values.environment.split(' ').map((word) => /^(.*?)=(.*)$/.exec(word)?.slice(1) ?? ['', '']),
    );
    const io = ['ignore', 'inherit', 'inherit'];
    const gateway = start(program, [...words, 'run', config], io, environment);
    start(process.execPath, [import.meta.filename, '--publish', url, '--messages-per-second', String(rate)]);
    const counters = await connectAsync(url);
    let last = {};
    counters.on('message', (_, payload) => {
      last = JSON.parse(payload.toString());
    });
    await counters.subscribeAsync('dormouse/idle/counters');
    await sleep(1000 * Number(values['warm-up']));
    const measured = await measure(gateway.pid, 1000 * Number(values.seconds));
    gateway.kill('SIGTERM');
    await once(gateway, 'exit');
    await sleep(200);
    await counters.endAsync();
    const { pipeline, ledger, witnessLog } = last;
    const ticks = {
      frames: pipeline?.frames,
      skips: pipeline?.skips,
      writtenBytes: (ledger?.writtenBytes ?? 0) + (witnessLog?.writtenBytes ?? 0),
    };
    console.log(JSON.stringify({ program: programName(), cpu: cpus()[0].model, ...measured, ...ticks }));
  } finally {
    for (const child of children) child.kill('SIGTERM');
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What was measured: an executable has a Node of its own. */
function programName() {
  const node = isBundle
    ? execFileSync(values.node, ['--version'], { encoding: 'utf8' }).trim()
    : 'its own Node';
  return `${values.program}, ${node}`;
}

/** Of Environment= in the unit, words with spaces between. */
function environmentOfUnit() {
  const unit = readFileSync(join(import.meta.dirname, '../targets/dormouse.service'), 'utf8');
  return [...unit.matchAll(/^Environment=(.*)$/gm)].map(([, word]) => word).join(' ');
}

function settings(directory, url) {
  const channels = ['temperature', 'humidity', 'light', 'co2', 'humidity_ratio'];
  const model = join(import.meta.dirname, '../targets/models/occupancy.safetensors');
  return {
    gateway: 'idle',
    model,
    mqtt: { url },
    source: { topic, object: true },
    spikes: Object.fromEntries(channels.map((name) => [name, { heartbeat: 1e6 }])),
    ...(values.bare
      ? {}
      : {
          ledger: { directory: join(directory, 'ledger'), target: 'x64' },
          witnessLog: { directory: join(directory, 'witness') },
        }),
  };
}

/** CPU share and resident memory of a process over a time. */
async function measure(pid, spanMs) {
  const [cpuMs, wallMs] = [cpuOf(pid), performance.now()];
  let rssMax = 0;
  for (let left = spanMs; left > 0; left -= 1000) {
    await sleep(Math.min(1000, left));
    rssMax = Math.max(rssMax, status(pid, 'VmRSS'));
  }
  const seconds = (performance.now() - wallMs) / 1000;
  const cpuShare = (cpuOf(pid) - cpuMs) / 1000 / seconds;
  return {
    seconds,
    cpuPercent: 100 * cpuShare,
    rssMB: rssMax / 1000,
    rssAnonMB: status(pid, 'RssAnon') / 1000,
    rssFileMB: status(pid, 'RssFile') / 1000,
  };
}

function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * jiffyMs;
}

function status(pid, name) {
  return (
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) *
    1.024
  );
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}
