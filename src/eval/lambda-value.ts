/**
 * What lambda tells of anomalies beyond novelty: logistic regressions with and without it, fitted on some files and
 * scored on others, and the difference of their areas under the precision-recall curve with a bootstrap over files.
 */
import { fitLogistic, logOdds } from '../statistics/logistic.ts';
import { randomNumbers } from '../statistics/random.ts';
import { quantile } from '../statistics/statistics.ts';
import { agreementColumns, gateFeatureNames, lambdaColumns, noveltyColumns } from './gate-features.ts';

/** Scored rows of many files. */
export interface LabelledRows {
  /** [rows x gateFeatureNames]. */
  readonly table: Float64Array;
  /** [rows], 1 where anomalous. */
  readonly labels: Uint8Array;
  /** [rows], the file of each: files are fitted on or scored whole, and drawn whole. */
  readonly files: Int32Array;
}

/** Area under the precision-recall curve of one choice of columns, and what it has more than novelty alone. */
export interface ColumnsValue {
  readonly auprc: number;
  readonly gain: number;
  /** 95 % of the bootstrap. */
  readonly interval: readonly [number, number];
}

export interface LambdaValue {
  readonly rows: number;
  readonly files: number;
  /** Share of anomalous rows: what guessing scores. */
  readonly anomalous: number;
  readonly novelty: number;
  readonly lambdaAlone: ColumnsValue;
  readonly withLambda: ColumnsValue;
  readonly withAgreement: ColumnsValue;
  readonly withBoth: ColumnsValue;
}

const FOLDS = 5;
const RIDGE = 1;
const DRAWS = 1000;
const SEED = 1;
const TAIL = 0.025;

export function lambdaValue(rows: LabelledRows): LambdaValue {
  const files = Math.max(...rows.files) + 1;
  const novelty = ranked(rows, noveltyColumns);
  const value = (columns: readonly number[]) => compare(rows, files, novelty, ranked(rows, columns));
  return {
    rows: rows.labels.length,
    files,
    anomalous: rows.labels.reduce((sum, label) => sum + label, 0) / rows.labels.length,
    novelty: precisionArea(rows, novelty, new Float64Array(files).fill(1)),
    lambdaAlone: value(lambdaColumns),
    withLambda: value([...noveltyColumns, ...lambdaColumns]),
    withAgreement: value([...noveltyColumns, ...agreementColumns]),
    withBoth: value([...noveltyColumns, ...lambdaColumns, ...agreementColumns]),
  };
}

/** Rows from the highest score down, and where equal scores end; scores are by regressions that did not see the file. */
interface Ranking {
  readonly order: Uint32Array;
  readonly scores: Float64Array;
}

function ranked({ table, labels, files }: LabelledRows, columns: readonly number[]): Ranking {
  const width = gateFeatureNames.length;
  const chosen = Float64Array.from({ length: labels.length * columns.length }, (_, at) => {
    return table[Math.floor(at / columns.length) * width + columns[at % columns.length]!]!;
  });
  const scores = new Float64Array(labels.length);
  for (let fold = 0; fold < FOLDS; fold++) {
    const inside = [...labels.keys()].filter((row) => files[row]! % FOLDS !== fold);
    const fit = fitLogistic(
      Float64Array.from(
        inside.flatMap((row) => [...chosen.subarray(row * columns.length, (row + 1) * columns.length)]),
      ),
      inside.map((row) => labels[row]!),
      columns.length,
      RIDGE,
    );
    for (let row = 0; row < labels.length; row++) {
      if (files[row]! % FOLDS === fold) scores[row] = logOdds(fit, chosen, row);
    }
  }
  return { order: Uint32Array.from(labels.keys()).sort((a, b) => scores[b]! - scores[a]!), scores };
}

function compare(rows: LabelledRows, files: number, base: Ranking, other: Ranking): ColumnsValue {
  const random = randomNumbers(SEED);
  const weights = new Float64Array(files);
  const once = weights.slice().fill(1);
  const gains: number[] = [];
  for (let draw = 0; draw < DRAWS; draw++) {
    weights.fill(0);
    for (let file = 0; file < files; file++) weights[Math.floor(random() * files)]!++;
    const gain = precisionArea(rows, other, weights) - precisionArea(rows, base, weights);
    if (!Number.isNaN(gain)) gains.push(gain); // a draw may have no anomaly
  }
  const auprc = precisionArea(rows, other, once);
  const interval = [quantile(gains, TAIL), quantile(gains, 1 - TAIL)] as const;
  return { auprc, gain: auprc - precisionArea(rows, base, once), interval };
}

/** Average precision with each file's rows counted `weights[file]` times; equal scores count together. */
export function precisionArea(
  { labels, files }: LabelledRows,
  { order, scores }: Ranking,
  weights: Float64Array,
): number {
  let area = 0;
  let hits = 0;
  let seen = 0;
  for (let i = 0; i < order.length; ) {
    const score = scores[order[i]!]!;
    const before = hits;
    for (; i < order.length && scores[order[i]!] === score; i++) {
      const weight = weights[files[order[i]!]!]!;
      hits += weight * labels[order[i]!]!;
      seen += weight;
    }
    if (hits > before) area += ((hits - before) * hits) / seen;
  }
  return area / hits;
}
