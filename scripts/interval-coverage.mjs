/**
 * How often readings lie in the interval that a model of anomalies gives with its prediction (nine times in ten, it
 * claims), gated, by the age of the held output: over the test rows that are no anomaly, once the model is calibrated.
 *
 * node scripts/interval-coverage.mjs MODEL DIRECTORY     after `npm run build`
 */
import { readFileSync } from 'node:fs';
import { Engine, loadModel, openRecording, Pipeline, readSeries } from '../dist/index.mjs';

const [path, directory] = process.argv.slice(2);
if (directory === undefined) {
  console.error('usage: node scripts/interval-coverage.mjs MODEL DIRECTORY');
  process.exit(2);
}
const model = loadModel(readFileSync(path));
const recording = openRecording(directory);
const pipeline = new Pipeline(new Engine(model), 0, { policy: 'steady' });
const channels = model.meaning.channels.map(({ name }) =>
  recording.channels.findIndex((own) => own.name === name),
);
const width = recording.channels.length;
/** [age] { inside, all } */
const counts = [];

for (const file of new Set(recording.test.map(({ file }) => file))) {
  const { rows, values, labels, timeMs } = readSeries(recording, file);
  const { output } = pipeline;
  pipeline.reset();
  for (let row = 0; row < rows; row++) {
    const frame = {
      timeMs: timeMs[row],
      values: Float64Array.from(channels, (channel) => values[row * width + channel]),
    };
    if (output.hasValue && !Number.isNaN(output.score) && labels?.[row] !== 1) {
      const age = output.isHeld ? Math.round(output.ageIntervals) : 0;
      counts[age] ??= { inside: 0, all: 0 };
      frame.values.forEach((value, channel) => {
        if (Number.isNaN(value)) return;
        counts[age].all++;
        if (Math.abs(value - output.values[channel]) <= output.within(channel)) counts[age].inside++;
      });
    }
    pipeline.tick(frame);
  }
}
console.log('| ticks since the token | readings | inside |\n| --- | --- | --- |');
counts.forEach(({ inside, all }, age) => {
  console.log(`| ${age} | ${all} | ${((100 * inside) / all).toFixed(1)} % |`);
});
const total = counts.reduce((sum, { inside, all }) => ({ inside: sum.inside + inside, all: sum.all + all }), {
  inside: 0,
  all: 0,
});
console.log(`| all | ${total.all} | ${((100 * total.inside) / total.all).toFixed(1)} % |`);
