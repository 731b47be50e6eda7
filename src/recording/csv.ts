/** Comma-separated rows (RFC 4180): quotes, CRLF, a byte order mark and blank lines are tolerated. */
import { RecordingError, show } from './recording-error.ts';

/** Reads a text row by row. `fields` and `line` tell of the row that `next` found. */
export class CsvReader {
  /** Fields of the current row; the same array for every row. */
  readonly fields: string[] = [];
  /** Where the current row begins, counted from 1. */
  line = 0;
  readonly #file: string;
  readonly #text: string;
  #at = 0;
  #nextLine = 1;

  /** `file` is only for errors. */
  constructor(file: string, text: string) {
    this.#file = file;
    this.#text = text.startsWith('\uFEFF') ? text.slice(1) : text;
  }

  /** Moves to the next row that is not blank; false at the end. Throws RecordingError for a broken quote. */
  next(): boolean {
    while (this.#at < this.#text.length) {
      this.line = this.#nextLine;
      this.#readRow();
      if (this.fields.length > 1 || this.fields[0]!.trim() !== '') return true;
    }
    return false;
  }

  #readRow(): void {
    this.fields.length = 0;
    let more = true;
    while (more) {
      this.fields.push(this.#text[this.#at] === '"' ? this.#readQuoted() : this.#readPlain());
      more = this.#text[this.#at] === ',';
      if (more) this.#at++;
    }
    if (this.#text[this.#at] === '\r') this.#at++;
    if (this.#text[this.#at] === '\n') this.#at++;
    this.#nextLine++;
  }

  #readPlain(): string {
    const start = this.#at;
    while (this.#at < this.#text.length && !isEnd(this.#text.charCodeAt(this.#at))) this.#at++;
    return this.#text.slice(start, this.#at);
  }

  #readQuoted(): string {
    let field = '';
    for (;;) {
      const end = this.#text.indexOf('"', this.#at + 1);
      if (end < 0)
        throw new RecordingError(this.#file, { line: this.line }, 'expected a closing quote, got the end');
      field += this.#text.slice(this.#at + 1, end);
      this.#at = end + 1;
      if (this.#text[this.#at] !== '"') break;
      field += '"';
    }
    this.#nextLine += field.split('\n').length - 1;
    if (this.#at < this.#text.length && !isEnd(this.#text.charCodeAt(this.#at))) {
      const got = show(this.#text[this.#at]);
      throw new RecordingError(
        this.#file,
        { line: this.line },
        `expected a comma after a closing quote, got ${got}`,
      );
    }
    return field;
  }
}

const comma = 44;
const carriageReturn = 13;
const lineFeed = 10;

function isEnd(code: number): boolean {
  return code === comma || code === carriageReturn || code === lineFeed;
}
