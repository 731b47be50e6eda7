/**
 * Models of one classified recording side by side: accuracy on validation rows (as the model file says) and on test
 * files, negative log-likelihood of the labels, multiply-adds and time per tick; each on every tick, and gated with every
 * token in full (`steady`). A model with a refinement gets a line for every number of rounds and one for as many as its
 * own bar lets a token have, one of two layers or more without a router a line for each other way to choose the quarter
 * of the tokens that gets all layers, while the rest gets tier 1: the most novel, the least coherent (lambda), or by a
 * coin. One that pins tokens gets a line with pins thrown by dice instead. The models take turns, so that the machine's
 * moods hit all of them.
 *
 * node scripts/techniques.mjs DIRECTORY MODEL...     after `npm run build`
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { Engine, loadModel, openRecording, Pipeline, readSeries } from '../dist/index.mjs';
import { randomNumbers } from './random.mjs';

const ROUNDS = 15;
const random = randomNumbers(1);

/** An engine that steps in another way. */
class Wrapped {
  constructor(engine) {
    const { model, plans, stats, marks, logits } = engine;
    Object.assign(this, { engine, model, plans, stats, marks, logits });
  }
  hold(stream, ticks) {
    this.engine.hold(stream, ticks);
  }
  cost(plan) {
    return this.engine.cost(plan);
  }
  reset(stream) {
    this.engine.reset(stream);
  }
}

/** Every tick with exactly so many rounds of refinement. */
class Refining extends Wrapped {
  constructor(engine, rounds) {
    super(engine);
    this.rounds = rounds;
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
}

/** All layers for the tokens that `isDeep` says, in the order in which they come, and all but the last for the rest. */
class Choosing extends Wrapped {
  constructor(engine, isDeep) {
    super(engine);
    this.isDeep = isDeep;
    this.exit = engine.exits[engine.model.config.layers - 2];
    this.token = 0;
  }
  step(stream, features, plan) {
    this.engine.step(stream, features, this.isDeep[this.token++] ? plan : this.exit[plan.kv]);
  }
}

/** Tokens stay visible by chance, not by novelty. */
class Dicing extends Wrapped {
  step(stream, features, plan) {
    this.marks[0] = 1 + Math.floor(32767 * random());
    this.engine.step(stream, features, plan);
  }
}

/** What a token may be chosen by: the more, the deeper. */
const signals = {
  novelty: ({ noveltyQ15 }) => noveltyQ15,
  lambda: ({ lambdaQ15 }) => -lambdaQ15,
  chance: random,
};
const DEEP_SHARE = 0.25;

/** The signal of every token, in order. What comes out of the engine does not change which ticks become tokens. */
function signalsOf(engine, series, channels, signal) {
  const pipeline = new Pipeline(engine, 0, { policy: 'steady', exactLambda: true, anytime: false });
  const found = [];
  const see = (witness) => witness.tier !== 3 && found.push(signal(witness));
  play(pipeline, series, channels, see);
  return found;
}

/** Whether each token of the test rows is above the value that a quarter of the training rows' tokens is above. */
function deepTokens(engine, training, test, channels, signal) {
  const sorted = signalsOf(engine, training, channels, signal).sort((a, b) => b - a);
  const bar = sorted[Math.floor(DEEP_SHARE * sorted.length)];
  return signalsOf(engine, test, channels, signal).map((value) => value > bar);
}

/** `stats`: of the engine. */
function play(pipeline, series, channels, see = () => {}, stats = {}) {
  const counts = { right: 0, nll: 0, macs: 0, kvReadBytes: 0, tokens: 0, labelled: 0, ticks: 0, ms: 0 };
  for (const { rows, values, labels, timeMs } of series) {
    pipeline.reset();
    const frame = { timeMs: 0, values: new Float64Array(channels) };
    const start = performance.now();
    for (let row = 0; row < rows; row++) {
      frame.timeMs = timeMs[row];
      frame.values.set(values.subarray(row * channels, (row + 1) * channels));
      const witness = pipeline.tick(frame);
      see(witness);
      const { macs, tier } = witness;
      counts.macs += macs;
      if (tier !== 3) {
        counts.tokens++;
        counts.kvReadBytes += stats.kvReadBytes;
      }
      if (labels[row] < 0) continue;
      counts.labelled++;
      const { classIndex, probabilities } = pipeline.output;
      if (classIndex === labels[row]) counts.right++;
      counts.nll -= Math.log(Math.max(probabilities[labels[row]], Number.MIN_VALUE));
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
const seriesOf = (ranges) =>
  [...new Set(ranges.map(({ file }) => file))].map((file) => readSeries(recording, file));
const series = seriesOf(recording.test);
const training = seriesOf(recording.train);
const channels = recording.channels.length;

const subjects = paths.flatMap((path) => {
  const model = loadModel(readFileSync(path));
  const engine = new Engine(model);
  const { validation } = model.meaning.provenance;
  const name = basename(path, '.safetensors');
  const validated = `${validation?.dense?.accuracy ?? '-'} / ${validation?.gated?.accuracy ?? '-'}`;
  const { layers, patterns, routing, refinement } = model.config;
  const line = (name, dense, gated, stats = engine.stats) => ({
    name,
    validated,
    stats,
    dense,
    gated,
    denseUs: [],
    gatedUs: [],
  });
  const pins = patterns?.flat().some(({ pinned }) => pinned !== undefined);
  const chosen = layers < 2 || patterns || routing || refinement ? [] : Object.entries(signals);
  const choices = chosen.map(([by, signal]) => {
    const own = new Choosing(engine, deepTokens(engine, training, series, channels, signal));
    const gated = new Pipeline(own, 0, { policy: 'steady', anytime: false });
    return { ...line(`${name}, deep by ${by}`, null, gated), restart: () => (own.token = 0) };
  });
  const rounds = Array.from({ length: (refinement?.rounds ?? 0) + 1 }, (_, round) => round);
  const own = rounds.map((round) => {
    const refining = round === 0 ? engine : new Refining(engine, round);
    return line(
      round === 0 ? name : `${name}, round ${round}`,
      new Pipeline(refining, 0, { gating: false }),
      new Pipeline(refining, 0, { policy: 'steady', anytime: false }),
      refining.stats,
    );
  });
  const diced = new Dicing(engine);
  const byDice = line(
    `${name}, pinned by dice`,
    new Pipeline(diced, 0, { gating: false }),
    new Pipeline(diced, 0, { policy: 'steady', anytime: false }),
  );
  const bar = model.meaning.refinement?.gainQ16;
  const barred =
    bar === undefined
      ? []
      : [
          line(
            `${name}, while surer by ${bar} / 2^16`,
            null,
            new Pipeline(engine, 0, { policy: 'steady' }),
            {},
          ),
        ];
  return [...own, ...barred, ...choices, ...(pins ? [byDice] : [])];
});

for (let round = -1; round < ROUNDS; round++) {
  for (const subject of subjects) {
    for (const kind of ['dense', 'gated']) {
      if (subject[kind] === null) continue;
      subject.restart?.();
      const counts = play(subject[kind], series, channels, undefined, subject.stats);
      subject[`${kind}Counts`] = counts;
      if (round >= 0) subject[`${kind}Us`].push((1000 * counts.ms) / counts.ticks);
    }
  }
}

console.log(
  `${recording.name}; validation and accuracy: every tick / gated; Node ${process.versions.node}\n`,
);
console.log(
  '| model | validation | accuracy | NLL | MACs per tick | MACs per token, gated | KV bytes read per token | us per tick |',
);
console.log('| --- | --- | --- | --- | --- | --- | --- | --- |');
for (const { name, validated, denseCounts, gatedCounts, denseUs, gatedUs } of subjects) {
  const accuracy = (counts) => (counts ? (counts.right / counts.labelled).toFixed(4) : '-');
  const nll = (counts) => (counts ? (counts.nll / counts.labelled).toFixed(4) : '-');
  const perTick = (counts) => (counts ? Math.round(counts.macs / counts.ticks) : '-');
  // Of rounds that the pipeline itself decides on, the engine tells only the last.
  const bytesRead = (counts) =>
    counts?.kvReadBytes >= 0 ? Math.round(counts.kvReadBytes / counts.tokens) : '-';
  const least = (times) => (times.length === 0 ? '-' : Math.min(...times).toFixed(1));
  const cells = [
    name,
    validated,
    `${accuracy(denseCounts)} / ${accuracy(gatedCounts)}`,
    `${nll(denseCounts)} / ${nll(gatedCounts)}`,
    `${perTick(denseCounts)} / ${perTick(gatedCounts)}`,
    Math.round(gatedCounts.macs / gatedCounts.tokens),
    [denseCounts, gatedCounts].map(bytesRead).join(' / '),
    `${least(denseUs)} / ${least(gatedUs)}`,
  ];
  console.log(`| ${cells.join(' | ')} |`);
}
