/** What scripts/skab-selection.mjs runs. */
import { readFileSync } from 'node:fs';
import { loadModel } from '../../src/engine/index.ts';
import { validateMeaning } from '../../src/engine/meaning.ts';
import type { AnomalyTask } from '../../src/gateway/calibration/alarm.ts';
import { openRecording } from '../../src/recording/recording.ts';
import { type Row, select } from './selection.ts';

const [directory, file, sets, ...changes] = process.argv.slice(2);
const model = loadModel(readFileSync(file!));
const { task } = model.meaning;
if (task.kind !== 'anomaly' || task.chart === undefined)
  throw new Error(`${file}: expected a model with a control chart, got one without`);

/** `threshold` is the task's, anything else the chart's; null takes a setting away. Throws ModelError. */
function changed(text: string): AnomalyTask {
  const { threshold, chart } = task as AnomalyTask;
  const { threshold: other = threshold, ...settings } = JSON.parse(text);
  const wanted = Object.entries({ ...chart, ...settings }).filter(([, value]) => value !== null);
  const changedTask = { kind: 'anomaly', threshold: other, chart: Object.fromEntries(wanted) };
  return validateMeaning({ ...model.meaning, task: changedTask }, model.config).task as AnomalyTask;
}

const rows = select(
  openRecording(directory!),
  model,
  [{ name: "the model's own", task }, ...changes.map((text) => ({ name: text, task: changed(text) }))],
  Number(sets),
  (set) => process.stderr.write(`set ${set}\n`),
);

const number = (value: number, digits: number) => (Number.isNaN(value) ? '-' : value.toFixed(digits));

function print({ candidate, kind, gating, metric, ratio }: Row): void {
  const parts = [
    kind,
    gating ? 'gated' : 'dense',
    `F1 ${number(metric.f1!, 4)}`,
    `of the first ${number(ratio[0], 3)} to ${number(ratio[1], 3)}`,
    `false ${number(100 * metric.falseAlarmRate!, 1)} %`,
    `missed ${number(100 * metric.missedAlarmRate!, 1)} %`,
    `false/day ${number(metric.falseAlarmsPerDay!, 0)}`,
    `NAB ${number(metric.nabStandard!, 1)}`,
    candidate,
  ];
  console.log(parts.join('  '));
}

for (const row of rows) print(row);
const ofFirst = new Map<boolean, number>();
for (const gating of [false, true]) {
  for (const candidate of new Set(rows.map((row) => row.candidate))) {
    const own = rows.filter((row) => row.candidate === candidate && row.gating === gating);
    if (own.length === 0) continue;
    const mean = own.reduce((sum, { metric }) => sum + metric.f1!, 0) / own.length;
    const nab = own.reduce((sum, { metric }) => sum + metric.nabStandard!, 0) / own.length;
    if (!ofFirst.has(gating)) ofFirst.set(gating, mean);
    const more = mean - ofFirst.get(gating)!;
    console.log(
      `mean of both  ${gating ? 'gated' : 'dense'}  F1 ${mean.toFixed(4)} (${more < 0 ? '' : '+'}${more.toFixed(4)})  NAB ${nab.toFixed(1)}  ${candidate}`,
    );
  }
}
