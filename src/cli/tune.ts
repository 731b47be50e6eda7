/** `dormouse tune`: fits when channels fire, for the least compute that keeps the quality asked for. */
import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Model } from '../engine/model.ts';
import { saveModel } from '../engine/model-file.ts';
import { matchRecording } from '../eval/match-recording.ts';
import { defaultTuneOptions, policiesFor, type Trial, tune } from '../eval/tune.ts';
import { describeTuning, yamlOf } from '../eval/tune-report.ts';
import { loadTuneRows } from '../eval/tune-rows.ts';
import { type PolicyName, policyNames } from '../gate/policy.ts';
import { openRecording, type Recording } from '../recording/recording.ts';
import { version } from '../version.ts';
import { type Command, UsageError } from './command.ts';
import { readModel } from './files.ts';
import {
  namesOption,
  numberOption,
  parseOptions,
  requireArguments,
  requireChoice,
  requireOption,
  wholeNumberOption,
} from './options.ts';
import { clearStatus, showStatus } from './terminal/status-line.ts';

const defaults = defaultTuneOptions;

export const command: Command = {
  name: 'tune',
  summary: 'fit the spike thresholds: least compute at the quality asked for',
  usage: `Usage: dormouse tune RECORDING --model MODEL [options]

Plays the training and validation rows of RECORDING, never those that are tested, under many settings: thresholds per
channel, heartbeats and policies. Prints what it tried and the settings that need the least compute among those that
keep the quality asked for, at the lower end of a 95 % bootstrap interval, both on the rows that the model was trained
on and on those set aside. Where anomalies are to be found, rows that have none get faults.

  --model MODEL          (required)
  --retention X          share of the dense model's quality to keep (default ${defaults.retention})
  -o, --output FILE      where the settings go: NAME.safetensors is the model with them, NAME.yaml the sections of a
                         gateway's config (default: those are printed)
  --policies NAMES       with commas between (default: all that the model can run, of
                         ${policyNames.join(', ')});
                         a config names the policy, a model only notes it
  --first-heartbeats N,N,...
                         try to look again so many intervals after a change, then after twice the time, and so on
                         (default ${defaults.firstHeartbeats.join(',')})
  --trials N             most settings to try (default ${defaults.trials})
  --json                 every trial, as one JSON object`,
  async run(args) {
    const { model, recording, retention, output, json, ...search } = readArguments(args);
    const rows = loadTuneRows(model, recording);
    const tuning = tune(model, rows, { ...defaults, ...search, retention, onTrial: showProgress });
    clearStatus();
    const text = json ? [JSON.stringify(tuning)] : describeTuning(tuning, rows, retention);
    process.stdout.write(`${text.join('\n')}\n`);
    if (tuning.best === null)
      throw new Error(`no setting keeps ${retention} of the quality: nothing is written`);
    if (output !== undefined) writeSettings(output, model, tuning.best, recording, retention);
    else if (!json) process.stdout.write(`\n${yamlOf(tuning.best.settings, model.meaning)}`);
    return 0;
  },
};

function readArguments(args: string[]) {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseOptions({
    args,
    options: {
      model: text,
      retention: text,
      output: { type: 'string', short: 'o' },
      policies: text,
      'first-heartbeats': text,
      trials: text,
      json: { type: 'boolean' },
    },
    allowPositionals: true,
  });
  const [path] = requireArguments(positionals, 'a recording');
  const modelPath = requireOption('model', values.model, 'MODEL');
  const output = requireOutput(values.output, modelPath);
  const model = readModel(modelPath);
  return {
    model,
    recording: matchRecording(model, openRecording(path)),
    retention: numberOption('retention', values.retention, defaults.retention, 0, 1),
    output,
    policies: values.policies === undefined ? policiesFor(model) : requirePolicies(values.policies),
    firstHeartbeats:
      values['first-heartbeats']
        ?.split(',')
        .map((part) => wholeNumberOption('first-heartbeats', part, 1, 1, 1e9)) ?? defaults.firstHeartbeats,
    trials: wholeNumberOption('trials', values.trials, defaults.trials, 1, 1e6),
    json: values.json ?? false,
  };
}

function requireOutput(output: string | undefined, model: string): string | undefined {
  if (output === undefined || /\.ya?ml$/.test(output)) return output;
  if (!output.endsWith('.safetensors')) {
    throw new UsageError(`--output: expected NAME.safetensors or NAME.yaml, got '${output}'`);
  }
  if (output === model) throw new UsageError('--output: expected another file than --model');
  return output;
}

function requirePolicies(names: string): readonly PolicyName[] {
  return namesOption(names).map((name) => requireChoice('--policies', name, policyNames));
}

/** Only where a person watches. */
function showProgress(done: number, most: number): void {
  showStatus(`${done} of at most ${most} settings`);
}

function writeSettings(
  path: string,
  model: Model,
  best: Trial,
  recording: Recording,
  retention: number,
): void {
  const text = path.endsWith('.safetensors')
    ? saveModel(tunedModel(model, best, recording, retention))
    : yamlOf(best.settings, model.meaning);
  writeFileSync(path, text);
  process.stdout.write(`${basename(path)} written; policy: ${best.settings.policy}\n`);
}

/** The same weights with other thresholds, and a note of where they come from. */
function tunedModel(model: Model, best: Trial, recording: Recording, retention: number): Model {
  const { settings, skipRate, retentionLow } = best;
  const tuned = {
    recording: recording.name,
    rows: 'training and validation',
    policy: settings.policy,
    asked: retention,
    keptAtLeast: Number(retentionLow.toFixed(4)),
    skipRate: Number(skipRate.toFixed(4)),
    dormouse: version,
  };
  const provenance = { ...model.meaning.provenance, tuned };
  return { ...model, meaning: { ...model.meaning, spikes: settings.spikes, provenance } };
}
