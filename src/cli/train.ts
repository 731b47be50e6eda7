/** `dormouse train`: from a recording to an int8 model. */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import {
  type AttentionKind,
  type KeyValueFormat,
  type PresetName,
  presetNames,
  type TransformerConfig,
  validateConfig,
} from '../engine/config.ts';
import {
  HIDDEN_MAX,
  HISTORY_RANK_MAX,
  HISTORY_ROWS_MAX,
  LAYERS_MAX,
  REFINEMENT_ROUNDS_MAX,
  WINDOW_MAX,
} from '../engine/limits.ts';
import { saveModel } from '../engine/model-file.ts';
import type { HeadPattern } from '../engine/patterns.ts';
import { featureCount } from '../gate/features.ts';
import { openRecording, type Recording, withoutChannels } from '../recording/recording.ts';
import { CheckpointFile, fingerprint } from '../train/checkpoint.ts';
import { type Dataset, loadDataset, outputCount, taskOf } from '../train/dataset.ts';
import { type FloatModel, saveFloatModel } from '../train/float-model.ts';
import { fitHistory, type HistoryFit } from '../train/history-fit.ts';
import { type FloatPast, makePastModel, withHistory } from '../train/past-model.ts';
import { describeValidation, Progress } from '../train/progress.ts';
import { provenanceOf } from '../train/provenance.ts';
import { defaultSettings, type TrainingSettings } from '../train/settings.ts';
import { resizedPreset, type Sizes } from '../train/sizes.ts';
import { type StepReport, type TrainingResult, train } from '../train/trainer.ts';
import { type Command, UsageError } from './command.ts';
import { requireWritable } from './files.ts';
import {
  featuresOption,
  namesOption,
  numberOption,
  parseOptions,
  requireArguments,
  requireChoice,
  requireOption,
  wholeNumberOption,
} from './options.ts';
import { patternOption, withPattern } from './pattern-option.ts';

/** What a kill may cost. */
const checkpointSeconds = 10;

export const command: Command = {
  name: 'train',
  summary: 'train a model on a recording and quantise it to int8',
  usage: `Usage: dormouse train RECORDING -o MODEL [options]

Trains a transformer on the training rows of RECORDING (a directory with a recording.json) as the gateway's own
encoders see them, under many thresholds; the last part of the steps runs with the engine's integer rules. The
checkpoint that does best on the validation rows (the recording's own, or the last quarter of the training rows,
which then are not trained on) becomes MODEL. Test rows are never read. The same command gives the same file,
whatever the number of threads. A run that was killed goes on from MODEL.checkpoint when the same command is given
again, and ends with the same file.

  -o, --output FILE         where the model goes (required)
  --preset NAME             ${presetNames.join(' or ')} (default micro)
  --hidden N, --layers N, --window N
                            width, depth and ticks that one attends to, instead of the preset's
  --routing X               tokens may go around every second layer; a share of X goes through (mixture-of-depths)
  --router KIND             learned, or fixed: as it began, to compare with (default learned)
  --features NAME           changes, or trends: also how each channel moved over minutes to hours (default changes)
  --refinement N            a block after the last layer that runs up to N times a tick
  --attention KIND          softmax or spike: binary queries, keys and values, counted (default softmax)
  --pattern FORM            what heads see of the window: a-shape:L, the newest L; vertical-slash:L,K, also the K most
                            novel of the others (pinned); slash:L,A,B,..., also those of these ages (default all)
  --key-values FORMAT       int8, int4 or int4-rotated: how the rings hold keys and values (default int8)
  --history N,N,...         forecasts: beside the transformer a linear path over the last N ticks of each channel, in
                            closed form; which N, and of which rank, is chosen on the validation rows
  --ranks A,B,C             ... of these ranks in tiers 0, 1 and 2
  --line-alone              ... and no transformer: the smallest that there is lies in the file, and is never run
  --float FILE              write the float32 parameters behind the model, too
  --without NAMES           leave these channels out (names with commas between)
  --validation-share X      share of the training rows set aside if the recording names none; 0: none, and the last
                            step is the result (default ${defaultSettings.dataset.validationShare})
  --leave-out N..M,N..M     training rows to leave out, counted from 0, and to score the model on at the end
  --seed N                  (default ${defaultSettings.seed})
  --steps N                 optimiser steps of ${batchTokens(defaultSettings)} tokens (default ${defaultSettings.steps})
  --threads N               (default: all cores)
  --learning-rate X         at its peak (default ${defaultSettings.learningRate})
  --weight-decay X          (default ${defaultSettings.optimiser.weightDecay})
  --input-gain X            how loud values are at the start, beside flags and ages (default ${defaultSettings.inputGain})
  --distillation X          so much of an earlier exit's loss is its distance from the last one (default ${defaultSettings.distillation})
  --label-smoothing X       (default ${defaultSettings.labelSmoothing})
  --channel-dropout X       share of sequences in which a channel is blank (default ${defaultSettings.channelDropout})
  --level-jitter X          shift a channel's level by X times as far as it wanders by itself (default ${defaultSettings.levelJitter})
  --level-noise X           shift every channel's level by X standard deviations (default ${defaultSettings.levelNoise})
  --level-wander X          let levels wander slowly, by X standard deviations; classify only (default ${defaultSettings.pool.levelWander})
  --leak X                  let channels come back to rest up to X times as fast; classify only (default ${defaultSettings.pool.leak})
  --leak-half-life N        ... than half of the way in N intervals (default ${defaultSettings.pool.leakHalfLife})
  --gain-jitter X           stretch a channel's excursions by e to the X (default ${defaultSettings.gainJitter})
  --event-shuffle X         share of sequences whose fired flags and times are another's (default ${defaultSettings.eventShuffle})
  --hold-max N              most ticks that one token counts for (default ${defaultSettings.holdMax})
  --delta X                 a channel fires when it moved X interquartile ranges (default ${defaultSettings.dataset.deltaShare})
  --finest X, --widest X    thresholds in training, times those (default 1/3 and ${defaultSettings.pool.widest})
  --dense-share X           share of the streams in training on which every tick is a token (default ${defaultSettings.pool.denseShare})
  --heartbeat N             ... or was silent for N intervals (default ${defaultSettings.dataset.heartbeatIntervals})
  --checkpoint-every S      seconds between two writes of MODEL.checkpoint; 0: after every step (default ${checkpointSeconds})
  --no-line                 learn a classifier's linear path, too, instead of beginning with a discriminant
  --force                   train even on a channel that only counts rows
  --quiet                   no progress on stderr
  --json                    print the result as one JSON object`,
  async run(args) {
    const options = readArguments(args);
    requireWritable(options.output);
    const recording = withoutChannels(openRecording(options.recordingPath), options.without);
    const dataset = loadDataset(recording, options.settings.dataset);
    const fit = fitOf(dataset, options);
    const past = fit && makePastModel(dataset, fit);
    const plain = configOf(recording, options);
    const config = fit === null ? plain : validateConfig(withHistory(plain, fit, dataset));
    const checkpoints = checkpointsOf(options, fingerprint(dataset, config, options.settings));
    const progress = options.quiet ? null : new Progress(progressTarget(), () => performance.now());
    const report = (step: StepReport) => progress?.update(step);
    const { settings, threads } = options;
    const result = await train(dataset, config, settings, threads, report, checkpoints, past).finally(() =>
      progress?.close(),
    );
    const provenance = provenanceOf(recording, settings, result, args);
    const bytes = saveModel({ ...result.model, meaning: { ...result.model.meaning, provenance } });
    writeFileSync(options.output, bytes);
    if (options.floatOutput !== undefined) {
      const meaning = { ...result.model.meaning, provenance };
      writeFileSync(options.floatOutput, saveFloatModel({ ...floatModelOf(result, past), meaning }));
    }
    checkpoints.remove();
    process.stdout.write(options.json ? jsonOf(options, result, bytes) : textOf(options, result, bytes));
    return 0;
  },
};

function fitOf(dataset: Dataset, { history, ranks, quiet }: Arguments): HistoryFit | null {
  if (history.length === 0) return null;
  if (dataset.task.kind !== 'forecast') {
    throw new UsageError(`--history: expected a forecast, got a recording to ${dataset.task.kind}`);
  }
  const fit = fitHistory(dataset, history, ranks);
  if (!quiet) process.stderr.write(`${describeFit(fit)}\n`);
  return fit;
}

function describeFit({ rows, ranks, ridge, validation }: HistoryFit): string {
  const errors = ranks.map((rank, tier) => `rank ${rank} ${validation[tier]!.toFixed(4)}`);
  return `linear path: ${rows} ticks back, ridge ${ridge}, validation loss ${errors.join(', ')}`;
}

function floatModelOf({ model, parameters }: TrainingResult, past: FloatPast | null): FloatModel {
  return { config: model.config, parameters, ...(past !== null && { past }) };
}

interface Arguments {
  readonly recordingPath: string;
  readonly output: string;
  readonly preset: PresetName;
  readonly sizes: Sizes;
  /** The capacity of every second layer; undefined: no layer is routed. */
  readonly routing: number | undefined;
  readonly attention: AttentionKind;
  /** Undefined: heads see the whole window. */
  readonly pattern: HeadPattern | undefined;
  readonly keyValues: KeyValueFormat;
  /** Rounds; undefined: none. */
  readonly refinement: number | undefined;
  /** Ticks to look back on, to choose from; empty: no history. */
  readonly history: readonly number[];
  /** Undefined: chosen. */
  readonly ranks: HistoryFit['ranks'] | undefined;
  readonly floatOutput: string | undefined;
  readonly without: readonly string[];
  readonly threads: number;
  readonly checkpointMs: number;
  readonly quiet: boolean;
  readonly json: boolean;
  readonly settings: TrainingSettings;
}

function batchTokens({ shards, shardSequences, sequence }: TrainingSettings): number {
  return shards * shardSequences * sequence;
}

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
  'delta',
  'dense-share',
  'finest',
  'widest',
  'validation-share',
  'checkpoint-every',
  'routing',
] as const;
const wholeNumbers = [
  'seed',
  'steps',
  'threads',
  'heartbeat',
  'hold-max',
  'hidden',
  'layers',
  'window',
  'refinement',
] as const;

function readArguments(args: string[]): Arguments {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseOptions({
    args,
    options: {
      output: { type: 'string', short: 'o' },
      preset: text,
      without: text,
      'leave-out': text,
      router: text,
      attention: text,
      pattern: text,
      'key-values': text,
      features: text,
      history: text,
      ranks: text,
      'line-alone': { type: 'boolean' },
      float: text,
      force: { type: 'boolean' },
      'no-line': { type: 'boolean' },
      quiet: { type: 'boolean' },
      json: { type: 'boolean' },
      ...(Object.fromEntries([...numbers, ...wholeNumbers].map((name) => [name, text])) as Record<
        (typeof numbers)[number] | (typeof wholeNumbers)[number],
        typeof text
      >),
    },
    allowPositionals: true,
  });
  const [recordingPath] = requireArguments(positionals, 'a recording');
  const options: Arguments = {
    recordingPath,
    output: requireOption('output', values.output),
    preset: requireChoice('--preset', values.preset ?? 'micro', presetNames),
    routing: values.routing === undefined ? undefined : numberOption('routing', values.routing, 1, 1e-3, 1),
    refinement: sizeOption('refinement', values.refinement, REFINEMENT_ROUNDS_MAX),
    attention: requireChoice('--attention', values.attention ?? 'softmax', ['softmax', 'spike']),
    pattern: patternOption(values.pattern),
    keyValues: requireChoice('--key-values', values['key-values'] ?? 'int8', [
      'int8',
      'int4',
      'int4-rotated',
    ]),
    sizes: {
      hidden: sizeOption('hidden', values.hidden, HIDDEN_MAX),
      layers: sizeOption('layers', values.layers, LAYERS_MAX),
      window: sizeOption('window', values.window, WINDOW_MAX),
    },
    history: historyOption(values.history),
    ranks: ranksOption(values.ranks),
    floatOutput: values.float,
    without: namesOption(values.without),
    checkpointMs:
      1000 * numberOption('checkpoint-every', values['checkpoint-every'], checkpointSeconds, 0, 1e6),
    threads: wholeNumberOption('threads', values.threads, availableParallelism(), 1, 256),
    quiet: values.quiet ?? false,
    json: values.json ?? false,
    settings: withSequenceFor(
      {
        ...settingsOf(values, {
          features: featuresOption(values.features),
          allowClocks: values.force ?? false,
          leaveOut: rangesOption(values['leave-out']),
        }),
        routersLearn:
          requireChoice('--router', values.router ?? 'learned', ['learned', 'fixed']) === 'learned',
        linearStart: !(values['no-line'] ?? false),
      },
      values.window,
    ),
  };
  return values['line-alone'] ? withLineAlone(options) : options;
}

function settingsOf(
  values: Partial<Record<(typeof numbers)[number] | (typeof wholeNumbers)[number], string>>,
  dataset: Pick<TrainingSettings['dataset'], 'features' | 'allowClocks' | 'leaveOut'>,
): TrainingSettings {
  const defaults = defaultSettings;
  const number = (name: (typeof numbers)[number], fallback: number, min: number, max: number) =>
    numberOption(name, values[name], fallback, min, max);
  const whole = (name: (typeof wholeNumbers)[number], fallback: number, min: number, max: number) =>
    wholeNumberOption(name, values[name], fallback, min, max);
  return {
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
    dataset: {
      ...defaults.dataset,
      ...dataset,
      validationShare: number('validation-share', defaults.dataset.validationShare, 0, 0.9),
      deltaShare: number('delta', defaults.dataset.deltaShare, 0, 100),
      heartbeatIntervals: whole('heartbeat', defaults.dataset.heartbeatIntervals, 1, 1e9),
    },
  };
}

function rangesOption(text: string | undefined): TrainingSettings['dataset']['leaveOut'] {
  return (text?.split(',') ?? []).map((part) => {
    const [, from, to] = /^(\d+)\.\.(\d+)$/.exec(part.trim()) ?? [];
    if (from === undefined || Number(from) >= Number(to)) {
      throw new UsageError(`--leave-out: expected ranges FROM..TO with FROM < TO, got '${part}'`);
    }
    return [Number(from), Number(to)];
  });
}

/** Sequences that show a long window whole, fewer of them, so that a step keeps its tokens. */
function withSequenceFor(settings: TrainingSettings, window: string | undefined): TrainingSettings {
  const tokens = settings.sequence * settings.shardSequences;
  const sequence = Math.max(settings.sequence, 2 * Number(window ?? 0));
  return { ...settings, sequence, shardSequences: Math.max(1, Math.round(tokens / sequence)) };
}

function historyOption(text: string | undefined): readonly number[] {
  return (text?.split(',') ?? []).map((part) => wholeNumberOption('history', part, 0, 2, HISTORY_ROWS_MAX));
}

function ranksOption(text: string | undefined): HistoryFit['ranks'] | undefined {
  if (text === undefined) return undefined;
  const ranks = text.split(',').map((part) => wholeNumberOption('ranks', part, 0, 1, HISTORY_RANK_MAX));
  if (ranks.length !== 3) throw new UsageError(`--ranks: expected three, got '${text}'`);
  return ranks as unknown as HistoryFit['ranks'];
}

/** The smallest transformer that a file can hold, and the least training. */
function withLineAlone(options: Arguments): Arguments {
  if (options.history.length === 0) throw new UsageError('--line-alone: expected --history, too');
  const sizes = { hidden: 4, heads: 1, layers: 1, window: 1, feedForward: 1 };
  return { ...options, sizes, settings: { ...options.settings, steps: 2, lineAlone: true } };
}

function sizeOption(name: string, text: string | undefined, max: number): number | undefined {
  return text === undefined ? undefined : wholeNumberOption(name, text, 0, 1, max);
}

function configOf(recording: Recording, options: Arguments): TransformerConfig {
  const { preset, sizes, routing, refinement, attention, pattern, keyValues, settings } = options;
  const channels = recording.channels.length;
  const outputs = outputCount(taskOf(recording), channels);
  const config = resizedPreset(preset, featureCount(channels, settings.dataset.features), outputs, sizes);
  return validateConfig({
    ...config,
    ...(routing !== undefined && { routing: { layers: everySecond(config.layers), capacity: routing } }),
    ...(attention !== 'softmax' && { attention }),
    ...(refinement !== undefined && { refinement: { rounds: refinement } }),
    ...withPattern(config, pattern),
    ...(keyValues !== 'int8' && { keyValues }),
  });
}

/** Never the first: what goes around a layer has been through one. */
function everySecond(layers: number): number[] {
  if (layers === 1) throw new UsageError('--routing: expected at least 2 layers, got 1');
  return Array.from({ length: Math.floor(layers / 2) }, (_, index) => 2 * index + 1);
}

/** Beside the model, and says so where a run goes on. */
function checkpointsOf({ output, checkpointMs, quiet }: Arguments, run: string): CheckpointFile {
  const path = `${output}.checkpoint`;
  const file = new CheckpointFile(path, run, checkpointMs, () => performance.now());
  const state = file.load();
  if (state !== null && !quiet) process.stderr.write(`goes on after step ${state.step}, from ${path}\n`);
  return file;
}

function progressTarget() {
  return {
    interactive: process.stderr.isTTY === true,
    write: (text: string) => void process.stderr.write(text),
  };
}

function textOf({ output }: Arguments, result: TrainingResult, bytes: Uint8Array): string {
  const { layers } = result.model.config;
  const exits = result.exits.map((exit, index) => {
    const place = index < layers ? `layer ${index + 1}` : `refinement ${index - layers + 1}`;
    return `  after ${place}: ${describeValidation(exit)}\n`;
  });
  const tiers = result.tiers.map((tier, index) => `  tier ${index}: ${describeValidation(tier)}\n`);
  const alone = result.alone === null ? '' : `  linear path alone: ${describeValidation(result.alone)}\n`;
  const leftOut =
    result.leftOut === null ? '' : `  rows left out: ${describeValidation(result.leftOut, '')}\n`;
  const shares = result.routedShares.map((share) => `${(100 * share).toFixed(1)} %`);
  const routed = shares.length === 0 ? '' : `  through routed layers: ${shares.join(', ')} of the tokens\n`;
  return `${output}: ${bytes.length} bytes, int8, from step ${result.bestStep}\n${exits.join('')}${alone}${tiers.join('')}${routed}${leftOut}`;
}

function jsonOf({ output, settings }: Arguments, result: TrainingResult, bytes: Uint8Array): string {
  const { validation, exits, alone, tiers, leftOut, bestStep, routedShares } = result;
  const ofHistory = alone === null ? {} : { alone, tiers };
  const seed = settings.seed;
  return `${JSON.stringify({ output, bytes: bytes.length, seed, bestStep, validation, exits, ...ofHistory, routedShares, leftOut })}\n`;
}
