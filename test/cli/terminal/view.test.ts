import { describe, expect, it } from 'vitest';
import { type LiveView, renderPlain, renderView, traceColumns } from '../../../src/cli/terminal/view.ts';

const columns = 48;
const wave = (phase: number) => Array.from({ length: columns }, (_, i) => Math.sin(i / 5 + phase));
const day = Array.from({ length: columns }, (_, i) => (i > 20 && i < 40 ? 1 : 0));

function makeView(change: Partial<LiveView> = {}): LiveView {
  const channel = (name: string, unit: string, value: number, phase: number) => ({
    name,
    unit,
    value,
    trace: wave(phase),
    fired: Array.from({ length: columns }, (_, i) => (i % 7 === 0 ? 0.3 : 0)),
  });
  return {
    title: 'dormouse: occupancy, 2 layers, 128 wide, kernel exact',
    subtitle: 'simulated office room, seed 1, over mqtt://127.0.0.1:40123 at 100 ticks/s',
    elapsedS: 23.4,
    totalS: 60,
    timeMs: Date.UTC(2024, 0, 16, 9, 41),
    columnMs: 30 * 60_000,
    channels: [
      channel('temperature', 'Celsius', 21.9, 0),
      channel('humidity', '%', 27.35, 1),
      channel('light', 'lux', 431, 2),
      channel('co2', 'ppm', 1204, 3),
      channel('humidity_ratio', 'kg/kg', 0.004213, 4),
    ],
    tiers: day.map((busy, i) => (busy ? [i % 3 === 0 ? 2 : 0, 1, 0, 20] : [0, 0, i % 10 === 0 ? 1 : 0, 30])),
    lambda: { ready: true, value: 0.42, reference: 0.45, trace: wave(5), trust: 'allow', reason: 'novelty' },
    output: { label: 'occupied', confidence: 0.984, trace: day },
    truth: { label: 'occupied', trace: day, accuracy: 0.979 },
    ticks: 2345,
    tokens: 441,
    macs: 180_000_000,
    macsDense: 940_000_000,
    energy: { source: 'model', target: 'pi4', totalJ: 145.2, aboveIdleJ: 3.14, savedEstimateJ: 0.2 },
    ...change,
  };
}

describe('renderView', () => {
  it('draws this at 80x24', () => {
    expect(
      `\n${renderView(makeView(), { columns: 80, rows: 24 }, false).join('\n')}\n`,
    ).toMatchInlineSnapshot(`
      "
      dormouse: occupancy, 2 layers, 128 wide, kernel exact               0:23 of 1:00
      simulated office room, seed 1, over mqtt://127.0.0.1:40123 at 100 ticks/s

      temperature       21.9 Celsius  ▄▅▆▇▇███████▇▇▆▅▄▃▃▂▁▁▁▁▁▁▁▁▂▃▃▄▅▆▆▇███████▇▇▆▅▅
        spikes                        ▃      ▃      ▃      ▃      ▃      ▃      ▃
      humidity          27.4 %        ███████▇▇▆▅▄▃▃▂▁▁▁▁▁▁▁▁▂▃▃▄▅▆▆▇███████▇▇▆▅▅▄▃▂▂▁
        spikes                        ▃      ▃      ▃      ▃      ▃      ▃      ▃
      light              431 lux      ██▇▇▆▅▄▃▃▂▁▁▁▁▁▁▁▁▂▃▃▄▅▆▆▇███████▇▇▆▅▅▄▃▂▂▁▁▁▁▁▁
        spikes                        ▃      ▃      ▃      ▃      ▃      ▃      ▃
      co2              1 204 ppm      ▅▄▃▃▂▁▁▁▁▁▁▁▁▂▃▃▄▅▆▆▇███████▇▇▆▅▅▄▃▂▂▁▁▁▁▁▁▁▂▂▃▄
        spikes                        ▃      ▃      ▃      ▃      ▃      ▃      ▃
      humidity_ratio 0.00421 kg/kg    ▁▁▁▁▁▁▁▁▂▃▃▄▅▆▆▇███████▇▇▆▅▅▄▃▂▂▁▁▁▁▁▁▁▂▂▃▄▅▅▆▇▇
        spikes                        ▃      ▃      ▃      ▃      ▃      ▃      ▃

      tier    skips 81.2 %            ▁·········▁·········▁▂▁▁▂▁▁▂▁▁▂▁▁▂▁▁▂▁▁▂▁·······
      lambda  0.42 of 0.45            ▁▁▁▂▃▃▄▅▆▆▇███████▇▇▆▅▅▄▃▂▂▁▁▁▁▁▁▁▂▂▃▄▅▅▆▇▇█████
      says    occupied 98 %                                ███████████████████
      truth   occupied                                     ███████████████████

      Tue 09:41  2 345 ticks, 441 tokens, right 97.9 %  trust allow, novelty
      180 M MACs executed, 760 M of 940 M saved  (one column: 30 min)
      model of pi4: 3.14 J above idle, about 0.2 J saved, 145 J in all
      "
    `);
  });

  it('draws less where there is less room, and keeps the bottom line', () => {
    const lines = renderView(makeView(), { columns: 80, rows: 16 }, false);
    expect(`\n${lines.join('\n')}\n`).toMatchInlineSnapshot(`
      "
      dormouse: occupancy, 2 layers, 128 wide, kernel exact               0:23 of 1:00
      simulated office room, seed 1, over mqtt://127.0.0.1:40123 at 100 ticks/s
      temperature       21.9 Celsius  ▄▅▆▇▇███████▇▇▆▅▄▃▃▂▁▁▁▁▁▁▁▁▂▃▃▄▅▆▆▇███████▇▇▆▅▅
      humidity          27.4 %        ███████▇▇▆▅▄▃▃▂▁▁▁▁▁▁▁▁▂▃▃▄▅▆▆▇███████▇▇▆▅▅▄▃▂▂▁
      light              431 lux      ██▇▇▆▅▄▃▃▂▁▁▁▁▁▁▁▁▂▃▃▄▅▆▆▇███████▇▇▆▅▅▄▃▂▂▁▁▁▁▁▁
      co2              1 204 ppm      ▅▄▃▃▂▁▁▁▁▁▁▁▁▂▃▃▄▅▆▆▇███████▇▇▆▅▅▄▃▂▂▁▁▁▁▁▁▁▂▂▃▄
      humidity_ratio 0.00421 kg/kg    ▁▁▁▁▁▁▁▁▂▃▃▄▅▆▆▇███████▇▇▆▅▅▄▃▂▂▁▁▁▁▁▁▁▂▂▃▄▅▅▆▇▇
      tier    skips 81.2 %            ▁·········▁·········▁▂▁▁▂▁▁▂▁▁▂▁▁▂▁▁▂▁▁▂▁·······
      lambda  0.42 of 0.45            ▁▁▁▂▃▃▄▅▆▆▇███████▇▇▆▅▅▄▃▂▂▁▁▁▁▁▁▁▂▂▃▄▅▅▆▇▇█████
      says    occupied 98 %                                ███████████████████
      truth   occupied                                     ███████████████████
      Tue 09:41  2 345 ticks, 441 tokens, right 97.9 %  trust allow, novelty
      180 M MACs executed, 760 M of 940 M saved  (one column: 30 min)
      model of pi4: 3.14 J above idle, about 0.2 J saved, 145 J in all
      "
    `);
  });

  it.each([
    [80, 24],
    [40, 10],
    [200, 60],
    [1, 1],
  ])('never leaves %i x %i, coloured or not', (width, rows) => {
    for (const color of [true, false]) {
      const lines = renderView(makeView(), { columns: width, rows }, color);
      expect(lines.length).toBeLessThanOrEqual(rows);
      for (const line of lines) {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: escape codes take no room
        expect(line.replaceAll(/\x1b\[\d+m/g, '').length).toBeLessThanOrEqual(width);
      }
    }
  });

  it('uses escape codes only when colour is wanted', () => {
    const size = { columns: 80, rows: 24 };
    expect(renderView(makeView(), size, false).join('')).not.toContain('\x1b');
    expect(renderView(makeView(), size, true).join('')).toContain('\x1b[35m▂');
  });

  it('says what is not known instead of drawing a number', () => {
    const nothing = {
      ...makeView(),
      timeMs: Number.NaN,
      ticks: 0,
      tokens: 0,
      macs: 0,
      macsDense: 0,
      truth: undefined,
      lambda: { ...makeView().lambda, ready: false },
      output: { label: 'nothing yet', confidence: Number.NaN, trace: day },
      energy: {
        source: 'model',
        target: 'pi4',
        totalJ: Number.NaN,
        aboveIdleJ: Number.NaN,
        savedEstimateJ: Number.NaN,
      },
    };
    const text = renderView(nothing, { columns: 80, rows: 24 }, false).join('\n');
    expect(text).not.toContain('NaN');
    expect(text).toContain('not yet known');
    expect(text).toContain('? J above idle');
    expect(text).not.toContain('truth');
    expect(renderPlain(nothing)).not.toContain('NaN');
  });

  it('leaves the rest of the width to the traces', () => {
    expect(traceColumns(80)).toBe(48);
    expect(traceColumns(10)).toBe(1);
  });
});

describe('renderPlain', () => {
  it('is one line with everything that matters', () => {
    expect(renderPlain(makeView())).toMatchInlineSnapshot(
      `"0:23 Tue 09:41  ticks 2345  skipped 81.2 %  says occupied 98 %  truth occupied  right 97.9 %  lambda 0.42  MACs saved 80.9 %  3.14 J above idle (model)"`,
    );
  });
});
