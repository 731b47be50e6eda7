import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { realDisk } from '../../../src/gateway/disk/disk.ts';
import { DurableQueue } from '../../../src/gateway/disk/durable-queue.ts';
import { randomNumbers } from '../../engine/tiny-model.ts';
import { SimulatedDisk } from '../../sim/disk.ts';

const plenty = 1 << 20;

function makeDisk(seed = 1): SimulatedDisk {
  return new SimulatedDisk({ random: randomNumbers(seed) });
}

function open(disk: SimulatedDisk, maxBytes = 4096, problems: string[] = []) {
  return DurableQueue.open({ disk, name: 'q', maxBytes, onProblem: (text) => void problems.push(text) });
}

const bytesOf = (text: string) => Buffer.from(text);

async function readAll(queue: DurableQueue, maxBytes = 100): Promise<string[]> {
  const texts: string[] = [];
  for (;;) {
    const records = await queue.read(maxBytes);
    if (records.length === 0) return texts;
    texts.push(...records.map(({ payload }) => payload.toString()));
  }
}

test('gives back in order what was appended, committed or not, each once', async () => {
  const queue = await open(makeDisk());
  for (const text of ['a', 'b', '', 'c'.repeat(500)]) queue.append(bytesOf(text));
  expect(await queue.commit()).toBe(true);
  queue.append(bytesOf('d'));
  expect(await readAll(queue)).toEqual(['a', 'b', '', 'c'.repeat(500), 'd']);
  expect(queue).toMatchObject({ count: 5, unread: 0, durableThrough: 4 });
});

test('reads so many at most, and nothing that is known already', async () => {
  const queue = await open(makeDisk());
  for (const text of ['a', 'b', 'c']) queue.append(bytesOf(text));
  await queue.commit();
  expect(await queue.read(plenty, 2)).toHaveLength(2);
  queue.append(bytesOf('d'));
  queue.skipUnread();
  queue.append(bytesOf('e'));
  expect(await readAll(queue)).toEqual(['e']);
});

test('one commit is one sync, however many records', async () => {
  const disk = makeDisk();
  const queue = await open(disk);
  for (let i = 0; i < 10; i++) queue.append(bytesOf(String(i)));
  await queue.commit();
  await queue.commit();
  expect(disk.syncs).toBe(1);
});

test('what is released before it was committed never reaches the disk', async () => {
  const disk = makeDisk();
  const queue = await open(disk);
  queue.release(queue.append(bytesOf('done already'))!);
  expect(await queue.commit()).toBe(true);
  expect(disk.bytesWritten).toBe(0);
  expect(queue.bytes).toBe(0);
});

test('when all is released nothing is left on the disk, and numbers go on', async () => {
  const disk = makeDisk();
  const queue = await open(disk);
  queue.append(bytesOf('a'));
  await queue.commit();
  queue.release(1);
  await queue.tidy();
  expect(await disk.list()).toEqual([]);
  expect(queue.append(bytesOf('b'))).toBe(2);
});

test('an orderly end is remembered: what was released does not come back', async () => {
  const disk = makeDisk();
  const queue = await open(disk);
  for (const text of ['a', 'b', 'c']) queue.append(bytesOf(text));
  await queue.commit();
  queue.release(2);
  await queue.close();
  expect(await readAll(await open(disk))).toEqual(['c']);
});

test('has no room beyond its bound, and has again when the oldest are dropped', async () => {
  const disk = makeDisk();
  const queue = await open(disk, 1000);
  let appended = 0;
  while (queue.append(bytesOf('x'.repeat(50))) !== undefined) appended++;
  await queue.commit();
  expect(disk.usedBytes).toBeLessThanOrEqual(1000);
  expect(queue.append(bytesOf('x'.repeat(50)))).toBeUndefined();
  const dropped = await queue.dropOldest();
  expect(dropped).toBeGreaterThan(0);
  expect(dropped).toBeLessThan(appended);
  expect(queue.append(bytesOf('x'.repeat(50)))).toBeDefined();
});

test('drops what waits to be written when nothing is on the disk', async () => {
  const queue = await open(makeDisk());
  queue.append(bytesOf('a'));
  queue.append(bytesOf('b'));
  expect(await queue.dropOldest()).toBe(2);
  expect(queue).toMatchObject({ count: 0, bytes: 0 });
});

test.each(['ENOSPC', 'EROFS', 'EIO'])('%s is told, and what was refused is tried again', async (code) => {
  const disk = makeDisk();
  const problems: string[] = [];
  const queue = await open(disk, 4096, problems);
  queue.append(bytesOf('a'));
  await queue.commit();
  disk.failure = code;
  queue.append(bytesOf('b'));
  expect(await queue.commit()).toBe(false);
  expect(queue).toMatchObject({ durableThrough: 1, failures: 1 });
  expect(problems).toEqual([`q queue: ${code}: simulated`]);
  disk.failure = undefined;
  expect(await queue.commit()).toBe(true);
  expect(await readAll(await open(disk))).toEqual(['a', 'b']);
});

test('a disk that fills up in the middle of a write keeps what was whole, and goes on when there is room', async () => {
  const disk = makeDisk();
  const queue = await open(disk, plenty);
  queue.append(bytesOf('a'));
  await queue.commit();
  disk.capacityBytes = disk.usedBytes + 60;
  for (const text of ['b'.repeat(40), 'c'.repeat(40)]) queue.append(bytesOf(text));
  expect(await queue.commit()).toBe(false);
  // A program that is killed now finds only what was whole.
  expect((await readAll(await open(disk, plenty)))[0]).toBe('a');
  disk.capacityBytes = plenty;
  expect(await queue.commit()).toBe(true);
  expect(await readAll(queue)).toEqual(['a', 'b'.repeat(40), 'c'.repeat(40)]);
});

test('a file that can not be read is lost, counted, and what follows is not', async () => {
  const disk = makeDisk();
  const queue = await DurableQueue.open({ disk, name: 'q', maxBytes: 4096, fileBytes: 60 });
  for (const text of ['a', 'b', 'c', 'd']) queue.append(bytesOf(text));
  await queue.commit();
  disk.failure = 'EIO';
  disk.onOperation = () => {
    disk.onOperation = () => {
      disk.failure = undefined;
    };
  };
  expect(await readAll(queue)).toEqual(['b', 'c', 'd']);
  expect(queue.lost).toBe(1);
});

test('foreign files are left alone, cut ones are cleared away', async () => {
  const disk = makeDisk();
  for (const name of ['q-00000001.queue', 'other-00000001.queue', 'q.txt'])
    await (await disk.open(name)).write(0, bytesOf('no queue'));
  const queue = await open(disk);
  expect(queue.repairedBytes).toBe(8);
  expect(await disk.list()).toEqual(['other-00000001.queue', 'q.txt']);
});

/** What the queue should hold, by the texts of its records. */
interface Expected {
  readonly id: number;
  isDurable: boolean;
  isReleased: boolean;
}

/** Lives of one queue on one disk: each ends by a cut of power, sometimes in the middle of an operation. */
async function runLives(seed: number): Promise<void> {
  const random = randomNumbers(seed);
  const disk = new SimulatedDisk({ random });
  const below = (limit: number) => Math.floor(random() * limit);
  const expected: Expected[] = [];
  let nextId = 1;
  for (let life = 0; life < 6; life++) {
    const queue = await DurableQueue.open({ disk, name: 'q', maxBytes: 3000, fileBytes: 300 });
    const bySequence = new Map<number, Expected>();
    const found = [];
    for (let batch = await queue.read(below(400)); batch.length > 0; batch = await queue.read(below(400)))
      found.push(...batch);
    const ids = found.map(({ payload }) => Number(payload.toString('utf8').split(' ')[0]));
    const known = new Map(expected.map((each) => [each.id, each]));
    expect(ids).toEqual([...ids].sort((a, b) => a - b));
    for (const id of ids) expect(known.has(id)).toBe(true);
    const missing = expected.filter(
      ({ id, isDurable, isReleased }) => isDurable && !isReleased && !ids.includes(id),
    );
    expect(missing).toEqual([]);
    for (const each of expected) each.isReleased ||= !ids.includes(each.id);
    for (const [index, { sequence }] of found.entries()) {
      const each = known.get(ids[index]!)!;
      each.isDurable = true;
      bySequence.set(sequence, each);
    }
    await liveOn(queue, disk, random, {
      appended: (sequence) => {
        const each = { id: nextId++, isDurable: false, isReleased: false };
        bySequence.set(sequence, each);
        expected.push(each);
      },
      nextId: () => nextId,
      durable: (through) => {
        for (const [sequence, each] of bySequence) if (sequence <= through) each.isDurable = true;
      },
      released: (through) => {
        for (const [sequence, each] of bySequence) if (sequence <= through) each.isReleased = true;
      },
    });
    disk.onOperation = undefined;
    disk.failure = undefined;
    disk.failsToSync = false;
    disk.cutPower();
  }
}

interface Notes {
  appended(sequence: number): void;
  nextId(): number;
  durable(through: number): void;
  released(through: number): void;
}

async function liveOn(
  queue: DurableQueue,
  disk: SimulatedDisk,
  random: () => number,
  notes: Notes,
): Promise<void> {
  const below = (limit: number) => Math.floor(random() * limit);
  let operationsLeft = 5 + below(60);
  let isOver = false;
  disk.onOperation = () => {
    if (isOver || operationsLeft-- > 0) return;
    isOver = true;
    disk.cutPower();
    throw new Error('the power is gone');
  };
  for (let step = 0; step < 80 && !isOver; step++) {
    const choice = below(10);
    if (choice < 4) {
      const sequence = queue.append(bytesOf(`${notes.nextId()} ${'x'.repeat(below(120))}`));
      if (sequence !== undefined) notes.appended(sequence);
      else {
        await queue.dropOldest();
        notes.released(queue.releasedThrough);
      }
    } else if (choice < 7) await queue.commit();
    else if (choice === 7 && queue.count > 0) {
      const through = queue.releasedThrough + 1 + below(queue.count);
      queue.release(through);
      notes.released(through);
    } else if (choice === 8) await queue.tidy();
    else {
      disk.failure = random() < 0.3 ? ['ENOSPC', 'EROFS', 'EIO'][below(3)] : undefined;
      disk.failsToSync = random() < 0.2;
    }
    if (!isOver) notes.durable(queue.durableThrough);
  }
}

describe('whatever happens to the disk', () => {
  const seeds = Number(process.env.DORMOUSE_QUEUE_SEEDS ?? 150);
  test(`nothing that was committed is lost, nothing comes twice or out of order (${seeds} seeds)`, async () => {
    for (let seed = 1; seed <= seeds; seed++) {
      await runLives(seed).catch((error: Error) => {
        throw new Error(`seed ${seed}: ${error.message}`, { cause: error });
      });
    }
  });
});

test('on a real disk', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'dormouse-queue-'));
  try {
    const queue = await DurableQueue.open({
      disk: realDisk(directory),
      name: 'q',
      maxBytes: 4096,
      fileBytes: 200,
    });
    for (let i = 0; i < 20; i++) queue.append(bytesOf(`message ${i}`));
    expect(await queue.commit()).toBe(true);
    queue.release(15);
    await queue.tidy();
    await queue.close();
    const again = await DurableQueue.open({ disk: realDisk(directory), name: 'q', maxBytes: 4096 });
    expect(await readAll(again)).toEqual([16, 17, 18, 19, 20].map((i) => `message ${i - 1}`));
    again.release(20);
    await again.close();
    expect(readdirSync(directory)).toEqual([]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
