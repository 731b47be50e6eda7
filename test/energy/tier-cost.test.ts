import { describe, expect, it } from 'vitest';
import { measureCpuNs, measureTierCosts } from '../../src/energy/tier-cost.ts';
import { Engine } from '../../src/engine/engine.ts';
import { tinyModel } from '../engine/tiny-model.ts';

describe('measureCpuNs', () => {
  it('divides CPU time by calls, warm-up left out', () => {
    let cpuMs = 0;
    let calls = 0;
    const step = () => {
      cpuMs += ++calls <= 5 ? 2 : 1;
    };
    expect(measureCpuNs(step, { cpuMs: () => cpuMs }, 100)).toBeCloseTo(1e6, 6);
  });

  it('ends for a step that takes no time at all', () => {
    expect(measureCpuNs(() => {}, { cpuMs: () => 0 }, 1)).toBe(0);
  });
});

describe('measureTierCosts', () => {
  it('measures each tier with a full context, and leaves the stream empty', () => {
    const engine = new Engine(tinyModel(), { streams: 1 });
    const features = new Int16Array(engine.config.features).fill(300);
    engine.step(0, features, engine.plans[0]!.write);
    const first = [...engine.logits];
    engine.reset(0);
    const costs = measureTierCosts(engine, undefined, 2);
    for (const [tier, { cpuNs, bytes }] of costs.entries()) {
      expect(cpuNs).toBeGreaterThan(0);
      expect(bytes).toBeGreaterThan(0);
      expect(bytes).toBeLessThanOrEqual(engine.cost(engine.plans[tier]!.write).bytes);
    }
    expect(costs[0].bytes).toBeGreaterThanOrEqual(costs[2].bytes);
    engine.step(0, features, engine.plans[0]!.write);
    expect([...engine.logits]).toEqual(first);
  });
});
