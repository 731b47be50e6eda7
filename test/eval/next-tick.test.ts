import { describe, expect, it, test } from 'vitest';
import { Engine } from '../../src/engine/engine.ts';
import type { Task } from '../../src/engine/model.ts';
import { fitCandidates, validationProtocol } from '../../src/eval/candidate-fit.ts';
import {
  defaultCandidates,
  type NextTickScores,
  predictors,
  scoreNextTick,
} from '../../src/eval/next-tick.ts';
import type { Protocol } from '../../src/eval/protocols.ts';
import { sendOnPrediction } from '../../src/eval/send-on-prediction.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import type { Series } from '../../src/recording/recording.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { makeNormal, makeRecording, makeSeries } from './helpers.ts';

const spikes = { delta: [0.6, 0.6], heartbeat: [30, 30], refractory: [0, 0] };
const modelOf = (task: Task, outputs: number) =>
  tinyModel({ channels: ['a', 'b'], config: { outputs }, meaning: { task, spikes } });
const anomaly = modelOf({ kind: 'anomaly', threshold: 2 }, 4);
const forecast = modelOf({ kind: 'forecast', horizon: 3 }, 6);

/** One channel is a walk, one noise; some readings are missing. */
function walk(rows: number, seed: number): Series {
  const normal = makeNormal(seed);
  let level = 20;
  const values = Array.from({ length: rows }, (_, row) => {
    level += 0.3 * normal();
    return [row % 17 === 5 ? Number.NaN : level, 20 + normal()];
  });
  return makeSeries(`${seed}.csv`, values, Array(rows).fill(0));
}

function protocolOf(series: Series, task: 'anomaly' | 'forecast', scoredFrom = 60): Protocol {
  return {
    recording: makeRecording({ task, ...(task === 'forecast' && { horizon: 3 }) }),
    channels: 2,
    train: [],
    tests: [{ series, scoredFrom }],
    standardiser: { mean: Float64Array.of(20, 20), deviation: Float64Array.of(2, 0.5) },
  };
}

const options = (gating: boolean) => ({ candidates: defaultCandidates, gating });

describe('scoreNextTick', () => {
  it('scores holding as what it is, on readings that everybody predicts', () => {
    const series = walk(400, 1);
    const { readings, scores } = scoreNextTick(
      protocolOf(series, 'anomaly'),
      new Engine(anomaly),
      options(false),
    );
    let errors = 0;
    let count = 0;
    for (let row = 60; row < series.rows; row++) {
      for (const [channel, deviation] of [2, 0.5].entries()) {
        const actual = series.values[2 * row + channel]!;
        if (Number.isNaN(actual)) continue;
        let before = row - 1;
        while (Number.isNaN(series.values[2 * before + channel]!)) before--;
        errors += Math.abs(actual - series.values[2 * before + channel]!) / deviation;
        count++;
      }
    }
    expect(readings).toBe(count);
    expect(scores.hold.mae).toBeCloseTo(errors / count, 9);
  });

  it.each([true, false])('scores the model as it puts out its prediction alone, gating %s', (gating) => {
    const series = walk(300, 2);
    const pipeline = new Pipeline(new Engine(anomaly), 0, { gating });
    let errors = 0;
    let count = 0;
    for (let row = 0; row < series.rows; row++) {
      const values = series.values.slice(2 * row, 2 * row + 2);
      for (const [channel, deviation] of [2, 0.5].entries()) {
        if (row < 60 || Number.isNaN(values[channel]!)) continue;
        errors += Math.abs(values[channel]! - pipeline.output.values[channel]!) / deviation;
        count++;
      }
      pipeline.tick({ timeMs: series.timeMs[row]!, values });
    }
    const { scores } = scoreNextTick(protocolOf(series, 'anomaly'), new Engine(anomaly), options(gating));
    expect(scores.model.mae).toBeCloseTo(errors / count, 9);
  });

  it('finds the rival that is right for each channel, and says how sure that is', () => {
    const { scores, errorRatio } = scoreNextTick(
      protocolOf(walk(600, 3), 'anomaly'),
      new Engine(anomaly),
      options(true),
    );
    const singles = [scores.model, scores.hold, scores.trend, scores.average];
    expect(scores.ranked.mae).toBeLessThan(1.05 * Math.min(...singles.map(({ mae }) => mae)));
    const ratio = scores.ranked.mae / scores.model.mae;
    expect(errorRatio[0]).toBeLessThanOrEqual(ratio);
    expect(errorRatio[1]).toBeGreaterThanOrEqual(ratio);
    expect(singles.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
  });

  test.each(['anomaly', 'forecast'] as const)('knows nothing of what is still to come: %s', (task) => {
    const model = task === 'anomaly' ? anomaly : forecast;
    const long = walk(400, 4);
    const other = { ...long, values: long.values.slice() };
    other.values.fill(77, 2 * 300);
    const upTo = (series: Series, rows: number): NextTickScores => {
      const cut = {
        ...series,
        rows,
        timeMs: series.timeMs.slice(0, rows),
        values: series.values.slice(0, 2 * rows),
      };
      return scoreNextTick(protocolOf(cut, task), new Engine(model), options(true));
    };
    // A forecast of 3 needs the two rows after the last one that is scored to be there.
    expect(upTo(other, 300)).toEqual(upTo(long, 300));
    expect(upTo(other, 310)).not.toEqual(upTo(long, 310));
  });

  it('judges a longer forecast by its first step only', () => {
    const series = walk(300, 5);
    const dense = scoreNextTick(protocolOf(series, 'forecast'), new Engine(forecast), options(false));
    const gated = scoreNextTick(protocolOf(series, 'forecast'), new Engine(forecast), options(true));
    expect(gated.readings).toBeLessThan(dense.readings);
    for (const name of predictors) expect(dense.scores[name].crps).toBeGreaterThan(0);
  });
});

describe('fitCandidates', () => {
  it('chooses by validation rows alone, and shows what it gains there', () => {
    const fit = fitCandidates(anomaly, [walk(500, 6)], protocolOf(walk(100, 7), 'anomaly'))!;
    const protocol = validationProtocol(anomaly, [walk(500, 6)], protocolOf(walk(100, 8), 'anomaly'));
    const again = scoreNextTick(protocol, new Engine(anomaly), { candidates: fit.rule, gating: true });
    expect(fit.validation).toEqual(again);
    expect(fit.validation.errorRatio[1]).toBeLessThan(1);
  });

  it('chooses nothing where the model can not be beaten, and refuses what it can not judge', () => {
    // Nothing ever moves, and what the model says of it is that.
    const still = makeSeries('still.csv', Array(200).fill([20, 20]), Array(200).fill(0));
    const silent = tinyModel({
      channels: ['a', 'b'],
      config: { outputs: 4 },
      meaning: { task: { kind: 'anomaly', threshold: 2 }, spikes },
      weightOf: () => 0,
    });
    const protocol = protocolOf(still, 'anomaly');
    expect(fitCandidates(silent, [still], protocol)?.rule).toBeUndefined();
    expect(() => fitCandidates(tinyModel(), [still], protocol)).toThrow(/got one that classifies/);
    expect(() => fitCandidates(anomaly, [], protocol)).toThrow(/got too few/);
  });
});

describe('sendOnPrediction', () => {
  it('counts tokens as the gateway does, and errors as the receiver has them', () => {
    const series = walk(400, 9);
    const [delta, ...others] = sendOnPrediction(
      protocolOf(series, 'anomaly', 0),
      new Engine(anomaly),
      spikes,
      defaultCandidates,
    );
    const pipeline = new Pipeline(new Engine(anomaly), 0);
    let errors = 0;
    let count = 0;
    const held = [Number.NaN, Number.NaN];
    for (let row = 0; row < series.rows; row++) {
      const values = series.values.slice(2 * row, 2 * row + 2);
      const isToken = pipeline.tick({ timeMs: series.timeMs[row]!, values }).tier !== 3;
      for (const channel of [0, 1]) {
        const value = values[channel]!;
        if (Number.isNaN(value)) continue;
        if (isToken) held[channel] = value;
        errors += Math.abs(value - held[channel]!) / [2, 0.5][channel]!;
        count++;
      }
    }
    expect(delta!.tokenShare).toBeCloseTo(pipeline.counters.tokens / series.rows, 12);
    expect(delta!.mae).toBeCloseTo(errors / count, 9);
    expect(delta!.matched).toMatchObject({ thresholdScale: 1, mae: delta!.mae });
    expect(others.map(({ rule, ranked }) => [rule, ranked])).toEqual([
      ['trend', false],
      ['forecast', false],
      ['forecast', true],
    ]);
    for (const { mae, matched } of others) {
      expect(Math.abs(matched.mae - delta!.mae)).toBeLessThanOrEqual(Math.abs(mae - delta!.mae));
      expect(matched.tokenShare).toBeGreaterThan(0);
    }
  });
});
