/** Every suite in miniature: what it counts is right, whatever it took. Speed is asserted nowhere. */
import { describe, expect, test } from 'vitest';
import { gateway } from '../../src/bench/gateway.ts';
import type { BenchResult } from '../../src/bench/harness.ts';
import { timeCalls } from '../../src/bench/latency.ts';
import { policies } from '../../src/bench/policies.ts';
import { readings } from '../../src/bench/prototype.ts';
import { scaling } from '../../src/bench/scaling.ts';
import { speculation } from '../../src/bench/speculation.ts';
import { tables } from '../../src/bench/tables.ts';
import { findTarget } from '../../src/energy/target.ts';
import { policyNames } from '../../src/gate/policy.ts';

const effort = { rounds: 1, sliceMs: 1, quick: true };

function named(results: readonly BenchResult[], name: string): BenchResult {
  const found = results.find((line) => line.case === name);
  expect(found, name).toBeDefined();
  return found!;
}

function expectWhole(results: readonly BenchResult[], suite: string): void {
  expect(new Set(results.map((line) => line.case)).size, 'cases have different names').toBe(results.length);
  for (const line of results) {
    expect(line).toMatchObject({ suite, unit: 'us', node: process.version });
    expect(line.median, line.case).toBeGreaterThan(0);
    expect(line.p99, line.case).toBeGreaterThanOrEqual(line.median);
    expect(line.samples, line.case).toBeGreaterThan(0);
    for (const value of Object.values(line)) expect(value, line.case).not.toBeNaN();
  }
}

test('tables: each preset and tier, counted', async () => {
  const results = await tables(effort, 'exact', findTarget('x64'));
  expectWhole(results, 'tables');
  expect(results).toHaveLength(2 * (3 * 3 + 2));
  const step = named(results, 'baseline tier 0 step');
  expect(step).toMatchObject({ ratio: 1, macRatio: 1, expectedRatio: 1, offPercent: 0, claimedUs: null });
  // 12 h^2 a layer, 2 x 16 positions x h; 36 features, 2 outputs.
  expect(step.macs).toBe(4 * (12 * 256 ** 2 + 2 * 16 * 256) + 36 * 256 + 2 * (256 + 36));
  expect(step.bytes).toBeGreaterThan(4 * 12 * 256 ** 2);
  expect(named(results, 'baseline tier 1 step').macRatio).toBe(0.499);
  const whole = named(results, 'micro tier 1 prefill all 16');
  expect(whole).toMatchObject({ claimedUs: 320, claimedRatio: 0.376 });
  // (18 W - 6 W) / 4 cores.
  expect(Number(whole.modelledUj) / whole.median).toBeCloseTo(3, 1);
  expect(named(results, 'micro tier 3 skip')).toMatchObject({ tier: 3, macs: 0, bytes: 0, claimedUs: 12 });
  const last = named(results, 'micro tier 0 prefill last 32');
  expect(Number(last.macs)).toBeLessThan(Number(named(results, 'micro tier 0 prefill all 32').macs) / 5);
  expect(readings(results).join('\n')).not.toMatch(/NaN|undefined|\?/);
});

test('tables: without a target there is no modelled energy', async () => {
  const results = await tables(effort, 'exact');
  expect(named(results, 'micro tier 0 step').modelledUj).toBeNull();
});

test('scaling: sequences, layers, widths and streams', async () => {
  const results = await scaling(effort, 'exact');
  expectWhole(results, 'scaling');
  const dense = named(results, 'sequence 1024, dense');
  // 2 layers x n (n + 1) / 2 positions x 2 x 128.
  const attention = 2 * ((1024 * 1025) / 2) * 2 * 128;
  expect(dense.attentionShare).toBeCloseTo(attention / Number(dense.macs), 2);
  expect(dense).toMatchObject({
    overWindowed: expect.any(Number),
    attentionOverWindowed: expect.any(Number),
  });
  const [one, batch] = ['one by one', 'one batch'].map((name) =>
    named(results, `baseline, 256 streams, ${name}`),
  );
  expect(one!.weightBytesPerToken).toBe(
    named(results, 'baseline, 1 streams, one by one').weightBytesPerToken,
  );
  expect(Number(one!.weightBytesPerToken) / Number(batch!.weightBytesPerToken)).toBeCloseTo(256, 0);
}, 60_000);

describe('gateway', () => {
  test('one message is a skip or a token, as the case says', async () => {
    const results = await gateway(effort);
    expectWhole(results, 'gateway');
    expect(Number(named(results, 'JSON message, skipped').tokenShare)).toBeLessThan(0.1);
    expect(named(results, 'JSON message, a token each').tokenShare).toBe(1);
  });
});

describe('the tail', () => {
  test('a call that makes garbage is found out', async () => {
    const kept: number[][] = [];
    const { pauses, timing, maxUs } = await timeCalls((index) => {
      kept[index % 8] = new Array(1000).fill(index);
    }, 20_000);
    expect(pauses.minor + pauses.major).toBeGreaterThan(0);
    expect(pauses.totalMs).toBeGreaterThan(0);
    expect(timing.samples).toBe(20_000);
    expect(timing.medianUs).toBeLessThanOrEqual(timing.p99Us);
    expect(timing.p999Us).toBeLessThanOrEqual(maxUs);
  });

  test('one that makes none is not blamed, and neither is the clock', async () => {
    let sum = 0;
    const { pauses } = await timeCalls((index) => {
      sum = (sum + index) | 0;
    }, 100_000);
    expect(pauses).toEqual({ minor: 0, major: 0, totalMs: 0 });
    expect(sum).not.toBe(0);
  });

  test('slow calls are made as often as their time allows, and that is told', async () => {
    let calls = 0;
    const { timing } = await timeCalls(
      () => {
        calls++;
        const end = performance.now() + 1;
        while (performance.now() < end);
      },
      100_000,
      150,
    );
    // A millisecond and more each, in 150 ms; never fewer than a hundred.
    expect(timing.samples).toBeGreaterThanOrEqual(100);
    expect(timing.samples).toBeLessThanOrEqual(150);
    expect(calls - timing.samples).toBeLessThan(250);
  });
});

test('speculation: all drafts accepted', async () => {
  const results = await speculation(effort, 'exact');
  expectWhole(results, 'speculation');
  expect(named(results, 'micro, 1 and 3: 1 of 2 layers draft 3').acceptedShare).toBe(1);
});

test('policies: each that the model can follow, beside steady on the same rows', async () => {
  const results = await policies(effort, 'exact');
  expectWhole(results, 'policies');
  const lines = results.filter((line) => line.case.startsWith('streaming, thresholds x 0.5, '));
  const policyOfCase = (line: BenchResult) => line.case.split(', ').at(-1);
  expect(lines.map(policyOfCase)).toEqual(policyNames.filter((name) => name !== 'energy'));
  expect(named(results, 'streaming, steady')).toMatchObject({ computeOfSteady: 1, keptOfSteady: 1 });
  expect(named(results, 'streaming, events').computeOfSteady).toBeGreaterThan(1);
});
