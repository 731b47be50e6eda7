/** What a canary with the default settings lets through, on a real recording and with the model that is shipped. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Engine } from '../../../src/engine/engine.ts';
import type { Linear, Model } from '../../../src/engine/model.ts';
import { loadModel } from '../../../src/engine/model-file.ts';
import { Comparison } from '../../../src/gateway/models/comparison.ts';
import { Pipeline } from '../../../src/gateway/pipeline.ts';
import { openRecording, readSeries, selectChannels } from '../../../src/recording/recording.ts';
import { randomNumbers } from '../../engine/tiny-model.ts';

const directory = new URL('../../../../shared/data/occupancy', import.meta.url).pathname;
const isThere = existsSync(directory);
if (!isThere) console.warn(`skipped: no recording at ../shared/data/occupancy`);

const thresholds = {
  agreementMin: 0.9,
  alarmsMax: 0.05,
  skipDropMax: 0.25,
  // Nothing may depend on how busy this machine is.
  slowerMax: Number.POSITIVE_INFINITY,
  stepMsMax: Number.POSITIVE_INFINITY,
  forecastTolerance: 0.5,
};
const canary = { ticks: 1000, tokens: 20, answers: 2 };
/** A canary begins at each. */
const eachRows = 100;

function shipped(): Model {
  const path = new URL('../../../targets/models/occupancy.safetensors', import.meta.url);
  return loadModel(readFileSync(path));
}

/** Says the same whatever it sees. */
function constant(model: Model, answer: 0 | 1): Model {
  const silent = (linear: Linear, bias: number[]): Linear => ({
    weight: new Int8Array(linear.weight.length),
    bias: Int32Array.from(bias),
    multiplier: new Float32Array(linear.multiplier.length).fill(1),
  });
  const { head, linear } = model.weights;
  const weights = { ...model.weights, head: silent(head, answer === 0 ? [30_000, 0] : [0, 30_000]) };
  return {
    ...model,
    weights: linear === undefined ? weights : { ...weights, linear: silent(linear, [0, 0]) },
  };
}

/** A share of its weights is another: right in a fifth of one file's minutes, three quarters of the other's. */
function damaged(model: Model, share: number): Model {
  const copy = { ...model, weights: structuredClone(model.weights) };
  const random = randomNumbers(7);
  const damage = ({ weight }: Linear) => {
    for (let at = 0; at < weight.length; at++)
      if (random() < share) weight[at] = Math.round((random() * 2 - 1) * 127);
  };
  for (const { query, key, value, output, up, down } of copy.weights.layers)
    for (const linear of [query, key, value, output, up, down]) damage(linear);
  damage(copy.weights.head);
  if (copy.weights.linear !== undefined) damage(copy.weights.linear);
  return copy;
}

/** How canaries that begin all along a file end. */
function outcomes(judged: Model, file: string): { accepted: number; refused: number } {
  const model = shipped();
  const names = model.meaning.channels.map(({ name }) => name);
  const series = readSeries(selectChannels(openRecording(directory), names), file);
  const [old, next] = [model, judged].map((each) => new Pipeline(new Engine(each), 0)) as [
    Pipeline,
    Pipeline,
  ];
  const running: Comparison[] = [];
  const isOver = ({ ticks, tokens, answers }: Comparison) =>
    ticks >= canary.ticks && tokens >= canary.tokens && answers >= canary.answers;
  for (let row = 0; row < series.rows; row++) {
    const values = series.values.slice(row * names.length, (row + 1) * names.length);
    const frame = { timeMs: series.timeMs[row]!, values };
    const trusted = { witness: old.tick(frame), output: old.output, tookMs: 0 };
    const answer = { witness: next.tick(frame), output: next.output, tookMs: 0 };
    if (row % eachRows === 0) running.push(new Comparison(model.meaning, thresholds));
    for (const comparison of running) if (!isOver(comparison)) comparison.note(trusted, answer);
  }
  const over = running.filter(isOver);
  const accepted = over.filter((comparison) => comparison.problem() === undefined).length;
  return { accepted, refused: over.length - accepted };
}

describe.skipIf(!isThere)('canaries on the recordings that the shipped model never saw', () => {
  const files = ['test.csv', 'test2.csv'];

  test.each(files)('%s: the model itself is taken', (file) => {
    const { accepted, refused } = outcomes(shipped(), file);
    expect(accepted).toBeGreaterThan(10);
    expect(refused).toBe(0);
  });

  test.each([
    ['says empty always', (model: Model) => constant(model, 0)],
    ['says occupied always', (model: Model) => constant(model, 1)],
    ['has lost a fifth of its weights', (model: Model) => damaged(model, 0.2)],
  ])('one that %s is refused, whenever it comes', (_, spoil) => {
    for (const file of files) {
      const { accepted, refused } = outcomes(spoil(shipped()), file);
      expect(refused).toBeGreaterThan(10);
      expect(accepted).toBe(0);
    }
  });
});
