/** The quantiser: rows, biases, tables, and what it must survive. */
import { describe, expect, it } from 'vitest';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import { initialParameters, parameterLayout } from '../../src/train/layout.ts';
import { quantise, type Scales } from '../../src/train/quantise.ts';
import { gelu } from '../../src/train/reference.ts';
import { smallConfig, smallDataset } from './small-dataset.ts';

const task = { kind: 'classify', classes: ['below', 'above'] } as const;
const config = smallConfig(task);
const layout = parameterLayout(config);
const steps = [0.02, 0.03];
const layerScales = {
  query: steps,
  key: steps,
  value: steps,
  context: 0.01,
  upCenter: 0.5,
  upStep: 0.02,
  activatedStep: 0.03,
  activatedZero: 6,
};
const scales: Scales = { residualBits: 10, layers: [layerScales, layerScales] };

function save(parameters: Float32Array): void {
  const { weights } = quantise(config, layout, parameters, scales);
  const { channels, intervalMs, spikes } = smallDataset(task);
  loadModel(saveModel({ config, weights, meaning: { channels, intervalMs, task, spikes, provenance: {} } }));
}

describe('quantise', () => {
  it('keeps each weight within half a step of its row, the largest at 127', () => {
    const parameters = initialParameters(config, layout, 3);
    const { weights, dequantised } = quantise(config, layout, parameters, scales);
    const { offset, rows, columns } = layout.layers[1]!.up.weight;
    for (let row = 0; row < rows; row++) {
      const own = parameters.subarray(offset + row * columns, offset + (row + 1) * columns);
      const largest = Math.max(...own.map(Math.abs));
      const whole = weights.layers[1]!.up.weight.subarray(row * columns, (row + 1) * columns);
      expect(Math.max(...whole.map(Math.abs))).toBe(127);
      own.forEach((value, column) => {
        const error = Math.abs(dequantised[offset + row * columns + column]! - value);
        expect(error).toBeLessThanOrEqual((0.5001 * largest) / 127);
      });
    }
  });

  it('folds the zero point of the input into the bias', () => {
    const parameters = initialParameters(config, layout, 3);
    const { bias } = layout.layers[0]!.output;
    parameters[bias.offset + 2] = 0.25;
    const { output } = quantise(config, layout, parameters, scales).weights.layers[0]!;
    // All inputs at the zero point: what is left is the bias, in units of 2^-10.
    for (const row of [1, 2]) {
      let acc = output.bias[row]!;
      for (let i = 0; i < config.hidden; i++) acc += 64 * output.weight[row * config.hidden + i]!;
      expect(acc * output.multiplier[row]!).toBeCloseTo(row === 2 ? 256 : 0, -0.5);
    }
  });

  it('tabulates GELU with its zero point', () => {
    const table = quantise(config, layout, initialParameters(config, layout, 3), scales).weights.layers[0]!
      .gelu;
    for (let index = 0; index < 256; index++) {
      const value = gelu(0.5 + (index - 128) * 0.02);
      expect(Math.abs((table[index]! - 6) * 0.03 - value)).toBeLessThanOrEqual(0.0151);
    }
    expect(Math.min(...table)).toBe(0);
  });

  it('makes loadable models of rows of zeros, huge biases and extreme sinks', () => {
    save(new Float32Array(layout.count));
    const parameters = initialParameters(config, layout, 3);
    parameters.fill(0, layout.head.weight.offset, layout.head.weight.offset + 16);
    parameters[layout.head.bias.offset] = 100;
    parameters[layout.embedding.bias.offset] = -20;
    parameters[layout.layers[0]!.sink.offset] = 1e6;
    parameters[layout.layers[0]!.ageBias.offset] = -1e6;
    save(parameters);
  });
});
