import { beforeEach, describe, expect, test } from 'vitest';
import { DurableQueue } from '../../src/gateway/disk/durable-queue.ts';
import { Inbox, type InboxOptions } from '../../src/gateway/inbox.ts';
import { nothingToAcknowledge } from '../../src/gateway/mqtt/mqtt.ts';
import { realTimers } from '../../src/gateway/timers.ts';
import { randomNumbers } from '../engine/tiny-model.ts';
import { SimulatedDisk } from '../sim/disk.ts';

let nowMs: number;
let acknowledged: string[];
let disk: SimulatedDisk;
beforeEach(() => {
  nowMs = 0;
  acknowledged = [];
  disk = new SimulatedDisk({ random: randomNumbers(1) });
});

function makeInbox(options: Partial<InboxOptions> = {}) {
  const timers = { ...realTimers, nowMs: () => nowMs };
  return new Inbox({ ringMessages: 8, ringBytes: 800, timers, ...options });
}

const journal = async (maxBytes = 100_000) => ({
  queue: await DurableQueue.open({ disk, name: 'intake', maxBytes }),
  commitMs: 100,
});

async function makeSpillingInbox(options: Partial<InboxOptions> = {}, maxBytes?: number) {
  const inbox = makeInbox(options);
  inbox.useJournal(await journal(maxBytes));
  return inbox;
}

const receive = (inbox: Inbox, text: string) =>
  inbox.receive('t', Buffer.from(text), false, nowMs, () => void acknowledged.push(text));

/** Works on all that is in the ring; each message makes one output. */
let outputs = 0;
function workOff(inbox: Inbox): string[] {
  const texts: string[] = [];
  for (let message = inbox.shift(); message !== undefined; message = inbox.shift()) {
    texts.push(message.payload.toString());
    inbox.worked(message, ++outputs);
  }
  return texts;
}

async function workOffAll(inbox: Inbox): Promise<string[]> {
  const texts = workOff(inbox);
  while (inbox.wantsRefill) {
    await inbox.refill();
    texts.push(...workOff(inbox));
    inbox.settle(outputs);
  }
  return texts;
}

const texts = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `m${from + i}`);

describe('in memory', () => {
  test('a message is acknowledged when its output is settled, in order', () => {
    const inbox = makeInbox();
    for (const text of ['a', 'b', 'c']) receive(inbox, text);
    workOff(inbox);
    expect(acknowledged).toEqual([]);
    inbox.settle(outputs - 1);
    expect(acknowledged).toEqual(['a', 'b']);
    inbox.settle(outputs);
    expect(acknowledged).toEqual(['a', 'b', 'c']);
  });

  test('a message without an output waits for those before it, no longer', () => {
    const inbox = makeInbox();
    receive(inbox, 'a');
    workOff(inbox);
    receive(inbox, 'b');
    inbox.worked(inbox.shift()!, outputs);
    expect(acknowledged).toEqual([]);
    inbox.settle(outputs);
    expect(acknowledged).toEqual(['a', 'b']);
  });

  test('what is not wanted is acknowledged in its turn', () => {
    const inbox = makeInbox();
    receive(inbox, 'a');
    inbox.discard(() => void acknowledged.push('unwanted'));
    expect(acknowledged).toEqual([]);
    workOff(inbox);
    inbox.settle(outputs);
    inbox.discard(() => void acknowledged.push('unwanted too'));
    expect(acknowledged).toEqual(['a', 'unwanted', 'unwanted too']);
  });

  test('QoS 0 owes nothing and is never taken for a repetition', () => {
    const inbox = makeInbox();
    for (let i = 0; i < 3; i++) {
      inbox.receive('t', Buffer.from('same'), false, 0, nothingToAcknowledge);
      inbox.lost();
      inbox.resumed(true);
    }
    expect(workOff(inbox)).toEqual(['same', 'same', 'same']);
    expect(inbox).toMatchObject({ unacknowledged: 0, duplicates: 0 });
  });

  test('outputs that nobody takes hold an acknowledgement back for ten seconds, counted', () => {
    const inbox = makeInbox();
    receive(inbox, 'a');
    workOff(inbox);
    receive(inbox, 'b');
    nowMs = 10_001;
    inbox.relent();
    // What was not worked on is still owed.
    expect(acknowledged).toEqual(['a']);
    expect(inbox.acknowledgedEarly).toBe(1);
  });

  test('what comes again on the next connection is dropped, and acknowledged', () => {
    const inbox = makeInbox();
    for (const text of ['a', 'b']) receive(inbox, text);
    inbox.lost();
    expect(inbox.unacknowledged).toBe(0);
    inbox.resumed(true);
    for (const text of ['a', 'b', 'a']) receive(inbox, text);
    expect(workOff(inbox)).toEqual(['a', 'b', 'a']);
    inbox.settle(outputs);
    expect(acknowledged).toEqual(['a', 'b', 'a']);
    expect(inbox.duplicates).toBe(2);
  });

  test('told to refuse, it leaves with the broker what it has no room for', () => {
    const inbox = makeInbox({ ringPolicy: 'refuse' });
    for (const text of texts(1, 10)) receive(inbox, text);
    expect(inbox).toMatchObject({ refused: 2, keptByBroker: 2 });
    expect(workOff(inbox)).toEqual(texts(1, 8));
    inbox.settle(outputs);
    expect(acknowledged).toEqual(texts(1, 8));
    inbox.lost();
    inbox.resumed(true);
    for (const text of ['m9', 'm10']) receive(inbox, text);
    expect(workOff(inbox)).toEqual(['m9', 'm10']);
  });
});

describe('with a journal', () => {
  test('nothing is written while messages are worked on in time', async () => {
    const inbox = await makeSpillingInbox();
    for (let i = 0; i < 50; i++) {
      receive(inbox, `m${i}`);
      nowMs += 50;
      workOff(inbox);
      inbox.settle(outputs);
      await inbox.commit(nowMs);
    }
    expect(acknowledged).toHaveLength(50);
    expect(disk.bytesWritten).toBe(0);
  });

  test('what waits for longer is written, and acknowledged when that is safe', async () => {
    const inbox = await makeSpillingInbox();
    for (const text of ['a', 'b']) receive(inbox, text);
    nowMs = 99;
    await inbox.commit(nowMs);
    expect(acknowledged).toEqual([]);
    nowMs = 100;
    const committing = inbox.commit(nowMs);
    receive(inbox, 'c');
    await committing;
    expect(acknowledged).toEqual(['a', 'b']);
    expect(disk.syncs).toBe(1);
  });

  test('more than the ring has room for waits on the disk, in order', async () => {
    const inbox = await makeSpillingInbox();
    for (const text of texts(1, 100)) receive(inbox, text);
    expect(inbox.waiting).toBe(100);
    await inbox.commit(nowMs);
    expect(acknowledged).toEqual(texts(1, 100));
    expect(await workOffAll(inbox)).toEqual(texts(1, 100));
    inbox.settle(outputs);
    await inbox.commit(nowMs);
    expect(await disk.list()).toEqual([]);
    expect(inbox.ring.dropped).toBe(0);
  });

  test('after a cut of power nothing that was acknowledged is missing', async () => {
    const inbox = await makeSpillingInbox();
    for (const text of texts(1, 20)) receive(inbox, text);
    await inbox.commit(nowMs);
    const [first] = [inbox.shift()!.payload.toString()];
    for (const text of texts(21, 30)) receive(inbox, text);
    expect(first).toBe('m1');
    disk.cutPower();
    const next = await makeSpillingInbox();
    const found = await workOffAll(next);
    expect(found.slice(0, 20)).toEqual(acknowledged);
    expect(acknowledged).toEqual(texts(1, 20));
  });

  test('what comes again while its first copy is not safe yet is not acknowledged before that', async () => {
    const inbox = await makeSpillingInbox();
    for (const text of texts(1, 20)) receive(inbox, text);
    inbox.lost();
    inbox.resumed(true);
    for (const text of texts(1, 20)) receive(inbox, text);
    inbox.discard(() => void acknowledged.push('unwanted'));
    expect(inbox.duplicates).toBe(20);
    expect(acknowledged).toEqual([]);
    await inbox.commit(nowMs);
    expect(acknowledged).toEqual([...texts(1, 20), 'unwanted']);
    expect(await workOffAll(inbox)).toEqual(texts(1, 20));
  });

  test('a disk that refuses keeps the acknowledgements back until the messages were worked on', async () => {
    const inbox = await makeSpillingInbox();
    disk.failure = 'ENOSPC';
    for (const text of texts(1, 20)) receive(inbox, text);
    nowMs = 1000;
    await inbox.commit(nowMs);
    expect(acknowledged).toEqual([]);
    expect(await workOffAll(inbox)).toEqual(texts(1, 20));
    inbox.settle(outputs);
    await inbox.commit(nowMs);
    expect(acknowledged).toEqual(texts(1, 20));
  });

  test('a full journal refuses what is new', async () => {
    const inbox = await makeSpillingInbox({ ringPolicy: 'refuse' }, 1000);
    for (const text of texts(1, 100)) receive(inbox, text);
    expect(inbox.refused).toBeGreaterThan(50);
    await inbox.commit(nowMs);
    const taken = await workOffAll(inbox);
    expect(taken).toEqual(texts(1, taken.length));
    expect(taken).toHaveLength(100 - inbox.refused);
  });

  test('whatever happens, every message is worked on once and acknowledged once, in order', async () => {
    for (let seed = 1; seed <= 100; seed++) {
      const random = randomNumbers(seed);
      acknowledged = [];
      disk = new SimulatedDisk({ random });
      const inbox = await makeSpillingInbox({ ringMessages: 2 + Math.floor(random() * 10) }, 1 << 20);
      const worked: string[] = [];
      const workOne = () => {
        const message = inbox.shift();
        if (message === undefined) return;
        worked.push(message.payload.toString());
        inbox.worked(message, random() < 0.5 ? ++outputs : outputs);
      };
      let sent = 0;
      for (let step = 0; step < 200; step++) {
        const choice = random();
        if (choice < 0.5) receive(inbox, `m${++sent}`);
        else if (choice < 0.7) workOne();
        else if (choice < 0.8) inbox.settle(outputs - Math.floor(random() * 2));
        else if (choice < 0.9) await inbox.commit((nowMs += 50));
        else if (choice < 0.95) await inbox.refill();
        else disk.failure = random() < 0.5 ? 'EROFS' : undefined;
      }
      disk.failure = undefined;
      worked.push(...(await workOffAll(inbox)));
      inbox.settle(outputs);
      await inbox.commit(nowMs);
      expect(`${seed} ${worked}`).toBe(`${seed} ${texts(1, sent)}`);
      expect(`${seed} ${acknowledged}`).toBe(`${seed} ${texts(1, sent)}`);
    }
  });
});
