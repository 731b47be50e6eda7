import fc from 'fast-check';
import { expect, test } from 'vitest';
import { measure, quantileUs, result, rounded, summarise } from '../../src/bench/harness.ts';

const effort = { rounds: 2, sliceMs: 2, quick: true };

/** Busy for so many milliseconds. */
function busy(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

test('cases come back in their order, each with its own time', async () => {
  let calls = 0;
  const [long, short] = await measure(
    [
      { name: 'long', run: () => busy(1) },
      { name: 'short', batch: 10, run: () => void calls++ },
    ],
    effort,
  );
  expect(long!.medianUs).toBeGreaterThanOrEqual(1000);
  expect(short!.medianUs).toBeLessThan(1000);
  expect(calls % 10).toBe(0);
  expect(short!.samples).toBe(short!.sortedUs.length);
});

test('rounds end with their time, after the first', async () => {
  const run = () => busy(10);
  const endless = { ...effort, rounds: Number.POSITIVE_INFINITY };
  const [none] = await measure([{ name: 'slow', run }], { ...endless, runMsMax: 0 });
  expect(none!.samples).toBe(1);
  const [some] = await measure([{ name: 'slow', run }], { ...endless, runMsMax: 100 });
  expect(some!.samples).toBeLessThanOrEqual(10);
});

test('a quantile is a time that was measured, and so large a share does not exceed it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (times, share) => {
        const { sortedUs } = summarise(Float64Array.from(times));
        const at = quantileUs(sortedUs, share);
        expect(times).toContain(at);
        expect(times.filter((time) => time <= at).length).toBeGreaterThanOrEqual(
          Math.floor(share * times.length),
        );
      },
    ),
    { seed: 20261124 },
  );
});

test('a thousand times from 1 to 1000', () => {
  const timing = summarise(Float64Array.from({ length: 1000 }, (_, i) => 1000 - i));
  expect(timing).toMatchObject({ medianUs: 501, p99Us: 991, p999Us: 1000, samples: 1000 });
});

test('a line says what was measured where', () => {
  const timing = { medianUs: 12.34567, p99Us: 99, p999Us: 100, samples: 7 };
  const line = result('tables', 'a case', 'exact', timing, { tier: 1 });
  expect(line).toMatchObject({
    suite: 'tables',
    case: 'a case',
    unit: 'us',
    median: 12.35,
    p99: 99,
    tier: 1,
  });
  expect(line).toMatchObject({ node: process.version, kernel: 'exact', samples: 7 });
  expect(line.cpu).not.toBe('');
  expect(rounded(0.0123456)).toBe(0.0123);
});
