/** The float32 network scored like the engine: close to it, and exactly itself. */
import { describe, expect, it } from 'vitest';
import { evaluateProtocol } from '../../src/eval/evaluate.ts';
import { floatPredictor } from '../../src/train/evaluate.ts';
import { encodeSeries } from '../../src/train/tokens.ts';
import { train } from '../../src/train/trainer.ts';
import { floats, makeWorkspace } from '../../src/train/workspace.ts';
import { smallConfig, smallDataset, smallSeries, smallSettings } from '../train/small-dataset.ts';
import { makeRecording } from './helpers.ts';

const classify = { kind: 'classify', classes: ['below', 'above'] } as const;
const dataset = smallDataset(classify);
const config = smallConfig(classify);
const { model, parameters } = await train(dataset, config, smallSettings, 1, () => {});

describe('the float network', () => {
  // Longer than a batch of the twin, in two files.
  const tests = [smallSeries(900, 50), { ...smallSeries(300, 51), name: 'b.csv' }].map((series) => ({
    series,
    scoredFrom: 0,
  }));
  const recording = makeRecording({
    classes: [...classify.classes],
    channels: dataset.channels.map(({ name, unit }) => ({ name, unit })),
  });
  const standardiser = { mean: new Float64Array(2), deviation: new Float64Array(2).fill(1) };
  const protocol = { recording, channels: 2, train: dataset.train, tests, standardiser };

  it('scores as its own predictions do, and close to the int8 engine', () => {
    const { float, dense } = evaluateProtocol(model, protocol, {
      repetitions: 0,
      float: { config, parameters },
    });
    const workspace = makeWorkspace(config, 'classify', { sequences: 1, rows: 2000 });
    floats(workspace, workspace.parameters, workspace.layout.count).set(parameters);
    let right = 0;
    for (const { series } of tests) {
      const { features, rows, marks } = encodeSeries(series, { ...dataset, dense: true });
      const logits = floatPredictor(workspace)({
        features,
        count: rows.length,
        ticks: rows,
        marks,
        forecasts: null,
      });
      for (let row = 0; row < series.rows; row++) {
        if ((logits[2 * row + 1]! > logits[2 * row]! ? 1 : 0) === series.labels![row]) right++;
      }
    }
    expect(float!.metric.accuracy).toBeCloseTo(right / 1200, 12);
    expect(Math.abs(float!.metric.accuracy! - dense.metric.accuracy!)).toBeLessThan(0.01);
    expect(Object.keys(float!.interval)).toHaveLength(3);
  });
});
