import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Coherence, defaultCoherenceSettings, makeGatePacket } from '../../src/gate/coherence.ts';
import { type GatePacket, Q15_ONE } from '../../src/gate/packets.ts';
import { channelsOf, frameOf, heapBytesPerCall, NOTHING_BYTES, randomOf, SEED } from './fixtures.ts';

const { halfLife, shrinkage, edgeThresholdQ15, stillness } = defaultCoherenceSettings;

/** Roughly normal, from 4 uniform numbers. */
function noiseOf(random: () => number): number {
  return (random() + random() + random() + random() - 2) * Math.sqrt(3);
}

/** Ticks of channels that follow one common factor, each with its own noise. */
function driven(seed: number, channels: number, ticks: number, noise: number): number[][] {
  const random = randomOf(seed);
  return Array.from({ length: ticks }, () => {
    const factor = noiseOf(random);
    return Array.from({ length: channels }, () => factor + noise * noiseOf(random));
  });
}

function measureAll(coherence: Coherence, ticks: number[][], normal = true): GatePacket {
  const packet = makeGatePacket();
  ticks.forEach((values, index) => {
    coherence.observe(frameOf(values), index === 0 ? 0 : 1);
    coherence.measure(normal, packet);
  });
  return packet;
}

interface Cut {
  lambda: number;
  side: number;
  graph: number[][];
  /** How much more the second-best cut weighs. */
  margin: number;
}

/** The same from the definition: weights by age, two passes, every cut. `values` is [ticks][channels]. */
function lambdaByDefinition(values: number[][], ages: number[]): Cut {
  const weights = ages.map((age) => 2 ** (-age / halfLife));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const clipped = values.map((row) => row.map((value) => Math.max(-6, Math.min(6, value))));
  const average = (of: (row: number[]) => number) =>
    clipped.reduce((sum, row, tick) => sum + weights[tick]! * of(row), 0) / total;
  const channels = values[0]!.length;
  const means = Array.from({ length: channels }, (_, c) => average((row) => row[c]!));
  const covariance = (a: number, b: number) =>
    average((row) => (row[a]! - means[a]!) * (row[b]! - means[b]!));
  const nodes = means.map((_, c) => c).filter((c) => covariance(c, c) >= stillness ** 2);
  const graph = nodes.map((a) =>
    nodes.map((b) =>
      a === b
        ? 0
        : (Math.abs(covariance(a, b)) / Math.sqrt(covariance(a, a) * covariance(b, b))) * (1 - shrinkage),
    ),
  );
  const cuts = Array.from({ length: 2 ** (nodes.length - 1) - 1 }, (_, index) => {
    const side = 2 * index + 2;
    let weight = 0;
    for (let a = 0; a < nodes.length; a++) {
      for (let b = 0; b < a; b++) if (((side >> a) ^ (side >> b)) & 1) weight += graph[a]![b]!;
    }
    return { side, weight };
  }).sort((a, b) => a.weight - b.weight);
  const [least, second] = cuts;
  const margin = second === undefined ? Number.POSITIVE_INFINITY : second.weight - least!.weight;
  return { lambda: least!.weight / (nodes.length - 1), side: least!.side, graph, margin };
}

const streams = fc.record({
  seed: fc.nat(),
  channels: fc.integer({ min: 2, max: 6 }),
  ticks: fc.integer({ min: 5, max: 150 }),
  noise: fc.double({ min: 0.1, max: 2, noNaN: true }),
});

describe('Coherence, against the definition', () => {
  it('computes the same lambda as two passes over weighted ticks and every possible cut', () => {
    fc.assert(
      fc.property(streams, ({ seed, channels, ticks, noise }) => {
        const values = driven(seed, channels, ticks, noise);
        const packet = measureAll(new Coherence(channelsOf(channels)), values);
        const expected = lambdaByDefinition(
          values,
          values.map((_, tick) => ticks - 1 - tick),
        );
        expect(Math.abs(packet.lambdaQ15 - expected.lambda * Q15_ONE)).toBeLessThanOrEqual(
          channels / 2 + 1e-6,
        );
      }),
      { seed: SEED },
    );
  });

  it('forgets by time, not by frames', () => {
    const random = randomOf(5);
    const values = driven(4, 4, 60, 0.5);
    const gaps = values.map((_, tick) => (tick === 0 ? 0 : 1 + Math.floor(random() * 5)));
    const coherence = new Coherence(channelsOf(4));
    const packet = makeGatePacket();
    for (const [tick, row] of values.entries()) coherence.observe(frameOf(row), gaps[tick]!);
    coherence.measure(true, packet);
    const ages = gaps.map((_, tick) => gaps.slice(tick + 1).reduce((sum, gap) => sum + gap, 0));
    expect(
      Math.abs(packet.lambdaQ15 - lambdaByDefinition(values, ages).lambda * Q15_ONE),
    ).toBeLessThanOrEqual(2);
  });

  it('derives edges, concentration and partitions from the cut', () => {
    fc.assert(
      fc.property(streams, ({ seed, channels, ticks, noise }) => {
        const values = driven(seed, channels, ticks, noise);
        const packet = measureAll(new Coherence(channelsOf(channels)), values);
        const { lambda, side, graph, margin } = lambdaByDefinition(
          values,
          values.map((_, tick) => ticks - 1 - tick),
        );
        const threshold = edgeThresholdQ15 / Q15_ONE;
        const edges = graph.flatMap((row, a) =>
          row.flatMap((weight, b) => (b < a ? [{ a, b, weight }] : [])),
        );
        if (edges.some(({ weight }) => Math.abs(weight - threshold) < 1e-4) || margin < 1e-3) return; // rounding decides
        const crossing = edges.filter(({ a, b }) => ((side >> a) ^ (side >> b)) & 1);
        expect(packet.boundaryEdges).toBe(crossing.filter(({ weight }) => weight > threshold).length);
        expect(packet.partitionCount).toBe(componentsByFlooding(graph, threshold));
        const inside = graph.map((_, node) => (side >> node) & 1);
        const sizes = [inside.filter((flag) => !flag).length, inside.filter((flag) => flag).length];
        const counted = graph.map((_, node) => channels === 2 || sizes[inside[node]!]! > 1);
        const shares = graph.map((_, node) => {
          const own = crossing.filter(({ a, b }) => a === node || b === node);
          return counted[node]
            ? own.reduce((sum, { weight }) => sum + weight, 0) / (lambda * (channels - 1))
            : 0;
        });
        const tolerance = 4 / (lambda * (channels - 1) * Q15_ONE);
        expect(Math.abs(packet.boundaryConcentrationQ15 / Q15_ONE - Math.max(...shares))).toBeLessThan(
          tolerance + 1e-4,
        );
      }),
      { seed: SEED },
    );
  });
});

function componentsByFlooding(graph: number[][], threshold: number): number {
  const seen = new Set<number>();
  let components = 0;
  const flood = (node: number) => {
    if (seen.has(node)) return;
    seen.add(node);
    graph[node]!.forEach((weight, other) => {
      if (weight > threshold) flood(other);
    });
  };
  graph.forEach((_, node) => {
    if (!seen.has(node)) components++;
    flood(node);
  });
  return components;
}

describe('Coherence', () => {
  it('is near 1 - shrinkage when all move as one', () => {
    const packet = measureAll(new Coherence(channelsOf(5)), driven(1, 5, 300, 0));
    expect(packet.lambdaQ15 / Q15_ONE).toBeCloseTo(0.9, 4);
    expect(packet).toMatchObject({ ready: true, partitionCount: 1, boundaryEdges: 4 });
  });

  it('falls when one sensor comes loose, and the graph falls apart', () => {
    const random = randomOf(3);
    const coherence = new Coherence(channelsOf(5));
    const before = { ...measureAll(coherence, driven(1, 5, 200, 0.2)) };
    const loose = driven(2, 5, 300, 0.2).map((row) => [...row.slice(0, 4), noiseOf(random)]);
    const packet = makeGatePacket();
    const samples = loose.map((row) => {
      coherence.observe(frameOf(row), 1);
      coherence.measure(false, packet);
      return { ...packet };
    });
    const settled = samples.slice(90);
    expect(before).toMatchObject({ boundaryEdges: 4, partitionCount: 1 });
    expect(Math.max(...settled.map((sample) => sample.lambdaQ15))).toBeLessThan(0.5 * before.lambdaQ15);
    expect(
      settled.filter((sample) => sample.partitionCount === 2 && sample.boundaryEdges === 0).length,
    ).toBeGreaterThan(100);
  });

  it('leaves still channels out: a light at night does not disagree', () => {
    const night = driven(1, 4, 200, 0.2).map((row) => [...row, 7]);
    const packet = measureAll(new Coherence(channelsOf(5)), night);
    const alone = measureAll(new Coherence(channelsOf(4)), driven(1, 4, 200, 0.2));
    expect(packet).toEqual(alone);
  });

  it('holds unknown values and leaves out channels that never had one', () => {
    const values = driven(1, 4, 200, 0.2);
    const missing = measureAll(
      new Coherence(channelsOf(5)),
      values.map((row) => [...row, Number.NaN]),
    );
    expect(missing).toEqual(measureAll(new Coherence(channelsOf(4)), values));
    const holes = values.map((row, tick) => row.map((value) => (tick % 3 === 1 ? Number.NaN : value)));
    const held = values.map((row, tick) => (tick % 3 === 1 ? values[tick - 1]! : row));
    expect(measureAll(new Coherence(channelsOf(4)), holes)).toEqual(
      measureAll(new Coherence(channelsOf(4)), held),
    );
  });

  it('is not owned by one wild reading', () => {
    const coherence = new Coherence(channelsOf(4));
    const calm = driven(1, 4, 200, 0.2);
    measureAll(coherence, calm);
    const packet = measureAll(coherence, [[1e9, 0, 0, 0]]);
    expect(packet.lambdaQ15 / Q15_ONE).toBeGreaterThan(0.3);
  });

  it.each([0, 1])('with %i channels says 1 and is never ready', (count) => {
    const packet = measureAll(new Coherence(channelsOf(count)), driven(1, count, 200, 1));
    expect(packet).toMatchObject({
      lambdaQ15: Q15_ONE,
      ready: false,
      boundaryEdges: 0,
      partitionCount: count,
    });
  });

  it('is ready after two half-lives and 8 samples of the reference, a half-life apart', () => {
    const coherence = new Coherence(channelsOf(3));
    const packet = makeGatePacket();
    const ready = driven(1, 3, 400, 0.5).map((values, tick) => {
      coherence.observe(frameOf(values), tick === 0 ? 0 : 1);
      coherence.measure(true, packet);
      return packet.ready;
    });
    expect(ready.indexOf(true)).toBe(2 * halfLife - 1 + 7 * halfLife);
    expect(ready.lastIndexOf(false)).toBe(ready.indexOf(true) - 1);
  });

  it('takes its reference from normal samples, and gives in to a state that lasts', () => {
    const coherence = new Coherence(channelsOf(4));
    const reference = measureAll(coherence, driven(1, 4, 600, 0.2)).lambdaReferenceQ15;
    const loud = driven(2, 4, 60 * halfLife, 3);
    const patience = 30 * halfLife;
    expect(measureAll(coherence, loud.slice(0, patience), false).lambdaReferenceQ15).toBe(reference);
    const given = measureAll(coherence, loud.slice(patience), false);
    expect(given.lambdaReferenceQ15).toBeLessThan(0.5 * reference);
  });

  it('remembers the previous sample, and nothing after reset', () => {
    const coherence = new Coherence(channelsOf(4));
    const packet = makeGatePacket();
    measureAll(coherence, driven(1, 4, 100, 0.5));
    coherence.measure(true, packet);
    const before = packet.lambdaQ15;
    coherence.observe(frameOf([1, -1, 2, 0]), 1);
    coherence.measure(true, packet);
    expect(packet.lambdaPreviousQ15).toBe(before);
    coherence.reset();
    const again = measureAll(coherence, driven(1, 4, 100, 0.5));
    expect(again).toEqual(measureAll(new Coherence(channelsOf(4)), driven(1, 4, 100, 0.5)));
  });

  it('allocates nothing', () => {
    const coherence = new Coherence(channelsOf(8));
    const packet = makeGatePacket();
    const frame = frameOf(Array(8).fill(0));
    const random = randomOf(1);
    const values = Float64Array.from({ length: 1024 }, () => random());
    const bytes = heapBytesPerCall((tick) => {
      for (let channel = 0; channel < 8; channel++)
        frame.values[channel] = values[(tick * 13 + channel) & 1023]!;
      coherence.observe(frame, 0.75);
      coherence.measure(true, packet);
    }, 20_000);
    expect(bytes).toBeLessThan(NOTHING_BYTES);
  });
});
