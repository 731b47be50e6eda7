/** The label of the moment, as a topic tells it. */
import { describe } from './config/checker.ts';
import { folded, type LabelConfig, type RecordConfig } from './config/record.ts';
import { valueAt } from './json-path.ts';
import { numberOfText } from './payloads/value.ts';

export class Labels {
  /** The class that holds; undefined until it was told. */
  current: string | undefined;
  /** Messages that named no class; the first is told. */
  unknown = 0;
  readonly #label: LabelConfig;
  readonly #record: RecordConfig;
  readonly #onProblem: (text: string) => void;

  constructor(label: LabelConfig, record: RecordConfig, onProblem: (text: string) => void) {
    this.#label = label;
    this.#record = record;
    this.#onProblem = onProblem;
    // Before the first press nothing else could be told.
    if (label.isButton) this.current = record.classes[0];
  }

  /** Takes a message of the label's topic. Never throws. */
  hear(payload: Uint8Array, retained: boolean): void {
    const value = this.#valueOf(Buffer.from(payload).toString('utf8'));
    // Most messages of a button's topic are about something else: its battery, that it was let go.
    if (this.#label.isButton) {
      if (value !== undefined && value !== null && value !== '' && !retained) this.#press();
      return;
    }
    const found = this.#classOf(value);
    if (found !== undefined) this.current = found;
    else if (this.unknown++ === 0)
      this.#onProblem(
        `${this.#label.filter}: expected one of ${this.#record.classes.join(', ')}, got ${describe(value)} (told once, then only counted)`,
      );
  }

  #press(): void {
    const { classes } = this.#record;
    this.current = classes[(classes.indexOf(this.current!) + 1) % classes.length];
  }

  #valueOf(text: string): unknown {
    const { path } = this.#label;
    if (path === undefined) return text;
    try {
      return valueAt(JSON.parse(text), path);
    } catch {
      return undefined;
    }
  }

  #classOf(value: unknown): string | undefined {
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean')
      return undefined;
    const { classes, task } = this.#record;
    const name = classes.find((each) => folded(each) === folded(String(value)));
    if (name !== undefined || task !== 'anomaly') return name;
    const number = numberOfText(String(value).trim());
    return number === 0 || number === 1 ? String(number) : undefined;
  }
}
