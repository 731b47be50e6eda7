import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Tier } from '../../src/engine/config.ts';
import type { Protocol } from '../../src/eval/protocols.ts';
import { runTests, type Ticker } from '../../src/eval/runs.ts';
import type { Recording } from '../../src/recording/recording.ts';
import { fitStandardiser } from '../../src/statistics/statistics.ts';
import { makeRecording, makeSeries } from './helpers.ts';

/** Notes what it is shown; tiers take turns. */
class FakeTicker implements Ticker<number> {
  readonly seen: string[] = [];
  output = -1;
  #turn = 0;

  tick({ timeMs, values }: { timeMs: number; values: Float64Array }): { tier: Tier; macs: number } {
    this.seen.push(`${timeMs}: ${[...values].join(' ')}`);
    this.output = values[0]!;
    const tier = (this.#turn++ % 4) as Tier;
    return { tier, macs: tier === 3 ? 0 : 100 - tier };
  }

  reset(): void {
    this.seen.push('reset');
    this.#turn = 0;
  }
}

function protocolOf(changes: Partial<Recording>, rows: number[], scoredFrom: number): Protocol {
  const tests = rows.map((count, file) => {
    const values = Array.from({ length: count }, (_, row) => [10 * file + row, 0.5]);
    return { series: makeSeries(`${file}.csv`, values, null), scoredFrom };
  });
  const standardiser = fitStandardiser(tests[0]!.series.values, 2);
  return { recording: makeRecording(changes), channels: 2, train: [], tests, standardiser };
}

describe('runTests', () => {
  it('plays each file from its first row through a ticker that was reset', () => {
    const ticker = new FakeTicker();
    runTests(protocolOf({}, [3, 2], 0), ticker, { warmUpRows: 0 });
    expect(ticker.seen).toEqual([
      'reset',
      '0: 0 0.5',
      '1000: 1 0.5',
      '2000: 2 0.5',
      'reset',
      '0: 10 0.5',
      '1000: 11 0.5',
    ]);
  });

  it('counts the scored rows alone', () => {
    const counts = runTests(protocolOf({ task: 'anomaly' }, [10], 4), new FakeTicker(), { warmUpRows: 0 });
    expect(counts.ticks).toBe(6);
    expect(counts.tierTicks).toEqual([2, 2, 1, 1]);
    expect(counts.macs).toBe(2 * 100 + 2 * 99 + 98);
  });

  it('begins a forecast some rows before the first scored one, and ends where windows end', () => {
    const ticker = new FakeTicker();
    const rows: number[] = [];
    const recorder = { row: (_: number, row: number) => rows.push(row) };
    const protocol = protocolOf({ task: 'forecast', horizon: 3 }, [20], 10);
    const counts = runTests(protocol, ticker, { warmUpRows: 2, recorder });
    expect(rows).toEqual([7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    expect(counts.ticks).toBe(8);
  });

  it('holds the output where ticks are left out', () => {
    const ticker = new FakeTicker();
    const rows: [number, number, boolean][] = [];
    const recorder = {
      row: (_: number, row: number, output: number, facts: unknown) =>
        rows.push([row, output, facts !== null]),
    };
    const counts = runTests(
      protocolOf({}, [6], 0),
      { ...bind(ticker) },
      { warmUpRows: 0, rate: 0.5, recorder },
    );
    expect(rows.map(([, , due]) => due)).toEqual([true, false, true, false, true, false]);
    expect(counts.tierTicks[3]).toBe(3);
  });

  it('leaves out exactly the share it was told to, give or take one tick', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 300 }),
        (rate, rows) => {
          const ticker = new FakeTicker();
          runTests(protocolOf({}, [rows], 0), ticker, { warmUpRows: 0, rate });
          expect(Math.abs(ticker.seen.length - 1 - rate * rows)).toBeLessThanOrEqual(1);
        },
      ),
      { seed: 7 },
    );
  });
});

function bind(ticker: FakeTicker): Ticker<number> {
  return { tick: (frame) => ticker.tick(frame), reset: () => ticker.reset(), output: 0 };
}
