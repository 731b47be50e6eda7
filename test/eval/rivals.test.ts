import { describe, expect, it } from 'vitest';
import { anomalyRivals } from '../../src/eval/anomaly-rivals.ts';
import { classifyRivals } from '../../src/eval/classify-rivals.ts';
import { forecastRivals } from '../../src/eval/forecast-rivals.ts';
import { loadProtocol, type Protocol, scoredSpan } from '../../src/eval/protocols.ts';
import type { Scored } from '../../src/eval/scores.ts';
import { openRecording, type Recording, type Series, selectChannels } from '../../src/recording/recording.ts';
import { fitStandardiser } from '../../src/statistics/statistics.ts';
import { makeNormal, makeRecording, makeSeries, realRecording } from './helpers.ts';

/** Metrics by name. */
function metricsOf(rivals: Record<string, Scored>) {
  return Object.fromEntries(Object.entries(rivals).map(([name, { metric }]) => [name, metric]));
}

function makeProtocol(changes: Partial<Recording>, train: Series[], tests: Protocol['tests']): Protocol {
  const channels = train[0]!.values.length / train[0]!.rows;
  const recording = makeRecording(changes);
  return { recording, channels, train, tests, standardiser: fitStandardiser(train[0]!.values, channels) };
}

describe('classifyRivals', () => {
  // Two channels of the same noise; only their difference tells the class.
  const normal = makeNormal(1);
  const sample = (name: string, rows: number) => {
    const labels = Array.from({ length: rows }, (_, row) => (row % 3 === 0 ? 1 : 0));
    const values = labels.map((label) => {
      const shared = 3 * normal();
      return [shared, shared + label + 0.05 * normal()];
    });
    return makeSeries(name, values, labels);
  };
  const train = sample('train.csv', 600);
  const test = sample('test.csv', 300);
  const protocol = makeProtocol({ classes: ['no', 'yes'] }, [train], [{ series: test, scoredFrom: 0 }]);
  const rivals = metricsOf(classifyRivals(protocol));

  it('names the majority, a threshold and the linear discriminant', () => {
    expect(Object.keys(rivals)).toEqual(['majority', 'bestThreshold', 'linearDiscriminant']);
    expect(rivals.majority!.accuracy).toBeCloseTo(2 / 3, 12);
  });

  it('finds with the discriminant what no threshold can', () => {
    expect(rivals.linearDiscriminant!.accuracy).toBe(1);
    expect(rivals.bestThreshold!.accuracy).toBeLessThan(0.8);
  });

  it('finds a threshold, either way round', () => {
    const values = [
      [0, 5],
      [0, 4],
      [0, 1],
      [0, 0],
    ];
    const series = makeSeries('test.csv', values, [0, 0, 1, 1]);
    const found = metricsOf(
      classifyRivals(makeProtocol({ classes: ['no', 'yes'] }, [series], [{ series, scoredFrom: 0 }])),
    );
    expect(found.bestThreshold!.accuracy).toBe(1);
  });

  it('learns nothing from the test labels', () => {
    const blind = { ...test, labels: test.labels!.map((label) => 1 - label) };
    const flipped = metricsOf(classifyRivals({ ...protocol, tests: [{ series: blind, scoredFrom: 0 }] }));
    expect(flipped.linearDiscriminant!.accuracy).toBe(0);
  });

  it('has none without train labels', () => {
    expect(metricsOf(classifyRivals({ ...protocol, train: [{ ...train, labels: null }] }))).toEqual({});
  });
});

describe('anomalyRivals', () => {
  const normal = makeNormal(2);
  const values = Array.from({ length: 600 }, (_, row) => [
    normal() + (row >= 450 && row < 550 ? 8 : 0),
    normal(),
  ]);
  const labels = values.map((_, row) => (row >= 450 && row < 550 ? 1 : 0));
  const series = makeSeries('pump.csv', values, labels);
  const changes = { task: 'anomaly', calibrationRows: 400 } as const;
  const protocol = makeProtocol(changes, [series], [{ series, scoredFrom: 400 }]);

  it('find a shift of one channel', () => {
    const rivals = metricsOf(anomalyRivals(protocol));
    expect(Object.keys(rivals)).toEqual(['ewmaT2', 'hotellingT2', 'pcaT2Q', 'everything']);
    for (const name of ['ewmaT2', 'hotellingT2', 'pcaT2Q']) expect(rivals[name]!.f1).toBeGreaterThan(0.9);
    expect(rivals.everything!.f1).toBeCloseTo(100 / 150, 12);
  });

  it('do not look at the clock', () => {
    const later = { ...series, timeMs: series.timeMs.map((timeMs) => 3 * timeMs + 1e9) };
    expect(metricsOf(anomalyRivals({ ...protocol, tests: [{ series: later, scoredFrom: 400 }] }))).toEqual(
      metricsOf(anomalyRivals(protocol)),
    );
  });

  it('survive a channel that never changes', () => {
    const still = makeSeries(
      'pump.csv',
      values.map(([a]) => [a!, 5]),
      labels,
    );
    const rivals = metricsOf(
      anomalyRivals(makeProtocol(changes, [still], [{ series: still, scoredFrom: 400 }])),
    );
    expect(rivals.ewmaT2!.f1).toBeGreaterThan(0.9);
  });

  it('raise no alarm in a plant that stands still', () => {
    const still = makeSeries('pump.csv', Array(600).fill([5, 5]), Array(600).fill(0));
    const rivals = metricsOf(
      anomalyRivals(makeProtocol(changes, [still], [{ series: still, scoredFrom: 400 }])),
    );
    for (const name of ['ewmaT2', 'hotellingT2', 'pcaT2Q']) expect(rivals[name]!.falseAlarmRate).toBe(0);
  });

  it('without calibration rows leave only the alarm at every row', () => {
    const bare = makeProtocol({ task: 'anomaly', calibrationRows: 0 }, [series], [{ series, scoredFrom: 0 }]);
    expect(Object.keys(metricsOf(anomalyRivals(bare)))).toEqual(['everything']);
  });
});

describe('forecastRivals', () => {
  const wave = (rows: number, noise: () => number) =>
    Array.from({ length: rows }, (_, t) => [Math.sin((2 * Math.PI * t) / 24) + 0.01 * noise(), t / 100]);
  const series = makeSeries('wave.csv', wave(1200, makeNormal(3)), null);
  const train = makeSeries('wave.csv', wave(800, makeNormal(3)), null);
  const changes = { task: 'forecast', horizon: 12 } as const;
  const protocol = makeProtocol(changes, [train], [{ series, scoredFrom: 800 }]);

  it('scores each window that lies within the tested rows', () => {
    const { from, to } = scoredSpan(protocol.recording, protocol.tests[0]!);
    expect([from, to - from]).toEqual([799, 400 - 12 + 1]);
  });

  it('the linear map continues a wave and a trend, the last value does not', () => {
    const rivals = metricsOf(forecastRivals(protocol));
    expect(rivals.linear336!.mse).toBeLessThan(0.005);
    expect(rivals.repeatLast!.mse).toBeGreaterThan(0.5);
  });

  it('leaves the linear map out where no window fits', () => {
    const short = makeSeries('wave.csv', wave(300, makeNormal(3)), null);
    expect(Object.keys(metricsOf(forecastRivals({ ...protocol, train: [short] })))).toEqual(['repeatLast']);
  });
});

/** Figures that others measured on the same files by the same protocol. */
describe('on real recordings', () => {
  it('reaches the known figures of the occupancy recording', ({ skip }) => {
    const directory = realRecording('occupancy') ?? skip('no recording');
    const rivals = metricsOf(classifyRivals(loadProtocol(openRecording(directory))));
    expect(rivals.majority!['accuracy:test.csv']).toBeCloseTo(0.635, 3);
    expect(rivals.majority!['accuracy:test2.csv']).toBeCloseTo(0.79, 3);
    expect(rivals.linearDiscriminant!['accuracy:test.csv']).toBeCloseTo(0.979, 3);
    expect(rivals.linearDiscriminant!['accuracy:test2.csv']).toBeCloseTo(0.988, 3);
    expect(rivals.bestThreshold!['accuracy:test.csv']).toBeCloseTo(0.979, 3);
  });

  it('shows rivals no other channels than the model has: without light the room is hard', ({ skip }) => {
    const directory = realRecording('occupancy') ?? skip('no recording');
    const dark = selectChannels(openRecording(directory), [
      'temperature',
      'humidity',
      'co2',
      'humidity_ratio',
    ]);
    const rivals = metricsOf(classifyRivals(loadProtocol(dark)));
    expect(Math.abs(rivals.linearDiscriminant!['accuracy:test.csv']! - 0.853)).toBeLessThan(0.001);
    expect(Math.abs(rivals.linearDiscriminant!['accuracy:test2.csv']! - 0.738)).toBeLessThan(0.001);
  });

  it('reaches the known figures of the pump test bed', ({ skip }) => {
    const directory = realRecording('skab') ?? skip('no recording');
    const protocol = loadProtocol(openRecording(directory));
    const scored = protocol.tests.reduce((sum, { series, scoredFrom }) => sum + series.rows - scoredFrom, 0);
    expect(scored).toBe(23801);
    const rivals = metricsOf(anomalyRivals(protocol));
    expect(rivals.everything!.f1).toBeCloseTo(0.698, 3);
    expect(Math.abs(rivals.ewmaT2!.f1! - 0.806)).toBeLessThan(0.005);
    expect(Math.abs(rivals.pcaT2Q!.f1! - 0.76)).toBeLessThan(0.01);
  });

  it('reaches the known figures of the transformer station', ({ skip }) => {
    const directory = realRecording('etth1') ?? skip('no recording');
    const protocol = loadProtocol(openRecording(directory));
    const { from, to } = scoredSpan(protocol.recording, protocol.tests[0]!);
    expect([from, to - from]).toEqual([11519, 2785]);
    const rivals = metricsOf(forecastRivals(protocol));
    expect(rivals.repeatLast!.mse).toBeCloseTo(1.294, 3);
    expect(rivals.linear336!.mse).toBeCloseTo(0.37, 3);
    expect(rivals.linear336!.mae).toBeCloseTo(0.3915, 3);
  });
});
