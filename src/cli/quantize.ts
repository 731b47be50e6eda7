/** `dormouse quantize`: from float32 weights, trained here or elsewhere, to an int8 model. */
import { writeFileSync } from 'node:fs';
import { saveModel } from '../engine/model-file.ts';
import { matchRecording } from '../eval/match-recording.ts';
import { featureCount } from '../gate/features.ts';
import { openRecording, type Recording, withoutChannels } from '../recording/recording.ts';
import type { Comparison } from '../train/compare.ts';
import { type Dataset, loadDataset, outputCount } from '../train/dataset.ts';
import { type FloatModel, FloatModelError, loadFloatModel } from '../train/float-model.ts';
import {
  type PostTraining,
  quantiseFloatModel,
  type Smoothing,
  settingsFor,
  smoothings,
} from '../train/post-training.ts';
import { describeValidation } from '../train/progress.ts';
import { quantisedProvenance } from '../train/provenance.ts';
import { defaultSettings, type TrainingSettings } from '../train/settings.ts';
import { type Command, UsageError } from './command.ts';
import { datasetOptions, datasetSettings, datasetUsage } from './dataset-options.ts';
import { readNamed, requireWritable } from './files.ts';
import { problemCount, readConfigFile } from './inspect-float.ts';
import { namesOption, parseOptions, requireArguments, requireOption } from './options.ts';
import { alignColumns } from './terminal/columns.ts';
import { clearStatus, showStatus } from './terminal/status-line.ts';

export const command: Command = {
  name: 'quantize',
  summary: 'make an int8 model of float32 weights, of PyTorch for instance',
  usage: `Usage: dormouse quantize FLOAT RECORDING -o MODEL [options]

Quantises FLOAT, a safetensors file of float tensors under the names of docs/bring-your-own-model.md (F32, F16 or
BF16; 'train --float' writes one), to int8: one scale per output channel of each weight, activations calibrated on the
training rows of RECORDING. What FLOAT was trained for (channels, normalisers, thresholds) comes from its metadata, or
from RECORDING as 'train' would have it. Prints how far the int8 engine is from the float network, on the recording's
validation rows or the last quarter of its training rows, which nothing is calibrated on. All that is wrong with
FLOAT's tensors is listed at once.

  -o, --output FILE     where the model goes (required)
  --config FILE         the configuration, as JSON; default: FLOAT's __metadata__.config
  --smooth ALPHA        move difficulty from activations with outliers to weights (SmoothQuant): a number from 0 to 1,
                        search (the default: what errs least on training rows), none, or fixed (as training does)
${datasetUsage('if FLOAT does not say: ')}
  --json                print the result as one JSON object`,
  async run(args) {
    const options = readArguments(args);
    requireWritable(options.output);
    const bytes = readNamed(options.floatPath, 'float tensors');
    const float = checkedModel(options, bytes);
    const { recording, dataset } = dataOf(float, options);
    const settings = settingsFor(float.config, defaultSettings);
    const result = quantiseFloatModel(dataset, float, settings, options.smoothings, showTrial);
    clearStatus();
    const provenance = quantisedProvenance(recording, bytes, float, result, args);
    const { model } = result;
    const written = saveModel({ ...model, meaning: { ...model.meaning, provenance } });
    writeFileSync(options.output, written);
    process.stdout.write(options.json ? jsonOf(options, result, written) : textOf(options, result, written));
    return 0;
  },
};

function showTrial(smoothing: Smoothing, index: number): void {
  showStatus(`${index + 1} of ${smoothings.length}: smoothing ${smoothing}`);
}

interface Arguments {
  readonly floatPath: string;
  readonly recordingPath: string;
  readonly output: string;
  readonly configPath: string | undefined;
  readonly without: readonly string[];
  readonly smoothings: readonly Smoothing[];
  readonly json: boolean;
  readonly dataset: TrainingSettings['dataset'];
}

function readArguments(args: string[]): Arguments {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseOptions({
    args,
    options: {
      output: { type: 'string', short: 'o' },
      config: text,
      smooth: text,
      ...datasetOptions,
      json: { type: 'boolean' },
    },
    allowPositionals: true,
  });
  const [floatPath, recordingPath] = requireArguments(positionals, 'a file of float tensors', 'a recording');
  return {
    floatPath,
    recordingPath,
    output: requireOption('output', values.output),
    configPath: values.config,
    without: namesOption(values.without),
    smoothings: smoothOption(values.smooth),
    json: values.json ?? false,
    dataset: datasetSettings(values),
  };
}

function smoothOption(text = 'search'): readonly Smoothing[] {
  if (text === 'search') return smoothings;
  if (text === 'none' || text === 'fixed') return [text];
  const alpha = text.trim() === '' ? Number.NaN : Number(text);
  if (alpha >= 0 && alpha <= 1) return [alpha];
  throw new UsageError(`--smooth: expected a number from 0 to 1, search, none or fixed, got '${text}'`);
}

/** Lists every tensor that is not as expected on stderr before it throws. */
function checkedModel({ floatPath, configPath }: Arguments, bytes: Uint8Array): FloatModel {
  const config = readConfigFile(configPath);
  try {
    return loadFloatModel(bytes, config);
  } catch (error) {
    if (!(error instanceof FloatModelError)) {
      throw new Error(`${floatPath}: ${(error as Error).message}`, { cause: error });
    }
    for (const problem of error.problems) process.stderr.write(`${problem}\n`);
    throw problemCount(floatPath, error.problems);
  }
}

/** The recording's training rows, seen as the float model was shown its own. */
function dataOf(
  { config, meaning }: FloatModel,
  options: Arguments,
): { recording: Recording; dataset: Dataset } {
  const opened = withoutChannels(openRecording(options.recordingPath), options.without);
  const recording = meaning ? matchRecording({ meaning }, opened) : opened;
  const loaded = loadDataset(recording, options.dataset);
  const { channels, spikes, features = 'changes' } = meaning ?? loaded;
  const dataset = { ...loaded, channels, spikes, features };
  const count = channels.length;
  const fits = (name: 'features' | 'outputs', expected: number) => {
    if (config[name] === expected) return;
    const why = `as ${count} channels and the task of ${recording.name} have it`;
    throw new Error(
      `${options.floatPath}: config.${name}: expected ${expected}, ${why}, got ${config[name]}`,
    );
  };
  fits('features', featureCount(count, features));
  fits('outputs', outputCount(dataset.task, count));
  return { recording, dataset };
}

function textOf({ output, floatPath }: Arguments, result: PostTraining, bytes: Uint8Array): string {
  const { comparison, float, engine } = result;
  const lines = [
    `${output}: ${bytes.length} bytes, int8, from ${floatPath}`,
    describeSmoothing(result),
    ...describeComparison(comparison),
    ...(float && engine ? [describeValidation(float, 'float: '), describeValidation(engine, 'int8: ')] : []),
  ];
  return `${lines.join('\n  ')}\n`;
}

const percent = (share: number) => (Number.isNaN(share) ? '-' : `${(100 * share).toFixed(2)} %`);

function describeSmoothing({ smoothing, trials }: PostTraining): string {
  const chosen = typeof smoothing === 'number' ? `alpha ${smoothing}` : smoothing;
  if (trials.length === 1) return `smoothing: ${chosen}`;
  const errors = trials.map((trial) => `${trial.smoothing} ${percent(trial.relativeError)}`);
  return `smoothing: ${chosen}, by the error on training rows: ${errors.join(', ')}`;
}

/** For people: one line, and a table of the outputs. */
function describeComparison({ rows, relativeError, agreement, outputs }: Comparison): string[] {
  const short = (value: number) => String(Number(value.toPrecision(3)));
  const table = outputs.map((one) => [
    one.name,
    short(one.deviation),
    short(one.error),
    short(one.worst),
    percent(one.agreement),
  ]);
  return [
    `int8 against float on ${rows} rows: error ${percent(relativeError)} of the outputs' deviation, ${percent(agreement)} agree`,
    ...alignColumns([['output', 'deviation', 'error', 'worst', 'agreement'], ...table]).map(
      (line) => `  ${line}`,
    ),
  ];
}

function jsonOf(
  { output }: Arguments,
  { comparison, float, engine, smoothing, trials }: PostTraining,
  bytes: Uint8Array,
): string {
  return `${JSON.stringify({ output, bytes: bytes.length, comparison, float, engine, smoothing, trials })}\n`;
}
