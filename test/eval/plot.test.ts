/** The picture says what the evaluation says. */
import { describe, expect, it } from 'vitest';
import type { Evaluation } from '../../src/eval/evaluation.ts';
import { plotEvaluation } from '../../src/eval/plot.ts';

function runOf(name: string, value: number, macsPerTick: number) {
  const metric = { [name]: value };
  const interval = { [name]: [value - 0.01, value + 0.01] as const };
  return { metric, interval, macsPerTick, retention: 1 };
}

function evaluationOf(task: Evaluation['task'], name: string, rivals: Record<string, number>): Evaluation {
  const gated = runOf(name, 0.9, 10_000);
  return {
    task,
    metric: gated.metric,
    gated: { ...gated, skipRate: 0.9, tierShares: [0.1, 0, 0, 0.9] },
    dense: runOf(name, 0.95, 100_000),
    retention: 0.95,
    retentionInterval: [0.9, 1],
    computeReduction: 10,
    timeReduction: 9,
    tiers: [runOf(name, 0.95, 100_000), runOf(name, 0.94, 50_000), runOf(name, 0.93, 25_000)],
    float: null,
    curve: [{ ...runOf(name, 0.85, 5_000), thresholdScale: 2, skipRate: 0.95 }],
    rivals: Object.fromEntries(
      Object.entries(rivals).map(([rival, value]) => [rival, { metric: { [name]: value }, interval: {} }]),
    ),
  };
}

/** Height of a mark, by its title. */
function heightOf(svg: string, title: string): number {
  const circle = new RegExp(`cy="([\\d.]+)" r="[\\d.]+"><title>${title}: `).exec(svg);
  return Number(circle![1]);
}

describe('plotEvaluation', () => {
  const svg = plotEvaluation(evaluationOf('classify', 'accuracy', { lda: 0.92, majority: 0.2 }), 'a < b');

  it('has every run at its place, better above worse', () => {
    const heights = ['dense', 'tier 1', 'tier 2', 'gated', 'x 2'].map((name) => heightOf(svg, name));
    expect(heights).toEqual([...heights].sort((a, b) => a - b));
    expect(new Set(heights).size).toBe(5);
  });

  it('draws the rivals as lines, and only names one that is far off', () => {
    expect(svg).toContain('lda 0.92</text>');
    expect(svg).toContain('majority 0.2 (not shown)</text>');
    expect(svg.match(/class="rival"/g)).toHaveLength(1);
  });

  it('is text that any reader of SVG takes, for light and dark pages', () => {
    expect(svg).toContain('a &lt; b');
    expect(svg).toContain('prefers-color-scheme: dark');
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    const open = svg.match(/<(?!\/|\?)[a-z]+/g)!.length;
    const closed = svg.match(/<\/[a-z]+>|\/>/g)!.length;
    expect(closed).toBe(open);
  });

  it('turns an error around, so that better is above there too', () => {
    const turned = plotEvaluation(evaluationOf('forecast', 'mse', {}), 'made');
    expect(heightOf(turned, 'gated')).toBeLessThan(heightOf(turned, 'dense'));
  });

  it('has a panel for each file', () => {
    const one = evaluationOf('classify', 'accuracy', {});
    const interval = { accuracy: [0, 1], 'accuracy:a.csv': [0, 1], 'accuracy:b.csv': [0, 1] } as const;
    const metric = { accuracy: 0.5, 'accuracy:a.csv': 0.5, 'accuracy:b.csv': 0.5 };
    const two = plotEvaluation({ ...one, gated: { ...one.gated, interval, metric } }, 'made');
    expect(two).toContain('made, accuracy on a.csv');
    expect(two).toContain('made, accuracy on b.csv');
  });
});
