/** `dormouse train`: from a recording to an int8 model. */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { validateConfig } from '../engine/config.ts';
import { HISTORY_RANK_MAX, HISTORY_ROWS_MAX } from '../engine/limits.ts';
import { saveModel } from '../engine/model-file.ts';
import { openRecording, withoutChannels } from '../recording/recording.ts';
import { CheckpointFile, fingerprint } from '../train/checkpoint.ts';
import { type Dataset, loadDataset } from '../train/dataset.ts';
import { type FloatModel, saveFloatModel } from '../train/float-model.ts';
import { fitHistory, type HistoryFit } from '../train/history-fit.ts';
import { type FloatPast, makePastModel, withHistory } from '../train/past-model.ts';
import { Progress } from '../train/progress.ts';
import { provenanceOf } from '../train/provenance.ts';
import type { TrainingSettings } from '../train/settings.ts';
import { type StepReport, train } from '../train/trainer.ts';
import type { TrainingResult } from '../train/training-result.ts';
import { type Command, UsageError } from './command.ts';
import { requireWritable } from './files.ts';
import {
  namesOption,
  numberOption,
  parseOptions,
  requireArguments,
  requireOption,
  wholeNumberOption,
} from './options.ts';
import {
  type Architecture,
  architectureOptions,
  architectureUsage,
  configOf,
  readArchitecture,
  smallest,
} from './train-architecture.ts';
import { describeFit, resultJson, resultText } from './train-report.ts';
import { readSettings, settingOptions, settingsUsage } from './train-settings.ts';

/** What a kill may cost. */
const checkpointSeconds = 10;

export const command: Command = {
  name: 'train',
  summary: 'train a model on a recording and quantise it to int8',
  usage: `Usage: dormouse train RECORDING -o MODEL [options]

Trains a transformer on the training rows of RECORDING (a directory with a recording.json) as the gateway's own
encoders see them, under many thresholds; the last part of the steps runs with the engine's integer rules. The
checkpoint that does best on the validation rows (the recording's own, or the last quarter of the training rows,
which then are not trained on; with --validation-share 0 there are none, and the last step's) becomes MODEL. Test
rows are never read. The same command gives the same file, whatever the number of threads. A run that was killed goes
on from MODEL.checkpoint when the same command is given again, and ends with the same file.

  -o, --output FILE     where the model goes (required)
  --float FILE          write the float32 parameters behind the model, too
  --threads N           (default: all cores)
  --checkpoint-every S  seconds between two writes of MODEL.checkpoint; 0: after every step (default ${checkpointSeconds})
  --quiet               no progress on stderr
  --json                print the result as one JSON object

The network:
${architectureUsage}
  --history N,N,...     forecasts: beside the transformer a linear path over the last N ticks of each channel, in
                        closed form; which N, and of which rank, is chosen on the validation rows
  --ranks A,B,C         ... of these ranks in tiers 0, 1 and 2
  --line-alone          ... and no transformer: the smallest that there is lies in the file, and is never run

What it is trained on, and how:
${settingsUsage}`,
  async run(args) {
    const options = readArguments(args);
    requireWritable(options.output);
    const recording = withoutChannels(openRecording(options.recordingPath), options.without);
    const { settings, threads } = options;
    const dataset = loadDataset(recording, settings.dataset);
    const fit = fitOf(dataset, options);
    const past = fit && makePastModel(dataset, fit);
    const plain = configOf(recording, options.architecture, settings.dataset.features);
    const config = fit === null ? plain : validateConfig(withHistory(plain, fit, dataset));
    const checkpoints = checkpointsOf(options, fingerprint(dataset, config, settings));
    const progress = options.quiet ? null : new Progress(progressTarget(), () => performance.now());
    const report = (step: StepReport) => progress?.update(step);
    const result = await train(dataset, config, settings, threads, report, checkpoints, past).finally(() =>
      progress?.close(),
    );
    const { length } = save(result, past, provenanceOf(recording, settings, result, args), options);
    checkpoints.remove();
    const { output } = options;
    process.stdout.write(
      options.json ? resultJson(output, length, settings.seed, result) : resultText(output, length, result),
    );
    return 0;
  },
};

interface Arguments {
  readonly recordingPath: string;
  readonly output: string;
  readonly floatOutput: string | undefined;
  readonly without: readonly string[];
  readonly architecture: Architecture;
  /** Ticks to look back on, to choose from; empty: no history. */
  readonly history: readonly number[];
  /** Undefined: chosen. */
  readonly ranks: HistoryFit['ranks'] | undefined;
  readonly settings: TrainingSettings;
  readonly threads: number;
  readonly checkpointMs: number;
  readonly quiet: boolean;
  readonly json: boolean;
}

function readArguments(args: string[]): Arguments {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseOptions({
    args,
    options: {
      output: { type: 'string', short: 'o' },
      float: text,
      ...architectureOptions,
      history: text,
      ranks: text,
      'line-alone': { type: 'boolean' },
      ...settingOptions,
      threads: text,
      'checkpoint-every': text,
      quiet: { type: 'boolean' },
      json: { type: 'boolean' },
    },
    allowPositionals: true,
  });
  const [recordingPath] = requireArguments(positionals, 'a recording');
  const output = requireOption('output', values.output);
  const architecture = readArchitecture(values);
  const options: Arguments = {
    recordingPath,
    output,
    floatOutput: values.float,
    without: namesOption(values.without),
    architecture,
    history: historyOption(values.history),
    ranks: ranksOption(values.ranks),
    settings: readSettings(values, architecture.sizes.window),
    threads: wholeNumberOption('threads', values.threads, availableParallelism(), 1, 256),
    checkpointMs:
      1000 * numberOption('checkpoint-every', values['checkpoint-every'], checkpointSeconds, 0, 1e6),
    quiet: values.quiet ?? false,
    json: values.json ?? false,
  };
  return values['line-alone'] ? withLineAlone(options) : options;
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

/** The smallest transformer, and the least training. */
function withLineAlone(options: Arguments): Arguments {
  if (options.history.length === 0) throw new UsageError('--line-alone: expected --history, too');
  const settings = { ...options.settings, steps: 2, lineAlone: true };
  return { ...options, architecture: { ...options.architecture, sizes: smallest }, settings };
}

function fitOf(dataset: Dataset, { history, ranks, quiet }: Arguments): HistoryFit | null {
  if (history.length === 0) return null;
  if (dataset.task.kind !== 'forecast') {
    throw new UsageError(`--history: expected a forecast, got a recording to ${dataset.task.kind}`);
  }
  const fit = fitHistory(dataset, history, ranks);
  if (!quiet) process.stderr.write(`${describeFit(fit)}\n`);
  return fit;
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

/** Gives the bytes of the model's file. */
function save(
  result: TrainingResult,
  past: FloatPast | null,
  provenance: ReturnType<typeof provenanceOf>,
  { output, floatOutput }: Arguments,
): Uint8Array {
  const meaning = { ...result.model.meaning, provenance };
  const bytes = saveModel({ ...result.model, meaning });
  writeFileSync(output, bytes);
  if (floatOutput !== undefined)
    writeFileSync(floatOutput, saveFloatModel({ ...floatModelOf(result, past), meaning }));
  return bytes;
}

function floatModelOf({ model, parameters }: TrainingResult, past: FloatPast | null): FloatModel {
  return { config: model.config, parameters, ...(past !== null && { past }) };
}
