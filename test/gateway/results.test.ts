import { describe, expect, test } from 'vitest';
import type { ModelMeaning, Task } from '../../src/engine/model.ts';
import { Witness } from '../../src/gate/witness.ts';
import { Output } from '../../src/gateway/output.ts';
import { PublishRule, resultOf } from '../../src/gateway/results.ts';
import { tinyModel } from '../engine/tiny-model.ts';

const one = 65536;

function meaningOf(task: Task): ModelMeaning {
  return { ...tinyModel().meaning, task };
}

function witnessOf(changes: Partial<Witness> = {}): Witness {
  return Object.assign(
    new Witness(),
    { channels: 2, sequence: 7, timeMs: 1234, tier: 1, reason: 'novelty' },
    changes,
  );
}

describe('what is published', () => {
  test('of a classification', () => {
    const meaning = meaningOf({ kind: 'classify', classes: ['empty', 'occupied'] });
    const output = new Output(meaning);
    output.update(Int32Array.of(0, one), Float64Array.of(20, 20));
    const witness = witnessOf({ macs: 10, macsDense: 40, ready: true, lambdaQ15: 32767, logitsHash: 255 });
    witness.firedMask[0] = 2;
    const result = resultOf(witness, output, meaning);
    expect(result).toMatchObject({
      time: 1234,
      sequence: 7,
      task: 'classify',
      class: 'occupied',
      held: false,
      ageIntervals: 0,
      tier: 1,
      reason: 'novelty',
      trust: 'allow',
      fired: ['humidity'],
      lambda: 1,
      macs: 10,
      macsDense: 40,
      logitsHash: '000000ff',
    });
    const { empty, occupied } = result.probabilities as Record<string, number>;
    expect(occupied! / empty!).toBeCloseTo(Math.E, 6);
  });

  test('of an anomaly: nothing is scored before there was a prediction', () => {
    const meaning = meaningOf({ kind: 'anomaly', threshold: 3 });
    const output = new Output(meaning);
    output.update(Int32Array.of(0, one, 0, 0), Float64Array.of(20, 20));
    expect(resultOf(witnessOf(), output, meaning)).toMatchObject({
      task: 'anomaly',
      anomaly: false,
      score: null,
      channel: null,
      predicted: { temperature: 20, humidity: 22 },
      predictedWithin: { temperature: output.within(0), humidity: output.within(1) },
    });
    output.update(Int32Array.of(0, 0, 0, 0), Float64Array.of(20, 60));
    expect(resultOf(witnessOf(), output, meaning)).toMatchObject({ anomaly: true, channel: 'humidity' });
  });

  test('of a forecast: for each channel the ticks to come', () => {
    const meaning = meaningOf({ kind: 'forecast', horizon: 2 });
    const output = new Output(meaning);
    output.update(Int32Array.of(0, one, 2 * one, -one), Float64Array.of(20, 20));
    expect(resultOf(witnessOf(), output, meaning)).toMatchObject({
      forecast: { temperature: [20, 22], humidity: [24, 18] },
    });
  });

  test('is JSON: no NaN, no lambda before it means something', () => {
    const meaning = meaningOf({ kind: 'anomaly', threshold: 3 });
    const result = resultOf(witnessOf({ ready: false, lambdaQ15: 5 }), new Output(meaning), meaning);
    expect(JSON.parse(JSON.stringify(result))).toEqual(result);
    expect(result.lambda).toBeNull();
  });
});

describe('when it is published', () => {
  const meaning = meaningOf({ kind: 'classify', classes: ['empty', 'occupied'] });
  /** Ticks: class 0, held, class 0 again, class 1, held, class 1 with another trust. */
  function published(publish: 'all' | 'tokens' | 'changes'): boolean[] {
    const rule = new PublishRule(publish);
    const output = new Output(meaning);
    const token = (top: number, trust: Witness['trust'] = 'allow') => {
      output.update(Int32Array.of(top === 0 ? one : 0, top === 0 ? 0 : one), Float64Array.of(1, 1));
      return rule.wants(witnessOf({ held: false, trust }), output);
    };
    const held = () => {
      output.hold(1);
      return rule.wants(witnessOf({ held: true }), output);
    };
    return [token(0), held(), token(0), token(1), held(), token(1, 'quarantine')];
  }

  test('all', () => {
    expect(published('all')).toEqual([true, true, true, true, true, true]);
  });

  test('tokens', () => {
    expect(published('tokens')).toEqual([true, false, true, true, false, true]);
  });

  test('changes of class or trust', () => {
    expect(published('changes')).toEqual([true, false, false, true, false, true]);
  });

  test('changes of a forecast are its new values', () => {
    const rule = new PublishRule('changes');
    const output = new Output(meaningOf({ kind: 'forecast', horizon: 1 }));
    expect([false, false, true].map((held) => rule.wants(witnessOf({ held }), output))).toEqual([
      true,
      true,
      false,
    ]);
  });
});
