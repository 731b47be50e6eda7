/** Lives of a frame assembler, a pipeline and a keeper on a real folder, ended at random moments. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Engine } from '../../../src/engine/engine.ts';
import { makeDecoded } from '../../../src/gateway/decode.ts';
import { FrameAssembler } from '../../../src/gateway/frame.ts';
import { Pipeline } from '../../../src/gateway/pipeline.ts';
import { StateKeeper } from '../../../src/gateway/state/keeper.ts';
import { randomNumbers, tinyModel } from '../../engine/tiny-model.ts';

let base: string;
let kills: number;
let directory: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'dormouse-state-'));
  kills = 0;
  directory = `${base}/0`;
});
afterEach(async () => {
  // Lives that were ended still write, into folders that nobody reads any more.
  await Promise.all(keepers.splice(0).map((keeper) => keeper.written()));
  rmSync(base, { recursive: true, force: true });
});
const keepers: StateKeeper[] = [];

const model = tinyModel();
const intervalMs = 1000;

interface Message {
  readonly route: number;
  readonly timeMs: number;
  readonly values: readonly number[];
}

/** Two routes, one channel each: in turn, at once, with gaps; senders whose clock goes back once. */
function messages(count: number, seed: number): Message[] {
  const random = randomNumbers(seed);
  let timeMs = 1_700_000_000_000;
  return Array.from({ length: count }, (_, index) => {
    timeMs += random() < 0.3 ? 0 : random() < 0.05 ? 9000 : Math.round(random() * 1500);
    return { route: index % 2, timeMs, values: [20 + random() * (index % 30 < 15 ? 4 : 0.1)] };
  });
}

/** One process: works on messages; what it published counts as settled when somebody says so. */
class Life {
  readonly evidence: string[] = [];
  readonly engine = new Engine(model, { streams: 1 });
  readonly pipeline = new Pipeline(this.engine, 0);
  readonly frames: FrameAssembler;
  readonly keeper: StateKeeper | undefined;
  readonly problems: string[] = [];
  outputs = 0;
  readonly #decoded = makeDecoded(2);

  constructor(mode: 'message' | 'grid', directory: string | undefined, identity = 'x') {
    this.frames = new FrameAssembler({
      channels: 2,
      routes: 2,
      mode,
      intervalMs,
      catchUpTicks: 100,
      onFrame: (frame) => {
        const witness = this.pipeline.tick(frame);
        this.evidence.push(JSON.stringify([witness.toJson(), this.pipeline.output.confidence]));
        if (!witness.held) this.outputs++;
        this.keeper?.tick(this.outputs);
      },
    });
    if (directory === undefined) return;
    this.keeper = new StateKeeper({
      directory,
      channels: 2,
      routes: 2,
      owners: () => this,
      identity: () => identity,
      published: () => '',
      onPublished: () => {},
      onReplay: () => {},
      onProblem: (text) => this.problems.push(text),
    });
    this.keeper.wantSnapshot();
    keepers.push(this.keeper);
  }

  work({ route, timeMs, values }: Message): void {
    this.#decoded.present.fill(0);
    this.#decoded.present[route] = 1;
    this.#decoded.values[route] = values[0]!;
    this.#decoded.timeMs = timeMs;
    this.frames.accept(route, timeMs, this.#decoded);
    this.keeper?.message(this.outputs);
  }
}

/** The folder as it is at this moment, without the process. */
function kill(): void {
  const at = directory;
  directory = `${base}/${++kills}`;
  mkdirSync(directory);
  for (const name of readdirSync(at)) {
    // One that is under another name by now was written while we looked.
    try {
      copyFileSync(join(at, name), join(directory, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  writeFileSync(join(directory, 'lock'), '{}');
}

const moment = () => new Promise((resolve) => setTimeout(resolve, 2));

describe.each(['message', 'grid'] as const)('mode %s', (mode) => {
  test.each([1, 2, 3])(
    'seed %i: what is not done with comes again, and nothing is different',
    async (seed) => {
      const all = messages(300, seed);
      const undisturbed = new Life(mode, undefined);
      for (const message of all) undisturbed.work(message);

      const random = randomNumbers(100 + seed);
      const evidence: string[] = [];
      let next = 0;
      let lives = 0;
      while (next < all.length) {
        lives++;
        const life = new Life(mode, directory);
        await life.keeper!.written();
        /** Of each message: how many outputs there were after it. */
        const after: number[] = [];
        let done = 0;
        let settled = 0;
        for (let at = next; at < all.length; at++) {
          life.work(all[at]!);
          after.push(life.outputs);
          if (random() < 0.5) {
            settled = Math.max(settled, life.outputs - Math.floor(random() * 3));
            life.keeper!.settle(settled);
          }
          if (random() < 0.05) life.keeper!.wantSnapshot();
          if (random() < 0.05) await moment();
          if (random() < 0.03) break;
        }
        if (next + after.length === all.length) life.keeper!.settle((settled = life.outputs));
        while (done < after.length && after[done]! <= settled) done++;
        // What was not done with is said again, so what is worked on next says what of this is not to be counted.
        evidence.push(...life.evidence);
        next += done;
        kill();
      }
      expect(lives).toBeGreaterThan(3);
      // Each tick at least once, in order, each time with the same words.
      const expected = undisturbed.evidence;
      let at = 0;
      for (const words of evidence) {
        const found = expected.lastIndexOf(words, at);
        expect(found, `${words} of life ${lives}`).toBeGreaterThanOrEqual(0);
        at = Math.max(at, found + 1);
      }
      expect(at).toBe(expected.length);
    },
  );
});

test('another identity is told and forgets; another policy and a forgotten past begin anew', async () => {
  const all = messages(60, 9);
  const first = new Life('message', directory);
  for (const message of all.slice(0, 20)) first.work(message);
  first.keeper!.settle(first.outputs);
  await first.keeper!.close();
  const other = new Life('message', directory, 'y');
  expect(other.keeper!.replayed).toBeUndefined();
  expect(other.problems).toEqual([expect.stringContaining('the past is forgotten')]);
  await other.keeper!.close();

  const second = new Life('message', directory, 'y');
  expect(second.keeper!.replayed).toBe(0);
  for (const message of all.slice(20, 30)) second.work(message);
  second.pipeline.forget();
  for (const message of all.slice(30, 40)) second.work(message);
  // Its outputs are under way: what led to here is void, and there is nothing new yet.
  expect(existsSync(join(directory, 'snapshot'))).toBe(false);
  second.keeper!.settle(second.outputs);
  await second.keeper!.close();
  const third = new Life('message', directory, 'y');
  const evidence = second.evidence.length;
  for (const message of all.slice(40)) {
    second.work(message);
    third.work(message);
  }
  expect(third.evidence).toEqual(second.evidence.slice(evidence));
});

test('logs do not pile up, and a disk that refuses is told once and survived', async () => {
  const all = messages(40, 3);
  const life = new Life('message', directory);
  for (const message of all.slice(0, 30)) {
    life.work(message);
    life.keeper!.settle(life.outputs);
    life.keeper!.wantSnapshot();
    await life.keeper!.written();
  }
  await life.keeper!.written();
  const names = readdirSync(directory);
  expect(names.filter((name) => name.startsWith('ticks-')).length).toBeLessThanOrEqual(2);
  expect(readFileSync(join(directory, 'snapshot')).length).toBeGreaterThan(1000);
  rmSync(directory, { recursive: true });
  for (const message of all.slice(30)) {
    life.work(message);
    life.keeper!.settle(life.outputs);
    life.keeper!.wantSnapshot();
    await life.keeper!.written();
  }
  expect(life.problems).toHaveLength(1);
  expect(life.keeper!.failures).toBeGreaterThan(1);
  await life.keeper!.close();
});
