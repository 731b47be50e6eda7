import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Coherence,
  defaultCoherenceSettings,
  type LambdaWatch,
  makeGatePacket,
  watchAll,
} from '../../src/gate/coherence.ts';
import { MinimumCut } from '../../src/gate/min-cut.ts';
import { type GatePacket, Q15_ONE } from '../../src/gate/packets.ts';
import { channelsOf, frameOf, heapBytesPerCall, NOTHING_BYTES, randomOf, SEED } from './fixtures.ts';

function edgesOf(nodes: number): [number, number][] {
  return Array.from({ length: nodes }, (_, a) =>
    Array.from({ length: a }, (_, b): [number, number] => [a, b]),
  ).flat();
}

describe('MinimumCut.proves', () => {
  it.each([2, 3, 4])('is right about every floor on every graph of %i nodes with weights 0 to 3', (nodes) => {
    const edges = edgesOf(nodes);
    const cut = new MinimumCut(nodes);
    const weights = new Int32Array(nodes * nodes);
    let wrong = 0;
    let proved = 0;
    for (let code = 0; code < 4 ** edges.length; code++) {
      edges.forEach(([a, b], digit) => {
        weights[a * nodes + b] = weights[b * nodes + a] = (code >> (2 * digit)) & 3;
      });
      const least = cut.find(weights, nodes, nodes);
      for (let floor = 1; floor <= 3 * nodes; floor++) {
        if (!cut.proves(floor, weights, nodes, nodes)) continue;
        proved++;
        if (least < floor) wrong++;
      }
    }
    expect(wrong).toBe(0);
    expect(proved).toBeGreaterThan(0);
  });

  it('is right about random floors of random larger graphs', () => {
    const cut = new MinimumCut(24);
    let proved = 0;
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 5, max: 24 }), (seed, nodes) => {
        const random = randomOf(seed);
        const weights = new Int32Array(nodes * nodes);
        for (const [a, b] of edgesOf(nodes)) {
          weights[a * nodes + b] = weights[b * nodes + a] = Math.floor(random() * random() * Q15_ONE);
        }
        const least = cut.find(weights, nodes, nodes);
        const floor = Math.floor(random() * random() * 2 * least);
        if (!cut.proves(floor, weights, nodes, nodes)) return;
        proved++;
        expect(least).toBeGreaterThanOrEqual(floor);
      }),
      { seed: SEED, numRuns: 500 },
    );
    expect(proved).toBeGreaterThan(100);
  });
});

/** Ticks that follow a common factor, whose hold on each channel changes now and then. */
function wandering(seed: number, channels: number, ticks: number): number[][] {
  const random = randomOf(seed);
  const noise = () => random() + random() + random() - 1.5;
  let hold = Array.from({ length: channels }, () => random());
  return Array.from({ length: ticks }, () => {
    if (random() < 0.01) hold = hold.map((share) => (random() < 0.3 ? random() : share));
    const factor = noise();
    return hold.map((share) => share * factor + (1 - share) * noise());
  });
}

const watches = fc
  .array(fc.integer({ min: 1, max: Q15_ONE }), { minLength: 1, maxLength: 4 })
  .chain((sharesQ15) =>
    fc.record<LambdaWatch>({
      exact: fc.constant(false),
      sharesQ15: fc.constant(sharesQ15),
      sharesDistrustedQ15: fc.constant(
        sharesQ15.map((share) => Math.min(Q15_ONE, Math.round((share * 9) / 8))),
      ),
      referenceMinQ15: fc.constantFrom(0, 6554),
      drift: fc.constant(false),
    }),
  );

/** As the controller compares them. */
const isBelow = (lambdaQ15: number, packet: GatePacket, shareQ15: number) =>
  lambdaQ15 * Q15_ONE < packet.lambdaReferenceQ15 * shareQ15;

describe('Coherence, where bounds decide', () => {
  it('puts lambda on the same side of every watched share as the exact cut, and its bounds around it', () => {
    let bounded = 0;
    let exact = 0;
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 2, max: 9 }), watches, (seed, channels, watch) => {
        const settings = { ...defaultCoherenceSettings, halfLife: 10 };
        const cheap = new Coherence(channelsOf(channels), settings, watch);
        const full = new Coherence(channelsOf(channels), settings, { ...watchAll, drift: false });
        const [a, b] = [makeGatePacket(), makeGatePacket()];
        wandering(seed, channels, 500).forEach((values, tick) => {
          const frame = frameOf(values);
          // Any history of trust: the references stay the same on both sides.
          const normal = tick % 97 < 60;
          for (const [coherence, packet] of [
            [cheap, a],
            [full, b],
          ] as const) {
            coherence.observe(frame, tick === 0 ? 0 : 1);
            coherence.measure(normal, packet);
          }
          if (a.isExact) exact++;
          else bounded++;
          const same =
            a.lambdaReferenceQ15 === b.lambdaReferenceQ15 &&
            a.ready === b.ready &&
            a.lambdaFloorQ15 <= b.lambdaQ15 &&
            b.lambdaQ15 <= a.lambdaQ15;
          if (!same) expect(a).toEqual(b);
          if (!a.ready || a.lambdaReferenceQ15 < watch.referenceMinQ15) return;
          for (const share of normal ? watch.sharesQ15 : watch.sharesDistrustedQ15) {
            const [got, expected] = [isBelow(a.lambdaQ15, a, share), isBelow(b.lambdaQ15, b, share)];
            if (got !== expected) expect({ a, b, share, got }).toEqual({ a, b, share, got: expected });
          }
        });
      }),
      { seed: SEED, numRuns: 60 },
    );
    expect(bounded).toBeGreaterThan(10_000);
    expect(exact).toBeGreaterThan(1000);
  });

  it('allocates nothing', () => {
    const watch = {
      exact: false,
      sharesQ15: [26214, 3277],
      sharesDistrustedQ15: [29491, 3686],
      referenceMinQ15: 6554,
      drift: true,
    };
    const coherence = new Coherence(channelsOf(8), defaultCoherenceSettings, watch);
    const packet = makeGatePacket();
    const frame = frameOf(Array(8).fill(0));
    const rows = wandering(1, 8, 4096);
    const bytes = heapBytesPerCall((tick) => {
      for (let channel = 0; channel < 8; channel++) frame.values[channel] = rows[tick & 4095]![channel]!;
      coherence.observe(frame, 1);
      coherence.measure(true, packet);
    }, 20_000);
    expect(bytes).toBeLessThan(NOTHING_BYTES);
  });
});
