/** `dormouse calibrate gate`: teach a model's gate when its cheap tier will do. */
import { writeFileSync } from 'node:fs';
import { LOGIT_ONE } from '../engine/limits.ts';
import type { ExitRule, Json, Model, RefinementRule } from '../engine/model.ts';
import { saveModel } from '../engine/model-file.ts';
import { type CandidateFit, fitCandidates } from '../eval/candidate-fit.ts';
import { checkExit, defaultExitFit, type ExitCheck, fitExit } from '../eval/exit-fit.ts';
import { matchRecording } from '../eval/match-recording.ts';
import { describeRule, describeScores } from '../eval/next-tick-report.ts';
import { loadProtocol, type TestSeries } from '../eval/protocols.ts';
import { collectRounds, fitRefinement } from '../eval/refinement-fit.ts';
import {
  barText,
  describeRefinementRows,
  type RefinementRows,
  refinementRows,
} from '../eval/refinement-report.ts';
import { checkRegret, collectTokens, fitRegret, type RegretCheck } from '../eval/regret-fit.ts';
import { Q15_ONE } from '../gate/packets.ts';
import { energyPolicy } from '../gate/policy.ts';
import { type RegretModel, regretFeatureNames, regretKey } from '../gate/regret.ts';
import { openRecording, type Series } from '../recording/recording.ts';
import { loadDataset } from '../train/dataset.ts';
import { defaultSettings } from '../train/settings.ts';
import { type Command, UsageError } from './command.ts';
import { readModel, requireWritable } from './files.ts';
import { numberOption, parseOptions, requireArguments, requireOption } from './options.ts';
import { alignColumns } from './terminal/columns.ts';

const defaultTolerance = 0.1;

export const command: Command = {
  name: 'calibrate gate',
  summary: 'fit when the cheap tier answers as the full one, for the policy `energy`',
  usage: `Usage: dormouse calibrate gate MODEL RECORDING -o FILE [--tolerance X] [--exit X | --refinement X]
                                                       [--candidates] [--json]

Runs every token of RECORDING's training rows at tier 1 and at tier 0 from the same past, fits a logistic regression that
predicts from what the gate knows beforehand (${regretFeatureNames.join(', ')})
whether the answers differ, makes calibrated probabilities of it (the larger of what the training rows and what the
validation rows show; these are the recording's own, or the last quarter of the training rows), and writes
MODEL with both to FILE. Under the policy \`energy\` a token then gets tier 0
where the probability is above ${Math.round((1000 * energyPolicy.regretMaxQ15) / Q15_ONE) / 10} %. Test rows are not fitted on: they only show how well the probabilities hold.

  -o, --output FILE   where the model goes (required)
  --tolerance X       forecast, anomaly: outputs differ from a root mean square of X channel scales on (default ${defaultTolerance})
  --exit X            also fit when a tier-0 token may leave after the first layers: so sure that, at 95 % confidence, the
                      answers to at most a share X of the validation rows' tokens change; the pipeline then does so
  --refinement X      of a model trained with rounds of refinement: also fit how much surer a round must make an answer for
                      another to follow, with the fewest rounds that keep a share X of what all of them gain in loss on
                      the validation rows; without such a gain MODEL's rounds are never run
  --candidates        also choose by the validation rows for how long the errors of predictions are remembered, by which
                      holding, a damped trend and a moving average stand in for MODEL's prediction of the next tick; the
                      pipeline then does so, if that is surely better there
  --json              one JSON object instead of text`,
  async run(args) {
    const { values, positionals } = parseOptions({
      args,
      options: {
        output: { type: 'string', short: 'o' },
        tolerance: { type: 'string' },
        exit: { type: 'string' },
        candidates: { type: 'boolean' },
        refinement: { type: 'string' },
        json: { type: 'boolean' },
      },
      allowPositionals: true,
    });
    const [modelPath, recordingPath] = requireArguments(positionals, 'a model file', 'a recording');
    const output = requireOption('output', values.output);
    requireWritable(output);
    const tolerance = numberOption('tolerance', values.tolerance, defaultTolerance, 0, 1000);
    const exitMax =
      values.exit === undefined
        ? undefined
        : numberOption('exit', values.exit, defaultExitFit.disagreementMax, 1e-6, 1);
    const refinementShare =
      values.refinement === undefined ? undefined : numberOption('refinement', values.refinement, 1, 0, 1);
    if (exitMax !== undefined && refinementShare !== undefined)
      throw new UsageError(
        '--exit: a model that is refined runs all its layers, so expected no --refinement',
      );
    const report = calibrate(modelPath, recordingPath, output, {
      tolerance,
      exitMax,
      candidates: values.candidates ?? false,
      refinementShare,
    });
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
  /** If it was asked for; null: no early exit keeps the promise. */
  readonly exit?: ExitReport | null;
  /** Likewise; null: no rule is surely better than the model's own predictions. */
  readonly candidates?: CandidateFit | null;
  readonly refinement?: RefinementReport;
}

interface RefinementReport {
  /** Null: rounds gain nothing, and none is run. */
  readonly rule: RefinementRule | null;
  readonly validation: RefinementRows;
  readonly test: RefinementRows;
}

interface ExitReport {
  readonly rule: ExitRule;
  readonly validation: ExitCheck;
  readonly test: ExitCheck;
}

interface Demands {
  readonly tolerance: number;
  /** Share of the answers that early exits may change; absent: none are fitted. */
  readonly exitMax: number | undefined;
  readonly candidates: boolean;
  /** Share of what all rounds gain that is to be kept; absent: no bar is fitted. */
  readonly refinementShare: number | undefined;
}

function calibrate(
  modelPath: string,
  recordingPath: string,
  output: string,
  { tolerance, exitMax, candidates: wantsCandidates, refinementShare }: Demands,
): Report {
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
  const protocol = loadProtocol(recording);
  const { tests } = protocol;
  const exit = exitMax === undefined ? undefined : reportExit(model, dataset.validation, tests, exitMax);
  const candidates = wantsCandidates
    ? (fitCandidates(model, dataset.validation, protocol) ?? null)
    : undefined;
  const refinement =
    refinementShare === undefined
      ? undefined
      : reportRefinement(model, dataset.validation, tests, refinementShare);
  const { refinement: ownRule, ...rest } = model.meaning;
  const rule = refinement === undefined ? ownRule : refinement.rule;
  const meaning = {
    ...rest,
    provenance,
    ...(rule && { refinement: rule }),
    ...(exit && { exit: exit.rule }),
    ...(candidates && { candidates: candidates.rule }),
  };
  writeFileSync(output, saveModel({ ...model, meaning }));
  return {
    output,
    regret,
    validation: checkRegret(regret, held),
    test: checkRegret(regret, collectTokens(model, tests, tolerance)),
    ...(exit === undefined ? {} : { exit }),
    ...(candidates === undefined ? {} : { candidates }),
    ...(refinement === undefined ? {} : { refinement }),
  };
}

function reportRefinement(
  model: Model,
  validation: readonly Series[],
  tests: readonly TestSeries[],
  share: number,
): RefinementReport {
  const held = collectRounds(model, validation);
  const rule = fitRefinement(held, share);
  const shown = refinementRows(held, rule);
  const tested = collectRounds(
    model,
    tests.map(({ series }) => series),
  );
  const bars = shown.bars.map(({ gainQ16 }) => gainQ16);
  return { rule: rule ?? null, validation: shown, test: refinementRows(tested, rule, bars) };
}

function reportExit(
  model: Model,
  validation: readonly Series[],
  tests: readonly TestSeries[],
  disagreementMax: number,
): ExitReport | null {
  const rule = fitExit(model, validation, { ...defaultExitFit, disagreementMax });
  if (rule === undefined) return null;
  const tested = tests.map(({ series }) => series);
  return { rule, validation: checkExit(model, validation, rule), test: checkExit(model, tested, rule) };
}

function describe({ output, regret, validation, test, exit, candidates, refinement }: Report): string[] {
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
    ...(exit === undefined ? [] : ['', ...describeExit(exit)]),
    ...(candidates === undefined ? [] : ['', ...describeCandidates(candidates)]),
    ...(refinement === undefined ? [] : ['', ...describeRefinement(refinement)]),
  ];
}

function describeExit(exit: ExitReport | null): string[] {
  if (exit === null) return ['early exit: none that keeps the promise on these rows and saves work'];
  const row = (title: string, check: ExitCheck) => [
    `  ${title}`,
    String(check.tokens),
    short(check.exitShare),
    `${short(check.disagreement)} (at most ${short(check.disagreementHigh)})`,
    short(check.macsShare),
  ];
  return [
    `early exit after ${exit.rule.layers} of the layers from a confidence of ${short(exit.rule.confidenceQ16 / LOGIT_ONE)} on`,
    ...alignColumns([
      ['  rows', 'tokens', 'leave early', 'answers changed (97.5 % bound)', 'work'],
      row('validation, fitted on', exit.validation),
      row('test', exit.test),
    ]),
  ];
}

function describeRefinement({ rule, validation, test }: RefinementReport): string[] {
  return [
    rule === null
      ? 'refinement: rounds gain nothing on the validation rows, and none is run'
      : `refinement: a further round as long as the last one made the answer surer by ${barText(rule.gainQ16)}`,
    ...describeRefinementRows('validation rows, fitted on', validation),
    ...describeRefinementRows('test rows', test),
  ];
}

function describeCandidates(fit: CandidateFit | null): string[] {
  if (fit === null) return ['candidates: none that surely predict these rows better than the model alone'];
  return [
    `candidates: ${describeRule(fit.rule)}`,
    ...describeScores('validation rows, gated', fit.validation),
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
