/** SmoothQuant: what its gains are, and what they do for a model with outliers. */
import { describe, expect, it } from 'vitest';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import { initialParameters, parameterLayout } from '../../src/train/layout.ts';
import { quantiseFloatModel, settingsFor } from '../../src/train/post-training.ts';
import { type Gains, quantise, type Scales } from '../../src/train/quantise.ts';
import { type NormRanges, STEPS_SEEN, sharedGains, smoothGains } from '../../src/train/smooth.ts';
import { outlierParameters } from './outliers.ts';
import { smallConfig, smallDataset, smallSettings } from './small-dataset.ts';

const task = { kind: 'classify', classes: ['below', 'above'] } as const;
const config = smallConfig(task);
const layout = parameterLayout(config);
const parameters = initialParameters(config, layout, 3);

const range = (seed: number) => Float32Array.from({ length: 16 }, (_, j) => 0.1 + ((seed * 7 + j * 5) % 13));
const ranges: NormRanges = {
  layers: [0, 1].map((index) => ({ attention: range(index), feedForward: range(index + 2) })),
  head: range(5),
};

function pairs(gains: Gains): (readonly [Float32Array, Gains['head']])[] {
  return [
    ...ranges.layers.flatMap(({ attention, feedForward }, index) => [
      [attention, gains.layers[index]!.attention] as const,
      [feedForward, gains.layers[index]!.feedForward] as const,
    ]),
    [ranges.head, gains.head],
  ];
}

describe('gains', () => {
  it('that are shared fit the largest channel', () => {
    expect(STEPS_SEEN).toBe(50.4);
    for (const [sizes, gain] of pairs(sharedGains(ranges)))
      expect(gain).toBeCloseTo(STEPS_SEEN / Math.max(...sizes), 4);
  });

  it.each([0, 0.5, 0.9])('of channels fit every channel, and one of them exactly (alpha %f)', (alpha) => {
    for (const [sizes, gain] of pairs(smoothGains(layout, parameters, ranges, alpha))) {
      const steps = (gain as Float32Array).map((own, j) => own * sizes[j]!);
      expect(Math.max(...steps)).toBeCloseTo(STEPS_SEEN, 3);
    }
  });

  it('give all difficulty to the weights with alpha 1, and even the weights out with alpha 0', () => {
    for (const [sizes, gain] of pairs(smoothGains(layout, parameters, ranges, 1))) {
      for (const [j, own] of (gain as Float32Array).entries())
        expect(own * sizes[j]!).toBeCloseTo(STEPS_SEEN, 3);
    }
    const { attention } = smoothGains(layout, parameters, ranges, 0).layers[1]!;
    const { offset, rows } = layout.layers[1]!.qkv.weight;
    const largest = (attention as Float32Array).map((own, j) => {
      const column = Array.from({ length: rows }, (_, row) => Math.abs(parameters[offset + row * 16 + j]!));
      return Math.max(...column) / own;
    });
    expect(Math.max(...largest) / Math.min(...largest)).toBeCloseTo(1, 4);
  });

  it('stay finite where a channel never stirs or weighs nothing', () => {
    const head = new Float32Array(16).fill(1);
    head[4] = 0;
    const zero = parameters.slice();
    const { weight } = layout.head;
    for (const row of [0, 1]) zero[weight.offset + row * 16 + 5] = 0;
    const gains = smoothGains(layout, zero, { ...ranges, head }, 0.5).head as Float32Array;
    expect(gains.every((gain) => gain > 0 && gain <= 1024)).toBe(true);
  });
});

it('gains leave each weight within half a step of its row', () => {
  const layer = {
    query: [0.02, 0.03],
    key: [0.02, 0.03],
    value: [0.02, 0.03],
    context: 0.01,
    upCenter: 0,
    upStep: 0.02,
    activatedStep: 0.03,
    activatedZero: 6,
  };
  const gains = smoothGains(layout, parameters, ranges, 0.5);
  const scales: Scales = { residualBits: 10, layers: [layer, layer], gains };
  const { weights, dequantised } = quantise(config, layout, parameters, scales);
  expect(weights.layers[0]!.attentionGain).toEqual(gains.layers[0]!.attention);
  expect(weights.headGain).toEqual(gains.head);
  const { offset, columns } = layout.layers[0]!.up.weight;
  const gain = gains.layers[0]!.feedForward as Float32Array;
  const { weight, multiplier } = weights.layers[0]!.up;
  for (let row = 0; row < 32; row++) {
    for (let column = 0; column < columns; column++) {
      const at = row * columns + column;
      // An output step is 0.02; one input step of this column is 1 / gain.
      const step = 0.02 * multiplier[row]! * gain[column]!;
      expect(dequantised[offset + at]! / (weight[at]! * step || 1)).toBeCloseTo(weight[at] === 0 ? 0 : 1, 4);
      expect(Math.abs(dequantised[offset + at]! - parameters[offset + at]!)).toBeLessThan(0.501 * step);
    }
  }
});

describe('a model with outliers', () => {
  const dataset = smallDataset(task);
  const settings = settingsFor(config, smallSettings);

  it('is smoothed by the search, and errs a quarter of what it would at most', () => {
    const float = { config, parameters: outlierParameters(config, 40) };
    const { smoothing, trials, model, comparison } = quantiseFloatModel(dataset, float, settings);
    const [unsmoothed] = [quantiseFloatModel(dataset, float, settings, ['none'])];
    expect(typeof smoothing).toBe('number');
    expect(comparison.relativeError).toBeLessThan(unsmoothed!.comparison.relativeError / 4);
    const least = Math.min(...trials.map(({ relativeError }) => relativeError));
    expect(trials.find((trial) => trial.smoothing === smoothing)!.relativeError).toBe(least);
    expect(model.config.normGains).toBe('channel');
    expect(loadModel(saveModel(model)).weights).toEqual(model.weights);
    expect(unsmoothed!.model.config.normGains).toBeUndefined();
  });

  it('without them keeps one gain for all channels, unless the others are worth their while', () => {
    const { smoothing, trials } = quantiseFloatModel(dataset, { config, parameters }, settings);
    const shared = trials.filter((trial) => typeof trial.smoothing !== 'number');
    const error = (of: typeof trials) => Math.min(...of.map(({ relativeError }) => relativeError));
    expect(typeof smoothing === 'number').toBe(error(trials) < 0.95 * error(shared));
  });

  it('takes an alpha that is given, without a trial', () => {
    const float = { config, parameters: outlierParameters(config, 40) };
    const { smoothing, trials } = quantiseFloatModel(dataset, float, settings, [0.5]);
    expect([smoothing, trials]).toEqual([0.5, [{ smoothing: 0.5, relativeError: Number.NaN }]]);
  });
});
