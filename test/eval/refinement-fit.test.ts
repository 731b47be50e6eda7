import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Engine } from '../../src/engine/engine.ts';
import type { Model, Task } from '../../src/engine/model.ts';
import {
  barsOf,
  collectRounds,
  fitRefinement,
  type RefinedTokens,
  scoreBar,
  scoreRounds,
} from '../../src/eval/refinement-fit.ts';
import { Anytime } from '../../src/gate/anytime.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import type { Series } from '../../src/recording/recording.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { makeNormal, makeSeries } from './helpers.ts';

const seed = 20261124;
const spikes = { delta: [0.7, 0.7], heartbeat: [20, 20], refractory: [0, 0] };

function refined(task: Task, modelSeed: number): Model {
  return tinyModel({
    seed: modelSeed,
    config: { refinement: { rounds: 3 }, outputs: task.kind === 'classify' ? 2 : 4 },
    meaning: { task, spikes, refinement: { gainQ16: 0 } },
  });
}

const classify: Task = { kind: 'classify', classes: ['x', 'y'] };
const anomaly: Task = { kind: 'anomaly', threshold: 2 };

function seriesOf(rows: number, from: number): Series {
  const normal = makeNormal(from);
  const values = Array.from({ length: rows }, (_, row) => [
    20 + normal(),
    row % 9 === 4 ? Number.NaN : 20 + normal(),
  ]);
  return makeSeries(
    'made.csv',
    values,
    Array.from({ length: rows }, (_, row) => Number(row % 7 < 3)),
  );
}

/** What the gateway does with that bar where every token is computed in full. */
function realRun(model: Model, series: Series, gainQ16: number) {
  const anytime = new Anytime(new Engine(model), { gainQ16 });
  const pipeline = new Pipeline(anytime, 0, { policy: 'steady', anytime: false });
  let right = 0;
  let error = 0;
  let loss = 0;
  let readings = 0;
  const { output } = pipeline;
  for (let row = 0; row < series.rows; row++) {
    const values = series.values.slice(2 * row, 2 * row + 2);
    for (const channel of output.kind === 'anomaly' && output.hasValue ? [0, 1] : []) {
      if (Number.isNaN(values[channel]!)) continue;
      const { scale: unit } = model.meaning.channels[channel]!;
      const scale = (output.modelScaleOf(channel) * Math.sqrt(1 + output.ageIntervals)) / unit;
      const distance = Math.abs(values[channel]! - output.values[channel]!) / unit;
      error += distance;
      loss += distance / scale + Math.log(2 * scale);
      readings++;
    }
    pipeline.tick({ timeMs: series.timeMs[row]!, values });
    if (output.kind !== 'classify') continue;
    right += Number(output.classIndex === series.labels![row]);
    loss -= Math.log(output.probabilities[series.labels![row]!]!);
    readings++;
  }
  const { tokens, rounds } = anytime.counters;
  return {
    rounds: rounds / tokens,
    macs: pipeline.counters.macs / tokens,
    quality: (output.kind === 'classify' ? right : -error) / readings,
    loss: loss / readings,
  };
}

describe('scoreBar', () => {
  it.each([classify, anomaly])('adds up what the gateway does with each bar: $kind', (task) => {
    for (const modelSeed of [1, 2]) {
      const model = refined(task, modelSeed);
      const series = seriesOf(160, modelSeed);
      const tokens = collectRounds(model, [series]);
      for (const bar of barsOf(tokens, 5)) {
        const expected = realRun(model, series, bar);
        const scored = scoreBar(tokens, bar);
        expect(scored.rounds).toBeCloseTo(expected.rounds, 9);
        expect(scored.quality).toBeCloseTo(expected.quality, 9);
        expect(scored.loss).toBeCloseTo(expected.loss, 9);
        const all = tokens.tokenMacs + 3 * tokens.roundMacs;
        expect(scored.macsShare).toBeCloseTo(expected.macs / all, 9);
      }
      const [first, last] = [barsOf(tokens)[0]!, barsOf(tokens).at(-1)!];
      expect(scoreBar(tokens, first)).toMatchObject(scoreRounds(tokens, 3));
      expect(scoreBar(tokens, last)).toMatchObject(scoreRounds(tokens, 1));
      expect(scoreRounds(tokens, 3)).toMatchObject({ regret: 0, macsShare: 1 });
    }
  });

  it('refuses what can not be refined or judged', () => {
    const series = [seriesOf(40, 1)];
    expect(() => collectRounds(tinyModel(), series)).toThrow(/trained with one, got none/);
    const forecast = tinyModel({
      config: { refinement: { rounds: 2 }, outputs: 4 },
      meaning: { task: { kind: 'forecast', horizon: 2 }, spikes },
    });
    expect(() => collectRounds(forecast, series)).toThrow(/a forecast does not say/);
    expect(() => collectRounds(refined(classify, 1), [])).toThrow(/expected rows to score/);
  });
});

describe('fitRefinement', () => {
  /** [tokens][4], as a network could have made them. */
  const tokensOf = (rows: readonly { confidences: number[]; losses: number[] }[]): RefinedTokens => ({
    rounds: 3,
    confidences: rows.flatMap(({ confidences }) => confidences),
    losses: Float64Array.from(rows.flatMap(({ losses }) => losses)),
    qualities: new Float64Array(4 * rows.length),
    scored: rows.length,
    tokenMacs: 300,
    roundMacs: 100,
  });
  const four = (max: number) => fc.array(fc.integer({ min: 0, max }), { minLength: 4, maxLength: 4 });
  const row = fc.record({ confidences: four(2000), losses: four(50) });

  it('keeps what is asked, and no bar that does has fewer rounds', () => {
    fc.assert(
      fc.property(
        fc.array(row, { minLength: 1, maxLength: 12 }),
        fc.constantFrom(0, 0.5, 0.9, 1),
        (rows, share) => {
          const tokens = tokensOf(rows);
          const gained = scoreRounds(tokens, 0).loss - scoreRounds(tokens, 3).loss;
          const rule = fitRefinement(tokens, share);
          expect(rule === undefined).toBe(!(gained > 0));
          if (rule === undefined) return;
          const own = scoreBar(tokens, rule.gainQ16);
          expect(own.regret).toBeLessThanOrEqual((1 - share) * gained + 1e-9);
          for (const bar of barsOf(tokens)) {
            const other = scoreBar(tokens, bar);
            if (other.regret <= (1 - share) * gained) expect(own.rounds).toBeLessThanOrEqual(other.rounds);
          }
        },
      ),
      { seed },
    );
  });

  it('finds the bar that tells tokens that need rounds from those that do not', () => {
    const easy = { confidences: [0, 10, 20, 30], losses: [1, 1, 1, 1] };
    const hard = { confidences: [0, 900, 1800, 2700], losses: [9, 6, 3, 0] };
    const tokens = tokensOf([...Array(9).fill(easy), hard]);
    const rule = fitRefinement(tokens, 1)!;
    expect(rule.gainQ16).toBeGreaterThan(10);
    expect(rule.gainQ16).toBeLessThanOrEqual(900);
    expect(scoreBar(tokens, rule.gainQ16)).toMatchObject({ rounds: (9 * 1 + 3) / 10, regret: 0 });
  });
});
