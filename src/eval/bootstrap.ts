/** How sure a retention is: paired block bootstrap (Kuensch 1989), since neighbouring ticks are not independent. */

import { assert } from '../engine/limits.ts';
import { randomNumbers } from '../statistics/random.ts';
import { quantile } from '../statistics/statistics.ts';

/** A run's quality in pieces: any selection of blocks has one. */
export interface BlockedQuality {
  /** The metric that is this quality over all blocks, and of each group where groups have their own. */
  readonly name: string;
  readonly groupNames: readonly string[];
  /** [groups][blocks] sums of what `quality` needs. Groups are scored apart: the worst one counts. */
  readonly groups: readonly (readonly Float64Array[])[];
  /** Of added sums; larger is better. */
  quality(sums: Float64Array): number;
  /** The metric of a quality. */
  metricOf(quality: number): number;
}

/** Lower and upper end. */
export type Interval = readonly [number, number];

const draws = 1000;
const seed = 1;
/** A 95 % interval. */
const tail = 0.025;

/** 95 % intervals of the metrics that the quality stands behind, by name; blocks are drawn within each group. */
export function metricIntervals(run: BlockedQuality): Record<string, Interval> {
  const random = randomNumbers(seed);
  const drawn = Array.from({ length: draws }, () =>
    run.groups.map((blocks) => drawSums([blocks], random)[0]!),
  );
  const metricOf = (sums: Float64Array) => run.metricOf(run.quality(sums));
  const intervals: Record<string, Interval> = {
    [run.name]: intervalOf(drawn.map((groups) => metricOf(addUp(groups)))),
  };
  for (const [group, name] of run.groupNames.entries()) {
    intervals[name] = intervalOf(drawn.map((groups) => metricOf(groups[group]!)));
  }
  return intervals;
}

/**
 * Interval of the worst group's quality of `run` over that of `base`, the same blocks drawn for both. NaN where the base
 * has no quality in some draw.
 */
export function retentionInterval(run: BlockedQuality, base: BlockedQuality): Interval {
  assert(run.groups.length === base.groups.length, 'runs over the same groups');
  const random = randomNumbers(seed);
  const drawnRatio = (blocks: readonly Float64Array[], group: number) => {
    assert(blocks.length === base.groups[group]!.length, 'runs over the same blocks');
    const [own, other] = drawSums([blocks, base.groups[group]!], random);
    return keptShare(run.quality(own!), base.quality(other!));
  };
  return intervalOf(Array.from({ length: draws }, () => Math.min(...run.groups.map(drawnRatio))));
}

/** Quality over quality; NaN where there is none to keep. */
export function keptShare(quality: number, base: number): number {
  return base > 0 ? quality / base : Number.NaN;
}

function intervalOf(values: readonly number[]): Interval {
  if (values.some(Number.isNaN)) return [Number.NaN, Number.NaN];
  return [quantile(values, tail), quantile(values, 1 - tail)];
}

/** As many blocks as there are, drawn with repetition, summed; of each of `lists` the same ones. */
function drawSums(lists: readonly (readonly Float64Array[])[], random: () => number): Float64Array[] {
  const [{ length }] = lists as [readonly Float64Array[]];
  const chosen = Array.from({ length }, () => Math.floor(random() * length));
  return lists.map((blocks) => addUp(chosen.map((block) => blocks[block]!)));
}

/** The sums of several blocks. */
export function addUp(parts: readonly Float64Array[]): Float64Array {
  const sums = new Float64Array(parts[0]!.length);
  for (const part of parts) for (let i = 0; i < sums.length; i++) sums[i]! += part[i]!;
  return sums;
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
