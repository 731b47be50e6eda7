import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SpikeRule } from '../../src/engine/model.ts';
import { TREND_HALF_LIFE } from '../../src/gate/expectation.ts';
import { Q15_ONE, TOP_CHANNELS_MAX } from '../../src/gate/packets.ts';
import {
  makeSpikePacket,
  NOVELTY_SIGMAS,
  RATE_HALF_LIFE,
  SpikeEncoder,
} from '../../src/gate/spike-encoder.ts';
import { channelsOf, frameOf, heapBytesPerCall, NOTHING_BYTES, SEED, spikesOf } from './fixtures.ts';

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
    ['rule', { ...spikesOf(2, 1), rule: 'guess' as SpikeRule }],
    ['firstHeartbeat', { ...spikesOf(2, 1), firstHeartbeat: [2, 0.5] }],
    ['firstHeartbeat', { ...spikesOf(2, 1), firstHeartbeat: [2] }],
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
    expect(bytes).toBeLessThan(NOTHING_BYTES);
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

describe('a heartbeat that waits longer', () => {
  it('comes soon after a change, then after twice the time, at last at the heartbeat', () => {
    const settings = { ...spikesOf(1, 1, 20), firstHeartbeat: [2] };
    const encoder = new SpikeEncoder(channelsOf(1), settings);
    const packet = makeSpikePacket(1);
    const firedAt = (values: readonly number[]) =>
      values.flatMap((value, tick) => {
        encoder.encode(frameOf([value]), tick === 0 ? 0 : 1, packet);
        return packet.fired ? [tick] : [];
      });
    const still = Array(60).fill(0);
    expect(firedAt(still)).toEqual([0, 2, 6, 14, 30, 50]); // 2, 4, 8, 16, then 20 at most
    still.fill(5);
    encoder.reset();
    expect(firedAt([...Array(10).fill(0), ...still.slice(0, 9)])).toEqual([0, 2, 6, 10, 12, 16]);
  });

  it('is one of all channels: the soonest counts, and without it nothing is different', () => {
    const spikes = spikesOf(2, 1, 9);
    const plain = new SpikeEncoder(channelsOf(2), spikes);
    const soon = new SpikeEncoder(channelsOf(2), { ...spikes, firstHeartbeat: [9, 3] });
    const [a, b] = [makeSpikePacket(2), makeSpikePacket(2)];
    const fired = Array.from({ length: 19 }, (_, tick) => {
      plain.encode(frameOf([0, 0]), tick === 0 ? 0 : 1, a);
      soon.encode(frameOf([0, 0]), tick === 0 ? 0 : 1, b);
      return [a.fired, b.fired];
    });
    const at = (which: number) => fired.flatMap((pair, tick) => (pair[which] ? [tick] : []));
    expect(at(0)).toEqual([0, 9, 18]);
    expect(at(1)).toEqual([0, 3, 9, 18]);
  });
});

describe('send-on-prediction', () => {
  const ramp = (ticks: number, slope: number) => Array.from({ length: ticks }, (_, tick) => slope * tick);
  const tokensOf = (rule: SpikeRule, values: readonly number[]) => {
    const encoder = new SpikeEncoder(channelsOf(1), { ...spikesOf(1, 1), rule });
    const packet = makeSpikePacket(1);
    let tokens = 0;
    for (const value of values) {
      encoder.encode(frameOf([value]), 1, packet);
      if (packet.fired) tokens++;
    }
    return tokens;
  };

  it('by trend sends a ramp less often than send-on-delta, and a step once', () => {
    const values = ramp(400, 0.45);
    expect(tokensOf('trend', values)).toBeLessThan(0.7 * tokensOf('delta', values));
    expect(tokensOf('trend', Array(50).fill(3))).toBe(1);
  });

  it('by trend expects what the tokens alone tell: the last value and its damped slope', () => {
    const encoder = new SpikeEncoder(channelsOf(1), { ...spikesOf(1, 2), rule: 'trend' });
    const packet = makeSpikePacket(1);
    encoder.encode(frameOf([0]), 0, packet);
    encoder.encode(frameOf([3]), 1, packet);
    expect(packet.fired).toBe(true);
    // The slope of 3 is believed by as much as one interval weighs, and damped by one interval.
    const phi = 2 ** (-1 / TREND_HALF_LIFE);
    const expected = 3 + 3 * (1 - phi) * phi;
    encoder.encode(frameOf([4]), 1, packet);
    expect(packet.noveltyQ15).toBe(Math.round(((4 - expected) / NOVELTY_SIGMAS) * Q15_ONE));
  });

  it('by forecast compares with what the model predicted for that tick, at last with its farthest', () => {
    const forecast = Float64Array.of(10, 20, 30, -1, -2, -3);
    const encoder = new SpikeEncoder(channelsOf(2), { ...spikesOf(2, 1), rule: 'forecast' }, forecast);
    const packet = makeSpikePacket(2);
    const tick = (values: number[], elapsed = 1) => {
      encoder.encode(frameOf(values), elapsed, packet);
      return [...packet.firedMask];
    };
    expect(tick([0, 0], 0)).toEqual([1, 1]);
    expect(tick([10.5, -1.5])).toEqual([0, 0]);
    expect(tick([20, Number.NaN])).toEqual([0, 0]);
    expect(tick([30, -3])).toEqual([0, 0]);
    expect(tick([30, -3], 5)).toEqual([0, 0]);
    expect(tick([31, -3])).toEqual([1, 0]);
    expect(tick([31, -3])).toEqual([1, 1]); // a new token: the forecast begins anew
  });

  it('by forecast needs a model that makes one', () => {
    expect(() => new SpikeEncoder(channelsOf(1), { ...spikesOf(1, 1), rule: 'forecast' })).toThrow(
      /spikes.rule: expected delta or trend/,
    );
  });

  it.each(['trend', 'forecast'] as const)('by %s allocates nothing', (rule) => {
    const encoder = new SpikeEncoder(
      channelsOf(64),
      { ...spikesOf(64, 0.5), rule, firstHeartbeat: Array(64).fill(2) },
      new Float64Array(128),
    );
    const packet = makeSpikePacket(64);
    const frame = frameOf(Array(64).fill(0));
    const bytes = heapBytesPerCall((tick) => {
      frame.values[tick & 63] = tick * 0.37;
      encoder.encode(frame, 1.5, packet);
    });
    expect(bytes).toBeLessThan(NOTHING_BYTES);
  });

  it('by trend never loses a change: what is known is within delta of what is expected, or a token comes', () => {
    fc.assert(
      fc.property(stream, ({ count, delta, ticks }) => {
        const encoder = new SpikeEncoder(channelsOf(count), { ...spikesOf(count, delta), rule: 'trend' });
        const packet = makeSpikePacket(count);
        for (const values of ticks) {
          encoder.encode(frameOf(values), 1, packet);
          const known = values.some((now) => !Number.isNaN(now));
          if (known && !packet.fired) {
            expect(packet.noveltyQ15).toBeLessThanOrEqual(Math.ceil((delta / NOVELTY_SIGMAS) * Q15_ONE));
          }
        }
      }),
      { seed: SEED },
    );
  });
});

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
