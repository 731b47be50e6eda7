import { readFileSync, truncateSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Engine } from '../../src/engine/engine.ts';
import { WITNESS_BYTES } from '../../src/gate/witness.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import { headerBytes } from '../../src/gateway/record-file.ts';
import { readWitnesses, WitnessLog } from '../../src/gateway/witness-log.ts';
import { Fixture } from './fixture.ts';

const fixture = new Fixture();
const config = { directory: fixture.path('witness'), fileBytes: 1 << 20, files: 4, flushMs: 60_000 };
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
