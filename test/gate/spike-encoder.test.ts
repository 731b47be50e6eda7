import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Q15_ONE, TOP_CHANNELS_MAX } from '../../src/gate/packets.ts';
import { makeSpikePacket, RATE_HALF_LIFE, SpikeEncoder } from '../../src/gate/spike-encoder.ts';
import { channelsOf, frameOf, heapBytesPerCall, SEED, spikesOf } from './fixtures.ts';

function encoderOf(count: number, delta: number, heartbeat?: number, refractory?: number) {
  const encoder = new SpikeEncoder(channelsOf(count), spikesOf(count, delta, heartbeat, refractory));
  const packet = makeSpikePacket(count);
  /** Encodes one tick one interval after the last and returns the mask. */
  const tick = (values: number[], elapsed = 1) => {
    encoder.encode(frameOf(values), elapsed, packet);
    return [...packet.firedMask];
  };
  return { encoder, packet, tick };
}

describe('SpikeEncoder', () => {
  it('fires at a first value, then only from delta on', () => {
    const { tick } = encoderOf(2, 1);
    expect(tick([10, Number.NaN])).toEqual([1, 0]);
    expect(tick([10.99, Number.NaN])).toEqual([0, 0]);
    expect(tick([10.99, 5])).toEqual([0, 1]);
    expect(tick([11.98, 5])).toEqual([0, 0]); // the token before carried 10.99 too
    expect(tick([11.99, 5])).toEqual([1, 0]);
  });

  it('fires every known channel when the heartbeat is due, despite a jittering clock', () => {
    const { tick } = encoderOf(2, 1, 3);
    tick([0, Number.NaN]);
    expect(tick([0, Number.NaN], 59 / 60)).toEqual([0, 0]);
    expect(tick([0, Number.NaN], 59 / 60)).toEqual([0, 0]);
    expect(tick([0, Number.NaN], 59 / 60)).toEqual([1, 0]);
    expect(tick([0, Number.NaN], 59 / 60)).toEqual([0, 0]);
  });

  it('holds a change back while refractory, and lets it fire when it still stands', () => {
    const { tick } = encoderOf(1, 1, undefined, 3);
    tick([0]);
    expect(tick([5])).toEqual([0]);
    expect(tick([5])).toEqual([0]);
    expect(tick([5])).toEqual([1]);
    tick([9]);
    tick([9]);
    expect(tick([5])).toEqual([0]); // it came back: nothing to say
  });

  it('keeps the reference of an unknown value', () => {
    const { tick } = encoderOf(2, 1);
    tick([0, 0]);
    expect(tick([Number.NaN, 3])).toEqual([0, 1]);
    expect(tick([0.5, 3])).toEqual([0, 0]);
    expect(tick([1, 3])).toEqual([1, 0]);
    expect(tick([Number.POSITIVE_INFINITY, 3])).toEqual([0, 0]);
  });

  it('measures novelty against the reference, and first against the centre', () => {
    const { packet, tick } = encoderOf(2, 1);
    tick([3, 0]);
    expect(packet.noveltyQ15).toBe(Math.round(Q15_ONE / 2));
    tick([3.6, 0]);
    expect(packet.noveltyQ15).toBe(Math.round(Q15_ONE / 10));
    tick([3, -100]);
    expect(packet.noveltyQ15).toBe(Q15_ONE);
  });

  it('averages the fired fraction with its half-life, whatever the step', () => {
    const { packet, tick } = encoderOf(2, 1);
    tick([0, 0], 0);
    const single = packet.rateQ15;
    expect(single).toBe(Math.round((1 - 2 ** (-1 / RATE_HALF_LIFE)) * Q15_ONE));
    tick([0, 0], RATE_HALF_LIFE);
    expect(packet.rateQ15).toBe(Math.round(single / 2));
    for (let index = 0; index < 2000; index++) tick([index, 0]);
    expect(packet.rateQ15).toBe(Math.floor(Q15_ONE / 2)); // from below
  });

  it('forgets everything at reset', () => {
    const { encoder, packet, tick } = encoderOf(2, 1);
    tick([1, 2]);
    tick([5, 5]);
    encoder.reset();
    expect(tick([5, 5], 0)).toEqual([1, 1]);
    expect(packet.rateQ15).toBe(Math.round((1 - 2 ** (-1 / RATE_HALF_LIFE)) * Q15_ONE));
  });

  it.each([
    ['delta', { ...spikesOf(2, 1), delta: [1] }],
    ['heartbeat', { ...spikesOf(2, 1), heartbeat: [1, -1] }],
    ['refractory', { ...spikesOf(2, 1), refractory: [Number.NaN, 1] }],
  ])('refuses a wrong %s by name', (field, settings) => {
    expect(() => new SpikeEncoder(channelsOf(2), settings)).toThrow(new RegExp(`spikes.${field}`));
  });

  it('refuses no channel and 65 channels', () => {
    for (const count of [0, 65]) {
      expect(() => new SpikeEncoder(channelsOf(count), spikesOf(count, 1))).toThrow(
        /channels: expected 1 to 64/,
      );
    }
  });

  it('allocates nothing', () => {
    const encoder = new SpikeEncoder(channelsOf(64), spikesOf(64, 0.5));
    const packet = makeSpikePacket(64);
    const frame = frameOf(Array(64).fill(0));
    const bytes = heapBytesPerCall((tick) => {
      frame.values[tick & 63] = tick * 0.37;
      encoder.encode(frame, 1.5, packet);
    });
    expect(bytes).toBeLessThan(1);
  });
});

const value = fc.oneof(
  { weight: 8, arbitrary: fc.double({ min: -5, max: 5, noNaN: true }) },
  { weight: 1, arbitrary: fc.constant(Number.NaN) },
);
const stream = fc.integer({ min: 1, max: 20 }).chain((count) =>
  fc.record({
    count: fc.constant(count),
    delta: fc.double({ min: 0.01, max: 3, noNaN: true }),
    refractory: fc.constantFrom(0, 1, 3),
    ticks: fc.array(fc.array(value, { minLength: count, maxLength: count }), { minLength: 1, maxLength: 60 }),
  }),
);

describe('SpikeEncoder, for any stream', () => {
  it('never loses a change: without refractory time the model is always within delta', () => {
    fc.assert(
      fc.property(stream, ({ count, delta, ticks }) => {
        const { packet, tick } = encoderOf(count, delta);
        const seen: number[] = Array(count).fill(Number.NaN);
        for (const values of ticks) {
          tick(values);
          values.forEach((now, channel) => {
            if (packet.fired && !Number.isNaN(now)) seen[channel] = now;
            if (Number.isNaN(now)) return;
            expect(Math.abs(now - seen[channel]!)).toBeLessThan(delta);
          });
        }
      }),
      { seed: SEED },
    );
  });

  it('never loses a change that stands: with refractory time it is seen as soon as that is over', () => {
    fc.assert(
      fc.property(stream, ({ count, delta, refractory, ticks }) => {
        const { packet, tick } = encoderOf(count, delta, undefined, refractory);
        for (const values of ticks) tick(values);
        const last = ticks.at(-1)!.map((now) => (Number.isNaN(now) ? 0 : now));
        for (let wait = 0; wait <= refractory; wait++) tick(last);
        tick(last);
        expect(packet.fired).toBe(false);
        expect(packet.noveltyQ15).toBeLessThanOrEqual(Math.ceil((delta / 6) * Q15_ONE));
      }),
      { seed: SEED },
    );
  });

  it('lists the most novel fired channels, ties by index, and counts them', () => {
    fc.assert(
      fc.property(stream, ({ count, delta, ticks }) => {
        const { packet, tick } = encoderOf(count, delta);
        const seen: number[] = Array(count).fill(0); // the centre, before the first value
        for (const values of ticks) {
          const mask = tick(values);
          const novelty = values.map((now, channel) =>
            Math.min(Math.round(Math.abs(now - seen[channel]!) * (Q15_ONE / 6)), Q15_ONE),
          );
          const fired = mask.flatMap((flag, channel) => (flag ? [channel] : []));
          const expected = fired
            .sort((a, b) => novelty[b]! - novelty[a]! || a - b)
            .slice(0, TOP_CHANNELS_MAX);
          expect(packet.firedCount).toBe(fired.length);
          expect([...packet.topChannels.subarray(0, packet.topCount)]).toEqual(expected);
          expect([...packet.topWeightsQ15.subarray(0, packet.topCount)]).toEqual(
            expected.map((c) => novelty[c]),
          );
          values.forEach((now, channel) => {
            if (packet.fired && !Number.isNaN(now)) seen[channel] = now;
          });
        }
      }),
      { seed: SEED },
    );
  });
});
