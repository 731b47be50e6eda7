import { expect, test } from 'vitest';
import { Outbox, type OutgoingMessage } from '../../src/gateway/outbox.ts';

function message(text: string): OutgoingMessage {
  return { topic: 't', payload: text, qos: 1, retain: false };
}

/** A connection that notes what it was given and acknowledges when told. */
function wire() {
  const sent: { text: string; again: boolean; done: (error?: Error) => void }[] = [];
  return {
    sent,
    send: (m: OutgoingMessage, again: boolean, done: (error?: Error) => void) =>
      void sent.push({ text: m.payload as string, again, done }),
    texts: () => sent.map(({ text, again }) => (again ? `${text}*` : text)),
  };
}

test('keeps a window of messages under way, in order', () => {
  const outbox = new Outbox(10, 2);
  const { send, sent, texts } = wire();
  outbox.attach(send);
  for (const text of ['a', 'b', 'c', 'd']) outbox.push(message(text));
  expect(texts()).toEqual(['a', 'b']);
  sent[0]!.done();
  expect(texts()).toEqual(['a', 'b', 'c']);
  sent[2]!.done();
  expect(texts()).toEqual(['a', 'b', 'c', 'd']);
  for (const { done } of sent) done();
  expect(outbox).toMatchObject({ count: 0, acknowledged: 4, dropped: 0, resent: 0 });
});

test('while nobody is there it keeps the newest, and counts what it drops', () => {
  const outbox = new Outbox(3, 1);
  for (const text of ['a', 'b', 'c', 'd', 'e']) outbox.push(message(text));
  expect(outbox).toMatchObject({ count: 3, dropped: 2 });
  const { send, sent, texts } = wire();
  outbox.attach(send);
  for (let i = 0; i < 3; i++) sent[i]!.done();
  expect(texts()).toEqual(['c', 'd', 'e']);
});

test('never drops what is under way', () => {
  const outbox = new Outbox(3, 2);
  const { send, sent, texts } = wire();
  outbox.attach(send);
  for (const text of ['a', 'b', 'c', 'd']) outbox.push(message(text));
  expect(outbox.dropped).toBe(1);
  sent[0]!.done();
  sent[1]!.done();
  expect(texts()).toEqual(['a', 'b', 'd']);
});

test('sends again what a lost connection did not acknowledge, oldest first', () => {
  const outbox = new Outbox(10, 3);
  const first = wire();
  outbox.attach(first.send);
  for (const text of ['a', 'b', 'c', 'd']) outbox.push(message(text));
  first.sent[1]!.done();
  outbox.detach();
  // Too late: that connection is gone, nobody knows whether it holds.
  first.sent[0]!.done();
  const second = wire();
  outbox.attach(second.send);
  expect(second.texts()).toEqual(['a*', 'c*', 'd*']);
  for (const { done } of second.sent) done();
  expect(outbox).toMatchObject({ count: 0, acknowledged: 4, resent: 3 });
});

test('counts a refusal and goes on', () => {
  const outbox = new Outbox(10, 1);
  const { send, sent, texts } = wire();
  outbox.attach(send);
  outbox.push(message('a'));
  outbox.push(message('b'));
  sent[0]!.done(new Error('not authorized'));
  expect(texts()).toEqual(['a', 'b']);
  expect(outbox).toMatchObject({ refused: 1, acknowledged: 0, count: 1 });
});

test('an acknowledgement counts once', () => {
  const outbox = new Outbox(10, 1);
  const { send, sent } = wire();
  outbox.attach(send);
  outbox.push(message('a'));
  outbox.push(message('b'));
  sent[0]!.done();
  sent[0]!.done();
  expect(outbox).toMatchObject({ acknowledged: 1, count: 1 });
});

test('a connection that settles at once needs no stack', () => {
  const outbox = new Outbox(50_001, 1);
  for (let i = 0; i < 50_000; i++) outbox.push(message('x'));
  outbox.attach((_message, _again, done) => done());
  expect(outbox).toMatchObject({ acknowledged: 50_000, count: 0 });
});

test.each([
  [1, 1],
  [5, 0],
  [2, 3],
])('refuses a capacity of %d with %d in flight', (capacity, inFlight) => {
  expect(() => new Outbox(capacity, inFlight)).toThrow(RangeError);
});

test('what remains is what waits or is under way, in order', () => {
  const outbox = new Outbox(3, 1);
  const { send, sent } = wire();
  outbox.attach(send);
  for (const text of ['a', 'b', 'c']) outbox.push(message(text));
  sent[0]!.done();
  expect(outbox.remaining()).toEqual([message('b'), message('c')]);
});

test('after a lost connection nothing is under way, so the oldest goes first', () => {
  const outbox = new Outbox(3, 2);
  outbox.attach(wire().send);
  for (const text of ['a', 'b', 'c']) outbox.push(message(text));
  outbox.detach();
  outbox.push(message('d'));
  const { send, sent, texts } = wire();
  outbox.attach(send);
  sent[0]!.done();
  expect(texts()).toEqual(['b*', 'c', 'd']);
  expect(outbox.dropped).toBe(1);
});

test('what it forgets is counted as dropped, and its late acknowledgements change nothing', () => {
  const outbox = new Outbox(10, 2);
  const { send, sent, texts } = wire();
  outbox.attach(send);
  for (const text of ['a', 'b', 'c']) outbox.push(message(text));
  outbox.detach();
  outbox.clear();
  expect(outbox).toMatchObject({ count: 0, dropped: 3, acknowledged: 0 });
  outbox.attach(send);
  outbox.push(message('d'));
  sent[0]!.done();
  expect(texts()).toEqual(['a', 'b', 'd']);
  sent[2]!.done();
  expect(outbox).toMatchObject({ count: 0, acknowledged: 1 });
});

test('of 70,000 results that nobody acknowledges it keeps its bound, those under way first', () => {
  const outbox = new Outbox(1000, 16);
  const { send, sent } = wire();
  outbox.attach(send);
  for (let n = 0; n < 70_000; n++) outbox.push(message(String(n)));
  expect(sent).toHaveLength(16);
  expect(outbox).toMatchObject({ count: 1000, dropped: 69_000, settledThrough: 0 });
  for (let n = 0; n < sent.length; n++) sent[n]!.done();
  expect(outbox).toMatchObject({ count: 0, acknowledged: 1000, settledThrough: 70_000 });
  expect(sent.at(-1)!.text).toBe('69999');
});
