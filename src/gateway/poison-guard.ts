/**
 * A message from the journal that ends the process whenever it is worked on must not do so forever. Before each message
 * that an earlier run left, its number and how often it was tried are noted; one that was tried often enough, and never
 * done with, is set aside.
 *
 * Nothing of it is synced: it must outlive the process, not the machine.
 */
import { appendFileSync, closeSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { JournalMessage } from './disk/journal-record.ts';

export interface PoisonGuardOptions {
  readonly directory: string;
  /** Messages that an earlier run left have numbers beyond the first and up to the second. */
  readonly releasedThrough: number;
  readonly through: number;
  readonly onProblem: (text: string) => void;
}

const triesMax = 3;
/** Messages whose having been set aside is remembered while the journal still has them. */
const asideMax = 63;
const noteBytes = 16;
/** Of the file with what was set aside. */
const quarantineBytes = 1 << 20;

export class PoisonGuard {
  /** Messages set aside in this run. */
  quarantined = 0;
  readonly #options: PoisonGuardOptions;
  readonly #file: number;
  /** What an earlier run was working on when it ended, and how often that had been tried. */
  readonly #suspect: number;
  readonly #tries: number;
  readonly #aside: number[];
  #isOver = false;

  /** Throws what the disk says. */
  constructor(options: PoisonGuardOptions) {
    this.#options = options;
    const path = join(options.directory, 'trying');
    const [suspect = 0, tries = 0, ...aside] = readNumbers(path);
    this.#suspect = suspect;
    this.#tries = tries;
    this.#aside = aside.filter((sequence) => sequence > options.releasedThrough);
    this.#file = openSync(path, 'w');
    this.#write(suspect, tries);
  }

  /** Whether a message, by its number in the journal, is to be worked on; otherwise it is, or was, set aside. */
  mayTry(sequence: number, message: JournalMessage): boolean {
    if (this.#isOver) return true;
    if (sequence === 0 || sequence > this.#options.through) {
      this.close();
      return true;
    }
    if (this.#aside.includes(sequence)) return false;
    const tries = sequence === this.#suspect ? this.#tries + 1 : 1;
    if (tries > triesMax) {
      this.#setAside(sequence, message);
      return false;
    }
    this.#write(sequence, tries);
    return true;
  }

  /** Nothing of what an earlier run left is worked on any more. */
  close(): void {
    if (this.#isOver) return;
    this.#write(0, 0);
    this.#isOver = true;
    closeSync(this.#file);
  }

  #setAside(sequence: number, message: JournalMessage): void {
    this.quarantined++;
    const where = keep(join(this.#options.directory, 'quarantine.ndjson'), message);
    this.#options.onProblem(
      `${message.topic}: a message was never done with in ${triesMax} starts and is set aside, ${where}`,
    );
    this.#aside.push(sequence);
    if (this.#aside.length > asideMax) this.#aside.shift();
    this.#write(0, 0);
  }

  #write(sequence: number, tries: number): void {
    // What was set aside in an earlier run stays where it is in the file, so a write that is cut loses nothing of it.
    const numbers = [sequence, tries, ...this.#aside];
    const bytes = Buffer.from(Float64Array.from(numbers).buffer);
    writeSync(this.#file, bytes, 0, bytes.length, 0);
  }
}

function readNumbers(path: string): number[] {
  try {
    const bytes = readFileSync(path);
    const whole = bytes.subarray(0, Math.min(bytes.length - (bytes.length % 8), noteBytes + 8 * asideMax));
    return Array.from({ length: whole.length / 8 }, (_, index) => whole.readDoubleLE(8 * index));
  } catch {
    return [];
  }
}

/** As `replay` plays messages, where it is text. Says what became of it. */
function keep(path: string, { receivedMs, topic, payload }: JournalMessage): string {
  const text = Buffer.from(payload).toString('utf8');
  const isText = Buffer.from(text).equals(payload);
  const content = isText ? { payload: text } : { base64: Buffer.from(payload).toString('base64') };
  const line = `${JSON.stringify({ t: receivedMs, topic, ...content })}\n`;
  try {
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (size + line.length > quarantineBytes) return `not kept, since ${path} is full`;
    appendFileSync(path, line);
    return `kept in ${path}`;
  } catch (error) {
    return `not kept: ${(error as Error).message}`;
  }
}
