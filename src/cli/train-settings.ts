/** How `dormouse train` trains: its options, and the settings that they are. */
import { defaultSettings, type TrainingSettings } from '../train/settings.ts';
import { UsageError } from './command.ts';
import { type DatasetValues, datasetOptions, datasetSettings, datasetUsage } from './dataset-options.ts';
import { numberOption, requireChoice, wholeNumberOption } from './options.ts';

const defaults = defaultSettings;
const text = { type: 'string' } as const;

const numbers = [
  'learning-rate',
  'weight-decay',
  'input-gain',
  'label-smoothing',
  'distillation',
  'channel-dropout',
  'level-jitter',
  'level-noise',
  'level-wander',
  'leak',
  'leak-half-life',
  'gain-jitter',
  'event-shuffle',
  'dense-share',
  'finest',
  'widest',
] as const;
const wholeNumbers = ['seed', 'steps', 'hold-max'] as const;
type NumberName = (typeof numbers)[number];
type WholeNumberName = (typeof wholeNumbers)[number];

export const settingOptions = {
  ...datasetOptions,
  'leave-out': text,
  router: text,
  'no-line': { type: 'boolean' },
  ...(Object.fromEntries([...numbers, ...wholeNumbers].map((name) => [name, text])) as Record<
    NumberName | WholeNumberName,
    typeof text
  >),
} as const;

/** Lines of the command's usage. */
export const settingsUsage = `${datasetUsage()}
  --leave-out N..M,N..M
                        training rows to leave out, counted from 0, and to score the model on at the end
  --seed N              (default ${defaults.seed})
  --steps N             optimiser steps of ${batchTokens(defaults)} tokens (default ${defaults.steps})
  --learning-rate X     at its peak (default ${defaults.learningRate})
  --weight-decay X      (default ${defaults.optimiser.weightDecay})
  --input-gain X        how loud values are at the start, beside flags and ages (default ${defaults.inputGain})
  --distillation X      so much of an earlier exit's loss is its distance from the last one (default ${defaults.distillation})
  --label-smoothing X   (default ${defaults.labelSmoothing})
  --channel-dropout X   share of sequences in which a channel is blank (default ${defaults.channelDropout})
  --level-jitter X      shift a channel's level by X times as far as it wanders by itself (default ${defaults.levelJitter})
  --level-noise X       shift every channel's level by X standard deviations (default ${defaults.levelNoise})
  --level-wander X      let levels wander slowly, by X standard deviations; classify only (default ${defaults.pool.levelWander})
  --leak X              let channels come back to rest up to X times as fast; classify only (default ${defaults.pool.leak})
  --leak-half-life N    ... than half of the way in N intervals (default ${defaults.pool.leakHalfLife})
  --gain-jitter X       stretch a channel's excursions by e to the X (default ${defaults.gainJitter})
  --event-shuffle X     share of sequences whose fired flags and times are another's (default ${defaults.eventShuffle})
  --hold-max N          most ticks that one token counts for (default ${defaults.holdMax})
  --finest X, --widest X
                        thresholds in training, times those (default 1/3 and ${defaults.pool.widest})
  --dense-share X       share of the streams in training on which every tick is a token (default ${defaults.pool.denseShare})
  --no-line             learn a classifier's linear path, too, instead of beginning with a discriminant`;

type Values = DatasetValues & {
  readonly [name in NumberName | WholeNumberName | 'leave-out' | 'router']?: string | undefined;
} & { readonly 'no-line'?: boolean | undefined };

/** `window`: ticks that the model attends to, where that is not the preset's. Throws UsageError. */
export function readSettings(values: Values, window = 0): TrainingSettings {
  const number = (name: NumberName, fallback: number, min: number, max: number) =>
    numberOption(name, values[name], fallback, min, max);
  const whole = (name: WholeNumberName, fallback: number, min: number, max: number) =>
    wholeNumberOption(name, values[name], fallback, min, max);
  return withSequenceFor(window, {
    ...defaults,
    seed: whole('seed', defaults.seed, 0, Number.MAX_SAFE_INTEGER),
    steps: whole('steps', defaults.steps, 2, 1e7),
    learningRate: number('learning-rate', defaults.learningRate, 1e-8, 1),
    inputGain: number('input-gain', defaults.inputGain, 1e-3, 1e3),
    distillation: number('distillation', defaults.distillation, 0, 1),
    labelSmoothing: number('label-smoothing', defaults.labelSmoothing, 0, 0.9),
    channelDropout: number('channel-dropout', defaults.channelDropout, 0, 0.9),
    levelJitter: number('level-jitter', defaults.levelJitter, 0, 10),
    levelNoise: number('level-noise', defaults.levelNoise, 0, 10),
    gainJitter: number('gain-jitter', defaults.gainJitter, 0, 3),
    eventShuffle: number('event-shuffle', defaults.eventShuffle, 0, 1),
    holdMax: whole('hold-max', defaults.holdMax, 1, 1e9),
    routersLearn: requireChoice('--router', values.router ?? 'learned', ['learned', 'fixed']) === 'learned',
    linearStart: !(values['no-line'] ?? false),
    pool: {
      ...defaults.pool,
      denseShare: number('dense-share', defaults.pool.denseShare, 0, 1),
      finest: number('finest', defaults.pool.finest, 1e-6, 1),
      levelWander: number('level-wander', defaults.pool.levelWander, 0, 10),
      leak: number('leak', defaults.pool.leak, 1, 1000),
      leakHalfLife: number('leak-half-life', defaults.pool.leakHalfLife, 0.1, 1e6),
      widest: number('widest', defaults.pool.widest, 1e-6, 1e6),
    },
    optimiser: {
      ...defaults.optimiser,
      weightDecay: number('weight-decay', defaults.optimiser.weightDecay, 0, 100),
    },
    dataset: { ...datasetSettings(values), leaveOut: rangesOption(values['leave-out']) },
  });
}

function rangesOption(list: string | undefined): TrainingSettings['dataset']['leaveOut'] {
  return (list?.split(',') ?? []).map((part) => {
    const [, from, to] = /^(\d+)\.\.(\d+)$/.exec(part.trim()) ?? [];
    if (from === undefined || Number(from) >= Number(to)) {
      throw new UsageError(`--leave-out: expected ranges FROM..TO with FROM < TO, got '${part}'`);
    }
    return [Number(from), Number(to)];
  });
}

function batchTokens({ shards, shardSequences, sequence }: TrainingSettings): number {
  return shards * shardSequences * sequence;
}

/** Sequences that show a long window whole, fewer of them, so that a step keeps its tokens. */
function withSequenceFor(window: number, settings: TrainingSettings): TrainingSettings {
  const tokens = settings.sequence * settings.shardSequences;
  const sequence = Math.max(settings.sequence, 2 * window);
  return { ...settings, sequence, shardSequences: Math.max(1, Math.round(tokens / sequence)) };
}
