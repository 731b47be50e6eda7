/** A message that ends the process at each start, and those before and behind it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { StorageConfig } from '../../src/gateway/config/config.ts';
import { Storage } from '../../src/gateway/disk/storage.ts';
import { Inbox } from '../../src/gateway/inbox.ts';
import { nothingToAcknowledge } from '../../src/gateway/mqtt/mqtt.ts';

let directory: string;
let problems: string[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-poison-'));
  problems = [];
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const quarantine = () => join(directory, 'quarantine.ndjson');
const config = (): StorageConfig => ({
  directory,
  commitMs: 10,
  intakeBytes: 1 << 20,
  outboxBytes: 1 << 20,
  outboxMs: 3_600_000,
  outboxFlushMs: 1000,
  resendPerS: 100,
});

async function open(): Promise<{ storage: Storage; inbox: Inbox }> {
  const inbox = new Inbox({ ringMessages: 16, ringBytes: 4096 });
  const storage = await Storage.open(config(), {
    onProblem: (text) => problems.push(text),
    onKept: () => {},
  });
  inbox.useJournal({ queue: storage.intake, commitMs: 10, guard: storage.guard });
  return { storage, inbox };
}

/** Works on what waits; at a message of these words the process ends. Gives what was worked on. */
async function live(deadly: readonly string[], inbox: Inbox): Promise<{ done: string[]; died: boolean }> {
  const done: string[] = [];
  for (;;) {
    if (inbox.wantsRefill) await inbox.refill();
    const message = inbox.shift();
    if (message === undefined) {
      if (inbox.wantsRefill) continue;
      return { done, died: false };
    }
    const text = message.payload.toString();
    if (deadly.includes(text)) return { done, died: true };
    done.push(text);
    // Nothing is published, so it is done with at once.
    inbox.worked(message, 0);
  }
}

/** As after a kill: nothing is closed, and the lock is that of nobody. */
function forgetLock(): void {
  writeFileSync(join(directory, 'lock'), '{"pid":0}');
}

async function fill(texts: readonly string[]): Promise<void> {
  const { storage, inbox } = await open();
  for (const text of texts) inbox.receive('t', Buffer.from(text), false, 0, nothingToAcknowledge);
  await inbox.close();
  await inbox.closeJournal();
  storage.close();
}

test('it is set aside at the fourth start, and the others are worked on', async () => {
  await fill(['a', 'poison', 'b', 'c']);
  for (let start = 1; start <= 3; start++) {
    const { inbox, storage } = await open();
    expect(await live(['poison'], inbox), `start ${start}`).toEqual({ done: ['a'], died: true });
    expect(storage.guard?.quarantined ?? 0).toBe(0);
    forgetLock();
  }
  const { inbox, storage } = await open();
  expect(await live(['poison'], inbox)).toEqual({ done: ['a', 'b', 'c'], died: false });
  expect(storage.guard?.quarantined ?? 0).toBe(1);
  expect(problems).toEqual([
    `t: a message was never done with in 3 starts and is set aside, kept in ${quarantine()}`,
  ]);
  await inbox.close();
  await inbox.closeJournal();
  storage.close();

  expect(readFileSync(quarantine(), 'utf8')).toBe('{"t":0,"topic":"t","payload":"poison"}\n');
  const next = await open();
  expect(next.storage.intake.count).toBe(0);
  await next.inbox.closeJournal();
  next.storage.close();
});

test('two of them are set aside one after the other', async () => {
  const deadly = ['x', 'y'];
  await fill(['x', 'a', 'y', 'b']);
  let starts = 0;
  for (let died = true; died; starts++) {
    expect(starts).toBeLessThan(10);
    const { inbox } = await open();
    ({ died } = await live(deadly, inbox));
    forgetLock();
  }
  expect(starts).toBe(7);
  const kept = readFileSync(quarantine(), 'utf8').trimEnd().split('\n');
  expect(kept.map((line) => JSON.parse(line).payload)).toEqual(['x', 'y']);
});

test('whoever is killed at different messages, or stops in order, loses nothing', async () => {
  const texts = ['a', 'b', 'c', 'd', 'e'];
  await fill(texts);
  for (const deadly of [...texts, ...texts]) {
    const { inbox, storage } = await open();
    await live([deadly], inbox);
    expect(storage.guard?.quarantined ?? 0).toBe(0);
    forgetLock();
  }
  const { inbox, storage } = await open();
  expect((await live([], inbox)).done).toEqual(texts);
  storage.close();
});
