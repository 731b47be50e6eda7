/** How sure a retention is: paired block bootstrap (Kuensch 1989), since neighbouring ticks are not independent. */
import { assert } from '../engine/limits.ts';
import { quantile } from '../statistics/statistics.ts';

/** A run's quality in pieces: any selection of blocks has one. */
export interface BlockedQuality {
  /** [groups][blocks] sums of what `quality` needs. Groups are scored apart: the worst one counts. */
  readonly groups: readonly (readonly Float64Array[])[];
  /** Of added sums; larger is better. */
  quality(sums: Float64Array): number;
}

const draws = 1000;
const seed = 1;
/** A 95 % interval. */
const tail = 0.025;

/**
 * Interval of the worst group's quality of `run` over that of `base`, the same blocks drawn for both. NaN where the base
 * has no quality in too many draws.
 */
export function retentionInterval(run: BlockedQuality, base: BlockedQuality): [number, number] {
  assert(run.groups.length === base.groups.length, 'runs over the same groups');
  const random = randomNumbers(seed);
  const ratios = Array.from({ length: draws }, () =>
    Math.min(...run.groups.map((blocks, group) => drawnRatio(run, blocks, base.groups[group]!, random))),
  );
  if (ratios.some(Number.isNaN)) return [Number.NaN, Number.NaN];
  return [quantile(ratios, tail), quantile(ratios, 1 - tail)];
}

function drawnRatio(
  { quality }: BlockedQuality,
  run: readonly Float64Array[],
  base: readonly Float64Array[],
  random: () => number,
): number {
  assert(run.length === base.length, 'runs over the same blocks');
  const runSums = new Float64Array(run[0]!.length);
  const baseSums = new Float64Array(run[0]!.length);
  for (let i = 0; i < run.length; i++) {
    const block = Math.floor(random() * run.length);
    for (let part = 0; part < runSums.length; part++) {
      runSums[part]! += run[block]![part]!;
      baseSums[part]! += base[block]![part]!;
    }
  }
  return quality(runSums) / quality(baseSums);
}

/** mulberry32: seeded numbers from 0 to 1, so that the same evaluation says the same. */
function randomNumbers(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const blocksPerFile = 40;

/** Rows `from` to `to` as blocks of equal length; `add` adds a row's part to its block's sums [parts]. */
export function makeBlocks(
  { from, to }: { readonly from: number; readonly to: number },
  parts: number,
  add: (row: number, sums: Float64Array) => void,
): Float64Array[] {
  const length = Math.max(1, Math.ceil((to - from) / blocksPerFile));
  const blocks = Array.from({ length: Math.ceil((to - from) / length) }, () => new Float64Array(parts));
  for (let row = from; row < to; row++) add(row, blocks[Math.floor((row - from) / length)]!);
  return blocks;
}
