/** The small recording of the training tests as files on disk. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { smallSeries } from '../train/small-dataset.ts';

const description = {
  name: 'small',
  task: 'classify',
  classes: ['below', 'above'],
  time: 'time',
  label: 'label',
  channels: { level: '', wave: '' },
  train: ['train.csv'],
  test: ['absent.csv'],
  intervalS: 1,
  source: 'made up',
};

/** Makes `directory`, with so many training rows in it. `changes`: to its recording.json. */
export function writeSmallRecording(directory: string, rows = 300, changes: object = {}): void {
  mkdirSync(directory);
  const { timeMs, values, labels } = smallSeries(rows, 1);
  const lines = Array.from(
    { length: rows },
    (_, row) => `${timeMs[row]! / 1000},${values[2 * row]},${values[2 * row + 1]},${labels![row]}`,
  );
  writeFileSync(join(directory, 'recording.json'), JSON.stringify({ ...description, ...changes }));
  writeFileSync(join(directory, 'train.csv'), `time,level,wave,label\n${lines.join('\n')}\n`);
}
