/** What somebody forces on a running pipeline. */
import { describe, expect, it } from 'vitest';
import { Engine } from '../../src/engine/engine.ts';
import { explain } from '../../src/gate/explain.ts';
import { conservativePolicy, policyHash, prototypePolicy, steadyPolicy } from '../../src/gate/policy.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { frameOf } from '../gate/fixtures.ts';

function make() {
  const pipeline = new Pipeline(new Engine(tinyModel()), 0, { policy: 'steady' });
  let timeMs = 0;
  // Each value is far from the last, so that both channels fire.
  const spike = () =>
    pipeline.tick(frameOf([timeMs % 2000 ? 20 : 90, timeMs % 2000 ? 40 : 10], (timeMs += 1000)));
  return { pipeline, spike };
}

describe('Pipeline.override', () => {
  it('safe: no token costs more than tier 2, and the witness says that it was forced', () => {
    const { pipeline, spike } = make();
    spike();
    expect(spike()).toMatchObject({ tier: 0, reason: 'none' });
    pipeline.override = 'safe';
    const forced = spike();
    expect(forced).toMatchObject({ tier: 2, reason: 'forcedByFlag', held: false });
    expect(explain(forced, steadyPolicy).why).toContain('no token cost more than tier 2');
    pipeline.override = 'none';
    expect(spike()).toMatchObject({ tier: 0, reason: 'none' });
  });

  it('skip: the last output is held; but the first frame makes a token, the cheapest', () => {
    const { pipeline, spike } = make();
    pipeline.override = 'skip';
    expect(spike()).toMatchObject({ tier: 2, reason: 'forcedByFlag', held: false });
    const { logitsHash } = spike();
    const held = spike();
    expect(held).toMatchObject({ tier: 3, reason: 'forcedByFlag', held: true, macs: 0, logitsHash });
    expect(explain(held, steadyPolicy).why).toContain('held');
    expect(pipeline.counters).toMatchObject({ tokens: 1, skips: 2 });
  });

  it('leaves a tick alone that would be skipped anyway', () => {
    const { pipeline } = make();
    pipeline.tick(frameOf([20, 40], 1000));
    pipeline.override = 'safe';
    expect(pipeline.tick(frameOf([20, 40], 2000))).toMatchObject({ tier: 3, reason: 'noSpike' });
  });
});

describe('Pipeline.usePolicy', () => {
  it('decides by the new one from the next tick on, as its witnesses say', () => {
    const { pipeline, spike } = make();
    expect(spike().policyHash).toBe(policyHash(steadyPolicy));
    pipeline.usePolicy('prototype');
    const witness = spike();
    expect(witness.policyHash).toBe(policyHash(prototypePolicy));
    expect(() => explain(witness, prototypePolicy)).not.toThrow();
    expect(pipeline.policy.name).toBe('prototype');
  });

  it('answers as a pipeline that had the policy from its start, where state has not parted yet', () => {
    const changed = make();
    const other = new Pipeline(new Engine(tinyModel()), 0, { policy: conservativePolicy });
    changed.pipeline.usePolicy('conservative');
    const first = frameOf([20, 40], 1000);
    expect({ ...changed.pipeline.tick(first) }).toEqual({ ...other.tick(first) });
  });

  it('changes nothing where the model does not predict what the policy follows', () => {
    const { pipeline } = make();
    expect(() => pipeline.usePolicy('energy')).toThrow('predicts regret');
    expect(pipeline.policy.name).toBe('steady');
  });
});

describe('Pipeline.forget', () => {
  it('makes the next frame the first, and goes on counting', () => {
    const { pipeline, spike } = make();
    spike();
    spike();
    pipeline.forget();
    expect(pipeline.output.hasValue).toBe(false);
    expect(pipeline.tick(frameOf([20, 40], 60_000))).toMatchObject({
      sequence: 2,
      elapsedIntervals: 0,
      tier: 0,
    });
    expect(pipeline.counters.frames).toBe(3);
  });
});
