/**
 * Which pattern suits each head (Jiang et al. 2024, MInference: offline, against dense attention): the cheapest that
 * keeps the asked share of what the head attends to.
 */
import { BLOCK_POSITIONS, type HeadPattern } from '../engine/patterns.ts';
import type { AttentionSample, HeadSample } from './attention-samples.ts';

export interface HeadChoice {
  readonly kind: PatternKind;
  readonly pattern: HeadPattern;
  /** Mean positions looked at, and share of dense attention that they hold; on the samples it was chosen by. */
  readonly positions: number;
  readonly recall: number;
}

type PatternKind = 'dense' | 'a-shape' | 'vertical-slash' | 'block-sparse';

interface Candidate {
  readonly kind: PatternKind;
  readonly pattern: HeadPattern;
}

const AGE_COUNTS = [4, 8, 16, 32, 64, 128];
const PIN_COUNTS = [0, 4, 16];
const BLOCK_COUNTS = [1, 2, 4, 8];
const LOCAL_LEAST = 4;

/** Per layer and head. `mass`: the least share, in the mean over the samples. */
export function searchPatterns(samples: readonly AttentionSample[], mass: number): HeadChoice[][] {
  const { heads, marks } = samples[0]!;
  return heads.map((layer, index) =>
    layer.map((_, head) => searchHead(samples, index, head, marks.length, mass)),
  );
}

function searchHead(
  samples: readonly AttentionSample[],
  layer: number,
  head: number,
  window: number,
  mass: number,
): HeadChoice {
  const judged = candidatesOf(samples, layer, head, window)
    .map((candidate) => ({ ...candidate, ...judgePattern(candidate.pattern, samples, layer, head) }))
    .filter(({ kind, recall }) => kind === 'dense' || recall >= mass);
  return judged.reduce((best, one) => (workOf(one, window) < workOf(best, window) ? one : best));
}

/** Positions, and half a position for each block that is scored first: a score is a product of keys alone. */
function workOf({ pattern, positions }: HeadChoice, window: number): number {
  return positions + (pattern.blocks === undefined ? 0 : window / BLOCK_POSITIONS / 2);
}

function candidatesOf(
  samples: readonly AttentionSample[],
  layer: number,
  head: number,
  window: number,
): Candidate[] {
  const locals: number[] = [];
  for (let local = LOCAL_LEAST; local < window; local *= 2) locals.push(local);
  const mean = meanShares(samples, layer, head, window);
  return [
    { kind: 'dense', pattern: { local: window } },
    ...locals.map((local): Candidate => ({ kind: 'a-shape', pattern: { local } })),
    ...locals.flatMap((local) => verticalSlashes(local, mean)),
    ...locals
      .flatMap((local) =>
        BLOCK_COUNTS.map((blocks): Candidate => ({ kind: 'block-sparse', pattern: { local, blocks } })),
      )
      .filter(({ pattern }) => pattern.blocks! * BLOCK_POSITIONS + pattern.local < window),
  ];
}

/** The ages that hold most in the mean, beyond the local part. */
function verticalSlashes(local: number, mean: Float64Array): Candidate[] {
  const ranked = Array.from(mean.keys())
    .slice(local)
    .sort((a, b) => mean[b]! - mean[a]! || a - b);
  return [0, ...AGE_COUNTS].flatMap((count) =>
    PIN_COUNTS.filter((pinned) => count + pinned > 0 && local + count + pinned < mean.length).map(
      (pinned): Candidate => ({
        kind: 'vertical-slash',
        pattern: {
          local,
          ...(pinned === 0 ? {} : { pinned }),
          ...(count === 0 ? {} : { ages: ranked.slice(0, count).sort((a, b) => a - b) }),
        },
      }),
    ),
  );
}

function meanShares(
  samples: readonly AttentionSample[],
  layer: number,
  head: number,
  window: number,
): Float64Array {
  const mean = new Float64Array(window);
  for (const { heads } of samples) {
    const { shares } = heads[layer]![head]!;
    for (let age = 0; age < window; age++) mean[age]! += shares[age]! / samples.length;
  }
  return mean;
}

/** What a pattern looks at and what that holds, in the mean over samples. */
export function judgePattern(
  pattern: HeadPattern,
  samples: readonly AttentionSample[],
  layer: number,
  head: number,
): { positions: number; recall: number } {
  let positions = 0;
  let recall = 0;
  for (const sample of samples) {
    const one = sample.heads[layer]![head]!;
    const ages = visibleAges(pattern, one, sample);
    positions += ages.size / samples.length;
    for (const age of ages) recall += one.shares[age]! / samples.length;
  }
  return { positions, recall };
}

/** As the engine chooses (docs/integer-rules.md, 12). */
function visibleAges(
  { local, ages = [], pinned = 0, blocks = 0 }: HeadPattern,
  head: HeadSample,
  { position, marks }: AttentionSample,
): Set<number> {
  const window = marks.length;
  const seen = new Set([...Array(Math.min(local, window)).keys(), ...ages]);
  if (pinned > 0) {
    const rest = Array.from(marks.keys()).filter((age) => marks[age]! > 0 && !seen.has(age));
    for (const age of rest.sort((a, b) => marks[b]! - marks[a]! || a - b).slice(0, pinned)) seen.add(age);
  }
  if (blocks === 0) return seen;
  const whole = [...head.blocks].filter(([number]) => {
    const oldest = position - number * BLOCK_POSITIONS;
    return oldest < window && oldest - BLOCK_POSITIONS + 1 >= local;
  });
  for (const [number] of whole.sort((a, b) => b[1] - a[1] || b[0] - a[0]).slice(0, blocks)) {
    const oldest = position - number * BLOCK_POSITIONS;
    for (let age = oldest - BLOCK_POSITIONS + 1; age <= oldest; age++) seen.add(age);
  }
  return seen;
}
