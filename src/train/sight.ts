/**
 * What each token of a batch sees of those before it, where heads have patterns: the engine's rule (SlotList) over the
 * tokens of a sequence instead of the slots of a ring. The kernels read the lists, see kernels/assembly/sight.ts.
 */
import { ConfigError, type TransformerConfig } from '../engine/config.ts';
import { type HeadPattern, positionsMax } from '../engine/patterns.ts';
import type { Regions } from './kernels/kernels.ts';
import type { BatchShape } from './network.ts';
import { integers, type Workspace } from './workspace.ts';

/** One pattern, and the byte address of its lists, [rows, 1 + most] int32. */
export interface Sight {
  readonly pattern: HeadPattern;
  readonly lists: number;
}

export interface Sights {
  /** The patterns that occur; empty: every head sees its whole window. */
  readonly all: readonly Sight[];
  /** [layers] byte addresses of [heads] addresses of lists; 0 without patterns. */
  readonly ofLayers: readonly number[];
  /** The most positions that a head sees. */
  readonly most: number;
}

/** Throws ConfigError for patterns that only an engine can follow: what they show depends on more than marks. */
export function requireLearnable({ patterns, routing }: TransformerConfig): void {
  const all = patterns?.flat() ?? [];
  if (all.some(({ blocks }) => blocks !== undefined)) {
    throw new ConfigError('config.patterns: expected no blocks, since quantised keys choose them');
  }
  if (routing !== undefined && all.some(({ pinned }) => pinned !== undefined)) {
    throw new ConfigError(
      'config.patterns: expected nothing pinned beside routing, which leaves holes in a ring',
    );
  }
}

/** Room for the lists of `rows` tokens. */
export function planSights(
  { patterns, layers, window }: TransformerConfig,
  rows: number,
  regions: Regions,
): Sights {
  const counts = patterns?.flat().map((pattern) => positionsMax(pattern, window)) ?? [window];
  const most = Math.max(...counts);
  // Equal patterns are one object in a checked configuration.
  const distinct = [...new Set(patterns?.flat())];
  const all = distinct.map((pattern) => ({ pattern, lists: regions.words(rows * (1 + most)) }));
  const ofLayers = Array.from({ length: layers }, (_, layer) =>
    patterns ? regions.words(patterns[layer]!.length) : 0,
  );
  return { all, ofLayers, most };
}

/** Tells the kernels where the lists are, once. */
export function placeSights(
  { all, ofLayers }: Sights,
  { patterns }: TransformerConfig,
  memory: WebAssembly.Memory,
): void {
  for (const [layer, heads] of patterns?.entries() ?? []) {
    const listsOf = (pattern: HeadPattern) => all.find((sight) => sight.pattern === pattern)!.lists;
    new Int32Array(memory.buffer, ofLayers[layer]!, heads.length).set(heads.map(listsOf));
  }
}

/** Fills the lists from the marks in the workspace. */
export function look(workspace: Workspace, { sequences, length }: BatchShape): void {
  const { config, sights } = workspace;
  if (sights.all.length === 0) return;
  const rows = sequences * length;
  const marks = integers(workspace, workspace.marks, rows);
  const size = 1 + sights.most;
  for (const { pattern, lists } of sights.all) {
    const view = integers(workspace, lists, rows * size);
    for (let row = 0; row < rows; row++) {
      const reach = Math.min(config.window, (row % length) + 1);
      const ages = seenAges(pattern, reach, (age) => marks[row - age]!);
      view[row * size] = ages.length;
      view.set(ages, row * size + 1);
    }
  }
}

/** Ages below `reach` that a pattern shows, ascending. `markOf`: of the token of an age. */
export function seenAges(
  { local, pinned = 0, ages = [] }: HeadPattern,
  reach: number,
  markOf: (age: number) => number,
): number[] {
  const near = Math.min(local, reach);
  const listed = ages.filter((age) => age < reach);
  const others = [...listed, ...pinnedAges(pinned, near, reach, listed, markOf)].sort((a, b) => a - b);
  return [...Array(near).keys(), ...others];
}

/** Of the ages from `near` on that are not listed the `most` with the largest marks above 0, of equal ones the newest. */
function pinnedAges(
  most: number,
  near: number,
  reach: number,
  listed: readonly number[],
  markOf: (age: number) => number,
): number[] {
  const found: number[] = [];
  for (let age = most === 0 ? reach : near; age < reach; age++) {
    const mark = markOf(age);
    if (mark <= (found.length < most ? 0 : markOf(found[most - 1]!)) || listed.includes(age)) continue;
    if (found.length === most) found.pop();
    const behind = found.findIndex((other) => markOf(other) < mark);
    found.splice(behind < 0 ? found.length : behind, 0, age);
  }
  return found;
}
