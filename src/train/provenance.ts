/** What a model file says of where it comes from: enough to make it again, and nothing about the machine. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Json } from '../engine/model.ts';
import type { Recording, RowRange } from '../recording/recording.ts';
import { version } from '../version.ts';
import type { StreamScore } from './evaluate.ts';
import type { FloatModel } from './float-model.ts';
import type { PostTraining } from './post-training.ts';
import type { TrainingSettings } from './settings.ts';
import type { TrainingResult } from './training-result.ts';

/** `args`: the command's arguments as given; of a path only the last part is kept, and of what cannot matter nothing. */
export function provenanceOf(
  recording: Recording,
  settings: TrainingSettings,
  result: TrainingResult,
  args: readonly string[],
): Record<string, Json> {
  return {
    ...sourceOf(recording),
    seed: settings.seed,
    command: commandOf('train', args),
    dormouse: version,
    validation:
      result.validation === null
        ? { rows: 'none', step: result.bestStep }
        : {
            rows:
              recording.validation.length > 0
                ? 'as the recording says'
                : `last ${settings.dataset.validationShare} of train`,
            step: result.bestStep,
            dense: figures(result.validation.dense),
            gated: figures(result.validation.gated),
          },
  };
}

/** The same of a float model that was quantised: `float` is the file's bytes. */
export function quantisedProvenance(
  recording: Recording,
  float: Uint8Array,
  { meaning }: FloatModel,
  { comparison, float: floatScore, engine, smoothing }: PostTraining,
  args: readonly string[],
): Record<string, Json> {
  const scores = floatScore && engine && { float: figures(floatScore.dense), dense: figures(engine.dense) };
  return {
    ...sourceOf(recording),
    command: commandOf('quantize', args),
    dormouse: version,
    float: { sha256: sha256(float), ...(meaning && { trained: meaning.provenance }) },
    smoothing,
    relativeError: rounded(comparison.relativeError),
    agreement: rounded(comparison.agreement),
    ...(scores && { validation: { ...scores, gated: figures(engine.gated) } }),
  };
}

function sourceOf(recording: Recording): Record<string, Json> {
  return {
    recording: recording.name,
    source: recording.source,
    trainingFiles: hashes(recording, [...recording.train, ...recording.validation]),
  };
}

function commandOf(name: string, args: readonly string[]): string {
  return [`dormouse ${name}`, ...whatMatters(args).map(withoutFolder)].join(' ');
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** How many threads, what was shown and how often it was saved meanwhile, does not change the model. */
const flags: readonly string[] = ['--quiet', '--json'];
const withValue: readonly string[] = ['--threads', '--checkpoint-every', '--float'];

function whatMatters(args: readonly string[]): readonly string[] {
  return args.filter((argument, index) => {
    const [name] = argument.split('=');
    return !flags.includes(name!) && !withValue.includes(name!) && !withValue.includes(args[index - 1] ?? '');
  });
}

function withoutFolder(argument: string): string {
  return /[/\\]/.test(argument) ? basename(argument) : argument;
}

/** SHA-256 of each file once. */
function hashes(recording: Recording, ranges: readonly RowRange[]): Record<string, string> {
  const files = [...new Set(ranges.map(({ file }) => file))];
  return Object.fromEntries(
    files.map((file) => {
      const bytes = readFileSync(join(recording.directory, file));
      return [file, sha256(bytes)];
    }),
  );
}

function figures({ accuracy, loss, tokenShare }: StreamScore): Json {
  return {
    ...(accuracy === null ? {} : { accuracy: rounded(accuracy) }),
    loss: rounded(loss),
    tokenShare: rounded(tokenShare),
  };
}

function rounded(value: number): number {
  return Number(value.toFixed(4));
}
