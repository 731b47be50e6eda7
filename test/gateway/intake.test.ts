import { afterAll, beforeEach, expect, test } from 'vitest';
import { loadGatewayConfig } from '../../src/gateway/config/load-config.ts';
import { Intake } from '../../src/gateway/intake.ts';
import { Fixture } from './fixture.ts';

const fixture = new Fixture();
afterAll(() => fixture.remove());

let acknowledged: number;
let ticks: number[];
let told: string[];
let nowMs: number;
beforeEach(() => {
  nowMs = 0;
  acknowledged = 0;
  ticks = [];
  told = [];
});

function makeIntake(overrides: Record<string, unknown> = {}) {
  const { config } = loadGatewayConfig(fixture.writeConfig('mqtt://127.0.0.1:1', overrides));
  return new Intake({
    config,
    channels: 2,
    clock: { nowMs: () => nowMs },
    onFrame: ({ timeMs }) => void ticks.push(timeMs),
    onProblem: (text) => void told.push(text),
    onUnrouted: () => {},
  });
}

function receive(intake: Intake, timeMs: number, retained = false) {
  const payload = Buffer.from(JSON.stringify({ time: timeMs, temperature: 1, humidity: 2 }));
  intake.receive('room/climate', payload, retained, () => void acknowledged++);
}

const allOfIt = Number.POSITIVE_INFINITY;
const small = { limits: { ringMessages: 8, inFlight: 1 } };

test('a message is acknowledged when it was worked on, not before', () => {
  const intake = makeIntake();
  receive(intake, 1000);
  expect([acknowledged, ticks]).toEqual([0, []]);
  expect(intake.drain(allOfIt)).toBe(true);
  expect([acknowledged, ticks]).toEqual([1, [1000]]);
});

test('a sender that does not wait for acknowledgements loses its oldest, counted', () => {
  const intake = makeIntake(small);
  for (let i = 1; i <= 12; i++) receive(intake, i * 1000);
  intake.drain(allOfIt);
  expect(ticks).toEqual([5, 6, 7, 8, 9, 10, 11, 12].map((i) => i * 1000));
  expect(intake.inbox.ring.dropped).toBe(4);
  expect(told).toEqual([expect.stringContaining('the oldest are dropped')]);
  // Keeping them back would not bring them back.
  expect(acknowledged).toBe(12);
});

test('draining stops when its time is over, and goes on later', () => {
  const intake = makeIntake();
  for (let i = 1; i <= 3; i++) receive(intake, i * 1000);
  expect(intake.drain(0)).toBe(false);
  expect(ticks).toEqual([1000]);
  expect(intake.drain(allOfIt)).toBe(true);
  expect(ticks).toEqual([1000, 2000, 3000]);
});

test('a payload that is too large never enters the ring', () => {
  const intake = makeIntake();
  intake.receive('room/climate', Buffer.alloc(10_000_000), false, () => void acknowledged++);
  expect(intake.inbox.ring.count).toBe(0);
  expect(intake.decoder.counts.tooLarge).toBe(1);
  expect(acknowledged).toBe(1);
});

test('a topic that nobody wants is counted and disturbs nobody', () => {
  const intake = makeIntake();
  intake.receive('other', Buffer.from('1'), false, () => {});
  receive(intake, 1000);
  intake.drain(allOfIt);
  expect(intake.unrouted).toBe(1);
  expect(ticks).toEqual([1000]);
});

test('one message may serve two filters', () => {
  const intake = makeIntake({
    source: undefined,
    frame: {},
    channels: {
      temperature: { topic: 'room/+', value: '$.temperature' },
      humidity: { topic: 'room/climate', value: '$.humidity' },
    },
  });
  receive(intake, 1000);
  intake.drain(allOfIt);
  expect(ticks).toHaveLength(2);
});

test('retained messages are state, not events', () => {
  const intake = makeIntake();
  receive(intake, 1000, true);
  intake.drain(allOfIt);
  expect(intake.retained).toBe(1);
  expect(ticks).toEqual([]);
});

test('a message from far ahead is told and disturbs nobody; when time has gone back for long, it is followed', () => {
  const intake = makeIntake();
  const receiveAt = (receivedMs: number, timeMs: number) => {
    nowMs = receivedMs;
    receive(intake, timeMs);
    intake.drain(allOfIt);
  };
  receiveAt(1_000_000, 1_000_000);
  receiveAt(1_001_000, 900_000_000);
  receiveAt(1_002_000, 1_002_000);
  expect(ticks).toEqual([1_000_000, 1_002_000]);
  for (let second = 0; second <= 40; second += 10)
    receiveAt(1_010_000 + second * 1000, 500_000 + second * 1000);
  expect(ticks.slice(2)).toEqual([530_000, 540_000]);
  expect(intake.frames).toMatchObject({ ahead: 1, stale: 3, restarts: 1 });
  expect(told.at(-1)).toBe("room/climate: the senders' time has gone back, and we follow");
});

test('a message that comes too late or twice is told once', () => {
  const intake = makeIntake();
  for (const timeMs of [2000, 1000, 2000, 3000]) receive(intake, timeMs);
  intake.drain(allOfIt);
  expect(ticks).toEqual([2000, 3000]);
  expect([intake.frames.stale, intake.frames.duplicates]).toEqual([1, 1]);
  expect(told).toEqual([
    'room/climate: expected a time after the last (tick at 1970-01-01T00:00:02.000Z), ' +
      'got 1970-01-01T00:00:01.000Z (told once, then only counted)',
  ]);
});
