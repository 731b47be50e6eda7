import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Engine, engineBytes } from '../../../src/engine/engine.ts';
import { saveModel } from '../../../src/engine/model-file.ts';
import { sha256Of } from '../../../src/gateway/models/signature.ts';
import { Pipeline } from '../../../src/gateway/pipeline.ts';
import { tinyModel } from '../../engine/tiny-model.ts';
import { offered, Stage, stranger, twin } from './stage.ts';

const rows = 300;
let stage: Stage;
beforeEach(() => {
  stage = new Stage();
  stage.fixture.writeRecording(rows);
});
afterEach(async () => {
  await stage.stop();
  stage.remove();
});

/** The recording with labels: what the model of `seed` says of each row, every `wrongEach`th turned round. */
function label(seed: number, wrongEach: number): void {
  const { timeMs, values } = stage.fixture.series();
  const pipeline = new Pipeline(new Engine(tinyModel({ seed })), 0);
  const lines = Array.from({ length: rows }, (_, row) => {
    const frame = { timeMs: timeMs[row]!, values: values.slice(2 * row, 2 * row + 2) };
    pipeline.tick(frame);
    const isWrong = row % wrongEach === 0;
    const name = ['empty', 'occupied'][isWrong ? 1 - pipeline.output.classIndex : pipeline.output.classIndex];
    const fields = [...frame.values].map((value) => (Number.isNaN(value) ? '' : value));
    return `${new Date(frame.timeMs).toISOString()},${fields.join()},${name}`;
  });
  writeFileSync(stage.fixture.path('walk.csv'), `time,temperature,humidity,label\n${lines.join('\n')}\n`);
  writeFileSync(
    stage.fixture.path('recording.json'),
    JSON.stringify({
      name: 'walk',
      task: 'classify',
      classes: ['empty', 'occupied'],
      time: 'time',
      label: 'label',
      channels: { temperature: '', humidity: '' },
      intervalS: 1,
      source: 'made for this test',
      train: ['walk.csv'],
      test: ['walk.csv'],
    }),
  );
}

const selfTest = 'walk.csv';

test('a model that answers the same on the recording goes on to the canary', async () => {
  await stage.start({ selfTest });
  const next = offered(twin());
  stage.source.put(next);
  await stage.ticks(20);
  expect(stage.status).toMatchObject({ phase: 'canary', candidate: sha256Of(next.bytes) });
  expect(stage.status.selfTest).toMatchObject({ ticks: rows, agreement: 1, accuracy: null });
  expect(stage.unanswered()).toEqual([]);
});

test('one that does not is refused before it has seen a live tick', async () => {
  await stage.start({ selfTest });
  stage.source.put(offered(stranger()));
  await stage.ticks(20);
  expect(stage.status.last).toMatchObject({ outcome: 'refused', code: 'selfTest' });
  expect(stage.status.last!.reason).toMatch(/^agreement: expected at 90 % of 300 ticks at least/);
  expect(stage.statuses.map(({ phase }) => phase)).not.toContain('canary');
});

test('where rows have labels, being right counts, not being alike', async () => {
  label(2, 10);
  await stage.start({ selfTest });
  stage.source.put(offered(stranger(2)));
  await stage.ticks(20);
  expect(stage.status.phase).toBe('canary');
  expect(stage.status.selfTest).toMatchObject({ accuracy: { judged: 0.9 } });
});

test('and one that is more often wrong is refused', async () => {
  label(1, 10);
  await stage.start({ selfTest });
  stage.source.put(offered(stranger(2)));
  await stage.ticks(20);
  expect(stage.status.last).toMatchObject({ outcome: 'refused', code: 'selfTest' });
  expect(stage.status.last!.reason).toMatch(
    /^accuracy: expected at most 0.02 below 0.9 on 300 labelled rows, got/,
  );
});

test('only so many rows are run', async () => {
  await stage.start({ selfTest: { recording: selfTest, rows: 50 } });
  stage.source.put(offered(twin()));
  await stage.ticks(20);
  expect(stage.status.selfTest).toMatchObject({ ticks: 50 });
});

test('live ticks do not wait for it: it is run in turns of the event loop', async () => {
  await stage.start({ selfTest });
  // A turn takes as long as the next tick is away.
  stage.turnMs = 400;
  stage.source.put(offered(twin()));
  await stage.ticks(14);
  expect(stage.status.phase).toBe('selfTest');
  expect(stage.unanswered()).toEqual([]);
  await stage.ticks(10);
  expect(stage.status.phase).toBe('canary');
  expect(stage.unanswered()).toEqual([]);
});

test('a recording that has gone when it is needed refuses the model, not the gateway', async () => {
  await stage.start({ selfTest });
  writeFileSync(stage.fixture.path('walk.csv'), 'time,temperature\nnonsense\n');
  stage.source.put(offered(twin()));
  await stage.ticks(20);
  expect(stage.status.last).toMatchObject({ outcome: 'refused', code: 'failed' });
  expect(stage.status.last!.reason).toContain('walk.csv');
  expect(stage.unanswered()).toEqual([]);
});

test.each([
  ['the model at work alone', 1, {}, 'memory'],
  ['two, but not the third of the self-test', 2, { selfTest }, 'memory'],
  ['all three', 3, { selfTest }, undefined],
])('where the device has room for the engine of %s', async (_, engines, models, code) => {
  stage.engineBytesMax = engines * engineBytes(tinyModel().config);
  await stage.start(models);
  stage.source.put(offered(twin()));
  await stage.ticks(20);
  expect(stage.status.last?.code).toBe(code);
  expect(stage.status.phase).toBe(code === undefined ? 'canary' : 'idle');
  expect(stage.unanswered()).toEqual([]);
});

test('a model of a file too large for the memory that is left is refused', async () => {
  const bytes = saveModel(tinyModel({ meaning: { provenance: { made: 'x'.repeat(5000) } } }));
  await stage.start({ bytes: 1_000_000 }, {}, () => 20_000);
  stage.source.put(offered(bytes));
  await stage.ticks(15);
  expect(stage.status.last).toMatchObject({ outcome: 'refused', code: 'memory' });
  expect(stage.status.last!.reason).toMatch(/^expected to need at most 20000 bytes more, got \d+$/);
});
