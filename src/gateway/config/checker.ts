/** Checks a parsed document field by field and collects everything that is wrong with it. */
import { didYouMean } from '../../text/nearest.ts';

/** One thing that is wrong: where it is, what was expected, what was got. */
export interface ConfigProblem {
  /** Dotted, as in `mqtt.keepaliveS`; empty for the document itself. */
  readonly path: string;
  readonly expected: string;
  readonly got: string;
  /** 1-based line in the file, where known. */
  readonly line?: number;
}

/** `path (line N): expected X, got Y`. */
export function formatProblem(problem: ConfigProblem): string {
  const line = problem.line === undefined ? '' : ` (line ${problem.line})`;
  return `${problem.path || 'config'}${line}: expected ${problem.expected}, got ${problem.got}`;
}

/** Where a key stands: keys from the root. */
export type KeyPath = readonly string[];

/** Collects problems; `lineOf` finds the line of a path in the source. */
export class Problems {
  readonly list: ConfigProblem[] = [];
  /** What is right, but perhaps not what was meant. */
  readonly hints: string[] = [];
  readonly #lineOf: (path: KeyPath) => number | undefined;

  constructor(lineOf: (path: KeyPath) => number | undefined = () => undefined) {
    this.#lineOf = lineOf;
  }

  add(path: KeyPath, expected: string, got: string): void {
    const line = this.#lineOf(path);
    const problem = { path: path.join('.'), expected, got };
    this.list.push(line === undefined ? problem : { ...problem, line });
  }

  hint(path: KeyPath, text: string): void {
    const line = this.#lineOf(path);
    this.hints.push(`${path.join('.')}${line === undefined ? '' : ` (line ${line})`}: ${text}`);
  }
}

export interface NumberRule {
  readonly min: number;
  readonly max: number;
  readonly integer?: boolean;
}

/**
 * One mapping of the document. Each method returns the checked value, or a stand-in after noting a problem, so that
 * one pass finds all of them. `undefined` and `null` (an empty YAML value) both mean "not given".
 */
export class Section {
  readonly path: KeyPath;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly problems: Problems;

  /** Without `keys` any key may be there. */
  constructor(problems: Problems, path: KeyPath, value: unknown, keys?: readonly string[]) {
    this.problems = problems;
    this.path = path;
    this.fields = this.#requireMapping(value);
    if (keys !== undefined) this.onlyKeys(keys);
  }

  /** Notes each key that is none of these. */
  onlyKeys(keys: readonly string[]): void {
    for (const key of Object.keys(this.fields)) if (!keys.includes(key)) this.#unknownKey(key, keys);
  }

  has(key: string): boolean {
    return this.value(key) !== undefined;
  }

  value(key: string): unknown {
    return Object.hasOwn(this.fields, key) ? (this.fields[key] ?? undefined) : undefined;
  }

  /** A mapping within this one; a missing one counts as empty. */
  section(key: string, keys?: readonly string[]): Section {
    return new Section(this.problems, [...this.path, key], this.value(key) ?? {}, keys);
  }

  /** A mapping that may be nothing but switched on (`true`, or the key alone); undefined when it is absent or `false`. */
  switch(key: string, keys: readonly string[]): Section | undefined {
    const given = Object.hasOwn(this.fields, key) ? this.fields[key] : false;
    if (given === false) return undefined;
    return new Section(this.problems, [...this.path, key], given === true ? {} : (given ?? {}), keys);
  }

  /** Text; required unless there is a fallback. */
  text(key: string, fallback?: string, what = 'text'): string {
    const value = this.value(key) ?? fallback;
    if (typeof value === 'string' && value !== '') return value;
    this.add(key, what, describe(this.value(key)));
    return fallback ?? '';
  }

  /** Text that may be missing. */
  optionalText(key: string, what = 'text'): string | undefined {
    return this.has(key) ? this.text(key, undefined, what) : undefined;
  }

  /** A number; required unless there is a fallback. */
  number(key: string, rule: NumberRule, fallback?: number): number {
    const value = this.value(key) ?? fallback;
    if (typeof value === 'number' && value >= rule.min && value <= rule.max) {
      if (!rule.integer || Number.isInteger(value)) return value;
    }
    this.add(key, `a ${rule.integer ? 'whole ' : ''}number from ${rule.min} to ${rule.max}`, describe(value));
    return fallback ?? rule.min;
  }

  whole(key: string, min: number, max: number, fallback?: number): number {
    return this.number(key, { min, max, integer: true }, fallback);
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.value(key) ?? fallback;
    if (typeof value === 'boolean') return value;
    this.add(key, 'true or false', describe(value));
    return fallback;
  }

  /** One of a few words; a number in the document counts as its text. */
  choice<T extends string>(key: string, choices: readonly T[], fallback: T): T {
    const value = this.value(key) ?? fallback;
    const found = typeof value === 'object' ? undefined : choices.find((choice) => choice === String(value));
    if (found !== undefined) return found;
    const near = typeof value === 'string' ? didYouMean(value, choices) : '';
    this.add(key, `one of ${choices.join(', ')}`, `${describe(value)}${near}`);
    return fallback;
  }

  add(key: string, expected: string, got: string): void {
    this.problems.add([...this.path, key], expected, got);
  }

  #requireMapping(value: unknown): Record<string, unknown> {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
    this.problems.add(this.path, 'a mapping (key: value)', describe(value));
    return {};
  }

  #unknownKey(key: string, keys: readonly string[]): void {
    const near = didYouMean(key, keys);
    const expected = near === '' ? `one of the keys ${keys.join(', ')}` : 'a known key';
    this.add(key, expected, `the unknown key ${JSON.stringify(key)}${near}`);
  }
}

/** A value as an error shows it: short, and telling its type. */
export function describe(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object') return 'a mapping';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
