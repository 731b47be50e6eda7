import { expect, it } from 'vitest';
import { randomModel } from '../../src/bench/random-model.ts';
import { Engine } from '../../src/engine/engine.ts';
import type { SpikeSettings, Task } from '../../src/engine/model.ts';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';

function modelWith(spikes: Partial<SpikeSettings>, task?: Task) {
  const model = randomModel(task === undefined ? {} : { config: { outputs: 4 }, meaning: { task } });
  return { ...model, meaning: { ...model.meaning, spikes: { ...model.meaning.spikes, ...spikes } } };
}

it('a model file carries rule and first heartbeats', () => {
  const loaded = loadModel(saveModel(modelWith({ rule: 'trend', firstHeartbeat: [2, 3] })));
  expect(loaded.meaning.spikes).toMatchObject({ rule: 'trend', firstHeartbeat: [2, 3] });
  expect(loadModel(saveModel(modelWith({}))).meaning.spikes).not.toHaveProperty('rule');
});

it.each([
  [{ rule: 'guess' as 'trend' }, /meaning.spikes.rule: expected one of delta, trend, forecast/],
  [{ firstHeartbeat: [2] }, /meaning.spikes.firstHeartbeat: expected 2 entries/],
  [{ firstHeartbeat: [2, 0] }, /meaning.spikes.firstHeartbeat\[1\]/],
])('a model file refuses %j', (spikes, message) => {
  expect(() => saveModel(modelWith(spikes))).toThrow(message);
});

it('a pipeline compares readings with what its model predicts', () => {
  const model = modelWith({ rule: 'forecast' }, { kind: 'anomaly', threshold: 1 });
  const pipeline = new Pipeline(new Engine(model), 0);
  const frame = { timeMs: 0, values: Float64Array.of(20, 50) };
  pipeline.tick(frame);
  frame.values.set(pipeline.output.values); // just what was predicted
  frame.timeMs += model.meaning.intervalMs;
  expect(pipeline.tick(frame).tier).toBe(3);
  frame.values[0]! += 2 * model.meaning.spikes.delta[0]!;
  frame.timeMs += model.meaning.intervalMs;
  expect(pipeline.tick(frame).tier).toBe(0);
});

it('a pipeline refuses to compare with a prediction that its model does not make', () => {
  const model = modelWith({ rule: 'forecast' });
  expect(() => new Pipeline(new Engine(model), 0)).toThrow(/spikes.rule: expected delta or trend/);
});
