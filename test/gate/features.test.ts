import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FEATURE_MAX, FEATURE_ONE } from '../../src/engine/limits.ts';
import { elapsedBucket, FeatureEncoder, featureCount } from '../../src/gate/features.ts';
import { makeSpikePacket } from '../../src/gate/spike-encoder.ts';
import { channelsOf, frameOf, heapBytesPerCall, NOTHING_BYTES, SEED } from './fixtures.ts';

function encode(encoder: FeatureEncoder, values: number[], fired: number[], elapsed: number): number[] {
  const packet = makeSpikePacket(values.length);
  packet.firedMask.set(fired);
  const out = new Int16Array(featureCount(values.length)).fill(-1);
  encoder.encode(frameOf(values), packet, elapsed, out);
  return [...out];
}

/** The features of channel c. */
const channelOf = (features: number[], channel: number) => features.slice(4 * channel, 4 * channel + 4);

describe('FeatureEncoder', () => {
  it('lays out value, change, flag and age per channel, then the elapsed bucket', () => {
    const encoder = new FeatureEncoder(channelsOf(2, 10, 4));
    const first = encode(encoder, [12, 6], [1, 0], 0);
    expect(first).toEqual([512, 0, 1024, 0, -1024, 0, 0, 0, 1024, ...Array(15).fill(0)]);
    const second = encode(encoder, [11, 6], [1, 1], 5);
    expect(second.slice(0, 8)).toEqual([256, -256, 1024, 192, -1024, 0, 1024, 192]);
    expect(second.slice(8)).toEqual([0, 0, 0, 1024, ...Array(12).fill(0)]);
  });

  it('counts age over tokens since the channel last fired', () => {
    const encoder = new FeatureEncoder(channelsOf(1));
    encode(encoder, [0], [1], 0);
    const ages = [1, 1, 2, 4].map((elapsed) => channelOf(encode(encoder, [0], [0], elapsed), 0)[3]);
    expect(ages).toEqual([64, 128, 192, 256]); // 1, 2, 4, 8 intervals
    expect(channelOf(encode(encoder, [0], [1], 8), 0)[3]).toBe(320);
    expect(channelOf(encode(encoder, [0], [0], 1), 0)[3]).toBe(64);
  });

  it('holds the last known value of a channel that is unknown', () => {
    const encoder = new FeatureEncoder(channelsOf(1));
    expect(channelOf(encode(encoder, [Number.NaN], [0], 0), 0).slice(0, 2)).toEqual([0, 0]);
    expect(channelOf(encode(encoder, [2], [1], 1), 0).slice(0, 2)).toEqual([2048, 0]); // its first value: no change
    expect(channelOf(encode(encoder, [Number.NaN], [0], 1), 0).slice(0, 2)).toEqual([2048, 0]);
    expect(channelOf(encode(encoder, [3], [1], 1), 0).slice(0, 2)).toEqual([3072, 1024]);
  });

  it('clamps values, and still tells the true change between two clamped ones', () => {
    const encoder = new FeatureEncoder(channelsOf(1));
    expect(channelOf(encode(encoder, [100], [1], 0), 0)[0]).toBe(FEATURE_MAX);
    expect(channelOf(encode(encoder, [98], [1], 1), 0).slice(0, 2)).toEqual([FEATURE_MAX, -2048]);
    expect(channelOf(encode(encoder, [-1e300], [1], 1), 0).slice(0, 2)).toEqual([-FEATURE_MAX, -FEATURE_MAX]);
    expect(channelOf(encode(encoder, [1e300], [1], 1), 0).slice(0, 2)).toEqual([FEATURE_MAX, FEATURE_MAX]);
  });

  it('buckets time by powers of two, to the nearest interval', () => {
    expect([0, 0.49, 59 / 60, 1, 61 / 60, 2, 3, 4, 7, 8].map(elapsedBucket)).toEqual([
      0, 0, 1, 1, 1, 2, 2, 3, 3, 4,
    ]);
    expect([16383, 16384, 1e9, 1e300].map(elapsedBucket)).toEqual([14, 15, 15, 15]);
  });

  it('starts anew at reset', () => {
    const encoder = new FeatureEncoder(channelsOf(1));
    encode(encoder, [4], [1], 0);
    encode(encoder, [4], [0], 9);
    encoder.reset();
    expect(channelOf(encode(encoder, [5], [1], 0), 0)).toEqual([5120, 0, 1024, 0]);
  });

  it('is independent of values that only other channels have, and always in range', () => {
    const ticks = fc.array(
      fc.record({
        value: fc.double(),
        fired: fc.constantFrom(0, 1),
        elapsed: fc.double({ min: 0, max: 1e9, noNaN: true }),
      }),
      { minLength: 1, maxLength: 30 },
    );
    fc.assert(
      fc.property(ticks, ticks, (mine, other) => {
        const alone = new FeatureEncoder(channelsOf(1, 1, 3));
        const beside = new FeatureEncoder(channelsOf(2, 1, 3));
        mine.forEach(({ value, fired, elapsed }, index) => {
          const rest = other[index % other.length]!;
          const one = encode(alone, [value], [fired], elapsed);
          const two = encode(beside, [rest.value, value], [rest.fired, fired], elapsed);
          expect(channelOf(two, 1)).toEqual(channelOf(one, 0));
          for (const feature of two) expect(Math.abs(feature)).toBeLessThanOrEqual(FEATURE_MAX);
          expect(two.slice(8).filter((feature) => feature === FEATURE_ONE)).toHaveLength(1);
        });
      }),
      { seed: SEED },
    );
  });

  it('allocates nothing', () => {
    const encoder = new FeatureEncoder(channelsOf(16));
    const packet = makeSpikePacket(16);
    const frame = frameOf(Array(16).fill(0));
    const out = new Int16Array(featureCount(16));
    const bytes = heapBytesPerCall((tick) => {
      frame.values[tick & 15] = tick * 0.37;
      packet.firedMask[tick & 15] ^= 1;
      encoder.encode(frame, packet, 1.5, out);
    });
    expect(bytes).toBeLessThan(NOTHING_BYTES);
  });
});
