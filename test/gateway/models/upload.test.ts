import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { saveModel } from '../../../src/engine/model-file.ts';
import { sha256Of } from '../../../src/gateway/models/signature.ts';
import { readOffer, Upload, uploadMessages } from '../../../src/gateway/models/upload.ts';
import { ModelRefusal } from '../../../src/gateway/models/vet.ts';
import { tinyModel } from '../../engine/tiny-model.ts';
import { offered, Stage, stranger, twin } from './stage.ts';

const seed = 20_261_124;
const runs = Number(process.env.DORMOUSE_FUZZ ?? 1500);
const limits = { bytesMax: 1 << 20, idleMs: 1000 };
const first = sha256Of(saveModel(tinyModel()));

describe('an upload', () => {
  test('parts of any size, in any order, some of them twice, give the bytes back', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 3000 }),
        fc.integer({ min: 1, max: 3500 }),
        fc.infiniteStream(fc.nat()),
        (bytes, partBytes, numbers) => {
          const model = { bytes, signature: null };
          const [offer, ...parts] = uploadMessages('p', model, sha256Of(bytes), { partBytes });
          const upload = new Upload(readOffer(offer!.payload, limits));
          const order = [...parts, ...parts.slice(0, 3)].map((part) => ({
            part,
            key: numbers.next().value!,
          }));
          order.sort((a, b) => a.key - b.key);
          for (const { part } of order) upload.take(part.topic.split('/').at(-1)!, part.payload);
          expect(upload.missing).toBe(0);
          expect(Buffer.from(upload.offered().bytes)).toEqual(Buffer.from(bytes));
        },
      ),
      { seed, numRuns: 200 },
    );
  });

  test.each([
    ['nothing', '', 'something that is not JSON'],
    ['a list', '[]', 'JSON that is none'],
    ['too much', `{"id":"${'x'.repeat(1100)}"}`, 'at most 1024 bytes'],
    ['an unknown key', '{"path":"../../etc"}', 'got also "path"'],
    ['a key of a prototype', '{"__proto__":{"size":1}}', 'got also "__proto__"'],
    ['no digest', '{}', 'sha256: expected 64 hexadecimal digits'],
    ['a path for a digest', JSON.stringify({ sha256: '../'.repeat(20) }), 'sha256: expected'],
    ['no size', JSON.stringify({ sha256: 'a'.repeat(64), parts: 1 }), 'size: expected a whole number'],
    ['half a byte', JSON.stringify({ sha256: 'a'.repeat(64), size: 1.5, parts: 1 }), 'size: expected'],
    [
      'more than it may',
      JSON.stringify({ sha256: 'a'.repeat(64), size: 2 ** 20 + 1, parts: 1 }),
      'size: expected at most 1048576 bytes, got 1048577',
    ],
    [
      'more parts than bytes',
      JSON.stringify({ sha256: 'a'.repeat(64), size: 3, parts: 4 }),
      'parts: expected a whole number from 1 to 3',
    ],
    ['a bad id', JSON.stringify({ id: 'a/b', sha256: 'a'.repeat(64) }), 'id: expected'],
    [
      'a signature that is no text',
      JSON.stringify({ sha256: 'a'.repeat(64), size: 3, parts: 1, signature: 7 }),
      'signature: expected',
    ],
  ])('an offer with %s is refused', (_, text, expected) => {
    expect(() => readOffer(Buffer.from(text), limits)).toThrow(ModelRefusal);
    expect(() => readOffer(Buffer.from(text), limits)).toThrow(expected);
  });

  test('parts that do not add up are refused before anything is kept', () => {
    const offer = { id: null, sha256: 'a'.repeat(64), size: 10, parts: 6, signature: null };
    expect(() => new Upload(offer)).toThrow('6 of 2 bytes are more than 10');
  });

  test.each([
    ['one beyond the last', '3', 4, 'expected a part from 0 to 2'],
    ['a negative one', '-1', 4, 'expected a part from 0 to 2, got "-1"'],
    ['a path', '..', 4, 'expected a part'],
    ['another spelling', '01', 4, 'expected a part'],
    ['a key of every object', 'constructor', 4, 'expected a part'],
    ['one that is too short', '0', 3, 'part 0: expected 4 bytes, got 3'],
    ['a last one that is too long', '2', 4, 'part 2: expected 2 bytes, got 4'],
  ])('part %s is refused', (_, name, length, expected) => {
    const upload = new Upload({ id: null, sha256: 'a'.repeat(64), size: 10, parts: 3, signature: null });
    expect(() => upload.take(name, Buffer.alloc(length))).toThrow(expected);
    expect(upload.missing).toBe(3);
  });
});

describe('over MQTT', () => {
  let stage: Stage;
  beforeEach(() => {
    stage = new Stage();
  });
  afterEach(async () => {
    await stage.stop();
    stage.remove();
  });

  test('a signed model is taken on, and its sender hears of it', async () => {
    await stage.start();
    await stage.ticks(5);
    const next = offered(twin());
    const sha256 = sha256Of(next.bytes);
    await stage.upload(next, { id: 'u-1', partBytes: 1000 });
    expect(stage.replies.at(-1)).toMatchObject({ command: 'model', id: 'u-1', ok: true, sha256 });
    await stage.ticks(25);
    expect(stage.replies.at(-1)).toMatchObject({ id: 'u-1', ok: true, outcome: 'promoted', sha256 });
    expect(stage.status).toMatchObject({ phase: 'watch', current: sha256, previous: first });
    await stage.ticks(30);
    expect(stage.replies.at(-1)).toMatchObject({ id: 'u-1', outcome: 'confirmed' });
    expect(stage.unanswered()).toEqual([]);
    // After a restart it is still there, though the file has the old one.
    stage.kill(true);
    await stage.start();
    await stage.ticks(2);
    expect(stage.status).toMatchObject({ phase: 'idle', current: sha256, previous: first });
  });

  test('without a signature not a byte of it is kept', async () => {
    await stage.start();
    await stage.upload(offered(twin(), false), { id: 'u-2' });
    const [refusal] = stage.replies;
    expect(refusal).toMatchObject({ id: 'u-2', ok: false });
    expect(refusal!.error).toContain('expected a signature, got none');
    expect(stage.part.counters().models).toMatchObject({ uploads: 0, refusals: { unsigned: 1 } });
  });

  test('a signature over other bytes than come is refused when they have come', async () => {
    await stage.start();
    const signed = offered(twin());
    const other = Buffer.from(signed.bytes);
    other[other.length - 1]! ^= 1;
    const messages = uploadMessages(
      'dormouse/test',
      { bytes: other, signature: signed.signature },
      sha256Of(signed.bytes),
    );
    for (const { topic, payload } of messages) stage.broker.publish(topic, payload);
    await stage.scheduler.run(1000);
    expect(stage.status.last).toMatchObject({ outcome: 'refused', code: 'hash' });
    expect(stage.status).toMatchObject({ phase: 'idle', current: first });
    expect(stage.replies.at(-1)!.error).toContain(`expected SHA-256 ${sha256Of(signed.bytes)}`);
  });

  test('a model that differs is refused, and its sender is told why', async () => {
    await stage.start();
    await stage.upload(offered(stranger()), { id: 'u-3' });
    await stage.ticks(30);
    expect(stage.replies.at(-1)).toMatchObject({ id: 'u-3', ok: false, outcome: 'refused' });
    expect(stage.replies.at(-1)!.error).toContain('agreement: expected');
  });

  test('parts that nobody announced are counted, and answered once', async () => {
    await stage.start();
    for (let i = 0; i < 50; i++) stage.broker.publish(`dormouse/test/models/part/${i}`, Buffer.alloc(100));
    await stage.scheduler.run(1000);
    expect(stage.part.counters().models).toMatchObject({ refusals: { unsolicited: 50 } });
    expect(stage.replies).toHaveLength(1);
    await stage.ticks(3);
    expect(stage.unanswered()).toEqual([]);
  });

  test('retained offers are ignored', async () => {
    const [offer] = uploadMessages('dormouse/test', offered(twin()), sha256Of(twin()));
    stage.broker.publish(offer!.topic, offer!.payload, { retain: true });
    await stage.start();
    expect(stage.part.counters().models).toMatchObject({ ignored: 1 });
    expect(stage.replies).toEqual([]);
  });

  test('what is not finished is given up, and can be sent again', async () => {
    await stage.start({ upload: { idleS: 5 } });
    const next = offered(twin());
    const messages = uploadMessages('dormouse/test', next, sha256Of(next.bytes), { partBytes: 1000 });
    for (const { topic, payload } of messages.slice(0, -1)) stage.broker.publish(topic, payload);
    await stage.scheduler.run(20_000);
    expect(stage.replies.at(-1)).toMatchObject({
      ok: false,
      error: 'expected 1 parts more within 5 s, got none',
    });
    for (const { topic, payload } of messages) stage.broker.publish(topic, payload);
    await stage.ticks(3);
    expect(stage.status.phase).toBe('canary');
  });

  test('an offer while another model is on trial is put off', async () => {
    await stage.start({ canary: { ticks: 1000 } });
    await stage.upload(offered(twin()));
    await stage.ticks(3);
    await stage.upload(offered(twin('another')), { id: 'u-4' });
    const reply = stage.replies.find(({ id }) => id === 'u-4');
    expect(reply).toMatchObject({ ok: false });
    expect(stage.part.counters().models).toMatchObject({ refusals: { busy: 1 } });
    expect(stage.status.phase).toBe('canary');
  });

  test('any messages on these topics: refused and counted, nothing kept, every tick answered', async () => {
    await stage.start();
    const topics = ['offer', 'part/0', 'part/1', 'part/-1', 'part/..', 'part/__proto__', 'part/99999999'];
    const sample = fc.sample(
      fc.tuple(
        fc.constantFrom(...topics),
        fc.oneof(
          fc.uint8Array({ maxLength: 1500 }).map((bytes) => Buffer.from(bytes)),
          fc.json().map((text) => Buffer.from(text)),
          fc
            .record({
              sha256: fc.constantFrom('a'.repeat(64), sha256Of(twin())),
              size: fc.oneof(fc.nat(), fc.double(), fc.constant('1')),
              parts: fc.oneof(fc.nat(10), fc.constant(-1)),
              signature: fc.constantFrom(null, offered(twin()).signature, 'nonsense'),
            })
            .map((fields) => Buffer.from(JSON.stringify(fields))),
        ),
      ),
      { seed, numRuns: runs },
    );
    for (const [topic, payload] of sample) {
      stage.broker.publish(`dormouse/test/models/${topic}`, payload);
      await stage.scheduler.run(20);
    }
    await stage.ticks(5);
    expect(stage.status).toMatchObject({ phase: 'idle', current: first });
    expect(stage.unanswered()).toEqual([]);
    const { refusals, ignored } = stage.part.counters().models as {
      refusals: Record<string, number>;
      ignored: number;
    };
    const count = Object.values(refusals).reduce((sum, each) => sum + each, ignored);
    // Some are good offers of a signed model, whose parts never come.
    expect(count).toBeGreaterThan(0.85 * runs);
    expect((await stage.disk.list()).filter((name) => name.endsWith('.safetensors'))).toHaveLength(1);
  }, 600_000);
});
