import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CsvReader } from '../../src/recording/csv.ts';
import { RecordingError } from '../../src/recording/recording-error.ts';

function readAll(text: string): { line: number; fields: string[] }[] {
  const reader = new CsvReader('x.csv', text);
  const rows = [];
  while (reader.next()) rows.push({ line: reader.line, fields: [...reader.fields] });
  return rows;
}

const fieldsOf = (text: string) => readAll(text).map(({ fields }) => fields);

describe('CsvReader', () => {
  it('reads rows with either line ending and with or without a last one', () => {
    expect(fieldsOf('a,b\r\n1,2\n3,4')).toEqual([
      ['a', 'b'],
      ['1', '2'],
      ['3', '4'],
    ]);
    expect(fieldsOf('a,b\n1,2\n')).toEqual([
      ['a', 'b'],
      ['1', '2'],
    ]);
  });

  it('keeps empty fields', () => {
    expect(fieldsOf(',\n1,,\n')).toEqual([
      ['', ''],
      ['1', '', ''],
    ]);
  });

  it('skips blank lines and a byte order mark, and still counts lines', () => {
    expect(readAll('\uFEFFa\n\n \n1\n')).toEqual([
      { line: 1, fields: ['a'] },
      { line: 4, fields: ['1'] },
    ]);
  });

  it('reads quoted fields with commas, quotes and line feeds', () => {
    expect(readAll('"a,1","b""c"\r\n"d\ne",f\ng,h')).toEqual([
      { line: 1, fields: ['a,1', 'b"c'] },
      { line: 2, fields: ['d\ne', 'f'] },
      { line: 4, fields: ['g', 'h'] },
    ]);
  });

  it('refuses a quote that is never closed', () => {
    expect(() => readAll('a\n"b\n')).toThrow(
      new RecordingError('x.csv', { line: 2 }, 'expected a closing quote, got the end'),
    );
  });

  it('refuses text after a closing quote', () => {
    expect(() => readAll('"a"b,c')).toThrow("x.csv line 1: expected a comma after a closing quote, got 'b'");
  });

  it('reads back whatever was written with every field quoted', () => {
    const rows = fc.array(fc.array(fc.string(), { minLength: 2, maxLength: 4 }), { minLength: 1 });
    const write = (table: string[][]) =>
      table.map((row) => row.map((field) => `"${field.replaceAll('"', '""')}"`).join(',')).join('\r\n');
    fc.assert(
      fc.property(rows, (table) => {
        expect(fieldsOf(write(table))).toEqual(table);
      }),
      { seed: 2 },
    );
  });
});
