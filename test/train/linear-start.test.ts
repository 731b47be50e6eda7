/** A classifier starts as the closed-form discriminant of what the line looks at. */
import { expect, it } from 'vitest';
import { FEATURE_ONE } from '../../src/engine/limits.ts';
import { featureCount, featuresPerChannel } from '../../src/gate/features.ts';
import { fitDiscriminant } from '../../src/statistics/discriminant.ts';
import { parameterLayout } from '../../src/train/layout.ts';
import { startLinear } from '../../src/train/linear-start.ts';
import { encodeSeries } from '../../src/train/tokens.ts';
import { smallConfig, smallDataset } from './small-dataset.ts';

const classify = { kind: 'classify', classes: ['below', 'above'] } as const;

it.each(['changes', 'trends'] as const)('is the discriminant of the training rows, with %s', (features) => {
  const dataset = { ...smallDataset(classify), features };
  const layout = parameterLayout(smallConfig(classify, features));
  const parameters = new Float32Array(layout.count);
  startLinear(parameters, layout, dataset, 2, [0.5, 0.25]);

  const width = featureCount(2, features);
  const perChannel = featuresPerChannel(features);
  const columns = [...Array(width).keys()].filter(
    (at) => at < 2 * perChannel && ![1, 2, 3].includes(at % perChannel),
  );
  const table: number[] = [];
  const labels: number[] = [];
  for (const series of dataset.train) {
    const stream = encodeSeries(series, { ...dataset, dense: true });
    for (let row = 0; row < series.rows; row++) {
      table.push(...columns.map((column) => stream.features[row * width + column]! / FEATURE_ONE));
      labels.push(series.labels![row]!);
    }
  }
  const ridge = columns.map((column) => (column === 0 ? 0.5 : column === perChannel ? 0.25 : 0) + 1e-6);
  const { weights, biases } = fitDiscriminant(Float64Array.from(table), labels, columns.length, 2, ridge);
  const linear = parameters.subarray(layout.linear.offset, layout.linear.offset + 2 * width);
  for (let column = 0; column < width; column++) {
    const i = columns.indexOf(column);
    const logOdds = i < 0 ? 0 : weights[columns.length + i]! - weights[i]!;
    // Values of the table are rounded to Q10.
    expect(Math.abs(linear[width + column]! - linear[column]! - logOdds)).toBeLessThan(
      0.02 + 0.02 * Math.abs(logOdds),
    );
  }
  const bias = layout.head.bias.offset;
  expect(parameters[bias + 1]! - parameters[bias]!).toBeCloseTo(biases[1]! - biases[0]!, 1);
});

it('says which classes no training row shows', () => {
  const task = { kind: 'classify', classes: ['below', 'above', 'beyond', 'beside'] } as const;
  const layout = parameterLayout(smallConfig(task));
  const parameters = new Float32Array(layout.count);
  expect(() => startLinear(parameters, layout, smallDataset(task), 4, [0.5, 0.25])).toThrow(
    /^expected training rows of every class .*, got none of beyond, beside: .*--no-line/,
  );
});
