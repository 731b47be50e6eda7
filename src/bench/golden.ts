/**
 * Golden hashes: many steps of mixed plans over several configurations, every logit hashed. Each is one and the same
 * on every machine, Node and kernel; test/vectors/golden.json holds them.
 */
import { createHash } from 'node:crypto';
import { presetConfig, type TransformerConfig } from '../engine/config.ts';
import { Engine } from '../engine/engine.ts';
import type { KernelName } from '../engine/kernels/contract.ts';
import type { KvMode, Plan } from '../engine/plan.ts';
import { randomNumbers } from '../statistics/random.ts';
import { randomFeatures, randomModel } from './random-model.ts';

const FEATURES = 36;
const STREAMS = 3;
const TICKS = 64;

const odd: Partial<TransformerConfig> = {
  features: 36,
  outputs: 5,
  sequence: 11,
  hidden: 57,
  heads: 3,
  layers: 3,
  window: 6,
  feedForward: 101,
  tiers: [
    { layers: 3, sequence: 11, window: 6 },
    { layers: 2, sequence: 5, window: 3 },
    { layers: 1, sequence: 2, window: 1 },
  ],
};

/** A window of some blocks, over which the ring wraps. */
const long: Partial<TransformerConfig> = {
  features: 36,
  outputs: 5,
  sequence: 150,
  hidden: 64,
  heads: 2,
  layers: 2,
  window: 140,
  feedForward: 48,
  tiers: [
    { layers: 2, sequence: 150, window: 140 },
    { layers: 1, sequence: 60, window: 40 },
    { layers: 1, sequence: 4, window: 4 },
  ],
};

type PlanModes = Readonly<Record<KvMode, Plan>>;

interface Part {
  readonly config: Partial<TransformerConfig>;
  /** Of the steps. */
  readonly share: number;
}

/** What each hash is over. Sets are never changed: what is newer gets a set of its own. */
const sets = {
  first: [
    { config: presetConfig('micro', FEATURES, 2), share: 0.5 },
    { config: presetConfig('baseline', FEATURES, 14), share: 0.1 },
    { config: odd, share: 0.4 },
  ],
  /** A linear path over the past, patterns, four bits, a gain per channel, and what is trained. */
  further: [
    {
      config: {
        ...odd,
        outputs: 4 * 7,
        tiers: [odd.tiers![0], odd.tiers![1], { layers: 0, sequence: 2, window: 1 }],
        history: { rows: 41, channels: 4, stride: 9, ranks: [17, 8, 5] },
      },
      share: 0.3,
    },
    {
      config: {
        ...long,
        patterns: [
          [{ local: 5, pinned: 3, ages: [7, 33] }, { local: 9 }],
          [
            { local: 4, blocks: 2 },
            { local: 20, ages: [21, 90, 139] },
          ],
        ],
      },
      share: 0.2,
    },
    { config: { ...long, keyValues: 'int4' }, share: 0.1 },
    {
      config: {
        ...long,
        keyValues: 'int4-rotated',
        patterns: [
          [{ local: 8, blocks: 1 }, { local: 12 }],
          [{ local: 3, pinned: 5 }, { local: 2 }],
        ],
      },
      share: 0.1,
    },
    {
      config: {
        ...odd,
        normGains: 'channel',
        routing: { layers: [1], capacity: 0.5 },
        refinement: { rounds: 2 },
      },
      share: 0.2,
    },
    { config: { ...odd, attention: 'spike' }, share: 0.1 },
  ],
} as const satisfies Record<string, readonly Part[]>;

type GoldenSet = keyof typeof sets;
export const goldenSets = Object.keys(sets) as GoldenSet[];

export interface GoldenOptions {
  /** Default: the fastest that run here. */
  readonly kernels?: KernelName;
  /** Default: the first. */
  readonly set?: GoldenSet;
  /** Told the share done, some ten times. */
  readonly onProgress?: (share: number) => void;
}

/** sha256 of all logits of `steps` steps, in hex. */
export function goldenHash(
  steps: number,
  { kernels, set = 'first', onProgress }: GoldenOptions = {},
): string {
  const hash = createHash('sha256');
  let done = 0;
  for (const [index, { config, share }] of sets[set].entries()) {
    const model = randomModel({ seed: index + 1, config });
    const engine = new Engine(model, { streams: STREAMS, ...(kernels === undefined ? {} : { kernels }) });
    const ticks = randomFeatures(TICKS * FEATURES, index + 1);
    const random = randomNumbers(index + 100);
    for (let step = 0; step < steps * share; step++) {
      const modes = engine.plans[Math.floor(random() * 3)]!;
      const choice = random();
      const plan = set === 'first' ? firstMode(modes, choice) : furtherMode(modes, choice);
      const at = (step % TICKS) * FEATURES;
      if (set === 'further') prepare(engine, step);
      engine.step(step % STREAMS, ticks.subarray(at, at + FEATURES), plan);
      if (model.config.refinement !== undefined && plan.tier === 0) engine.refine();
      hash.update(engine.logits);
      if (++done % Math.ceil(steps / 10) === 0) onProgress?.(done / steps);
    }
  }
  return hash.digest('hex');
}

function firstMode({ write, freeze, flush }: PlanModes, choice: number): Plan {
  return choice < 0.8 ? write : choice < 0.95 ? freeze : flush;
}

/** A flush is rare, so that long rings fill. */
function furtherMode({ write, freeze, quarantine, flush }: PlanModes, choice: number): Plan {
  if (choice < 0.85) return write;
  if (choice < 0.93) return freeze;
  return choice < 0.995 ? quarantine : flush;
}

/** Marks for heads that pin, and time that passes without a tick. */
function prepare(engine: Engine, step: number): void {
  if (engine.marks.length > 0) engine.marks[0] = (step * 7919) % 32768;
  if (step % 11 === 0) engine.hold(step % STREAMS, 1 + (step % 5));
}
