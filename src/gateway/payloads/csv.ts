/** Lines of values: `21.5;44.7;ON`. Columns count from 1. */
import { describe } from '../config/checker.ts';
import { type BindRequest, type Preset, topicOf } from './preset.ts';

const columnsMax = 4096;

/** `value` is a column's number, or a name out of `columns`. */
export const csv: Preset = {
  keys: ['separator', 'columns'],
  bind(request) {
    const separator = request.section.text('separator', ',', 'the text between two values');
    return [{ filter: topicOf(request), rule: { kind: 'csv', column: columnOf(request), separator } }];
  },
};

function columnOf(request: BindRequest): number {
  const names = columnNames(request);
  const value = request.value ?? (names === undefined ? undefined : request.channel);
  const named = names?.indexOf(value ?? '') ?? -1;
  if (named >= 0) return named;
  const number = Number(value);
  if (Number.isInteger(number) && number >= 1 && number <= columnsMax) return number - 1;
  const what = names === undefined ? '' : `, or one of ${names.join(', ')}`;
  request.section.add('value', `a column's number from 1 on${what}`, describe(value));
  return 0;
}

function columnNames({ section }: BindRequest): string[] | undefined {
  const columns = section.value('columns');
  if (columns === undefined) return undefined;
  if (Array.isArray(columns) && columns.length <= columnsMax) return columns.map(String);
  section.add('columns', `a list of at most ${columnsMax} names`, describe(columns));
  return undefined;
}

/** Field `column` of the first line, without quotes and spaces around it; undefined when there is none. */
export function fieldOf(line: string, column: number, separator: string): string | undefined {
  const end = line.search(/[\r\n]/);
  let rest = end < 0 ? line : line.slice(0, end);
  for (let skipped = 0; skipped < column; skipped++) {
    const at = rest.indexOf(separator);
    if (at < 0) return undefined;
    rest = rest.slice(at + separator.length);
  }
  const at = rest.indexOf(separator);
  const field = (at < 0 ? rest : rest.slice(0, at)).trim();
  return /^".*"$/.test(field) ? field.slice(1, -1) : field;
}
