import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { UsageError } from '../../src/cli/command.ts';
import { command, parseDemoOptions, requireChannels } from '../../src/cli/demo.ts';
import { DemoSession } from '../../src/cli/demo-session.ts';
import { startBroker } from '../../src/cli/simulation/broker.ts';
import { type Playback, simulatedRoom } from '../../src/cli/simulation/playback.ts';
import { roomChannels } from '../../src/cli/simulation/room.ts';
import { renderView } from '../../src/cli/terminal/view.ts';
import { Engine } from '../../src/engine/engine.ts';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import { tinyModel } from '../engine/tiny-model.ts';

/** A model of the room's channels: trained on nothing, but everything it says must come through unchanged. */
const bytes = saveModel(
  tinyModel({
    channels: roomChannels.map(({ name }) => name),
    weightOf: (random) => Math.round((random * 2 - 1) * 60),
    meaning: {
      channels: [
        { name: 'temperature', unit: 'Celsius', center: 20.6, scale: 1 },
        { name: 'humidity', unit: '%', center: 25, scale: 5 },
        { name: 'light', unit: 'lux', center: 120, scale: 200 },
        { name: 'co2', unit: 'ppm', center: 600, scale: 300 },
        { name: 'humidity_ratio', unit: 'kg/kg', center: 0.0039, scale: 0.0008 },
      ],
      intervalMs: 60_000,
      spikes: {
        delta: [0.1, 0.4, 20, 15, 6e-5],
        heartbeat: [60, 60, 60, 60, 60],
        refractory: [0, 0, 0, 0, 0],
      },
    },
  }),
);

let directory: string;
let modelPath: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-demo-'));
  modelPath = join(directory, 'room.safetensors');
  writeFileSync(modelPath, bytes);
});
afterAll(() => rmSync(directory, { recursive: true }));

/** The first `count` minutes of the room. */
function someOfTheRoom(count: number): Playback {
  const room = simulatedRoom(3);
  let left = count;
  return { ...room, next: () => (left-- > 0 ? room.next() : undefined) };
}

/** The same ticks straight through a pipeline, without any network. */
function throughPipeline(playback: Playback) {
  const pipeline = new Pipeline(new Engine(loadModel(bytes)), 0);
  let right = 0;
  for (let tick = playback.next(); tick !== undefined; tick = playback.next()) {
    pipeline.tick({ timeMs: tick.timeMs, values: tick.values });
    if (pipeline.output.classIndex === tick.label) right++;
  }
  const { frames, macs, macsDense, perTier } = pipeline.counters;
  return { ticks: frames, tiers: [...perTier], macs, macsDense, right };
}

describe('DemoSession', () => {
  it('shows over MQTT just what a pipeline makes of the same ticks', async () => {
    const broker = await startBroker();
    try {
      const session = new DemoSession({
        modelPath,
        playback: someOfTheRoom(700),
        url: broker.url,
        mqttVersion: '3.1.1',
        ticksPerSecond: 5000,
      });
      await session.run(20);
      const summary = session.summary();
      const expected = throughPipeline(someOfTheRoom(700));
      expect(summary).toMatchObject({ ...expected, lost: 0, scored: 700, playedMs: 699 * 60_000 });
      expect(session.notes).toEqual([]);
      const lines = renderView(session.view(20), { columns: 80, rows: 24 }, false);
      expect(lines[0]).toContain('classify, 2 layers, 16 wide');
      expect(lines.some((line) => line.startsWith('truth'))).toBe(true);
    } finally {
      await broker.close();
    }
  });

  it('ends soon when asked to', async () => {
    const broker = await startBroker();
    try {
      const playback = simulatedRoom(1);
      const settings = {
        modelPath,
        playback,
        url: broker.url,
        mqttVersion: '3.1.1',
        ticksPerSecond: 100,
      } as const;
      const session = new DemoSession(settings);
      setTimeout(() => session.end(), 300);
      const startMs = performance.now();
      await session.run(1000);
      expect(performance.now() - startMs).toBeLessThan(5000);
      expect(session.summary().ticks).toBeGreaterThan(0);
    } finally {
      await broker.close();
    }
  });

  it('says so when the broker goes away', async () => {
    const broker = await startBroker();
    const settings = {
      modelPath,
      playback: simulatedRoom(1),
      url: broker.url,
      mqttVersion: '3.1.1',
    } as const;
    const session = new DemoSession({ ...settings, ticksPerSecond: 100 });
    setTimeout(() => void broker.close(), 300);
    await expect(session.run(1000)).rejects.toThrow(/lost the connection to mqtt:\/\/127/);
  });

  it('says so when there is no broker', async () => {
    const settings = { modelPath, playback: simulatedRoom(1), url: 'mqtt://127.0.0.1:1', ticksPerSecond: 9 };
    const session = new DemoSession({ ...settings, mqttVersion: 'auto' });
    await expect(session.run(10)).rejects.toThrow(/mqtt:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/);
  });
});

describe('the command', () => {
  afterEach(() => void vi.restoreAllMocks());

  it('plays with a broker of its own and sums up', async () => {
    let written = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      written += text;
      return true;
    });
    const listeners = process.listenerCount('SIGINT');
    expect(await command.run(['--model', modelPath, '--seconds', '1.3', '--plain'])).toBe(0);
    expect(process.listenerCount('SIGINT')).toBe(listeners);
    expect(written).not.toContain('\x1b');
    expect(written).toMatch(/^0:01 Mon \d\d:\d\d {2}ticks \d+ {2}skipped \d+\.\d %/m);
    expect(written).toMatch(/accuracy +\d+\.\d % of \d+ ticks, against the simulated truth/);
  });

  it('names what the model lacks', () => {
    expect(() => requireChannels(simulatedRoom(1), ['light', 'pressure'])).toThrow(
      /the model wants pressure, but the simulated office room, seed 1 has only temperature/,
    );
    expect(() => requireChannels(simulatedRoom(1), ['co2'])).not.toThrow();
  });
});

describe('parseDemoOptions', () => {
  it('has defaults', () => {
    expect(parseDemoOptions([])).toEqual({
      recording: undefined,
      broker: undefined,
      seconds: 60,
      speed: undefined,
      seed: 1,
      model: undefined,
      plain: false,
      page: false,
    });
  });

  it.each([
    [['--seconds', '0']],
    [['--speed', 'fast']],
    [['--seed', '1.5']],
    [['--broker', 'http://host']],
    [['--broker', 'mqtt://user:secret@host']],
    [['surplus']],
    [['--wat']],
  ])('refuses %j', (args) => {
    expect(() => parseDemoOptions(args)).toThrow(UsageError);
  });

  it('never repeats a password', () => {
    expect(() => parseDemoOptions(['--broker', 'mqtt://user:secret@host'])).not.toThrow(/secret/);
  });
});
