/** `recording.json`: validated whole, then turned into the one form of split that training and evaluation share. */
import { CHANNELS_MAX } from '../gate/packets.ts';
import { didYouMean } from '../text/nearest.ts';
import { RecordingError, show } from './recording-error.ts';

export type RecordingTask = 'classify' | 'anomaly' | 'forecast';

/** Rows `from` (included) to `to` (excluded; Infinity: the file's end) of one file, counted from 0. */
export interface RowRange {
  readonly file: string;
  readonly from: number;
  readonly to: number;
}

/** What a recording is. Splits are lists of row ranges in the order in which they are to be read. */
export interface Recording {
  readonly name: string;
  readonly task: RecordingTask;
  readonly channels: readonly { readonly name: string; readonly unit: string }[];
  /** Nominal milliseconds between rows. */
  readonly intervalMs: number;
  /** Classify: names by label. */
  readonly classes?: readonly string[];
  /** Forecast: ticks to predict. */
  readonly horizon?: number;
  readonly source: string;
  /** Where the files lie. */
  readonly directory: string;
  readonly timeColumn: string;
  /** Absent: rows have no labels. */
  readonly labelColumn?: string;
  /** 1 where an anomaly begins, ends or changes its nature; anomaly only. Absent: only the labels are known. */
  readonly changePointColumn?: string;
  readonly ignoredColumns: readonly string[];
  readonly train: readonly RowRange[];
  /** Empty: whoever trains sets part of `train` aside. */
  readonly validation: readonly RowRange[];
  readonly test: readonly RowRange[];
  /**
   * Rows at the start of each test file that are not scored but may calibrate (anomaly); 0 if none. They are also
   * among `train`.
   */
  readonly calibrationRows: number;
}

const file = 'recording.json';
const tasks: readonly RecordingTask[] = ['classify', 'anomaly', 'forecast'];
const labelsMax = 127;
const keys = [
  'name',
  'task',
  'classes',
  'horizon',
  'time',
  'label',
  'changePoints',
  'ignore',
  'channels',
  'intervalS',
  'source',
  'normalise',
  'train',
  'validation',
  'test',
  'files',
  'extraTrain',
  'perFile',
  'rows',
];

/** Parses and checks the text of a recording.json. Throws RecordingError naming the path, what was expected and got. */
export function parseDescription(text: string, directory: string): Recording {
  const fields = requireObject(parseJson(text), '', keys);
  const task = requireTask(fields.task);
  requireOptionalText(fields.normalise, 'normalise');
  const recording = {
    name: requireText(fields.name, 'name'),
    task,
    channels: requireChannels(fields.channels),
    intervalMs: requireNumber(fields.intervalS, 'intervalS', 0.001, 1e9) * 1000,
    source: requireText(fields.source, 'source'),
    directory,
    timeColumn: requireText(fields.time, 'time'),
    ignoredColumns: fields.ignore === undefined ? [] : requireTexts(fields.ignore, 'ignore'),
    ...requireLabels(fields, task),
    ...requireChangePoints(fields.changePoints, task),
    ...requireHorizon(fields.horizon, task),
    ...requireSplits(fields),
  };
  refuseSharedColumns(recording);
  return recording;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RecordingError(file, {}, `expected JSON: ${(error as Error).message}`);
  }
}

function requireTask(value: unknown): RecordingTask {
  const task = tasks.find((name) => name === value);
  return task ?? refuse('task', `one of ${tasks.join(', ')}`, value);
}

function requireChannels(value: unknown): Recording['channels'] {
  const units = requireObject(value, 'channels');
  const names = Object.keys(units);
  if (names.length < 1 || names.length > CHANNELS_MAX) {
    refuse('channels', `1 to ${CHANNELS_MAX} channels`, `${names.length} channels`);
  }
  return names.map((name) => {
    const unit = units[name];
    return {
      name,
      unit: typeof unit === 'string' ? unit : refuse(`channels.${name}`, "the unit's text", unit),
    };
  });
}

function requireLabels(
  fields: Record<string, unknown>,
  task: RecordingTask,
): { labelColumn?: string; classes?: string[] } {
  const labelColumn = fields.label === undefined ? {} : { labelColumn: requireText(fields.label, 'label') };
  if (task !== 'classify') {
    if (fields.classes !== undefined) refuse('classes', `nothing, since the task is ${task}`, fields.classes);
    return labelColumn;
  }
  const classes = requireTexts(fields.classes, 'classes');
  if (classes.length < 2 || classes.length > labelsMax) {
    refuse('classes', `2 to ${labelsMax} classes`, `${classes.length}`);
  }
  return { labelColumn: requireText(fields.label, 'label'), classes };
}

function requireChangePoints(value: unknown, task: RecordingTask): { changePointColumn?: string } {
  if (value === undefined) return {};
  if (task !== 'anomaly') refuse('changePoints', `nothing, since the task is ${task}`, value);
  return { changePointColumn: requireText(value, 'changePoints') };
}

function requireHorizon(value: unknown, task: RecordingTask): { horizon?: number } {
  if (task === 'forecast') return { horizon: requireWhole(value, 'horizon', 1, 4096) };
  if (value !== undefined) refuse('horizon', `nothing, since the task is ${task}`, value);
  return {};
}

type Splits = Pick<Recording, 'train' | 'validation' | 'test' | 'calibrationRows'>;

/** Three forms: whole files; the first rows of each file; row ranges that all files share. */
function requireSplits(fields: Record<string, unknown>): Splits {
  const forms = ['train', 'perFile', 'rows'].filter((key) => fields[key] !== undefined);
  if (forms.length !== 1)
    refuse('train, perFile, rows', 'exactly one of them', forms.join(', ') || undefined);
  if (fields.train !== undefined) return splitByFile(fields);
  return fields.perFile === undefined ? splitByRows(fields) : splitEachFile(fields);
}

function splitByFile(fields: Record<string, unknown>): Splits {
  for (const key of ['files', 'extraTrain']) {
    if (fields[key] !== undefined) refuse(key, 'nothing beside train and test', fields[key]);
  }
  return {
    train: requireFiles(fields.train, 'train').map(wholeFile),
    validation:
      fields.validation === undefined ? [] : requireFiles(fields.validation, 'validation').map(wholeFile),
    test: requireFiles(fields.test, 'test').map(wholeFile),
    calibrationRows: 0,
  };
}

function splitEachFile(fields: Record<string, unknown>): Splits {
  refuseFileLists(fields);
  const files = requireFiles(fields.files, 'files');
  const perFile = requireObject(fields.perFile, 'perFile', ['trainRows', 'testRows']);
  const rows = requireWhole(perFile.trainRows, 'perFile.trainRows', 1, 1e9);
  const test = requireRange(perFile.testRows, 'perFile.testRows');
  if (test.from < rows)
    refuse('perFile.testRows', `a start at or after the ${rows} training rows`, perFile.testRows);
  const extra = fields.extraTrain === undefined ? [] : requireFiles(fields.extraTrain, 'extraTrain');
  return {
    train: [...extra.map(wholeFile), ...files.map((name) => ({ file: name, from: 0, to: rows }))],
    validation: [],
    test: files.map((name) => ({ file: name, ...test })),
    calibrationRows: rows,
  };
}

function splitByRows(fields: Record<string, unknown>): Splits {
  refuseFileLists(fields);
  if (fields.extraTrain !== undefined) refuse('extraTrain', 'nothing beside rows', fields.extraTrain);
  const files = requireFiles(fields.files, 'files');
  const rows = requireObject(fields.rows, 'rows', ['train', 'validation', 'test']);
  const each = (key: string) => {
    const range = requireRange(rows[key], `rows.${key}`);
    return files.map((name) => ({ file: name, ...range }));
  };
  const validation = rows.validation === undefined ? [] : each('validation');
  return { train: each('train'), validation, test: each('test'), calibrationRows: 0 };
}

function refuseFileLists(fields: Record<string, unknown>): void {
  for (const key of ['validation', 'test']) {
    if (fields[key] !== undefined) refuse(key, 'nothing, since the split is by rows', fields[key]);
  }
}

function wholeFile(name: string): RowRange {
  return { file: name, from: 0, to: Number.POSITIVE_INFINITY };
}

/** `[from, to]` or `"from..to"` or `"from..end"`. */
function requireRange(value: unknown, path: string): { from: number; to: number } {
  const expected = "[from, to] or 'from..end' with from < to";
  const ends = typeof value === 'string' ? /^(\d+)\.\.(\d+|end)$/.exec(value)?.slice(1) : value;
  if (!Array.isArray(ends) || ends.length !== 2) return refuse(path, expected, value);
  const from = Number(ends[0]);
  const to = ends[1] === 'end' ? Number.POSITIVE_INFINITY : Number(ends[1]);
  const whole = Number.isInteger(from) && (Number.isInteger(to) || to === Number.POSITIVE_INFINITY);
  return whole && from >= 0 && from < to ? { from, to } : refuse(path, expected, value);
}

/** Names of files below the directory. */
function requireFiles(value: unknown, path: string): string[] {
  const names = requireTexts(value, path);
  if (names.length === 0) refuse(path, 'at least one file', 'an empty list');
  for (const name of names) {
    const parts = name.split(/[\\/]/);
    if (parts.includes('..') || parts[0] === '' || parts[0]!.endsWith(':')) {
      refuse(path, 'files below the directory of recording.json', name);
    }
  }
  return names;
}

/** A column may mean one thing only. */
function refuseSharedColumns(recording: Recording): void {
  const columns = [
    recording.timeColumn,
    ...recording.ignoredColumns,
    ...recording.channels.map(({ name }) => name),
  ];
  for (const column of [recording.labelColumn, recording.changePointColumn]) {
    if (column !== undefined) columns.push(column);
  }
  const twice = columns.find((column, index) => columns.indexOf(column) !== index);
  if (twice !== undefined) refuse('time, label, changePoints, ignore, channels', 'different columns', twice);
}

function requireObject(value: unknown, path: string, known?: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return refuse(path, 'an object', value);
  for (const key of Object.keys(value)) {
    if (known !== undefined && !known.includes(key)) {
      const near = didYouMean(key, known) || `; expected ${known.join(', ')}`;
      throw new RecordingError(file, {}, `${path && `${path}.`}${key}: unknown${near}`);
    }
  }
  return value as Record<string, unknown>;
}

function requireText(value: unknown, path: string): string {
  return typeof value === 'string' && value !== '' ? value : refuse(path, 'a text', value);
}

function requireOptionalText(value: unknown, path: string): void {
  if (value !== undefined) requireText(value, path);
}

function requireTexts(value: unknown, path: string): string[] {
  if (!Array.isArray(value)) return refuse(path, 'a list of texts', value);
  const texts = value.map((entry, index) => requireText(entry, `${path}[${index}]`));
  const twice = texts.find((text, index) => texts.indexOf(text) !== index);
  return twice === undefined ? texts : refuse(path, 'different texts', twice);
}

function requireNumber(value: unknown, path: string, min: number, max: number): number {
  if (typeof value === 'number' && value >= min && value <= max) return value;
  return refuse(path, `a number from ${min} to ${max}`, value);
}

function requireWhole(value: unknown, path: string, min: number, max: number): number {
  return Number.isInteger(requireNumber(value, path, min, max))
    ? (value as number)
    : refuse(path, 'a whole number', value);
}

function refuse(path: string, expected: string, got: unknown): never {
  throw new RecordingError(
    file,
    {},
    `${path === '' ? '' : `${path}: `}expected ${expected}, got ${show(got)}`,
  );
}
