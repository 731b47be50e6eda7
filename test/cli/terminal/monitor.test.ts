import { describe, expect, it } from 'vitest';
import type { PlayedTick } from '../../../src/cli/simulation/playback.ts';
import { Monitor } from '../../../src/cli/terminal/monitor.ts';
import type { ModelMeaning } from '../../../src/engine/model.ts';
import { Q15_ONE } from '../../../src/gate/packets.ts';
import { Witness } from '../../../src/gate/witness.ts';
import { tinyModel } from '../../engine/tiny-model.ts';

const frame = {
  title: '',
  subtitle: '',
  elapsedS: 0,
  totalS: 1,
  energy: { source: 'model', target: 'pi4', totalJ: 0, aboveIdleJ: 0, savedEstimateJ: 0 },
};

function played(timeMs: number, label: number, ...values: number[]): PlayedTick {
  return { timeMs, label, values: Float64Array.from(values) };
}

function witness(timeMs: number, fields: Partial<Witness>): Witness {
  return Object.assign(new Witness(), { channels: 2, timeMs, macsDense: 100, ...fields });
}

function makeMonitor(meaning: Partial<ModelMeaning> = {}, ticksPerColumn = 2) {
  return new Monitor({
    meaning: { ...tinyModel().meaning, ...meaning },
    played: ['light', 'humidity', 'temperature'],
    columns: 3,
    ticksPerColumn,
  });
}

describe('Monitor', () => {
  it('sums ticks, tiers and operations', () => {
    const monitor = makeMonitor();
    monitor.onTick(witness(1, { tier: 0, macs: 100 }));
    monitor.onTick(witness(2, { tier: 3 }));
    monitor.onTick(witness(3, { tier: 1, macs: 40 }));
    expect(monitor).toMatchObject({ ticks: 3, tokens: 2, tiers: [1, 1, 0, 1], macs: 140, macsDense: 300 });
    expect(monitor.view(frame).tiers).toEqual([
      [0, 0, 0, 0],
      [1, 0, 0, 1],
      [0, 1, 0, 0],
    ]);
  });

  it('sets the output against the truth of the same tick', () => {
    const monitor = makeMonitor();
    const labels = [0, 1, 1, 0];
    labels.forEach((label, i) => void monitor.played(played(i, label, 0, 0, 0)));
    const said = [0, 1, 0, 0];
    said.forEach((topIndex, i) => void monitor.onTick(witness(i, { topIndex, score: 0.9 })));
    expect([monitor.scored, monitor.right]).toEqual([4, 3]);
    const view = monitor.view(frame);
    expect(view.truth).toMatchObject({ label: 'empty', accuracy: 0.75, trace: [0, 0.5, 0.5] });
    expect(view.output).toMatchObject({ label: 'empty', confidence: 0.9, trace: [0, 0.5, 0] });
  });

  it('scores nothing where nobody knows the truth, or nothing was said yet', () => {
    const monitor = makeMonitor();
    monitor.played(played(0, -1, 0, 0, 0));
    monitor.onTick(witness(0, { topIndex: 0, score: 0.9 }));
    monitor.played(played(1, 1, 0, 0, 0));
    monitor.onTick(witness(1, { topIndex: -1, score: Number.NaN }));
    expect(monitor.scored).toBe(0);
    expect(monitor.view(frame).truth).toBeUndefined();
    expect(monitor.view(frame).output.label).toBe('nothing yet');
  });

  it('finds the channels of the model by name among those played', () => {
    const monitor = makeMonitor();
    monitor.played(played(0, 0, 400, 30, 21));
    const one = witness(0, {});
    one.firedMask[0] = 0b10;
    monitor.onTick(one);
    const [temperature, humidity] = monitor.view(frame).channels;
    expect(temperature).toMatchObject({ name: 'temperature', value: 21, fired: [0, 0, 0] });
    expect(humidity).toMatchObject({ name: 'humidity', value: 30, fired: [0, 0, 1] });
    expect(temperature!.trace).toEqual([Number.NaN, Number.NaN, 21]);
  });

  it('knows what is still on its way', () => {
    const monitor = makeMonitor();
    for (let i = 0; i < 5; i++) monitor.played(played(i * 1000, 0, 0, 0, 0));
    monitor.onTick(witness(2000, {}));
    expect([monitor.undecided, monitor.playedMs]).toEqual([2, 2000]);
  });

  it('averages lambda over the ticks where it means something', () => {
    const monitor = makeMonitor({}, 3);
    monitor.onTick(witness(0, { ready: false, lambdaQ15: 0 }));
    expect(monitor.view(frame).lambda).toMatchObject({
      ready: false,
      trace: [Number.NaN, Number.NaN, Number.NaN],
    });
    monitor.onTick(witness(1, { ready: true, lambdaQ15: Q15_ONE }));
    monitor.onTick(witness(2, { ready: true, lambdaQ15: Q15_ONE }));
    expect(monitor.view(frame).lambda).toMatchObject({
      ready: true,
      value: 1,
      trace: [Number.NaN, Number.NaN, 1],
    });
  });

  it('speaks of anomalies by channel, against the threshold', () => {
    const monitor = makeMonitor({ task: { kind: 'anomaly', threshold: 4 } });
    monitor.played(played(0, 1, 0, 0, 0));
    monitor.onTick(witness(0, { topIndex: 1, score: 6 }));
    expect(monitor.view(frame).output).toMatchObject({ label: 'anomaly: humidity', confidence: Number.NaN });
    expect(monitor.view(frame).output.trace.at(-1)).toBe(0.75);
    expect(monitor.right).toBe(1);
    monitor.onTick(witness(1, { topIndex: 1, score: 1 }));
    expect(monitor.view(frame).output.label).toBe('normal');
  });
});
