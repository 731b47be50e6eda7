import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { describe, expect, it } from 'vitest';
import { startBroker } from '../../../src/cli/simulation/broker.ts';
import {
  type Playback,
  type PlayedTick,
  playRecording,
  simulatedRoom,
} from '../../../src/cli/simulation/playback.ts';
import { Player } from '../../../src/cli/simulation/player.ts';

/** `count` ticks of one channel that counts; then the end. */
function counting(count: number): Playback {
  let at = 0;
  return {
    name: 'counting',
    truth: '',
    channels: ['value'],
    next: () =>
      at < count
        ? { timeMs: 1000 * at, values: Float64Array.of(at++ === 1 ? Number.NaN : at), label: 0 }
        : undefined,
  };
}

function fakeClient() {
  const sent: { topic: string; payload: string }[] = [];
  const publishAsync = async (topic: string, payload: string | Buffer) => {
    sent.push({ topic, payload: String(payload) });
    return undefined;
  };
  return { sent, client: { publishAsync } as ConstructorParameters<typeof Player>[0]['client'] };
}

describe('Player', () => {
  it('plays to the end, each tick announced before it is sent', async () => {
    const { sent, client } = fakeClient();
    const told: PlayedTick[] = [];
    const player = new Player({
      client,
      topic: 't',
      playback: counting(3),
      ticksPerSecond: 1e6,
      onTick: (tick) => {
        expect(sent.length).toBe(told.length);
        told.push(tick);
      },
    });
    await player.play();
    expect(player.ended).toBe(true);
    expect(told.map(({ timeMs }) => timeMs)).toEqual([0, 1000, 2000]);
    expect(sent.map(({ payload }) => JSON.parse(payload))).toEqual([
      { time: 0, value: 1 },
      { time: 1000, value: null },
      { time: 2000, value: 3 },
    ]);
  });

  it('keeps its pace by the clock, and sends no more than a burst after a stall', async () => {
    const { sent, client } = fakeClient();
    let turns = 0;
    let now = 0;
    const nowMs = () => {
      // The third turn comes a minute late.
      now += ++turns === 3 ? 60_000 : 50;
      if (turns === 4) player.stop();
      return now;
    };
    const player = new Player({
      client,
      topic: 't',
      playback: simulatedRoom(1),
      ticksPerSecond: 100,
      onTick: () => {},
      nowMs,
    });
    await player.play();
    // One at once, five for 50 ms, a burst of 256 instead of 6000.
    expect(sent.length).toBe(1 + 5 + 256);
  });

  it('rejects when a message is refused', async () => {
    const client = { publishAsync: async () => Promise.reject(new Error('refused')) };
    const player = new Player({
      client,
      topic: 't',
      playback: counting(9),
      ticksPerSecond: 100,
      onTick: () => {},
    });
    await expect(player.play()).rejects.toThrow('refused');
  });
});

describe('startBroker', () => {
  it('carries messages, and frees its port when it closes', async () => {
    const broker = await startBroker();
    const client = await connectAsync(broker.url, { reconnectPeriod: 0 });
    const arrived = new Promise<string>((resolve) => {
      client.on('message', (_, payload) => resolve(String(payload)));
    });
    await client.subscribeAsync('a/b');
    await client.publishAsync('a/b', 'hello', { qos: 1 });
    expect(await arrived).toBe('hello');
    const closed = new Promise((resolve) => client.once('close', () => resolve(undefined)));
    await broker.close();
    await closed;
    await client.endAsync(true);
    const again = await startBroker(Number(new URL(broker.url).port));
    await again.close();
  });
});

describe('playRecording', () => {
  it('plays the test rows with their labels; time never goes back', () => {
    const directory = mkdtempSync(join(tmpdir(), 'dormouse-playback-'));
    try {
      const description = {
        name: 'tiny',
        task: 'classify',
        classes: ['empty', 'occupied'],
        time: 'time',
        label: 'label',
        channels: { light: 'lux' },
        train: ['train.csv'],
        test: ['late.csv', 'early.csv'],
        intervalS: 60,
        source: 'made up',
      };
      writeFileSync(join(directory, 'recording.json'), JSON.stringify(description));
      writeFileSync(join(directory, 'late.csv'), 'time,light,label\n1000,5,0\n1060,,1\n');
      writeFileSync(join(directory, 'early.csv'), 'time,light,label\n100,7,1\n160,8,0\n');
      const playback = playRecording(directory);
      const ticks: PlayedTick[] = [];
      for (let tick = playback.next(); tick !== undefined; tick = playback.next()) ticks.push(tick);
      expect(playback.channels).toEqual(['light']);
      expect(ticks.map(({ label }) => label)).toEqual([0, 1, 1, 0]);
      expect(ticks.map(({ values }) => values[0])).toEqual([5, Number.NaN, 7, 8]);
      expect(ticks.map(({ timeMs }) => timeMs / 1000)).toEqual([1000, 1060, 1120, 1180]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
