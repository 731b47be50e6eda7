import { expect, it } from 'vitest';
import { renderSummary, type Summary } from '../../../src/cli/terminal/summary.ts';

const summary: Summary = {
  name: 'simulated office room, seed 1',
  truth: 'the simulated truth',
  wallS: 60.2,
  playedMs: 6000 * 60_000,
  ticks: 6000,
  tiers: [1000, 100, 34, 4866],
  scored: 6000,
  right: 5874,
  macs: 450e6,
  macsDense: 2.4e9,
  cpuMs: 2345,
  energy: {
    source: 'model',
    target: 'pi4',
    basis: 'published',
    aboveIdleJ: 1.76,
    totalJ: 182,
    savedEstimateJ: 0.7,
  },
  lost: 0,
};

it('reads like this', () => {
  expect(`\n${renderSummary(summary).join('\n')}\n`).toMatchInlineSnapshot(`
    "
    simulated office room, seed 1
      ticks     6 000: 4.17 days in 1:00
      tokens    1 134; skipped 81.1 %
      tiers     full 1 000, reduced 100, safe 34
      accuracy  97.9 % of 6 000 ticks, against the simulated truth
      MACs      450 M of 2.40 G dense: 5.3 times fewer
      CPU time  2.35 s, broker and player included
      energy    1.76 J above idle, 182 J in all (model: pi4, watts published)
      saved     about 0.7 J by not computing (an estimate)
    "
  `);
});

it('claims nothing that is not known', () => {
  const nothing = {
    ...summary,
    scored: 0,
    ticks: 0,
    tiers: [0, 0, 0, 0] as const,
    macs: 0,
    macsDense: 0,
    energy: { ...summary.energy, savedEstimateJ: Number.NaN },
    lost: 3,
  };
  const text = renderSummary(nothing).join('\n');
  expect(text).not.toMatch(/NaN|accuracy|saved|Infinity/);
  expect(text).toContain('3 ticks were still on their way');
});
