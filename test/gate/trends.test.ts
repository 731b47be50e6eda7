import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FEATURE_MAX } from '../../src/engine/limits.ts';
import { FeatureEncoder, featureCount, featuresPerChannel } from '../../src/gate/features.ts';
import { makeSpikePacket } from '../../src/gate/spike-encoder.ts';
import { logHeight, stretchTrends, TRENDS_PER_CHANNEL, Trends } from '../../src/gate/trends.ts';
import { channelsOf, frameOf, heapBytesPerCall, NOTHING_BYTES, randomOf, SEED } from './fixtures.ts';

const HALF_LIVES = [1, 3, 9, 27, 81, 243];

function trendsOf(trends: Trends, channel = 0): number[] {
  const out = new Int16Array(TRENDS_PER_CHANNEL + 2).fill(77);
  trends.write(channel, out, 1);
  expect([out[0], out.at(-1)]).toEqual([77, 77]);
  return [...out.slice(1, -1)];
}

/** The definition, with powers, of one value after the other at the given distances. */
function byDefinition(values: readonly number[], elapsed: readonly number[]): number[] {
  const means = HALF_LIVES.map(() => values[0]!);
  let floor = Math.min(values[0]!, 0);
  for (let tick = 1; tick < values.length; tick++) {
    for (let interval = elapsed[tick]!; interval > 0; interval--) {
      const value = values[interval > 1 ? tick - 1 : tick]!;
      HALF_LIVES.forEach((halfLife, i) => {
        means[i] = value + (means[i]! - value) * 2 ** (-1 / halfLife);
      });
      floor = Math.min(value, value + (floor - value) * 2 ** (-1 / 2187));
    }
  }
  const clamp = (feature: number) => Math.max(-FEATURE_MAX, Math.min(FEATURE_MAX, feature));
  const bands = [16, 8, 4, 2, 1].map((gain, i) => clamp(1024 * gain * (means[i]! - means[i + 1]!)));
  return [...bands, clamp(1024 * Math.log2(1 + 32 * (values.at(-1)! - floor)))];
}

describe('Trends', () => {
  it('are what their definition says, whatever the distances between ticks', () => {
    const ticks = fc.array(
      fc.record({
        value: fc.double({ min: -9, max: 9, noNaN: true }),
        elapsed: fc.integer({ min: 1, max: 300 }),
      }),
      { minLength: 1, maxLength: 12 },
    );
    fc.assert(
      fc.property(ticks, (list) => {
        const trends = new Trends(channelsOf(1, 5, 2));
        for (const [tick, { value, elapsed }] of list.entries()) {
          trends.observe(Float64Array.of(5 + 2 * value), Float64Array.of(tick === 0 ? 0 : elapsed));
        }
        const expected = byDefinition(
          list.map(({ value }) => value),
          list.map(({ elapsed }) => elapsed),
        );
        const got = trendsOf(trends);
        for (let band = 0; band < 5; band++)
          expect(Math.abs(got[band]! - expected[band]!)).toBeLessThan(0.51);
        // Straight between powers of two: at most 0.0861 from the logarithm.
        expect(Math.abs(got[5]! - expected[5]!)).toBeLessThan(92);
      }),
      { seed: SEED },
    );
  });

  it('are the same after a gap as after ticks that repeat the last value or know none', () => {
    const random = randomOf(SEED);
    const [gap, repeats, unknown] = [1, 2, 3].map(() => new Trends(channelsOf(1)));
    let last = 0;
    for (let tick = 0; tick < 200; tick++) {
      const intervals = tick === 0 ? 0 : 1 + Math.floor(6 * random());
      const value = Float64Array.of(4 * random() - 2);
      gap!.observe(value, Float64Array.of(intervals));
      for (let i = 1; i < intervals; i++) {
        repeats!.observe(Float64Array.of(last), Float64Array.of(1));
        unknown!.observe(Float64Array.of(Number.NaN), Float64Array.of(1));
      }
      for (const one of [repeats!, unknown!]) one.observe(value, Float64Array.of(Math.min(intervals, 1)));
      last = value[0]!;
      expect(trendsOf(unknown!)).toEqual(trendsOf(repeats!));
      // Powers by squaring differ from as many single steps in the last bits: seldom in a Q10 one.
      for (const [i, feature] of trendsOf(repeats!).entries()) {
        expect(Math.abs(feature - trendsOf(gap!)[i]!)).toBeLessThanOrEqual(1);
      }
    }
  });

  it('do not know the level, but for where the floor begins', () => {
    const [low, high] = [new Trends(channelsOf(1)), new Trends(channelsOf(1))];
    const random = randomOf(SEED);
    low.observe(Float64Array.of(-2), Float64Array.of(0));
    high.observe(Float64Array.of(-1), Float64Array.of(0));
    for (let tick = 0; tick < 500; tick++) {
      // Multiples of 2^-8, so that the shift is exact.
      const value = Math.floor(512 * random()) / 256 - 2;
      low.observe(Float64Array.of(value), Float64Array.of(1));
      high.observe(Float64Array.of(value + 1), Float64Array.of(1));
      for (const [i, feature] of trendsOf(low).entries()) {
        expect(Math.abs(feature - trendsOf(high)[i]!)).toBeLessThanOrEqual(1);
      }
    }
  });

  it('count the height of a first value from the middle of the training rows, and of later ones from the lowest', () => {
    const trends = new Trends(channelsOf(1, 600, 300));
    trends.observe(Float64Array.of(900), Float64Array.of(0));
    expect(trendsOf(trends)).toEqual([0, 0, 0, 0, 0, logHeight(1024)]);
    trends.observe(Float64Array.of(300), Float64Array.of(1));
    expect(trendsOf(trends)[5]).toBe(0);
    trends.observe(Float64Array.of(900), Float64Array.of(1));
    expect(trendsOf(trends)[5]).toBeCloseTo(logHeight(2048), -1);
    trends.observe(Float64Array.of(900), Float64Array.of(2187)); // the floor has risen half of the way
    expect(Math.abs(trendsOf(trends)[5]! - logHeight(1024))).toBeLessThanOrEqual(2);
  });

  it('are nothing before the first value and after a reset', () => {
    const trends = new Trends(channelsOf(2));
    trends.observe(Float64Array.of(Number.NaN, 3), Float64Array.of(0));
    trends.observe(Float64Array.of(Number.NaN, 5), Float64Array.of(7));
    expect(trendsOf(trends, 0)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(trendsOf(trends, 1)[0]).toBeGreaterThan(0);
    trends.reset();
    expect(trendsOf(trends, 1)).toEqual([0, 0, 0, 0, 0, 0]);
    trends.observe(Float64Array.of(1, -2), Float64Array.of(0));
    expect(trendsOf(trends, 1)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('move on with time, also where ticks come within an interval', () => {
    const [whole, thirds] = [new Trends(channelsOf(1)), new Trends(channelsOf(1))];
    for (const one of [whole, thirds]) one.observe(Float64Array.of(0), Float64Array.of(0));
    for (let tick = 0; tick < 50; tick++) {
      const value = Float64Array.of(Math.sin(tick));
      whole.observe(value, Float64Array.of(1));
      for (let third = 0; third < 3; third++) thirds.observe(value, Float64Array.of(1 / 3));
    }
    const [one, other] = [trendsOf(whole), trendsOf(thirds)];
    expect(Math.abs(one[5]! - other[5]!)).toBeLessThan(10);
    expect(Math.abs(one[4]! - other[4]!)).toBeLessThan(10);
  });

  it('stay in range whatever comes', () => {
    const anything = fc.record({
      value: fc.double(),
      elapsed: fc.double({ min: 0, max: 1e300, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(anything, { minLength: 1, maxLength: 20 }), (list) => {
        const trends = new Trends(channelsOf(1, 1e-3, 1e-300));
        for (const { value, elapsed } of list) {
          trends.observe(Float64Array.of(value), Float64Array.of(elapsed));
          for (const feature of trendsOf(trends)) expect(Math.abs(feature)).toBeLessThanOrEqual(FEATURE_MAX);
          expect(trendsOf(trends)[5]).toBeGreaterThanOrEqual(0);
        }
      }),
      { seed: SEED },
    );
  });
});

describe('stretchTrends', () => {
  it('gives what a channel with larger excursions would have', () => {
    const random = randomOf(SEED);
    const gain = 1.7;
    const [plain, stretched] = [new Trends(channelsOf(1)), new Trends(channelsOf(1))];
    for (let tick = 0; tick < 300; tick++) {
      const value = -0.5 * random();
      plain.observe(Float64Array.of(value), Float64Array.of(tick === 0 ? 0 : 1));
      stretched.observe(Float64Array.of(gain * value), Float64Array.of(tick === 0 ? 0 : 1));
      const features = Int16Array.from(trendsOf(plain));
      stretchTrends(features, 0, gain);
      for (const [i, feature] of trendsOf(stretched).entries()) {
        expect(Math.abs(feature - features[i]!)).toBeLessThanOrEqual(i === 5 ? 60 : 2);
      }
    }
  });

  it('leaves all as it is with a gain of 1', () => {
    for (let height = 0; height < 2 ** 19; height = Math.ceil(1.1 * height + 1)) {
      const features = Int16Array.of(1, -2, 3, FEATURE_MAX, -FEATURE_MAX, logHeight(height));
      const before = [...features];
      stretchTrends(features, 0, 1);
      expect([...features]).toEqual(before);
    }
  });
});

describe('FeatureEncoder with trends', () => {
  const packet = makeSpikePacket(2);

  it('puts them behind what it makes without, channel by channel', () => {
    const channels = channelsOf(2);
    const plain = new FeatureEncoder(channels);
    const encoder = new FeatureEncoder(channels, 'trends');
    const trends = new Trends(channels);
    const width = featuresPerChannel('trends');
    expect(featureCount(2, 'trends')).toBe(2 * width + 16);
    for (let tick = 0; tick < 30; tick++) {
      const frame = frameOf([Math.sin(tick), tick % 5]);
      const elapsed = tick === 0 ? 0 : 1;
      const without = new Int16Array(featureCount(2));
      const out = new Int16Array(featureCount(2, 'trends'));
      packet.firedMask[tick & 1]! ^= 1;
      plain.encode(frame, packet, elapsed, without);
      encoder.observe(frame, elapsed);
      encoder.encode(frame, packet, elapsed, out);
      trends.observe(frame.values, Float64Array.of(elapsed));
      for (const channel of [0, 1]) {
        const at = channel * width;
        expect([...out.slice(at, at + 4)]).toEqual([...without.slice(4 * channel, 4 * channel + 4)]);
        expect([...out.slice(at + 4, at + width)]).toEqual(trendsOf(trends, channel));
      }
      expect([...out.slice(2 * width)]).toEqual([...without.slice(8)]);
    }
  });

  it('gives a token the same trends whether the ticks before were tokens or not', () => {
    const [dense, gated] = [1, 2].map(() => new FeatureEncoder(channelsOf(2), 'trends'));
    const random = randomOf(SEED);
    let since = 0;
    for (let tick = 0; tick < 500; tick++) {
      const frame = frameOf([random(), random()]);
      const elapsed = tick === 0 ? 0 : 1;
      since += elapsed;
      const [one, other] = [1, 2].map(() => new Int16Array(featureCount(2, 'trends')));
      dense!.observe(frame, elapsed);
      dense!.encode(frame, packet, elapsed, one!);
      gated!.observe(frame, elapsed);
      if (tick > 0 && random() < 0.9) continue;
      gated!.encode(frame, packet, since, other!);
      since = 0;
      for (const at of [4, 14]) expect(other!.slice(at, at + 6)).toEqual(one!.slice(at, at + 6));
    }
  });

  it('refuses a token of a tick that it did not observe', () => {
    const encoder = new FeatureEncoder(channelsOf(2), 'trends');
    const out = new Int16Array(featureCount(2, 'trends'));
    expect(() => encoder.encode(frameOf([1, 2]), packet, 0, out)).toThrow(/trends have seen the tick/);
  });

  it('allocates nothing', () => {
    const encoder = new FeatureEncoder(channelsOf(16), 'trends');
    const fired = makeSpikePacket(16);
    const frame = frameOf(Array(16).fill(0));
    const out = new Int16Array(featureCount(16, 'trends'));
    const bytes = heapBytesPerCall((tick) => {
      frame.values[tick & 15] = tick * 0.37;
      encoder.observe(frame, 1 + (tick & 3));
      if ((tick & 3) === 0) encoder.encode(frame, fired, 1.5, out);
    });
    expect(bytes).toBeLessThan(NOTHING_BYTES);
  });
});
