import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ModelState, ModelStore } from '../../../src/gateway/models/model-store.ts';
import { sha256Of } from '../../../src/gateway/models/signature.ts';
import { randomNumbers } from '../../engine/tiny-model.ts';
import { SimulatedDisk } from '../../sim/disk.ts';

const seed = 20_261_124;
/** Stand-ins for model files: the store knows them by their digests alone. */
const files = [1, 2, 3, 4].map((byte) => Buffer.alloc(900 + byte, byte));
const names = files.map((bytes) => ({ sha256: sha256Of(bytes), signature: null }));

function stateOf(current: number, previous: number | null = null): ModelState {
  return {
    current: names[current]!,
    previous: previous === null ? null : names[previous]!,
    candidate: null,
    file: names[0]!,
    trial: null,
  };
}

async function found(disk: SimulatedDisk): Promise<number | undefined> {
  const store = await ModelStore.open(disk);
  for (const { current } of store.states) {
    const offered = await store.read(current);
    if (offered !== undefined) return names.findIndex(({ sha256 }) => sha256 === current.sha256);
  }
  return undefined;
}

describe('ModelStore', () => {
  test('remembers what was committed, and keeps only the models that are named', async () => {
    const disk = new SimulatedDisk({ random: randomNumbers(1) });
    const store = await ModelStore.open(disk);
    expect(store.states).toEqual([]);
    for (const index of [0, 1, 2]) {
      await store.put(names[index]!.sha256, files[index]!);
      await store.commit(stateOf(index, index === 0 ? null : index - 1));
    }
    const again = await ModelStore.open(disk);
    expect(again.states).toEqual([stateOf(2, 1)]);
    expect(await again.read(names[2]!)).toEqual({ bytes: files[2], signature: null });
    expect(await again.read(names[1]!)).toBeDefined();
    expect(await again.read(names[0]!)).toBeUndefined();
    expect(await disk.list()).toHaveLength(3);
  });

  test('what lies in its folder under other names is nothing to it', async () => {
    const disk = new SimulatedDisk({ random: randomNumbers(1) });
    for (const name of ['state-1.json', 'state-00000001.json.bak', 'notes.txt', 'x.safetensors']) {
      const file = await disk.open(name);
      await file.write(0, Buffer.from('{}'));
      await file.sync();
    }
    const store = await ModelStore.open(disk);
    expect(store.states).toEqual([]);
    await store.put(names[0]!.sha256, files[0]!);
    await store.commit(stateOf(0));
    expect(await disk.list()).toHaveLength(6);
  });

  /** How a change is lived through: `cutAt` operations of the disk, then the power is cut. */
  async function changeWithCut(randomSeed: number, cutAt: number): Promise<number | undefined> {
    const disk = new SimulatedDisk({ random: randomNumbers(randomSeed) });
    const store = await ModelStore.open(disk);
    await store.put(names[0]!.sha256, files[0]!);
    await store.commit(stateOf(0));
    let operations = 0;
    disk.onOperation = () => {
      if (operations++ >= cutAt) throw new Error('the power is gone');
    };
    const change = async () => {
      await store.put(names[1]!.sha256, files[1]!);
      await store.commit(stateOf(1, 0));
    };
    await change().catch(() => {});
    disk.onOperation = undefined;
    disk.cutPower();
    return found(disk);
  }

  test('a cut of power at any operation, and any byte of what was under way, leaves the old model or the new one', async () => {
    const seen = new Set<number | undefined>();
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1e6 }), fc.nat(24), async (randomSeed, cutAt) => {
        const current = await changeWithCut(randomSeed, cutAt);
        seen.add(current);
        expect([0, 1]).toContain(current);
      }),
      { seed, numRuns: 400 },
    );
    expect([...seen].sort()).toEqual([0, 1]);
  });

  test('a store that does not sync is caught by the same', async () => {
    const lost: number[] = [];
    for (let randomSeed = 1; randomSeed <= 60; randomSeed++) {
      const disk = new SimulatedDisk({ random: randomNumbers(randomSeed) });
      disk.lies = true;
      const store = await ModelStore.open(disk);
      await store.put(names[0]!.sha256, files[0]!);
      await store.commit(stateOf(0));
      disk.cutPower();
      if ((await found(disk)) === undefined) lost.push(randomSeed);
    }
    expect(lost.length).toBeGreaterThan(0);
  });

  test('any sequence of changes, refusals of the disk and cuts ends with a model that was current once, and never an older one than the last that was reported safe', async () => {
    const step = fc.record({
      model: fc.nat(3),
      failure: fc.option(fc.constantFrom('ENOSPC', 'EIO', 'EROFS'), { freq: 3 }),
      failAt: fc.nat(12),
      cut: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 1e6 }),
        fc.array(step, { minLength: 1, maxLength: 8 }),
        async (randomSeed, steps) => {
          const disk = new SimulatedDisk({ random: randomNumbers(randomSeed) });
          let store = await ModelStore.open(disk);
          await store.put(names[0]!.sha256, files[0]!);
          await store.commit(stateOf(0));
          let safe = 0;
          let possible = [0];
          for (const { model, failure, failAt, cut } of steps) {
            let operations = 0;
            if (failure !== null)
              disk.onOperation = () => {
                if (operations++ === failAt) disk.failure = failure;
              };
            try {
              await store.put(names[model]!.sha256, files[model]!);
              await store.commit(stateOf(model, safe));
              safe = model;
              possible = [model];
            } catch {
              possible.push(model);
            }
            disk.onOperation = undefined;
            disk.failure = undefined;
            if (!cut) continue;
            disk.cutPower();
            const current = await found(disk);
            expect(possible).toContain(current);
            store = await ModelStore.open(disk);
            safe = current!;
            possible = [safe];
          }
        },
      ),
      { seed, numRuns: 150 },
    );
  });
});
