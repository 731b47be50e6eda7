import { readFileSync, truncateSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Engine } from '../../../src/engine/engine.ts';
import { Witness } from '../../../src/gate/witness.ts';
import { WITNESS_BYTES } from '../../../src/gate/witness-record.ts';
import { headerBytes } from '../../../src/gateway/disk/record-file.ts';
import { readWitnesses, WitnessLog } from '../../../src/gateway/disk/witness-log.ts';
import { Pipeline } from '../../../src/gateway/pipeline.ts';
import { Fixture } from '../fixture.ts';

const fixture = new Fixture();
const config = {
  directory: fixture.path('witness'),
  fileBytes: 1 << 20,
  files: 4,
  flushMs: 60_000,
  bytesPerDay: 0,
};
const ticks = 50;
const expected: object[] = [];

function fail(text: string): never {
  throw new Error(text);
}

async function readAll(): Promise<object[]> {
  const found: object[] = [];
  for await (const witness of readWitnesses(config.directory)) found.push(witness.toJson());
  return found;
}

/** Runs the walk through the pipeline and logs every tick. */
async function logTicks(): Promise<void> {
  const { timeMs, values } = fixture.series();
  const pipeline = new Pipeline(new Engine(fixture.model), 0);
  const log = await WitnessLog.open(config, fail);
  for (let row = 0; row < ticks; row++) {
    const witness = pipeline.tick({ timeMs: timeMs[row]!, values: values.slice(row * 2, row * 2 + 2) });
    log.onTick(witness);
    expected.push(witness.toJson());
  }
  await log.stop();
}

beforeAll(async () => {
  fixture.writeRecording(ticks);
  await logTicks();
});
afterAll(() => fixture.remove());

test('every tick comes back as it was', async () => {
  expect(await readAll()).toEqual(expected);
});

test('cut at every byte of the last two records: the whole ones come back', async () => {
  const path = `${config.directory}/witness-00000001.log`;
  const whole = readFileSync(path).length;
  expect(whole).toBe(headerBytes + ticks * WITNESS_BYTES);
  for (let length = whole - 1; length >= whole - 2 * WITNESS_BYTES; length--) {
    truncateSync(path, length);
    expect(await readAll()).toEqual(expected.slice(0, Math.floor((length - headerBytes) / WITNESS_BYTES)));
  }
});

test('a day of witnesses stays within its bytes: the important ones are kept, the others thinned', async () => {
  const directory = fixture.path('bounded');
  let nowMs = 0;
  const bounded = await WitnessLog.open({ ...config, directory, bytesPerDay: 100_000 }, fail, () => nowMs);
  const witness = new Witness();
  for (let second = 0; second < 86_400; second++) {
    nowMs = second * 1000;
    witness.sequence = second;
    witness.tier = second % 1000 === 0 ? 1 : second % 100 === 0 ? 0 : 3;
    witness.trust = second % 9000 === 5 ? 'quarantine' : 'allow';
    bounded.onTick(witness);
    if (second % 600 === 599) await bounded.flush();
  }
  await bounded.stop();
  const kept: { tier: number; trust: string }[] = [];
  for await (const { tier, trust } of readWitnesses(directory)) kept.push({ tier, trust });
  expect(kept.length * WITNESS_BYTES).toBeLessThanOrEqual(100_000);
  expect(kept.filter(({ trust }) => trust !== 'allow')).toHaveLength(10);
  expect(kept.filter(({ tier }) => tier === 1)).toHaveLength(87);
  expect(kept.filter(({ tier }) => tier === 3).length).toBeGreaterThan(100);
  const { written, writtenBytes, passedOver } = bounded.counters().witnessLog;
  expect([written, writtenBytes]).toEqual([kept.length, kept.length * WITNESS_BYTES]);
  expect(passedOver).toBe(86_400 - kept.length);
});
