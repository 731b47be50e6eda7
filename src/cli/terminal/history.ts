/** The recent past in columns: each column sums up so many ticks, so that a fast stream can be watched. */

/** A ring of columns of `series` numbers each; sums, counts and maxima are the caller's choice of what to add. */
export class History {
  readonly columns: number;
  readonly #ticksPerColumn: number;
  readonly #series: number;
  /** [columns + 1, series]: the newest column is the one that fills. */
  readonly #sums: Float64Array;
  readonly #ticks: Float64Array;
  #newest = 0;

  /** Throws RangeError unless all are whole numbers >= 1. */
  constructor(columns: number, ticksPerColumn: number, series: number) {
    for (const [name, value] of Object.entries({ columns, ticksPerColumn, series })) {
      if (!Number.isInteger(value) || value < 1) throw new RangeError(`${name}: expected >= 1, got ${value}`);
    }
    this.columns = columns;
    this.#ticksPerColumn = ticksPerColumn;
    this.#series = series;
    this.#sums = new Float64Array(columns * series);
    this.#ticks = new Float64Array(columns);
  }

  /** Starts a tick; what is added then belongs to its column. */
  nextTick(): void {
    if (this.#ticks[this.#newest]! >= this.#ticksPerColumn) {
      this.#newest = (this.#newest + 1) % this.columns;
      this.#sums.fill(0, this.#newest * this.#series, (this.#newest + 1) * this.#series);
      this.#ticks[this.#newest] = 0;
    }
    this.#ticks[this.#newest]! += 1;
  }

  add(series: number, value: number): void {
    this.#sums[this.#newest * this.#series + series]! += value;
  }

  /** The sums of a series, oldest column first; NaN where there was no tick yet. */
  sums(series: number): number[] {
    return this.#oldestFirst((column) =>
      this.#ticks[column]! > 0 ? this.#sums[column * this.#series + series]! : Number.NaN,
    );
  }

  /** The same, divided by the ticks of the column. */
  means(series: number): number[] {
    return this.#oldestFirst((column) => this.#sums[column * this.#series + series]! / this.#ticks[column]!);
  }

  #oldestFirst(read: (column: number) => number): number[] {
    return Array.from({ length: this.columns }, (_, i) => read((this.#newest + 1 + i) % this.columns));
  }
}
