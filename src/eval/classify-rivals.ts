/** Trivial classifiers, fitted on the train rows alone. They see one row at a time: no row number, time or past. */

import { fitDiscriminant } from '../statistics/discriminant.ts';
import { fillForward, knownMeans, standardise } from '../statistics/statistics.ts';
import { concatenate, type Protocol } from './protocols.ts';
import { type Scored, scoreClasses } from './scores.ts';

/** Rows with their classes. */
interface Sample {
  /** [rows x channels], no NaN. */
  readonly values: Float64Array;
  readonly labels: Int8Array;
  readonly channels: number;
  readonly classes: number;
}

/** Names the class of one row of `values`. */
type Classifier = (values: Float64Array, row: number) => number;

/** Majority class, best single-channel threshold, linear discriminant. */
export function classifyRivals(protocol: Protocol): Record<string, Scored> {
  const sample = trainSample(protocol);
  if (sample === null) return {};
  const score = (classifier: Classifier) =>
    scoreClasses(protocol, predictTests(protocol, sample, classifier));
  const majority = majorityClass(sample);
  return {
    majority: score(() => majority),
    bestThreshold: score(fitStump(sample)),
    linearDiscriminant: score(discriminantRival(protocol, sample)),
  };
}

function trainSample({ recording, channels, train }: Protocol): Sample | null {
  const labelled = train.filter((series) => series.labels !== null);
  if (labelled.length === 0) return null;
  const labels = Int8Array.from(labelled.flatMap((series) => [...series.labels!]));
  return { values: concatenate(labelled, channels), labels, channels, classes: recording.classes!.length };
}

function predictTests(protocol: Protocol, sample: Sample, classifier: Classifier): Int8Array[] {
  const start = knownMeans(sample.values, sample.channels);
  return protocol.tests.map(({ series }) => {
    const values = fillForward(series.values, start);
    return Int8Array.from({ length: series.rows }, (_, row) => classifier(values, row));
  });
}

function classCounts({ labels, classes }: Sample): Float64Array {
  const counts = new Float64Array(classes);
  for (const label of labels) counts[label]!++;
  return counts;
}

function majorityClass(sample: Sample): number {
  return largestAt(classCounts(sample));
}

function largestAt(values: ArrayLike<number>): number {
  let at = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[at]!) at = i;
  return at;
}

interface Stump {
  readonly channel: number;
  readonly threshold: number;
  readonly below: number;
  readonly above: number;
  /** Train rows that it gets right. */
  readonly right: number;
}

/** One threshold on the one channel that gets most train rows right; each side says its majority class. */
function fitStump(sample: Sample): Classifier {
  let best = bestStump(sample, 0);
  for (let channel = 1; channel < sample.channels; channel++) {
    const stump = bestStump(sample, channel);
    if (stump.right > best.right) best = stump;
  }
  const { channel, threshold, below, above } = best;
  return (values, row) => (values[row * sample.channels + channel]! < threshold ? below : above);
}

function bestStump(sample: Sample, channel: number): Stump {
  const { values, labels, channels } = sample;
  const value = (row: number) => values[row * channels + channel]!;
  const order = Uint32Array.from(labels, (_, row) => row).sort((a, b) => value(a) - value(b));
  const above = classCounts(sample);
  const below = new Float64Array(sample.classes);
  let best = stumpAt(channel, Number.NEGATIVE_INFINITY, below, above);
  for (let i = 0; i + 1 < order.length; i++) {
    below[labels[order[i]!]!]!++;
    above[labels[order[i]!]!]!--;
    const [here, next] = [value(order[i]!), value(order[i + 1]!)];
    if (here === next) continue;
    const stump = stumpAt(channel, (here + next) / 2, below, above);
    if (stump.right > best.right) best = stump;
  }
  return best;
}

function stumpAt(channel: number, threshold: number, below: Float64Array, above: Float64Array): Stump {
  const [low, high] = [largestAt(below), largestAt(above)];
  return { channel, threshold, below: low, above: high, right: below[low]! + above[high]! };
}

/** Relative to a variance of 1; keeps channels that copy each other from making the covariance singular. */
const ridge = 1e-6;

/** Fisher's linear discriminant on all channels, closed form, with the train rows' class shares. */
function discriminantRival(protocol: Protocol, { values, labels, channels, classes }: Sample): Classifier {
  const table = standardise(values, protocol.standardiser);
  const { weights, biases } = fitDiscriminant(
    table,
    labels,
    channels,
    classes,
    new Float64Array(channels).fill(ridge),
  );
  return (rows, row) => {
    const z = standardise(rows.subarray(row * channels, (row + 1) * channels), protocol.standardiser);
    return largestAt(
      biases.map((bias, c) => z.reduce((sum, x, i) => sum + weights[c * channels + i]! * x, bias)),
    );
  };
}
