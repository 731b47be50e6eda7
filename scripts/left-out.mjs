/**
 * How well a recipe does on days that it was not trained on, as they were and as they might be in another week: trains
 * with each part of the training rows left out in turn, plays those rows through the pipeline, dense and gated, and adds
 * up the accuracy over all of them. One channel is then shifted, its excursions from rest are scaled, slow waves are
 * added to it, it comes back to rest faster (always, and only while the class is not the first), and the rows are played
 * again. `--widths` also plays them with thresholds so many times as wide, `--policies` under other policies.
 *
 * node scripts/left-out.mjs DIRECTORY --fold 0..1809 --fold 1809..3249 [--fold ...] [--seeds 1,2,3] [--widths 0.5,2] [--policies steady]
 *   [--channel co2 --rest 420 --shift 150 --gain 0.4 --waves 100 --leak 5 --leak-half-life 60] -- OPTIONS OF TRAIN
 * after `npm run build`
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Engine, loadModel, openRecording, Pipeline, readSeries } from '../dist/index.mjs';

const program = fileURLToPath(new URL('../dist/dormouse.mjs', import.meta.url));
/** Intervals. */
const PERIODS = [1000, 2000, 4000];

const split = process.argv.indexOf('--');
const trainOptions = split < 0 ? [] : process.argv.slice(split + 1);
const text = { type: 'string' };
const { values: options, positionals } = parseArgs({
  args: process.argv.slice(2, split < 0 ? undefined : split),
  options: {
    fold: { type: 'string', multiple: true },
    seeds: { ...text, default: '1' },
    channel: text,
    rest: { ...text, default: '0' },
    shift: text,
    gain: text,
    waves: text,
    leak: text,
    'leak-half-life': { ...text, default: '60' },
    widths: { ...text, default: '' },
    policies: { ...text, default: '' },
  },
  allowPositionals: true,
});
const [directory] = positionals;
if (directory === undefined || options.fold === undefined) refuse('expected DIRECTORY and --fold FROM..TO');

const recording = openRecording(directory);
const series = recording.train.map(({ file }) => readSeries(recording, file));
if (series.length !== 1) refuse(`expected one training file, got ${series.length}`);
const [{ rows, timeMs, values, labels }] = series;
const width = recording.channels.length;
/** [as 'train' is told, the ranges of rows] */
const folds = options.fold.map((fold) => [fold, fold.split(',').map((part) => rangeOf(fold, part))]);

function refuse(problem) {
  console.error(problem);
  process.exit(2);
}

function rangeOf(fold, part) {
  const range = part.split('..').map(Number);
  if (range.length === 2 && range[0] < range[1] && range[1] <= rows) return range;
  return refuse(`--fold ${fold}: expected FROM..TO within the ${rows} training rows`);
}

/** Three slow sines with a root mean square of `size`, each fold's begin elsewhere. */
function wave(row, first, size) {
  const phase = (i) => 2 * Math.PI * ((first * 0.618 + i * 0.382) % 1);
  const sum = PERIODS.reduce((all, period, i) => all + Math.sin((2 * Math.PI * row) / period + phase(i)), 0);
  return (size * sum) / Math.sqrt(PERIODS.length / 2);
}

/** As src/train/leak.ts, with a leak that goes by the row's label. */
function leaky(column, first, timesAsFast) {
  const rest = Number(options.rest);
  const halfLife = Number(options['leak-half-life']);
  const left = (factor) => 2 ** (-factor / halfLife);
  let held = 0;
  return column.map((value, row) => {
    const factor = timesAsFast(labels[first + row]);
    held =
      row === 0
        ? (value - rest) / factor
        : value - rest - (column[row - 1] - rest) * left(1) + held * left(factor);
    return rest + held;
  });
}

/** Each makes of a channel's values, from row `first` of the file on, those of another week. */
function disturbances() {
  const rest = Number(options.rest);
  const list = [['as it was', (column) => column]];
  if (options.channel === undefined) return list;
  const each = (name, change) =>
    list.push([name, (column, first) => column.map((value, row) => change(value, row, first))]);
  const [shift, gain, waves, leak] = [options.shift, options.gain, options.waves, options.leak].map(Number);
  if (options.shift) each(`shifted by ${shift}`, (value) => value + shift);
  if (options.gain) each(`${gain} times as far from ${rest}`, (value) => rest + gain * (value - rest));
  for (const size of options.waves ? [waves / 2, waves] : []) {
    each(`waves of ${size}`, (value, row, first) => value + wave(row, first, size));
  }
  if (options.leak) {
    list.push([`leaks ${leak} times as fast`, (column, first) => leaky(column, first, () => leak)]);
    const whileOn = (label) => (label > 0 ? leak : 1);
    list.push([`leaks ${leak} times as fast while on`, (column, first) => leaky(column, first, whileOn)]);
  }
  return list;
}

/** How a fold is played: name and options of the pipeline. */
function gatings({ spikes }) {
  const wider = (width) => ({ ...spikes, delta: spikes.delta.map((delta) => delta * width) });
  const listed = (text) => (text === '' ? [] : text.split(','));
  return [
    ['dense', { gating: false }],
    ['gated', {}],
    ...listed(options.widths).map((width) => [
      `gated, ${width} times as wide`,
      { spikes: wider(Number(width)) },
    ]),
    ...listed(options.policies).map((policy) => [`gated, ${policy}`, { policy }]),
  ];
}

/** Plays rows [from, to); adds to `score` how many answers were right, and what was computed. */
function play(model, [from, to], change, gating, score) {
  const pipeline = new Pipeline(new Engine(model), 0, gating);
  const own = model.meaning.channels.map(({ name }) =>
    recording.channels.findIndex((one) => one.name === name),
  );
  const disturbed = recording.channels.findIndex(({ name }) => name === options.channel);
  const changed =
    disturbed < 0
      ? []
      : change(
          Array.from({ length: to - from }, (_, row) => values[(from + row) * width + disturbed]),
          from,
        );
  const frame = { timeMs: 0, values: new Float64Array(own.length) };
  for (let row = from; row < to; row++) {
    frame.timeMs = timeMs[row];
    own.forEach((column, i) => {
      frame.values[i] = column === disturbed ? changed[row - from] : values[row * width + column];
    });
    const { topIndex } = pipeline.tick(frame);
    score.right += topIndex === labels[row] ? 1 : 0;
  }
  score.rows += to - from;
  score.macs += pipeline.counters.macs;
}

const scratch = mkdtempSync(join(tmpdir(), 'dormouse-left-out-'));
for (const seed of options.seeds.split(',')) {
  const scores = new Map();
  for (const [fold, ranges] of folds) {
    const file = join(scratch, 'fold.safetensors');
    const asked = ['train', directory, '-o', file, '--quiet', '--validation-share', '0', '--leave-out', fold];
    const { status, stderr } = spawnSync(process.execPath, [
      program,
      ...asked,
      '--seed',
      seed,
      ...trainOptions,
    ]);
    if (status !== 0) refuse(String(stderr));
    const model = loadModel(readFileSync(file));
    for (const range of ranges) {
      for (const [name, change] of disturbances()) {
        for (const [kind, gating] of gatings(model.meaning)) {
          const key = `${name}, ${kind}`;
          const score = scores.get(key) ?? { right: 0, rows: 0, macs: 0 };
          scores.set(key, score);
          play(model, range, change, gating, score);
        }
      }
    }
  }
  for (const [name, { right, rows: all, macs }] of scores) {
    console.log(`seed ${seed}, ${name}: ${(right / all).toFixed(4)}, ${Math.round(macs / all)} MACs a row`);
  }
}
rmSync(scratch, { recursive: true });
