import { beforeEach, expect, test } from 'vitest';
import { DurableQueue } from '../../../src/gateway/disk/durable-queue.ts';
import { asLate, OutboxStore } from '../../../src/gateway/disk/outbox-store.ts';
import { Outbox, type OutgoingMessage, type Send } from '../../../src/gateway/outbox.ts';
import { realTimers, type Timers } from '../../../src/gateway/timers.ts';
import { randomNumbers } from '../../engine/tiny-model.ts';
import { SimulatedDisk } from '../../sim/disk.ts';

const hourMs = 3_600_000;
let nowMs: number;
let disk: SimulatedDisk;
let delayed: { atMs: number; call: () => void }[];
beforeEach(() => {
  nowMs = 0;
  delayed = [];
  disk = new SimulatedDisk({ random: randomNumbers(1) });
});

const timers: Timers = {
  ...realTimers,
  nowMs: () => nowMs,
  after(delayMs, call) {
    const timer = { atMs: nowMs + delayMs, call };
    delayed.push(timer);
    return () => {
      delayed = delayed.filter((each) => each !== timer);
    };
  },
};

async function passTime(ms: number): Promise<void> {
  const endMs = nowMs + ms;
  for (;;) {
    // Whatever waits for the disk goes first.
    for (let i = 0; i < 300; i++) await Promise.resolve();
    const next = delayed.sort((a, b) => a.atMs - b.atMs)[0];
    if (next === undefined || next.atMs > endMs) break;
    delayed.shift();
    nowMs = Math.max(nowMs, next.atMs);
    next.call();
  }
  nowMs = endMs;
}

async function makeOutbox(maxBytes = 100_000) {
  const queue = await DurableQueue.open({ disk, name: 'outbox', maxBytes });
  const outbox = new Outbox(10, 2, timers);
  const settings = { maxAgeMs: 6 * hourMs, maxBytes, flushMs: 10_000, resendPerS: 100, nowMs: () => nowMs };
  const store = new OutboxStore({ queue, ...settings });
  outbox.useStore(store);
  return { outbox, store };
}

const result = (n: number): OutgoingMessage => ({
  topic: 'out',
  payload: `{"n":${n}}`,
  qos: 1,
  retain: true,
  keep: true,
});

/** A broker that takes everything at once, and notes it. */
function taker() {
  const taken: { n: number; late: boolean; atMs: number }[] = [];
  const send: Send = ({ payload }, _again, done) => {
    const { n, late = false } = JSON.parse(payload.toString());
    taken.push({ n, late, atMs: nowMs });
    done();
  };
  return { taken, send, numbers: () => taken.map(({ n }) => n) };
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

test('nothing is written while the broker takes what comes', async () => {
  const { outbox } = await makeOutbox();
  outbox.attach(taker().send);
  for (const n of upTo(100)) {
    outbox.push(result(n));
    nowMs += 1000;
    await outbox.flush();
  }
  expect(outbox).toMatchObject({ acknowledged: 100, settledThrough: 100 });
  expect(disk.bytesWritten).toBe(0);
});

test('what waits too long is written, and settled by that; it is still sent from memory, not as late', async () => {
  const { outbox } = await makeOutbox();
  for (const n of upTo(3)) outbox.push(result(n));
  await outbox.flush();
  expect(outbox.settledThrough).toBe(0);
  nowMs = 10_000;
  await outbox.flush();
  expect(outbox.settledThrough).toBe(3);
  const { taken, send } = taker();
  outbox.attach(send);
  expect(taken.map(({ n, late }) => [n, late])).toEqual(upTo(3).map((n) => [n, false]));
  await outbox.close();
  expect(await disk.list()).toEqual([]);
});

test('a long absence: all of it comes, in order, late ones marked and paced, the new after them', async () => {
  const { outbox } = await makeOutbox();
  for (const n of upTo(200)) {
    outbox.push(result(n));
    if (n % 20 === 0) await outbox.flush();
  }
  expect(outbox.count).toBe(200);
  const { taken, send, numbers } = taker();
  nowMs = hourMs;
  outbox.attach(send);
  outbox.push(result(200));
  await passTime(5000);
  expect(numbers()).toEqual(upTo(201));
  const late = taken.filter((each) => each.late);
  expect(late.length).toBeGreaterThan(190);
  // 100 a second, after those of one second at once.
  expect(late.at(-1)!.atMs - hourMs).toBeGreaterThan(900);
  expect(outbox).toMatchObject({ dropped: 0, count: 0, settledThrough: 201 });
  await outbox.flush();
  expect(await disk.list()).toEqual([]);
});

test('what is on the disk outlives the process; what the broker took does not come again', async () => {
  const { outbox } = await makeOutbox();
  for (const n of upTo(50)) outbox.push(result(n));
  await outbox.close();
  expect(outbox.remaining()).toEqual([]);
  const second = await makeOutbox();
  const first = taker();
  second.outbox.attach(first.send);
  await passTime(100);
  second.outbox.detach();
  await second.outbox.close();
  const third = await makeOutbox();
  const rest = taker();
  third.outbox.attach(rest.send);
  await passTime(5000);
  expect([...first.numbers(), ...rest.numbers()]).toEqual(upTo(50));
  expect(first.taken.length).toBeGreaterThan(0);
});

test('what was settled by the disk is there after a cut of power', async () => {
  const { outbox } = await makeOutbox();
  for (const n of upTo(30)) outbox.push(result(n));
  await outbox.flush();
  const settled = outbox.settledThrough;
  for (const n of upTo(10)) outbox.push(result(30 + n));
  disk.cutPower();
  const next = await makeOutbox();
  const { send, numbers } = taker();
  next.outbox.attach(send);
  await passTime(5000);
  expect(settled).toBe(30);
  expect(numbers().slice(0, settled)).toEqual(upTo(settled));
});

test('results older than so many hours are not sent, counted', async () => {
  const { outbox, store } = await makeOutbox();
  for (const n of upTo(20)) outbox.push(result(n));
  nowMs = 5 * hourMs;
  for (const n of upTo(5)) outbox.push(result(20 + n));
  await outbox.close();
  nowMs = 7 * hourMs;
  const next = await makeOutbox();
  const { send, numbers } = taker();
  next.outbox.attach(send);
  await passTime(2000);
  expect(numbers()).toEqual([20, 21, 22, 23, 24]);
  expect(next.store.expired).toBe(20);
  expect(store.expired).toBe(0);
});

test('the disk takes only so much: the oldest go, counted', async () => {
  const { outbox, store } = await makeOutbox(4000);
  for (const n of upTo(500)) {
    outbox.push(result(n));
    if (n % 5 === 0) await outbox.flush();
  }
  const { send, numbers } = taker();
  outbox.attach(send);
  await passTime(10_000);
  expect(numbers().at(-1)).toBe(499);
  expect(numbers().length + store.dropped).toBeGreaterThanOrEqual(500);
  expect(store.dropped).toBeGreaterThan(300);
  expect(disk.bytesWritten).toBeGreaterThan(4000);
});

test('what is said at each connection is not written', async () => {
  const { outbox } = await makeOutbox();
  for (const n of upTo(8)) outbox.push({ ...result(n), keep: false });
  nowMs = hourMs;
  await outbox.close();
  expect(disk.bytesWritten).toBe(0);
  expect(outbox.remaining()).toHaveLength(8);
});

test('only a JSON object can say that it is late', () => {
  expect(asLate(Buffer.from('{"a":1}')).toString()).toBe('{"late":true,"a":1}');
  for (const text of ['21.5', '{}', '[1]', 'offline'])
    expect(asLate(Buffer.from(text)).toString()).toBe(text);
});
