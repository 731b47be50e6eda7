/** What the model remembers outlives the gateway: stopped, killed, without power. */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sha256Of } from '../../src/gateway/models/signature.ts';
import { TickMemory } from '../../src/gateway/tick-memory.ts';
import { randomNumbers } from '../engine/tiny-model.ts';
import { SimulatedDisk } from '../sim/disk.ts';
import { offered, Stage, twin } from './models/stage.ts';

const seed = 20_261_124;
const config = { memory: { directory: 'memory' } };
let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.stop();
  stage.remove();
});

/** By time; what a start counts from 0 left out. Of a tick that was answered twice both answers. */
function said(of: Stage): Map<number, string> {
  const byTime = new Map<number, string>();
  for (const { sequence: _, model: __, ...rest } of of.results) {
    const text = JSON.stringify(rest);
    const known = byTime.get(rest.time as number);
    if (known !== undefined) expect(text).toBe(known);
    byTime.set(rest.time as number, text);
  }
  return byTime;
}

async function undisturbed(ticks: number): Promise<Map<number, string>> {
  const other = new Stage();
  await other.start();
  await other.ticks(ticks);
  await other.stop();
  other.remove();
  return said(other);
}

describe('with a memory every tick is answered as if nothing had happened', () => {
  test('stopped in order, twice', async () => {
    await stage.start({}, config);
    await stage.ticks(25);
    await stage.stop();
    await stage.start({}, config);
    await stage.ticks(10);
    await stage.stop();
    await stage.start({}, config);
    await stage.ticks(40);
    expect(said(stage)).toEqual(await undisturbed(75));
  });

  test('killed, what it had not finished comes again and is answered as it was', async () => {
    await stage.start({}, config);
    await stage.ticks(25);
    await stage.memory!.records.flush();
    for (let i = 0; i < 3; i++) {
      // Answered and noted, but the broker has not heard yet that it is done with.
      for (let unfinished = 0; unfinished <= i; unfinished++) stage.send();
      await stage.scheduler.run(5);
      await stage.memory!.records.flush();
      stage.kill();
      await stage.start({}, config);
      await stage.ticks(7 + i);
    }
    const byTime = said(stage);
    expect(stage.results.length).toBe(byTime.size + 6);
    expect(byTime).toEqual(await undisturbed(25 + 6 + 24));
  });

  test('without it, it is not', async () => {
    await stage.start();
    await stage.ticks(25);
    await stage.stop();
    await stage.start();
    await stage.ticks(10);
    expect(said(stage)).not.toEqual(await undisturbed(35));
  });
});

test('killed before the latest ticks were written, it knows those before, and answers everything', async () => {
  await stage.start({}, config);
  await stage.ticks(25);
  await stage.memory!.records.flush();
  await stage.ticks(5);
  stage.kill(true);
  await stage.start({}, config);
  expect(stage.memory!.waiting).toBe(25);
  await stage.ticks(5);
  expect(said(stage).size).toBe(35);
  expect(stage.results.at(-5)).toMatchObject({ sequence: 0 });
});

test('a model that comes after the start has seen what was before it', async () => {
  await stage.start({}, config);
  await stage.ticks(25);
  await stage.stop();
  await stage.start({}, config);
  const next = offered(twin());
  stage.source.put(next);
  await stage.ticks(40);
  expect(stage.status.current).toBe(sha256Of(next.bytes));
  expect(said(stage)).toEqual(await undisturbed(65));
});

test('a model under watch and the one beside it both go on', async () => {
  await stage.start({ watch: { ticks: 1000 } }, config);
  stage.source.put(offered(twin()));
  await stage.ticks(45);
  expect(stage.status.phase).toBe('watch');
  await stage.stop();
  await stage.start({ watch: { ticks: 1000 } }, config);
  await stage.ticks(10);
  await stage.command('rollback');
  await stage.ticks(10);
  expect(said(stage)).toEqual(await undisturbed(65));
});

test('what a command has reset stays forgotten', async () => {
  await stage.start({}, config);
  await stage.ticks(25);
  await stage.command('reset');
  await stage.ticks(5);
  await stage.stop();
  await stage.start({}, config);
  expect(stage.memory!.waiting).toBe(5);
});

describe('on disk', () => {
  const channels = ['temperature', 'humidity'];
  const memoryConfig = { directory: 'memory', ticks: 100, flushMs: 1000 };
  const open = (disk: SimulatedDisk, names = channels) =>
    TickMemory.open(memoryConfig, { channels: names, onProblem: () => {}, disk });
  const witness = { elapsedIntervals: 1 } as never;
  const note = (memory: TickMemory, time: number, count = 2) =>
    memory.onTick(witness, undefined as never, { timeMs: time, values: new Float64Array(count).fill(time) });
  const played = (memory: TickMemory, timeMs = 1e9) => {
    const times: number[] = [];
    memory.play(timeMs, (frame) => void times.push(frame.timeMs));
    return times;
  };

  test('keeps the latest, in little more than twice their bytes', async () => {
    const disk = new SimulatedDisk({ random: randomNumbers(1) });
    const memory = await open(disk);
    for (let time = 1; time <= 1000; time++) {
      note(memory, time);
      if (time % 10 === 0) await memory.records.flush();
    }
    await memory.stop();
    const again = await open(disk);
    expect(played(again)).toEqual(Array.from({ length: 100 }, (_, i) => 901 + i));
    expect(disk.usedBytes).toBeLessThan(2.2 * 100 * 36);
    await again.stop();
  });

  test('what was done again counts as it was done last', async () => {
    const disk = new SimulatedDisk({ random: randomNumbers(1) });
    const memory = await open(disk);
    for (const time of [1, 2, 3, 4, 5, 3, 4, 6]) note(memory, time);
    await memory.stop();
    for (const [at, expected] of [
      [7, [1, 2, 3, 4, 6]],
      [4, [1, 2, 3]],
      [1, []],
    ] as const) {
      const again = await open(disk);
      expect(played(again, at)).toEqual(expected);
      expect(played(again, at)).toEqual([]);
      await again.stop();
    }
  });

  test('ticks of other channels are passed over', async () => {
    const disk = new SimulatedDisk({ random: randomNumbers(1) });
    const memory = await open(disk);
    note(memory, 1);
    await memory.stop();
    for (const names of [['humidity', 'temperature'], ['temperature']]) {
      const other = await open(disk, names);
      expect(other.waiting).toBe(0);
      await other.stop();
    }
  });

  test('cut at any byte, a beginning of it is there', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1e6 }), fc.nat(30), async (randomSeed, unsynced) => {
        const disk = new SimulatedDisk({ random: randomNumbers(randomSeed) });
        const memory = await open(disk);
        for (let time = 1; time <= 20; time++) note(memory, time);
        await memory.records.flush();
        for (let time = 21; time <= 20 + unsynced; time++) note(memory, time);
        // Written, but the power is cut before it is synced.
        disk.lies = true;
        await memory.records.flush();
        disk.cutPower();
        disk.lies = false;
        const again = await open(disk);
        const times = played(again);
        expect(times).toEqual(times.map((_, index) => index + 1));
        expect(times.length).toBeGreaterThanOrEqual(20);
        await again.stop();
      }),
      { seed, numRuns: 100 },
    );
  });
});
