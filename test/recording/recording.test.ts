import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  openRecording,
  type Recording,
  RecordingError,
  readSeries,
  resolveRange,
  selectChannels,
  sliceSeries,
  withChangePoints,
  withoutChannels,
} from '../../src/recording/recording.ts';

const description = {
  name: 'room',
  task: 'classify',
  classes: ['empty', 'occupied'],
  time: 'time',
  label: 'label',
  ignore: ['note'],
  channels: { light: 'lux', co2: 'ppm' },
  train: ['train.csv'],
  test: ['a.csv', 'b.csv'],
  intervalS: 60,
  source: 'made for this test',
};

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-recording-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function open(changes: object = {}): Recording {
  writeFileSync(join(directory, 'recording.json'), JSON.stringify({ ...description, ...changes }));
  return openRecording(directory);
}

function read(text: string, changes: object = {}) {
  const recording = open(changes);
  writeFileSync(join(directory, 'a.csv'), text);
  return readSeries(recording, 'a.csv');
}

describe('openRecording', () => {
  it('gives every field, with whole files as ranges', () => {
    const whole = (file: string) => ({ file, from: 0, to: Number.POSITIVE_INFINITY });
    expect(open()).toEqual({
      name: 'room',
      task: 'classify',
      classes: ['empty', 'occupied'],
      channels: [
        { name: 'light', unit: 'lux' },
        { name: 'co2', unit: 'ppm' },
      ],
      intervalMs: 60_000,
      source: 'made for this test',
      directory,
      timeColumn: 'time',
      labelColumn: 'label',
      ignoredColumns: ['note'],
      train: [whole('train.csv')],
      validation: [],
      test: [whole('a.csv'), whole('b.csv')],
      calibrationRows: 0,
    });
  });

  it('splits each file after its first rows', () => {
    const { classes: _, train: __, test: ___, ...rest } = description;
    writeFileSync(
      join(directory, 'recording.json'),
      JSON.stringify({
        ...rest,
        task: 'anomaly',
        files: ['a.csv', 'b.csv'],
        extraTrain: ['good.csv'],
        perFile: { trainRows: 400, testRows: '400..end' },
      }),
    );
    const recording = openRecording(directory);
    expect(recording.train).toEqual([
      { file: 'good.csv', from: 0, to: Number.POSITIVE_INFINITY },
      { file: 'a.csv', from: 0, to: 400 },
      { file: 'b.csv', from: 0, to: 400 },
    ]);
    expect(recording.test.map(({ from, to }) => [from, to])).toEqual([
      [400, Number.POSITIVE_INFINITY],
      [400, Number.POSITIVE_INFINITY],
    ]);
    expect(recording.calibrationRows).toBe(400);
  });

  it('splits by rows', () => {
    const { classes: _, label: __, train: ___, test: ____, ...rest } = description;
    const rows = { train: [0, 10], validation: [10, 12], test: '12..20' };
    const text = JSON.stringify({ ...rest, task: 'forecast', horizon: 3, files: ['a.csv'], rows });
    writeFileSync(join(directory, 'recording.json'), text);
    const recording = openRecording(directory);
    expect(recording.horizon).toBe(3);
    expect(recording.train).toEqual([{ file: 'a.csv', from: 0, to: 10 }]);
    expect(recording.validation).toEqual([{ file: 'a.csv', from: 10, to: 12 }]);
    expect(recording.test).toEqual([{ file: 'a.csv', from: 12, to: 20 }]);
  });

  it('opens one CSV file as the whole test', () => {
    open();
    writeFileSync(join(directory, 'b.csv'), '');
    writeFileSync(join(directory, 'other.csv'), '');
    expect(openRecording(join(directory, 'b.csv')).test.map(({ file }) => file)).toEqual(['b.csv']);
    expect(openRecording(join(directory, 'other.csv')).test.map(({ file }) => file)).toEqual(['other.csv']);
    expect(openRecording(join(directory, 'other.csv')).train.map(({ file }) => file)).toEqual(['train.csv']);
  });

  it('opens the description itself', () => {
    const recording = open();
    expect(openRecording(join(directory, 'recording.json'))).toEqual(recording);
  });

  it('refuses a path where nothing is, and a directory without a description', () => {
    expect(() => openRecording(join(directory, 'nowhere'))).toThrow(
      'expected a recording, found nothing there',
    );
    mkdirSync(join(directory, 'empty'));
    expect(() => openRecording(join(directory, 'empty'))).toThrow(
      join(directory, 'empty', 'recording.json: expected a file, found none'),
    );
  });

  it('refuses a description that is not JSON or not an object', () => {
    writeFileSync(join(directory, 'recording.json'), '{');
    expect(() => openRecording(directory)).toThrow('recording.json: expected JSON');
    writeFileSync(join(directory, 'recording.json'), '[]');
    expect(() => openRecording(directory)).toThrow('recording.json: expected an object, got a list of 0');
  });

  it.each([
    ['an unknown key', { interval: 5 }, 'interval: unknown; did you mean "intervalS"?'],
    ['a key like no other', { zzzzzzz: 5 }, 'zzzzzzz: unknown; expected name, task'],
    ['no name', { name: undefined }, 'name: expected a text, got nothing'],
    [
      'an unknown task',
      { task: 'cluster' },
      "task: expected one of classify, anomaly, forecast, got 'cluster'",
    ],
    ['no channels', { channels: {} }, "channels: expected 1 to 64 channels, got '0 channels'"],
    ['a unit that is no text', { channels: { a: 3 } }, "channels.a: expected the unit's text, got 3"],
    ['channels in a list', { channels: ['a'] }, 'channels: expected an object, got a list of 1'],
    ['no classes', { classes: undefined }, 'classes: expected a list of texts, got nothing'],
    ['one class', { classes: ['a'] }, "classes: expected 2 to 127 classes, got '1'"],
    ['a class twice', { classes: ['a', 'a'] }, "classes: expected different texts, got 'a'"],
    ['no label column', { label: undefined }, 'label: expected a text, got nothing'],
    ['a horizon for classes', { horizon: 5 }, 'horizon: expected nothing, since the task is classify, got 5'],
    ['classes for a forecast', { task: 'forecast' }, 'classes: expected nothing, since the task is forecast'],
    ['an interval of zero', { intervalS: 0 }, 'intervalS: expected a number from 0.001 to 1000000000, got 0'],
    [
      'an interval in text',
      { intervalS: '60' },
      "intervalS: expected a number from 0.001 to 1000000000, got '60'",
    ],
    ['no split', { train: undefined }, 'train, perFile, rows: expected exactly one of them, got nothing'],
    ['two splits', { rows: {} }, "train, perFile, rows: expected exactly one of them, got 'train, rows'"],
    ['no test', { test: undefined }, 'test: expected a list of texts, got nothing'],
    ['an empty test', { test: [] }, "test: expected at least one file, got 'an empty list'"],
    [
      'a file elsewhere',
      { test: ['../a.csv'] },
      "test: expected files below the directory of recording.json, got '../a.csv'",
    ],
    ['a column of two meanings', { ignore: ['co2'] }, "expected different columns, got 'co2'"],
  ])('refuses %s', (_, changes, problem) => {
    expect(() => open(changes)).toThrow(RecordingError);
    expect(() => open(changes)).toThrow(problem);
  });

  it.each([
    [{ trainRows: 0, testRows: '4..end' }, 'perFile.trainRows: expected a number from 1'],
    [{ trainRows: 2.5, testRows: '4..end' }, 'perFile.trainRows: expected a whole number, got 2.5'],
    [
      { trainRows: 5, testRows: '4..end' },
      'perFile.testRows: expected a start at or after the 5 training rows',
    ],
    [
      { trainRows: 5, testRows: '9..7' },
      "perFile.testRows: expected [from, to] or 'from..end' with from < to, got '9..7'",
    ],
    [{ trainRows: 5, testRows: 9 }, 'perFile.testRows: expected [from, to]'],
    [{ trainRows: 5 }, 'perFile.testRows: expected [from, to]'],
  ])('refuses the split %j', (perFile, problem) => {
    expect(() => open({ train: undefined, test: undefined, files: ['a.csv'], perFile })).toThrow(problem);
  });
});

describe('selectChannels', () => {
  it('reads some channels in another order, and over the rest', () => {
    writeFileSync(join(directory, 'a.csv'), 'time,light,co2,label\n1,2,3,0\n');
    expect([...readSeries(selectChannels(open(), ['co2', 'light']), 'a.csv').values]).toEqual([3, 2]);
    expect([...readSeries(selectChannels(open(), ['co2']), 'a.csv').values]).toEqual([3]);
  });

  it('refuses a channel that is not there', () => {
    expect(() => selectChannels(open(), ['noise'])).toThrow(
      "room: expected a channel 'noise', got light, co2",
    );
  });
});

describe('readSeries', () => {
  it('reads times, values and labels by column name', () => {
    const series = read(
      'co2,time,label,light,note\n500,2020-01-01T00:00:00Z,0,1.5,x\n600,2020-01-01T00:01:00Z,occupied,-2,y\n',
    );
    expect(series.rows).toBe(2);
    expect([...series.timeMs]).toEqual([Date.UTC(2020, 0, 1), Date.UTC(2020, 0, 1, 0, 1)]);
    expect([...series.values]).toEqual([1.5, 500, -2, 600]);
    expect([...series.labels!]).toEqual([0, 1]);
  });

  it('takes an empty field for a missing value', () => {
    expect([...read('time,light,co2,label\n1,,500,0\n').values]).toEqual([Number.NaN, 500]);
  });

  it('has no labels without a label column', () => {
    expect(read('time,light,co2\n1,2,3\n').labels).toBeNull();
  });

  it.each([
    ['an empty file', '', 'a.csv: expected a header line, got an empty file'],
    ['a header alone', 'time,light,co2,label\n', 'a.csv: expected rows after the header, got none'],
    [
      'a missing channel',
      'time,light,label\n1,2,0\n',
      "a.csv line 1, column 'co2': expected this column, got time, light, label",
    ],
    [
      'a missing time column',
      'light,co2,label\n1,2,0\n',
      "a.csv line 1, column 'time': expected this column",
    ],
    [
      'a column twice',
      'time,light,co2,light\n1,2,3,4\n',
      "a.csv line 1, column 'light': expected each column once, got it twice",
    ],
    [
      'a column that nobody named',
      'time,light,co2,rain\n1,2,3,4\n',
      "a.csv line 1, column 'rain': expected a column that recording.json names",
    ],
    ['a short row', 'time,light,co2,label\n1,2,3,0\n2,3,4\n', 'a.csv line 3: expected 4 fields, got 3'],
    ['a long row', 'time,light,co2,label\n1,2,3,0,9\n', 'a.csv line 2: expected 4 fields, got 5'],
    [
      'a value that is no number',
      'time,light,co2,label\n1,2,high,0\n',
      "a.csv line 2, column 'co2': expected a number or nothing, got 'high'",
    ],
    [
      'an infinite value',
      'time,light,co2,label\n1,Infinity,3,0\n',
      "a.csv line 2, column 'light': expected a number or nothing, got 'Infinity'",
    ],
    [
      'a time that is none',
      'time,light,co2,label\nnoon,2,3,0\n',
      "a.csv line 2, column 'time': expected an ISO 8601 time or a number of seconds, got 'noon'",
    ],
    [
      'an earlier time',
      'time,light,co2,label\n5,2,3,0\n4,2,3,0\n',
      "a.csv line 3, column 'time': expected a time later than the row before, got an earlier one: '4'",
    ],
    [
      'the same time twice',
      'time,light,co2,label\n5,2,3,0\n\n5,2,3,0\n',
      "a.csv line 4, column 'time': expected a time later than the row before, got the same time again: '5'",
    ],
    [
      'a label out of range',
      'time,light,co2,label\n1,2,3,2\n',
      "a.csv line 2, column 'label': expected 0 to 1 or one of empty, occupied, got '2'",
    ],
    [
      'an empty label',
      'time,light,co2,label\n1,2,3,\n',
      "a.csv line 2, column 'label': expected 0 to 1 or one of empty, occupied, got ''",
    ],
  ])('refuses %s', (_, text, problem) => {
    expect(() => read(text)).toThrow(RecordingError);
    expect(() => read(text)).toThrow(problem);
  });

  it('tells the place of a fault in fields too', () => {
    try {
      read('time,light,co2,label\n1,2,high,0\n');
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ file: join(directory, 'a.csv'), line: 2, column: 'co2' });
    }
  });

  it('refuses a file that is not there', () => {
    expect(() => readSeries(open(), 'b2.csv')).toThrow(
      join(directory, 'b2.csv: expected a file, found none'),
    );
  });
});

describe('ranges', () => {
  const text = 'time,light,co2,label\n1,2,3,0\n2,3,4,1\n3,4,5,0\n';

  it('are views of their rows', () => {
    const part = sliceSeries(read(text), 1, 3);
    expect([part.rows, [...part.timeMs], [...part.values], [...part.labels!]]).toEqual([
      2,
      [2000, 3000],
      [3, 4, 4, 5],
      [1, 0],
    ]);
  });

  it('end where the file ends', () => {
    expect(resolveRange({ file: 'a.csv', from: 1, to: Number.POSITIVE_INFINITY }, read(text)).to).toBe(3);
  });

  it('are refused beyond the end', () => {
    expect(() => resolveRange({ file: 'a.csv', from: 1, to: 4 }, read(text))).toThrow(
      'a.csv: expected rows 1..4, got 3 rows',
    );
    expect(() => resolveRange({ file: 'a.csv', from: 3, to: Number.POSITIVE_INFINITY }, read(text))).toThrow(
      'expected rows 3..end, got 3 rows',
    );
  });
});

describe('withoutChannels', () => {
  it('reads over what is left out', () => {
    const dark = withoutChannels(open(), ['light']);
    expect(dark.channels).toEqual([{ name: 'co2', unit: 'ppm' }]);
    expect(dark.ignoredColumns).toEqual(['note', 'light']);
    expect(withoutChannels(open(), [])).toEqual(open());
  });

  it('refuses names that are not there, and to leave nothing', () => {
    expect(() => withoutChannels(open(), ['lamp'])).toThrow("expected a channel 'lamp', got light, co2");
    expect(() => withoutChannels(open(), ['co2', 'light'])).toThrow(
      'expected a channel that is not left out',
    );
  });
});

describe('change points', () => {
  const { classes: _, ...rest } = description;
  const anomaly = { ...rest, task: 'anomaly', ignore: ['note', 'changed'] };
  const text = 'time,light,co2,label,note,changed\n0,1,2,0,x,0\n1,1,2,1,x,1\n2,1,2,1,x,0.0\n';
  const openAnomaly = (changes: object = {}) => {
    writeFileSync(join(directory, 'recording.json'), JSON.stringify({ ...anomaly, ...changes }));
    writeFileSync(join(directory, 'a.csv'), text);
    return openRecording(directory);
  };

  it('are read where the recording or the caller names their column', () => {
    expect(readSeries(openAnomaly(), 'a.csv').changePoints).toBeUndefined();
    const named = openAnomaly({ ignore: ['note'], changePoints: 'changed' });
    const chosen = withChangePoints(openAnomaly(), 'changed');
    expect(chosen).toEqual(named);
    expect(withChangePoints(named, 'changed')).toEqual(named);
    const series = readSeries(openAnomaly({ ignore: ['note'], changePoints: 'changed' }), 'a.csv');
    expect([...series.changePoints!]).toEqual([0, 1, 0]);
    expect([...sliceSeries(series, 1, 3).changePoints!]).toEqual([1, 0]);
  });

  it('are refused where they make no sense', () => {
    expect(() => withChangePoints(openAnomaly(), 'label')).toThrow(
      "change points: expected one of the ignored columns (note, changed), got 'label'",
    );
    expect(() => open({ changePoints: 'changed' })).toThrow(
      'changePoints: expected nothing, since the task is',
    );
    expect(() => openAnomaly({ changePoints: 'changed' })).toThrow('expected different columns, got');
    const bad = openAnomaly({ ignore: ['note'], changePoints: 'changed' });
    writeFileSync(join(directory, 'a.csv'), text.replace('x,1', 'x,2'));
    expect(() => readSeries(bad, 'a.csv')).toThrow('expected 0 or 1, got');
  });
});
