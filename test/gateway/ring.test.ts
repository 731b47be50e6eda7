import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MessageRing } from '../../src/gateway/ring.ts';

test('gives back what was put in, in order', () => {
  const ring = new MessageRing(4, 100);
  ring.push('a', Buffer.from('one'), 1, false);
  ring.push('b', Buffer.from('two'), 2, true);
  expect(ring.count).toBe(2);
  expect({ ...ring.shift() }).toEqual({
    topic: 'a',
    payload: Buffer.from('one'),
    receivedMs: 1,
    retained: false,
    number: 1,
    sequence: 0,
  });
  expect({ ...ring.shift() }).toEqual({
    topic: 'b',
    payload: Buffer.from('two'),
    receivedMs: 2,
    retained: true,
    number: 2,
    sequence: 0,
  });
  expect(ring.shift()).toBeUndefined();
});

test('copies: the sender may use its buffer again', () => {
  const ring = new MessageRing(4, 100);
  const buffer = Buffer.from('one');
  ring.push('a', buffer, 1, false);
  buffer.fill('x');
  expect(ring.shift()!.payload.toString()).toBe('one');
});

test('refuses a payload that is larger than all of it', () => {
  const ring = new MessageRing(4, 10);
  ring.push('a', Buffer.alloc(10), 1, false);
  expect(ring.push('b', Buffer.alloc(11), 1, false)).toBe(false);
  expect(ring.count).toBe(1);
  expect(ring.dropped).toBe(0);
});

test('drops the oldest when slots run out', () => {
  const ring = new MessageRing(3, 100);
  for (const topic of ['a', 'b', 'c', 'd']) ring.push(topic, Buffer.from(topic), 1, false);
  expect(ring.dropped).toBe(1);
  expect([ring.shift()!.topic, ring.shift()!.topic, ring.shift()!.topic]).toEqual(['b', 'c', 'd']);
});

test('drops as many of the oldest as the bytes of a new one need', () => {
  const ring = new MessageRing(10, 10);
  for (const topic of ['a', 'b', 'c']) ring.push(topic, Buffer.alloc(3), 1, false);
  ring.push('d', Buffer.alloc(5), 1, false);
  expect(ring.dropped).toBe(2);
  expect([ring.shift()!.topic, ring.shift()!.topic]).toEqual(['c', 'd']);
});

test.each([
  [0, 1],
  [1, 0],
  [1.5, 1],
])('refuses to be of %d slots and %d bytes', (slots, bytes) => {
  expect(() => new MessageRing(slots, bytes)).toThrow(RangeError);
});

test('whatever happens: a queue that lost only its oldest, every byte intact', () => {
  const operation = fc.oneof(
    { weight: 3, arbitrary: fc.uint8Array({ maxLength: 12 }) },
    { weight: 2, arbitrary: fc.constant('shift' as const) },
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.array(operation, { maxLength: 60 }),
      (slots, operations) => {
        const ring = new MessageRing(slots, 16);
        let expected: Buffer[] = [];
        let dropped = 0;
        for (const what of operations) {
          if (what === 'shift') {
            expect(ring.shift()?.payload).toEqual(expected.shift());
          } else {
            expect(ring.push('t', what, 0, false)).toBe(true);
            expected.push(Buffer.from(what));
            dropped = ring.dropped;
            expected = expected.slice(expected.length - ring.count);
          }
          expect(ring.count).toBe(expected.length);
          expect(ring.usedBytes).toBe(expected.reduce((sum, { length }) => sum + length, 0));
          expect(ring.count).toBeLessThanOrEqual(slots);
        }
        expect(ring.dropped).toBe(dropped);
      },
    ),
    { seed: 3, numRuns: 2000 },
  );
});

test('drops nothing while there is room in one piece', () => {
  const ring = new MessageRing(100, 100);
  for (let i = 0; i < 1000; i++) {
    ring.push('t', Buffer.alloc(20, i), i, false);
    if (ring.count > 3) expect(ring.shift()!.payload[0]).toBe((i - 3) & 255);
  }
  expect(ring.dropped).toBe(0);
});

test('refuses what is new instead, if told so', () => {
  const ring = new MessageRing(2, 10, 'refuse');
  const push = (topic: string, bytes: number) => ring.push(topic, Buffer.alloc(bytes), 1, false);
  expect([push('a', 6), push('b', 6), push('c', 4), push('d', 0)]).toEqual([true, false, true, false]);
  expect(ring).toMatchObject({ refused: 2, dropped: 0, count: 2 });
});

test('while it is more than half full, leaves out what a later message on its topic replaces, if told so', () => {
  const ring = new MessageRing(6, 100, 'coalesce');
  for (const [index, topic] of ['a', 'b', 'a', 'c', 'a'].entries())
    ring.push(topic, Buffer.from([index]), 1, false);
  const taken = Array.from({ length: 4 }, () => ring.shift()!.payload[0]);
  // The first a gives way; then half of the slots are free, and nothing more is left out.
  expect(taken).toEqual([1, 2, 3, 4]);
  expect(ring).toMatchObject({ coalesced: 1, dropped: 0, count: 0 });
});

test('shows what waits, and notes where it was written', () => {
  const ring = new MessageRing(2, 100);
  for (const topic of ['a', 'b', 'c']) ring.push(topic, Buffer.from(topic), 1, false);
  const seen: string[] = [];
  ring.noteSequences(({ topic, number, sequence }) => {
    seen.push(`${topic} ${number} ${sequence}`);
    return number + 10;
  });
  expect(seen).toEqual(['b 2 0', 'c 3 0']);
  expect([ring.shift()!.sequence, ring.shift()!.sequence]).toEqual([12, 13]);
});
