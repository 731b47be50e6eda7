/** `dormouse calibrate`: teach a model's gate when its cheap tier will do. */
import { writeFileSync } from 'node:fs';
import type { Json } from '../engine/model.ts';
import { saveModel } from '../engine/model-file.ts';
import { matchRecording } from '../eval/evaluate.ts';
import { loadProtocol } from '../eval/protocols.ts';
import { checkRegret, collectTokens, fitRegret, type RegretCheck } from '../eval/regret-fit.ts';
import { Q15_ONE } from '../gate/packets.ts';
import { energyPolicy } from '../gate/policy.ts';
import { type RegretModel, regretFeatureNames, regretKey } from '../gate/regret.ts';
import { openRecording, type Series } from '../recording/recording.ts';
import { fileProblem } from '../text/file-problem.ts';
import { loadDataset } from '../train/dataset.ts';
import { defaultSettings } from '../train/settings.ts';
import { type Command, numberOption, parseOptions, UsageError } from './command.ts';
import { readModel } from './files.ts';
import { alignColumns } from './terminal/columns.ts';

const defaultTolerance = 0.1;

export const command: Command = {
  name: 'calibrate',
  summary: 'fit when the cheap tier answers as the full one, for the policy `energy`',
  usage: `Usage: dormouse calibrate MODEL RECORDING -o FILE [--tolerance X] [--json]

Runs every token of RECORDING's training rows at tier 1 and at tier 0 from the same past, fits a logistic regression that
predicts from what the gate knows beforehand (${regretFeatureNames.join(', ')})
whether the answers differ, makes calibrated probabilities of it (the larger of what the training rows and what the
validation rows show; these are the recording's own, or the last quarter of the training rows), and writes
MODEL with both to FILE. Under the policy \`energy\` a token then gets tier 0
where the probability is above ${Math.round((1000 * energyPolicy.regretMaxQ15) / Q15_ONE) / 10} %. Test rows are not fitted on: they only show how well the probabilities hold.

  -o, --output FILE   where the model goes (required)
  --tolerance X       forecast, anomaly: outputs differ from a root mean square of X channel scales on (default ${defaultTolerance})
  --json              one JSON object instead of text`,
  async run(args) {
    const { values, positionals } = parseOptions({
      args,
      options: {
        output: { type: 'string', short: 'o' },
        tolerance: { type: 'string' },
        json: { type: 'boolean' },
      },
      allowPositionals: true,
    });
    const [modelPath, recordingPath, ...surplus] = positionals;
    if (modelPath === undefined || recordingPath === undefined || surplus.length > 0)
      throw new UsageError(`expected a model and a recording, got ${positionals.length} arguments`);
    if (values.output === undefined) throw new UsageError('expected --output FILE');
    const tolerance = numberOption('tolerance', values.tolerance, defaultTolerance, 0, 1000);
    const report = calibrate(modelPath, recordingPath, values.output, tolerance);
    process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : `${describe(report).join('\n')}\n`);
    return 0;
  },
};

interface Report {
  readonly output: string;
  readonly regret: RegretModel;
  /** On rows that helped to make the probabilities, and on those that nothing was fitted on. */
  readonly validation: RegretCheck;
  readonly test: RegretCheck;
}

function calibrate(modelPath: string, recordingPath: string, output: string, tolerance: number): Report {
  const model = readModel(modelPath);
  const recording = matchRecording(model, openRecording(recordingPath));
  const dataset = loadDataset(recording, defaultSettings.dataset);
  const whole = (series: readonly Series[]) => series.map((one) => ({ series: one, scoredFrom: 0 }));
  const held = collectTokens(model, whole(dataset.validation), tolerance);
  const regret = fitRegret(collectTokens(model, whole(dataset.train), tolerance), held);
  const provenance = {
    ...model.meaning.provenance,
    [regretKey]: { ...regret, tolerance } as unknown as Json,
  };
  save(output, saveModel({ ...model, meaning: { ...model.meaning, provenance } }));
  return {
    output,
    regret,
    validation: checkRegret(regret, held),
    test: checkRegret(regret, collectTokens(model, loadProtocol(recording).tests, tolerance)),
  };
}

function save(path: string, bytes: Uint8Array): void {
  try {
    writeFileSync(path, bytes);
  } catch (error) {
    throw new Error(`--output ${path}: expected a file that can be written, got ${fileProblem(error)}`, {
      cause: error,
    });
  }
}

function describe({ output, regret, validation, test }: Report): string[] {
  const weights = regretFeatureNames.map((name, index) => [`  ${name}`, short(regret.weights[index]!)]);
  return [
    `${output}: tier 1 answers otherwise than tier 0 with a probability from ${short(regret.probabilities[0]!)} to ${short(regret.probabilities.at(-1)!)}`,
    '',
    'weight of each feature (0 to 1) in the log odds',
    ...alignColumns(weights),
    '',
    ...checkTable('validation rows, which helped to make the probabilities', validation),
    '',
    ...checkTable('test rows, which nothing was fitted on', test),
  ];
}

function checkTable(title: string, check: RegretCheck): string[] {
  const { tokens, realised, predicted, brier, brierOfMean, calibrationError, curve } = check;
  return [
    `${title}: ${tokens} tokens, predicted ${short(predicted)}, realised ${short(realised)}; Brier ${short(brier)} ` +
      `(always the mean: ${short(brierOfMean)}), calibration error ${short(calibrationError)}`,
    ...alignColumns([
      ['  limit', 'tokens at tier 1', 'of them different'],
      ...curve.map(({ limit, cheapShare, realised: differed }) => [
        `  ${limit}`,
        short(cheapShare),
        Number.isNaN(differed) ? '-' : short(differed),
      ]),
    ]),
  ];
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}
