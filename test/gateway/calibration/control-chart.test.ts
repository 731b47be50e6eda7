import { describe, expect, it } from 'vitest';
import { ControlChart } from '../../../src/gateway/calibration/control-chart.ts';
import { Random } from '../../../src/train/random.ts';

const settings = { calibrationTicks: 400, levelHalfLife: 1, surpriseHalfLife: 1, release: 0.75 };

/** Two channels that say nearly the same: levels of a common factor and a little noise. */
function coupled(random: Random): Float64Array {
  const common = random.normal();
  return Float64Array.of(common + 0.1 * random.normal(), common + 0.1 * random.normal());
}

function surprisesOf(random: Random): Float64Array {
  return Float64Array.of(Math.abs(random.normal()), Math.abs(random.normal()));
}

function calibrated(ticks = 400): { chart: ControlChart; random: Random } {
  const random = new Random(1);
  const chart = new ControlChart(2, settings);
  chart.beginCalibration(ticks);
  for (let tick = 0; tick < ticks; tick++) chart.observe(coupled(random), surprisesOf(random), 1);
  chart.calibrate();
  return { chart, random };
}

/** The score after so many ticks of the same. */
function scoreOf(chart: ControlChart, levels: Float64Array, surprises: Float64Array, ticks = 12): number {
  for (let tick = 0; tick < ticks; tick++) chart.observe(levels, surprises, 1);
  chart.update();
  return chart.score[0]!;
}

describe('a control chart', () => {
  it('has no score before it is calibrated', () => {
    const chart = new ControlChart(2, settings);
    chart.observe(Float64Array.of(9, 9), Float64Array.of(9, 9), 1);
    chart.update();
    expect(chart.isCalibrated).toBe(false);
    expect(chart.score[0]).toBeNaN();
    expect(chart.state).toBeNull();
    expect(chart.topChannel).toBe(-1);
  });

  it('is rarely beyond the strangest tick of its calibration while nothing changes', () => {
    const { chart, random } = calibrated();
    let beyond = 0;
    for (let tick = 0; tick < 1000; tick++) {
      chart.observe(coupled(random), surprisesOf(random), 1);
      chart.update();
      if (chart.score[0]! > 1) beyond++;
    }
    expect(beyond).toBeLessThan(20);
  });

  it('sees a broken coupling though each channel is where it may be', () => {
    const { chart } = calibrated();
    expect(scoreOf(chart, Float64Array.of(2, 2), Float64Array.of(0.8, 0.8))).toBeLessThan(1);
    expect(scoreOf(chart, Float64Array.of(2, -2), Float64Array.of(0.8, 0.8))).toBeGreaterThan(4);
  });

  it('sees noise and silence that leave the levels alone', () => {
    const { chart } = calibrated();
    expect(scoreOf(chart, Float64Array.of(0, 0), Float64Array.of(0.8, 5))).toBeGreaterThan(1);
    expect(chart.topChannel).toBe(1);
  });

  it('does not remember longer for a reading beyond all measure', () => {
    const { chart } = calibrated();
    chart.observe(Float64Array.of(1e9, 0), Float64Array.of(1e9, 0), 1);
    expect(scoreOf(chart, Float64Array.of(0, 0), Float64Array.of(0.8, 0.8))).toBeLessThan(1);
  });

  it('keeps an average that gets no value, and forgets by the time that passed', () => {
    const { chart } = calibrated();
    chart.reset();
    chart.observe(Float64Array.of(4, Number.NaN), Float64Array.of(Number.NaN, Number.NaN), 1);
    chart.observe(Float64Array.of(Number.NaN, Number.NaN), Float64Array.of(Number.NaN, Number.NaN), 1);
    expect([...chart.averages.slice(0, 2)]).toEqual([4, Number.NaN]);
    chart.observe(Float64Array.of(0, 2), Float64Array.of(1, 1), 2);
    expect(chart.averages[0]).toBeCloseTo(1, 12);
    expect(chart.averages[1]).toBe(2);
  });

  it('goes on from its state as if it had never stopped', () => {
    const { chart, random } = calibrated();
    const other = new ControlChart(2, settings);
    other.restore(JSON.parse(JSON.stringify(chart.state)));
    chart.reset();
    for (let tick = 0; tick < 50; tick++) {
      const [levels, surprises] = [coupled(random), surprisesOf(random)];
      for (const one of [chart, other]) {
        one.observe(levels, surprises, 1);
        one.update();
      }
      expect(other.score[0]).toBe(chart.score[0]);
    }
  });

  it('has the mean T2 as its unit where asked for: about 1 while nothing changes, whatever was strangest', () => {
    const random = new Random(1);
    const chart = new ControlChart(2, { ...settings, unit: 'average' });
    chart.beginCalibration(400);
    for (let tick = 0; tick < 400; tick++) {
      const levels = tick === 200 ? Float64Array.of(8, -8) : coupled(random);
      chart.observe(levels, surprisesOf(random), 1);
    }
    chart.calibrate();
    expect(chart.state!.unitT2).toBe(4);
    let sum = 0;
    for (let tick = 0; tick < 1000; tick++) {
      chart.observe(coupled(random), surprisesOf(random), 1);
      chart.update();
      sum += chart.score[0]!;
    }
    expect(sum / 1000).toBeGreaterThan(0.4);
    expect(sum / 1000).toBeLessThan(1.5);
  });

  it('takes other levels for ordinary when told, until it is reset', () => {
    const { chart } = calibrated();
    const [levels, surprises] = [Float64Array.of(5, 5), Float64Array.of(0.8, 0.8)];
    expect(scoreOf(chart, levels, surprises)).toBeGreaterThan(1);
    const state = JSON.stringify(chart.state);
    chart.acceptLevels();
    chart.update();
    expect(chart.score[0]).toBeLessThan(1);
    // They may still come to rest elsewhere.
    expect(scoreOf(chart, Float64Array.of(4, 4), surprises)).toBeLessThan(1);
    scoreOf(chart, levels, surprises, 30);
    expect(scoreOf(chart, levels, surprises)).toBeLessThan(1);
    expect(scoreOf(chart, Float64Array.of(0, 0), surprises)).toBeGreaterThan(1);
    expect(scoreOf(chart, Float64Array.of(5, 5), Float64Array.of(0.8, 5))).toBeGreaterThan(1);
    // What it was calibrated to is still what it keeps.
    expect(JSON.stringify(chart.state)).toBe(state);
    chart.reset();
    expect(scoreOf(chart, levels, surprises)).toBeGreaterThan(1);
  });

  it('does not follow levels any longer when something is wrong', () => {
    const { chart } = calibrated();
    const surprises = Float64Array.of(0.8, 0.8);
    scoreOf(chart, Float64Array.of(5, 5), surprises);
    chart.acceptLevels();
    chart.endSettling();
    expect(scoreOf(chart, Float64Array.of(0, 0), surprises)).toBeGreaterThan(1);
  });

  it('takes a plant that stood still for one that may tremble', () => {
    const chart = new ControlChart(2, settings);
    chart.beginCalibration(100);
    for (let tick = 0; tick < 100; tick++) chart.observe(Float64Array.of(0, 0), Float64Array.of(0, 0), 1);
    chart.calibrate();
    expect(scoreOf(chart, Float64Array.of(0.05, 0.05), Float64Array.of(0.05, 0.05))).toBeLessThan(3);
    expect(scoreOf(chart, Float64Array.of(1, 0), Float64Array.of(0, 0))).toBeGreaterThan(3);
  });

  it('can be calibrated by nothing at all', () => {
    const chart = new ControlChart(2, settings);
    chart.beginCalibration(100);
    chart.calibrate();
    expect(scoreOf(chart, Float64Array.of(8, 8), Float64Array.of(6, 6))).toBeGreaterThan(3);
  });
});
