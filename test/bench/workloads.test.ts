import { describe, expect, it } from 'vitest';
import { ablate, verdicts } from '../../src/bench/ablation.ts';
import { DeltaProduct, measureDelta } from '../../src/bench/delta-layer.ts';
import { openLoopLatencies } from '../../src/bench/open-loop.ts';
import { randomFeatures, randomModel } from '../../src/bench/random-model.ts';
import { measuredElsewhere, variants } from '../../src/bench/techniques.ts';
import { timeInTurns } from '../../src/bench/turns.ts';
import { claimsRead } from '../../src/bench/workload-claims.ts';
import { openSubject, workloadModel, workloadProtocol } from '../../src/bench/workload-subject.ts';
import { measureWorkload } from '../../src/bench/workloads.ts';
import { findTarget } from '../../src/energy/target.ts';
import { Engine } from '../../src/engine/engine.ts';
import { Random } from '../../src/train/random.ts';
import { workloadNames, workloads } from '../../src/workloads/physics.ts';

const effort = { rounds: 1, sliceMs: 1, quick: true };

describe('openLoopLatencies', () => {
  it('is a queue that is simulated event by event', () => {
    const random = new Random(1);
    const service = Float64Array.from({ length: 5000 }, () => 10 * random.uniform());
    const latency = new Float64Array(service.length);
    openLoopLatencies(service, 6, 7, latency);
    // The same arrivals again, with absolute times.
    const arrivals = new Random(0x4152, 7);
    let [arrival, free] = [0, 0];
    for (let tick = 0; tick < service.length; tick++) {
      free = Math.max(free, arrival) + service[tick]!;
      expect(latency[tick]).toBeCloseTo(free - arrival, 6);
      arrival += -6 * Math.log(1 - arrivals.uniform());
    }
  });

  it('has the mean that the formula of Pollaczek and Khinchine gives for constant service', () => {
    const service = new Float64Array(400_000).fill(7);
    const latency = new Float64Array(service.length);
    openLoopLatencies(service, 10, 1, latency);
    const mean = latency.reduce((sum, value) => sum + value, 0) / latency.length;
    // Service 7 at utilisation 0.7: waiting 0.7 x 7 / (2 x 0.3).
    expect(mean).toBeGreaterThan(0.95 * (7 + (0.7 * 7) / 0.6));
    expect(mean).toBeLessThan(1.05 * (7 + (0.7 * 7) / 0.6));
  });
});

describe('delta layer', () => {
  it('is exact, whatever changes', () => {
    const model = randomModel();
    const { embedding } = model.weights;
    const { features, hidden } = model.config;
    const delta = new DeltaProduct([embedding], features);
    const ticks = randomFeatures(features * 50, 3);
    for (let tick = 0; tick < 50; tick++) {
      delta.update(ticks, tick * features);
      for (let row = 0; row < hidden; row++) {
        let sum = 0;
        for (let i = 0; i < features; i++) {
          sum += embedding.weight[row * features + i]! * ticks[tick * features + i]!;
        }
        expect(delta.sums[row]).toBe(sum);
      }
    }
    expect(delta.update(ticks, 49 * features)).toBe(0);
  });

  it('is measured beside the whole product', async () => {
    const model = randomModel();
    const lines = await measureDelta(
      'made',
      model,
      randomFeatures(model.config.features * 20, 1),
      20,
      effort,
      'exact',
    );
    expect(lines.map((line) => line.case)).toEqual([
      'made, embedding, whole',
      'made, embedding, delta',
      'made, first q, k, v, whole',
      'made, first q, k, v, delta',
    ]);
    for (const line of lines) expect(line.median).toBeGreaterThan(0);
    expect(lines[1]!.changedInputs).toBeGreaterThan(0.5);
  });
});

describe('workloads', () => {
  it.each(workloadNames)('%s has a model that fits it and was not made from what it is scored on', (name) => {
    const { meaning } = workloadModel(name);
    const protocol = workloadProtocol(workloads[name], workloadModel(name), 50);
    expect(meaning.channels.map((channel) => channel.name)).toEqual(
      protocol.recording.channels.map((channel) => channel.name),
    );
    expect(meaning.provenance.recording).toBe(name);
    expect(Object.keys(meaning.provenance.trainingFiles as object)).not.toContain('test.csv');
    expect(meaning.provenance.tuned).toMatchObject({ recording: name, rows: 'training and validation' });
  });

  it('compares gated with dense in one run, and counts what each did', async () => {
    const subject = openSubject(workloads.interactive, 400, 'exact');
    const [dense, gated] = await measureWorkload(subject, effort, findTarget('x64'));
    expect(dense).toMatchObject({ suite: 'workloads', case: 'interactive, tier 0 always', skipRate: 0 });
    expect(dense!.macsPerTick).toBeLessThanOrEqual(subject.engine.cost(subject.engine.plans[0]!.write).macs);
    const share = Number(gated!.macsPerTick) / Number(dense!.macsPerTick);
    expect(share).toBeLessThanOrEqual(1.02 * (1 - Number(gated!.skipRate)));
    expect(gated!.bytesPerTick).toBeLessThan(Number(dense!.bytesPerTick));
    expect(gated).toMatchObject({ claimedSpeedup: '4-6', claimCorrected: 2.91, asked: '5 at 0.98' });
    expect(Number(gated!.openLoopP99Us)).toBeGreaterThan(0);
    expect(Number(gated!.kept)).toBeGreaterThan(0);
    const { protocol, dense: always } = subject;
    const [once] = await timeInTurns(protocol, [always], 5, 0);
    expect(once!.everyUs, 'without any time there is one round').toHaveLength(400);
    expect(once!.meanUs).toBeGreaterThan(0);
    expect(claimsRead([dense!, gated!]).join('\n')).toMatch(/- interactive .*: \/ [\d.]+, keeps [\d.]+ /);
  });
});

describe('ablation', () => {
  it('plays each technique that the model can run or has a model for, the default first', async () => {
    const model = workloadModel('streaming');
    const engine = new Engine(model, { streams: 2 });
    const protocol = workloadProtocol(workloads.streaming, model, 300);
    const trained = (ending: string) => (ending === 'routing' ? engine : undefined);
    const lines = await ablate({ name: 'streaming', engine, protocol, trained }, 3);
    const runnable = variants.filter(
      ({ options, ending }) => options(engine) !== null && (ending === undefined || ending === 'routing'),
    );
    expect(lines.map((line) => line.case)).toEqual(
      runnable.map(({ technique, name }) => `streaming, ${technique}: ${name}`),
    );
    const [own, off] = lines;
    expect(own!.verdict).toBe('default');
    expect(off).toMatchObject({ skipRate: 0, computeReduction: 1 });
    expect(Number(own!.computeReduction)).toBeGreaterThan(1);
    expect(verdicts(lines).length).toBe(variants.length + measuredElsewhere.length);
  });
});
