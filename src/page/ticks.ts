/** The ticks that the page has, oldest first, as uPlot wants them: a column per series. */
import type { TickColumns } from './protocol.ts';
import { numeral } from './text.ts';

type Value = number | null;

export class Ticks {
  /** Seconds since 1970, rising. */
  timeS: number[] = [];
  tier: number[] = [];
  trust: number[] = [];
  reason: number[] = [];
  lambda: Value[] = [];
  lambdaFloor: Value[] = [];
  reference: Value[] = [];
  top: number[] = [];
  score: Value[] = [];
  values: Value[][];
  fired: number[][];
  /** The number of the tick to come. */
  next = 0;
  readonly #most: number;

  constructor(most: number, channels: number) {
    this.#most = most;
    this.values = Array.from({ length: channels }, () => []);
    this.fired = Array.from({ length: channels }, () => []);
  }

  get length(): number {
    return this.timeS.length;
  }

  /** Takes what is new of it. Time that has gone back begins a new picture. */
  add(columns: TickColumns): void {
    const { timeMs, first } = columns;
    const from = Math.max(0, this.next - first);
    if (from >= timeMs.length) return;
    const goesBack = (at: number) => timeMs[at]! <= timeMs[at - 1]!;
    let begin = from;
    for (let at = from + 1; at < timeMs.length; at++) if (goesBack(at)) begin = at;
    if (begin > from || timeMs[begin]! / 1000 <= (this.timeS.at(-1) ?? Number.NEGATIVE_INFINITY))
      this.#keep(0);
    this.#append(columns, begin);
    this.next = first + timeMs.length;
    if (this.length > this.#most) this.#keep(this.#most);
  }

  /** Of the n-th tick, for people: where it lies if only bounds are known. */
  lambdaText(index: number): string {
    const lambda = this.lambda[index] ?? null;
    const floor = this.lambdaFloor[index] ?? null;
    if (lambda === null) return 'not known yet';
    return floor === lambda ? numeral(lambda, 3) : `${numeral(floor, 3)} to ${numeral(lambda, 3)}`;
  }

  #append(columns: TickColumns, from: number): void {
    for (const at of columns.timeMs.keys()) {
      if (at < from) continue;
      this.timeS.push(columns.timeMs[at]! / 1000);
      this.tier.push(columns.tier[at]!);
      this.trust.push(columns.trust[at]!);
      this.reason.push(columns.reason[at]!);
      this.lambda.push(columns.lambda[at]!);
      this.lambdaFloor.push(columns.lambdaFloor[at]!);
      this.reference.push(columns.reference[at]!);
      this.top.push(columns.top[at]!);
      this.score.push(columns.score[at]!);
      for (const [channel, values] of this.values.entries()) values.push(columns.values[channel]![at]!);
      for (const [channel, fired] of this.fired.entries()) fired.push(columns.fired[channel]![at]!);
    }
  }

  #keep(count: number): void {
    const last = <T>(column: T[]): T[] => (count === 0 ? [] : column.slice(-count));
    this.timeS = last(this.timeS);
    this.tier = last(this.tier);
    this.trust = last(this.trust);
    this.reason = last(this.reason);
    this.lambda = last(this.lambda);
    this.lambdaFloor = last(this.lambdaFloor);
    this.reference = last(this.reference);
    this.top = last(this.top);
    this.score = last(this.score);
    this.values = this.values.map(last);
    this.fired = this.fired.map(last);
  }
}
