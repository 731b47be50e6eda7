import { describe, expect, test } from 'vitest';
import { Engine } from '../../src/engine/engine.ts';
import type { Model, ModelMeaning, Task } from '../../src/engine/model.ts';
import { resultSchema } from '../../src/gateway/output-schema.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import { resultOf } from '../../src/gateway/results.ts';
import { randomNumbers, tinyModel } from '../engine/tiny-model.ts';
import { schemaProblems } from './json-schema.ts';

const candidates = { energyHalfLife: 4, levelHalfLife: 4 };
const kinds: (Pick<ModelMeaning, 'candidates'> & { readonly name: string; readonly task: Task })[] = [
  { name: 'classify', task: { kind: 'classify', classes: ['a', 'b', 'c', 'd'] } },
  { name: 'anomaly', task: { kind: 'anomaly', threshold: 1 } },
  { name: 'anomaly, candidates', task: { kind: 'anomaly', threshold: 1 }, candidates },
  { name: 'forecast', task: { kind: 'forecast', horizon: 2 } },
  { name: 'forecast, candidates', task: { kind: 'forecast', horizon: 2 }, candidates },
];

/** What a model makes of ticks that stand, move, and have no value. */
function resultsOf(model: Model): Record<string, unknown>[] {
  const pipeline = new Pipeline(new Engine(model, { streams: 1 }), 0);
  const random = randomNumbers(5);
  return Array.from({ length: 200 }, (_, tick) => {
    const moves = tick % 20 < 8;
    const values = Float64Array.from({ length: 2 }, () => 20 + (moves ? random() * 10 : 0));
    if (tick % 31 === 0) values[0] = Number.NaN;
    const witness = pipeline.tick({ timeMs: tick * 1000, values });
    return JSON.parse(JSON.stringify(resultOf(witness, pipeline.output, model.meaning)));
  });
}

describe.each(kinds)('the schema of $name', ({ name: _, ...own }) => {
  const model = tinyModel({ config: { outputs: 4 }, seed: 2 });
  const meaning = { ...model.meaning, ...own };
  const schema = JSON.parse(JSON.stringify(resultSchema(meaning, 'model x')));

  test('holds for every tick', () => {
    const results = resultsOf({ ...model, meaning });
    expect(new Set(results.map(({ tier }) => tier)).size).toBeGreaterThan(1);
    for (const result of results) expect(schemaProblems(schema, result)).toEqual([]);
  });

  test('says so of any key that is missing, new, or of another kind', () => {
    const result = resultsOf({ ...model, meaning }).at(-1)!;
    for (const key of Object.keys(result)) {
      const { [key]: _, ...less } = result;
      expect(schemaProblems(schema, less)).toEqual([`$.${key}: missing`]);
      expect(schemaProblems(schema, { ...result, [key]: { wrong: true } }), key).not.toEqual([]);
    }
    expect(schemaProblems(schema, { ...result, surprise: 1 })).toEqual(['$.surprise: not in the schema']);
    expect(schemaProblems(schema, { ...result, tier: 4, novelty: 1.5, logitsHash: 'xyz' })).toHaveLength(3);
  });
});
