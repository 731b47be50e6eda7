import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ModelMeaning, Task } from '../../src/engine/model.ts';
import { Output } from '../../src/gateway/output.ts';

const channels = [
  { name: 'temperature', unit: 'Celsius', center: 20, scale: 2 },
  { name: 'pressure', unit: 'hPa', center: 1000, scale: 10 },
];

function outputOf(task: Task): Output {
  const meaning: ModelMeaning = {
    channels,
    intervalMs: 1000,
    task,
    spikes: { delta: [1, 1], heartbeat: [9, 9], refractory: [0, 0] },
    provenance: {},
  };
  return new Output(meaning);
}

/** Q16. */
const logits = (...values: number[]) => Int32Array.from(values, (value) => Math.round(value * 65536));
const observed = (...values: number[]) => Float64Array.from(values);

describe('Output of a classifier', () => {
  const classify = () => outputOf({ kind: 'classify', classes: ['a', 'b', 'c'] });

  it('is the argmax, with a softmax for display', () => {
    const output = classify();
    output.update(logits(1, 3, 2), observed(0, 0));
    expect(output.classIndex).toBe(1);
    const total = Math.exp(1) + Math.exp(3) + Math.exp(2);
    [1, 3, 2].forEach((logit, index) => {
      expect(output.probabilities[index]).toBeCloseTo(Math.exp(logit) / total, 12);
    });
    expect(output.confidence).toBe(output.probabilities[1]);
    expect(output.topIndex).toBe(1);
  });

  it('takes the first of equals, and no difference is too small or too large', () => {
    const output = classify();
    output.update(Int32Array.of(5, 5, 4), observed(0, 0));
    expect(output.classIndex).toBe(0);
    output.update(Int32Array.of(-7, -6, -8), observed(0, 0));
    expect(output.classIndex).toBe(1);
    output.update(Int32Array.of(-(2 ** 31), 2 ** 31 - 1, 0), observed(0, 0));
    expect(output.classIndex).toBe(1);
    expect(output.probabilities[1]).toBe(1);
  });

  it('always sums to 1 and agrees with its own probabilities', () => {
    const output = classify();
    const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    fc.assert(
      fc.property(int32, int32, int32, (a, b, c) => {
        output.update(Int32Array.of(a, b, c), observed(0, 0));
        expect(output.probabilities.reduce((sum, value) => sum + value)).toBeCloseTo(1, 12);
        expect(output.confidence).toBe(Math.max(...output.probabilities));
      }),
      { seed: 20260101 },
    );
  });

  it('is held over skips, with its age, and says nothing before the first token', () => {
    const output = classify();
    expect(output).toMatchObject({ hasValue: false, classIndex: -1, confidence: 0 });
    output.update(logits(1, 3, 2), observed(0, 0));
    expect(output).toMatchObject({ hasValue: true, isHeld: false, ageIntervals: 0 });
    const before = [...output.probabilities];
    output.hold(7.5);
    expect(output).toMatchObject({ hasValue: true, isHeld: true, ageIntervals: 7.5, classIndex: 1 });
    expect([...output.probabilities]).toEqual(before);
    output.update(logits(3, 1, 2), observed(0, 0));
    expect(output).toMatchObject({ isHeld: false, ageIntervals: 0, classIndex: 0 });
    output.reset();
    expect(output).toMatchObject({ hasValue: false, isHeld: false, classIndex: -1 });
  });

  it('refuses logits of another model', () => {
    expect(() => classify().update(logits(1, 2), observed(0, 0))).toThrow(/one logit per class/);
  });
});

describe('Output of an anomaly detector', () => {
  const detect = (threshold = 2) => outputOf({ kind: 'anomaly', threshold });

  it('scores a tick by the prediction of the token before', () => {
    const output = detect();
    output.update(logits(0.5, -1, Math.log(2), Math.log(0.5)), observed(20, 1000));
    expect(output).toMatchObject({ hasValue: true, score: Number.NaN, anomaly: false, topIndex: -1 });
    expect([...output.values]).toEqual([21, 990]);
    // temperature 23 is z = 1.5, off by 1 with scale 2; pressure 995 is z = -0.5, off by 0.5 with scale 0.5.
    output.update(logits(0, 0, 0, 0), observed(23, 995));
    const terms = [1 / 2 + Math.log(2 * 2), 0.5 / 0.5 + Math.log(2 * 0.5)];
    expect(output.score).toBeCloseTo((terms[0]! + terms[1]!) / 2, 4);
    expect(output.topIndex).toBe(0);
    expect(output.anomaly).toBe(false);
    output.update(logits(0, 0, 0, 0), observed(20, 1100)); // z = 10, off by 10 with scale 1
    expect(output.score).toBeCloseTo((2 * Math.log(2) + 10) / 2, 4);
    expect(output).toMatchObject({ anomaly: true, topIndex: 1, confidence: output.score });
  });

  it('is the negative log of a density: it integrates to 1', () => {
    let integral = 0;
    for (let celsius = -80; celsius < 120; celsius += 0.02) {
      const output = detect();
      output.update(logits(0.5, 0, Math.log(1.7), 0), observed(20, 1000));
      output.update(logits(0, 0, 0, 0), observed(celsius, Number.NaN));
      integral += Math.exp(-output.score) * (0.02 / 2); // one unit of z is 2 degrees
    }
    expect(integral).toBeCloseTo(1, 4);
  });

  it('is an anomaly at the threshold, not below', () => {
    const scoreOf = (threshold: number) => {
      const output = detect(threshold);
      output.update(logits(0, 0, 0, 0), observed(20, 1000));
      output.update(logits(0, 0, 0, 0), observed(22, 1000));
      return output;
    };
    const { score } = scoreOf(0);
    expect(scoreOf(score).anomaly).toBe(true);
    expect(scoreOf(score + 1e-12).anomaly).toBe(false);
  });

  it('scores what is known, and keeps the last score when nothing is', () => {
    const output = detect(1);
    output.update(logits(0, 0, 0, 0), observed(20, 1000));
    output.update(logits(0, 0, 0, 0), observed(Number.NaN, 1020));
    expect(output.score).toBeCloseTo(2 + Math.log(2), 12);
    expect(output.topIndex).toBe(1);
    output.update(logits(0, 0, 0, 0), observed(Number.NaN, Number.NaN));
    expect(output.score).toBeCloseTo(2 + Math.log(2), 12);
    expect(output.anomaly).toBe(true);
  });

  it('stays finite at the wildest logits', () => {
    const output = detect();
    output.update(Int32Array.of(2 ** 31 - 1, -(2 ** 31), -(2 ** 31), 2 ** 31 - 1), observed(20, 1000));
    output.update(logits(0, 0, 0, 0), observed(-1e30, 1e30));
    expect(Number.isFinite(output.score)).toBe(true);
  });

  it('says how close nine readings in ten should be: by the density, and wider by the root of its age', () => {
    const output = detect();
    output.update(logits(0.5, 0, Math.log(1.7), 0), observed(20, 1000));
    const [predicted, within] = [output.values[0]!, output.within(0)];
    let share = 0;
    for (let celsius = predicted - within + 0.005; celsius < predicted + within; celsius += 0.01) {
      const next = detect();
      next.update(logits(0.5, 0, Math.log(1.7), 0), observed(20, 1000));
      next.update(logits(0, 0, 0, 0), observed(celsius, Number.NaN));
      share += Math.exp(-next.score) * (0.01 / 2); // one unit of z is 2 degrees
    }
    expect(share).toBeCloseTo(0.9, 3);
    output.hold(3);
    expect(output.within(0)).toBeCloseTo(2 * within, 9);
    output.update(logits(0, 0, 0, 0), observed(20, 1000));
    expect(output.within(0)).toBeCloseTo(2 * Math.LN10, 4);
  });

  it('holds the score over skips', () => {
    const output = detect(1);
    output.update(logits(0, 0, 0, 0), observed(20, 1000));
    output.update(logits(0, 0, 0, 0), observed(30, 1000));
    const { score } = output;
    output.hold(3);
    expect(output).toMatchObject({ score, anomaly: true, isHeld: true, ageIntervals: 3 });
    output.reset();
    expect(output).toMatchObject({ score: Number.NaN, anomaly: false, topIndex: -1 });
  });
});

describe('Output of a forecaster', () => {
  it('is in physical units, channel by channel', () => {
    const output = outputOf({ kind: 'forecast', horizon: 3 });
    output.update(logits(0, 1, -2, 0.5, 0.25, -1), observed(0, 0));
    expect([...output.values]).toEqual([20, 22, 16, 1005, 1002.5, 990]);
    expect(output).toMatchObject({ topIndex: -1, confidence: 0 });
    output.hold(1);
    expect([...output.values]).toEqual([20, 22, 16, 1005, 1002.5, 990]);
  });

  it('refuses logits of another model', () => {
    const output = outputOf({ kind: 'forecast', horizon: 3 });
    expect(() => output.update(logits(1, 2), observed(0, 0))).toThrow(/one logit per forecast value/);
  });
});

describe('Output with candidates', () => {
  const rule = { energyHalfLife: 4, levelHalfLife: 2 };
  const meaning: ModelMeaning = {
    channels,
    intervalMs: 1000,
    task: { kind: 'anomaly', threshold: 2 },
    spikes: { delta: [1, 1], heartbeat: [9, 9], refractory: [0, 0] },
    provenance: {},
  };
  /** The model always says 30 degrees, which it never is, and 1000 hPa, which it always is. */
  const play = (output: Output, ticks: number) => {
    const scores: number[] = [];
    for (let tick = 0; tick < ticks; tick++) {
      const values = observed(20 + 0.1 * (tick % 2), 1000);
      output.observe(values, tick === 0 ? 0 : 1);
      output.update(logits(5, 0, 0, 0), values);
      scores.push(output.score);
    }
    return scores;
  };

  it('puts out what has erred least, how close that was, and leaves the score to the model', () => {
    const [plain, ranked] = [new Output(meaning), new Output({ ...meaning, candidates: rule })];
    expect(play(ranked, 30)).toEqual(play(plain, 30));
    expect([...plain.values]).toEqual([30, 1000]);
    expect(ranked.values[0]).toBeCloseTo(20.05, 1);
    expect(ranked.values[1]).toBe(1000);
    expect(ranked.within(0)).toBeGreaterThan(0.01);
    expect(ranked.within(0)).toBeLessThan(0.5);
    expect(plain.within(0)).toBeCloseTo(Math.LN10 * 2, 9);
    expect(plain.scaleOf(0)).toBe(plain.modelScaleOf(0));
    expect(ranked.scaleOf(0)).toBe(ranked.candidateScaleOf(ranked.candidates!.chosen[0]!, 0));
    expect(new Output({ ...meaning, candidates: rule }, null).candidates).toBeUndefined();
  });

  it('follows other channel scales, and begins anew when it is reset', () => {
    const ranked = new Output({ ...meaning, candidates: rule });
    play(ranked, 30);
    const before = ranked.within(0);
    ranked.useChannels(channels.map((channel) => ({ ...channel, scale: 2 * channel.scale })));
    expect(ranked.within(0)).toBeCloseTo(2 * before, 9);
    ranked.reset();
    expect(ranked.within(0)).toBe(0);
    play(ranked, 1);
    expect(ranked.candidates!.rivalChannels).toBe(0);
  });
});
