/** `dormouse eval`: how good a model is on a recording, what gating saves, and whether something simpler does better. */
import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Model } from '../engine/model.ts';
import { evaluate } from '../eval/evaluate.ts';
import type { EvaluateOptions, Evaluation } from '../eval/evaluation.ts';
import { evaluateNextTick } from '../eval/next-tick-evaluation.ts';
import { describeNextTick } from '../eval/next-tick-report.ts';
import { scaleThresholds } from '../eval/passes.ts';
import { plotEvaluation } from '../eval/plot.ts';
import { describeEvaluation } from '../eval/report.ts';
import { TraceFile } from '../eval/trace.ts';
import { policyNames } from '../gate/policy.ts';
import { openRecording, type Recording, withChangePoints, withoutChannels } from '../recording/recording.ts';
import type { Command } from './command.ts';
import { readFloatModel, readModel } from './files.ts';
import { namesOption, numberOption, parseOptions, requireArguments, requireChoice } from './options.ts';
import { clearStatus, showStatus } from './terminal/status-line.ts';

/** Thresholds that a plot shows beside the model's own. */
const plottedScales: readonly number[] = [0.25, 0.5, 1, 2, 4, 8];

export const command: Command = {
  name: 'eval',
  summary: 'score a model on a recording, gated and dense, beside trivial rivals',
  usage: `Usage: dormouse eval MODEL RECORDING [options]

Plays the tested files of RECORDING (a directory with a recording.json, or one CSV file beside it) through the
int8 engine: gated, as the gateway runs it; dense, every tick at tier 0 with its KV cache; and decimated to the
gate's own rate. Scores are over every tick, skipped ones with the output that was held. The best of each column
is marked with *.

  --json                 one JSON object instead of the table; what cannot be said is null
  --policy NAME          one of ${policyNames.join(', ')}
  --threshold-scale X    multiply the channels' spike thresholds by X (default 1)
  --curve X,X,...        gated runs with thresholds so many times as wide, too
  --plot FILE.svg        draw quality against compute (with --curve ${plottedScales.join(',')} unless given)
  --float FILE           the float32 parameters behind MODEL (train --float FILE), dense
  --beside MODEL         another model of the same recording among the rivals, dense; may be repeated
  --without NAMES        the recording without these channels (names with commas between), for the rivals too
  --change-points NAME   column of change points that recording.json ignores, for the NAB score
  --force                score even on a channel that only counts rows
  --next-tick            of forecasts and anomalies: score predictions of the tick after a token, by the model, by holding,
                         the damped trend and the moving average, and by the one of least energy of late; and how
                         many tokens sending by each takes at the same error
  --trace FILE           write the gated run's results, one JSON line per tick as the gateway publishes them`,
  async run(args) {
    const { model, recording, options, json, tracePath, plotPath, wantsNextTick } = readArguments(args);
    const evaluation = evaluateTraced(model, recording, options, tracePath);
    const nextTick = wantsNextTick ? evaluateNextTick(model, recording, options) : null;
    if (plotPath !== undefined) writeFileSync(plotPath, plotEvaluation(evaluation, recording.name));
    const text = json
      ? [JSON.stringify({ ...evaluation, ...(nextTick && { nextTick }) })]
      : [
          title(model, recording),
          '',
          ...describeEvaluation(evaluation),
          ...(nextTick ? ['', ...describeNextTick(nextTick)] : []),
        ];
    process.stdout.write(`${text.join('\n')}\n`);
    return 0;
  },
};

interface Arguments {
  readonly model: Model;
  readonly recording: Recording;
  readonly options: EvaluateOptions;
  readonly json: boolean;
  readonly tracePath: string | undefined;
  readonly plotPath: string | undefined;
  readonly wantsNextTick: boolean;
}

function readArguments(args: string[]): Arguments {
  const { values, positionals } = parseOptions({
    args,
    options: {
      json: { type: 'boolean' },
      policy: { type: 'string' },
      'threshold-scale': { type: 'string' },
      trace: { type: 'string' },
      'next-tick': { type: 'boolean' },
      curve: { type: 'string' },
      plot: { type: 'string' },
      float: { type: 'string' },
      beside: { type: 'string', multiple: true },
      without: { type: 'string' },
      force: { type: 'boolean' },
      'change-points': { type: 'string' },
    },
    allowPositionals: true,
  });
  const [modelPath, recordingPath] = requireArguments(positionals, 'a model file', 'a recording');
  const policy =
    values.policy === undefined ? {} : { policy: requireChoice('--policy', values.policy, policyNames) };
  const scale = numberOption('threshold-scale', values['threshold-scale'], 1, 0, 1000);
  const scales = curveScales(values.curve, values.plot !== undefined);
  const model = readModel(modelPath);
  const options = {
    ...policy,
    spikes: scaleThresholds(model.meaning.spikes, scale),
    curveScales: scales,
    allowClocks: values.force ?? false,
    ...(values.float !== undefined && { float: readFloatModel(values.float, model) }),
    beside: new Map((values.beside ?? []).map((path) => [basename(path), readModel(path)])),
    onProgress: showProgress,
  };
  const all = withoutChannels(openRecording(recordingPath), namesOption(values.without));
  const points = values['change-points'];
  return {
    model,
    recording: points === undefined ? all : withChangePoints(all, points),
    options,
    json: values.json ?? false,
    tracePath: values.trace,
    plotPath: values.plot,
    wantsNextTick: values['next-tick'] ?? false,
  };
}

function curveScales(text: string | undefined, isPlotted: boolean): readonly number[] {
  if (text === undefined) return isPlotted ? plottedScales : [];
  return text.split(',').map((part) => numberOption('curve', part, 1, 0, 1000));
}

function evaluateTraced(
  model: Model,
  recording: Recording,
  options: EvaluateOptions,
  tracePath: string | undefined,
): Evaluation {
  try {
    if (tracePath === undefined) return evaluate(model, recording, options);
    const files = recording.test.map(({ file }) => file);
    const trace = new TraceFile(tracePath, model.meaning, files);
    try {
      return evaluate(model, recording, { ...options, trace });
    } finally {
      trace.close();
    }
  } finally {
    clearStatus();
  }
}

function title(model: Model, { name, task, test, source }: Recording): string {
  const channels = model.meaning.channels.map((channel) => channel.name).join(', ');
  const files = test.length === 1 ? test[0]!.file : `${test.length} files`;
  return `${name} (${task}; ${files}; ${channels})\n${source}`;
}

/** Only where a person watches. */
function showProgress(pass: string, done: number, total: number): void {
  showStatus(`${done + 1} of ${total}: ${pass}`);
}
