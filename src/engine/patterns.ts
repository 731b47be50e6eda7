/**
 * What a head looks at within its window (Jiang et al. 2024, MInference): its newest positions, and beyond them chosen
 * ones or chosen blocks. Which pattern suits a head is found offline (src/eval/pattern-search.ts).
 */
import { ConfigError, requireObject, requireSize } from './config-fields.ts';

/** Absent parts: none. A-shape: `local` alone, beside the learned sink that every head has. */
export interface HeadPattern {
  /** The newest so many positions, itself included. */
  readonly local: number;
  /** Verticals: beyond these, so many of the positions with the largest marks. */
  readonly pinned?: number;
  /** Slashes: ages in tokens, ascending, at least `local`. */
  readonly ages?: readonly number[];
  /** Blocks of BLOCK_POSITIONS whose summed keys meet the query best; not together with pinned or ages. */
  readonly blocks?: number;
}

/** A block holds the positions from a multiple of this on. */
export const BLOCK_POSITIONS = 32;
export const PINNED_MAX = 64;
export const AGES_MAX = 1024;

interface Sizes {
  readonly layers: number;
  readonly heads: number;
  readonly window: number;
}

/** Whether a fast Hadamard transform takes heads of this size. */
export function isRotatable(headSize: number): boolean {
  return [16, 32, 64, 128, 256].includes(headSize);
}

/** Whole blocks that a window can hold, and those that its two ends cut. */
export function blockSlots(sequence: number): number {
  return Math.floor(sequence / BLOCK_POSITIONS) + 2;
}

/** The most positions that a head attends to. */
export function positionsMax(
  { local, pinned = 0, ages = [], blocks = 0 }: HeadPattern,
  window: number,
): number {
  return Math.min(window, local + pinned + ages.length + blocks * BLOCK_POSITIONS);
}

/** Checks `config.patterns`; returns a frozen copy. Throws ConfigError naming the field. */
export function requirePatterns(input: unknown, { layers, heads, window }: Sizes): HeadPattern[][] {
  const path = 'config.patterns';
  // Equal patterns become one, so that heads that see the same share their list.
  const known = new Map<string, HeadPattern>();
  const single = (pattern: HeadPattern) => {
    const key = JSON.stringify(pattern);
    if (!known.has(key)) known.set(key, pattern);
    return known.get(key)!;
  };
  return requireList(input, path, layers).map((layer, index) =>
    requireList(layer, `${path}[${index}]`, heads).map((head, at) =>
      single(requirePattern(head, `${path}[${index}][${at}]`, window)),
    ),
  );
}

function requireList(input: unknown, path: string, length: number): unknown[] {
  if (Array.isArray(input) && input.length === length) return input;
  const got = Array.isArray(input) ? input.length : typeof input;
  throw new ConfigError(`${path}: expected an array of ${length}, got ${got}`);
}

function requirePattern(input: unknown, path: string, window: number): HeadPattern {
  const fields = requireObject(input, path, ['local', 'pinned', 'ages', 'blocks']);
  const { pinned, ages, blocks } = fields;
  const local = requireSize(fields.local, `${path}.local`, window);
  if (blocks !== undefined && (pinned ?? ages) !== undefined) {
    throw new ConfigError(`${path}.blocks: expected no pinned or ages beside it`);
  }
  return Object.freeze({
    local,
    ...(pinned === undefined ? {} : { pinned: requireSize(pinned, `${path}.pinned`, PINNED_MAX) }),
    ...(ages === undefined ? {} : { ages: requireAges(ages, `${path}.ages`, local, window) }),
    ...(blocks === undefined ? {} : { blocks: requireSize(blocks, `${path}.blocks`, blockSlots(window)) }),
  });
}

function requireAges(input: unknown, path: string, local: number, window: number): readonly number[] {
  const ascends = (age: unknown, i: number, all: unknown[]) =>
    Number.isInteger(age) &&
    (age as number) < window &&
    (age as number) >= (i === 0 ? local : (all[i - 1] as number) + 1);
  if (!Array.isArray(input) || input.length > AGES_MAX || !input.every(ascends)) {
    throw new ConfigError(
      `${path}: expected at most ${AGES_MAX} ascending ages from ${local} to ${window - 1}, got ${JSON.stringify(input)?.slice(0, 80)}`,
    );
  }
  return Object.freeze([...input]);
}
