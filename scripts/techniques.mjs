/**
 * Models of one classified recording side by side: accuracy on validation rows (as the model file says) and on test
 * files, multiply-adds and time per tick; each on every tick and gated. A model with a refinement gets a line for every
 * number of rounds. The models take turns, so that the machine's moods hit all of them.
 *
 * node scripts/techniques.mjs DIRECTORY MODEL...     after `npm run build`
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { Engine, loadModel, openRecording, Pipeline, readSeries } from '../dist/index.mjs';

const ROUNDS = 15;

/** Every tick with exactly so many rounds of refinement. */
class Refining {
  constructor(engine, rounds) {
    Object.assign(this, { engine, rounds, model: engine.model, plans: engine.plans, logits: engine.logits });
    this.stats = { ...engine.stats };
  }
  step(stream, features, plan) {
    this.engine.step(stream, features, plan);
    Object.assign(this.stats, this.engine.stats);
    for (let round = 0; round < this.rounds; round++) {
      this.engine.refine();
      this.stats.macs += this.engine.stats.macs;
    }
  }
  cost(plan) {
    return this.engine.cost(plan);
  }
  reset(stream) {
    this.engine.reset(stream);
  }
}

function play(pipeline, series, channels) {
  const counts = { right: 0, macs: 0, tokens: 0, labelled: 0, ticks: 0, ms: 0 };
  for (const { rows, values, labels, timeMs } of series) {
    pipeline.reset();
    const frame = { timeMs: 0, values: new Float64Array(channels) };
    const start = performance.now();
    for (let row = 0; row < rows; row++) {
      frame.timeMs = timeMs[row];
      frame.values.set(values.subarray(row * channels, (row + 1) * channels));
      const { macs, tier } = pipeline.tick(frame);
      counts.macs += macs;
      if (tier !== 3) counts.tokens++;
      if (labels[row] < 0) continue;
      counts.labelled++;
      if (pipeline.output.classIndex === labels[row]) counts.right++;
    }
    counts.ms += performance.now() - start;
    counts.ticks += rows;
  }
  return counts;
}

const [directory, ...paths] = process.argv.slice(2);
if (paths.length === 0) {
  console.error('usage: node scripts/techniques.mjs DIRECTORY MODEL...');
  process.exit(2);
}
const recording = openRecording(directory);
const files = [...new Set(recording.test.map((range) => range.file ?? range))];
const series = files.map((file) => readSeries(recording, file));
const channels = recording.channels.length;

const subjects = paths.flatMap((path) => {
  const model = loadModel(readFileSync(path));
  const engine = new Engine(model);
  const { validation } = model.meaning.provenance;
  const name = basename(path, '.safetensors');
  const validated = `${validation?.dense?.accuracy ?? '-'} / ${validation?.gated?.accuracy ?? '-'}`;
  const rounds = Array.from({ length: (model.config.refinement?.rounds ?? 0) + 1 }, (_, round) => round);
  return rounds.map((round) => {
    const own = round === 0 ? engine : new Refining(engine, round);
    return {
      name: round === 0 ? name : `${name}, round ${round}`,
      validated,
      dense: new Pipeline(own, 0, { gating: false }),
      gated: new Pipeline(own, 0, { anytime: false }),
      denseUs: [],
      gatedUs: [],
    };
  });
});

for (let round = -1; round < ROUNDS; round++) {
  for (const subject of subjects) {
    for (const kind of ['dense', 'gated']) {
      const counts = play(subject[kind], series, channels);
      subject[`${kind}Counts`] = counts;
      if (round >= 0) subject[`${kind}Us`].push((1000 * counts.ms) / counts.ticks);
    }
  }
}

console.log(
  `${recording.name}; validation and accuracy: every tick / gated; Node ${process.versions.node}\n`,
);
console.log('| model | validation | accuracy | MACs per tick | MACs per token, gated | us per tick |');
console.log('| --- | --- | --- | --- | --- | --- |');
for (const { name, validated, denseCounts, gatedCounts, denseUs, gatedUs } of subjects) {
  const accuracy = ({ right, labelled }) => (right / labelled).toFixed(4);
  const perTick = ({ macs, ticks }) => Math.round(macs / ticks);
  const least = (times) => Math.min(...times).toFixed(1);
  const cells = [
    name,
    validated,
    `${accuracy(denseCounts)} / ${accuracy(gatedCounts)}`,
    `${perTick(denseCounts)} / ${perTick(gatedCounts)}`,
    Math.round(gatedCounts.macs / gatedCounts.tokens),
    `${least(denseUs)} / ${least(gatedUs)}`,
  ];
  console.log(`| ${cells.join(' | ')} |`);
}
