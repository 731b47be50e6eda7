/** `dormouse lambda`: whether lambda tells anything of anomalies that novelty does not. */
import { type FaultName, faultNames } from '../eval/faults.ts';
import { faultyRows, labelledRows, normalSegments } from '../eval/lambda-streams.ts';
import { type ColumnsValue, type LambdaValue, lambdaValue } from '../eval/lambda-value.ts';
import { openRecording, type Recording } from '../recording/recording.ts';
import type { Command } from './command.ts';
import { parseOptions, requireArguments } from './options.ts';
import { alignColumns } from './terminal/columns.ts';

/** Five folds over fewer say nothing. */
const segmentsMin = 5;

export const command: Command = {
  name: 'lambda',
  summary: 'measure what lambda tells of anomalies beyond novelty, on a recording and on injected faults',
  usage: `Usage: dormouse lambda RECORDING [--json]

Fits logistic regressions that tell anomalous rows by novelty (its size, its multiple of what is typical, the spike rate,
the largest moving average of z-scores), by lambda, and by both, on four fifths of the files, and scores them on the
others. Prints the area under the precision-recall curve (AUPRC), what lambda and the agreement with learned correlations
add to it, and 95 % of a bootstrap over files: where that includes 0, nothing is proved.

  labelled   the tested files, if RECORDING is an anomaly recording
  others     faults injected into one channel of the training rows: ${faultNames.join(', ')}

  --json     one JSON object per line instead of the table`,
  async run(args) {
    const { values, positionals } = parseOptions({
      args,
      options: { json: { type: 'boolean' } },
      allowPositionals: true,
    });
    const [path] = requireArguments(positionals, 'a recording');
    const results = measureAll(openRecording(path));
    process.stdout.write(values.json ? results.map(jsonLine).join('') : `${table(results).join('\n')}\n`);
    return 0;
  },
};

interface Result extends LambdaValue {
  readonly anomalies: FaultName | 'labelled';
}

/** Throws Error if there is nothing to measure on. */
function measureAll(recording: Recording): Result[] {
  const labelled =
    recording.task === 'anomaly'
      ? [{ anomalies: 'labelled' as const, ...lambdaValue(labelledRows(recording)) }]
      : [];
  const segments = normalSegments(recording);
  if (segments.length < segmentsMin && labelled.length === 0) {
    throw new Error(
      `${recording.name}: expected ${segmentsMin} stretches of 900 training rows or more, got ${segments.length}`,
    );
  }
  const injected = segments.length < segmentsMin ? [] : faultNames;
  return [
    ...labelled,
    ...injected.map((name) => ({ anomalies: name, ...lambdaValue(faultyRows(recording, segments, name)) })),
  ];
}

function jsonLine(result: Result): string {
  return `${JSON.stringify(result)}\n`;
}

function table(results: readonly Result[]): string[] {
  const header = [
    'anomalies',
    'files',
    'anomalous',
    'novelty',
    'lambda',
    '+ lambda',
    '+ agreement',
    '+ both',
  ];
  return alignColumns([
    header,
    ...results.map((result) => [
      result.anomalies,
      String(result.files),
      result.anomalous.toFixed(3),
      result.novelty.toFixed(3),
      result.lambdaAlone.auprc.toFixed(3),
      gainText(result.withLambda),
      gainText(result.withAgreement),
      gainText(result.withBoth),
    ]),
  ]);
}

function gainText({ gain, interval }: ColumnsValue): string {
  const signed = (value: number) => `${value < 0 ? '-' : '+'}${Math.abs(value).toFixed(3)}`;
  return `${signed(gain)} (${signed(interval[0])} to ${signed(interval[1])})`;
}
