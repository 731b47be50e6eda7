import { describe, expect, it } from 'vitest';
import { Screen, wantsColor } from '../../../src/cli/terminal/screen.ts';
import {
  duration,
  grouped,
  joinSpans,
  measure,
  percent,
  renderLine,
  scaled,
  shareBars,
  sparkline,
  spread,
  width,
} from '../../../src/cli/terminal/text.ts';

describe('lines', () => {
  it('cuts at the width, escape codes not counted', () => {
    const line = ['ab', { text: 'cd', style: 'red' as const }, 'ef'];
    expect(renderLine(line, 3, false)).toBe('abc');
    expect(renderLine(line, 3, true)).toBe('ab\x1b[31mc\x1b[0m');
    expect(renderLine(line, 2, true)).toBe('ab');
    expect(renderLine(line, 99, false)).toBe('abcdef');
  });

  it('spreads two ends', () => {
    expect(renderLine(spread(['a'], ['z'], 6), 6, false)).toBe('a    z');
    expect(width(spread(['aaaa'], ['zzzz'], 6))).toBe(9);
  });

  it('joins neighbours of one style', () => {
    const spans = [{ text: 'a', style: 'dim' as const }, { text: 'b', style: 'dim' as const }, { text: 'c' }];
    expect(joinSpans(spans)).toEqual([{ text: 'ab', style: 'dim' }, { text: 'c' }]);
  });
});

describe('bars', () => {
  it('spans the range of what is known', () => {
    expect(sparkline([0, 1, 2, 3, 4, 5, 6, 7])).toBe('▁▂▃▄▅▆▇█');
    expect(sparkline([5, Number.NaN, 5])).toBe('▁ ▁');
    expect(sparkline([])).toBe('');
    expect(sparkline([Number.NaN])).toBe(' ');
  });

  it('shows any share above zero', () => {
    expect(shareBars([0, 0.001, 0.5, 1])).toBe(' ▁▅█');
  });
});

describe('numbers', () => {
  it.each([
    [21.9, '21.9'],
    [0.0042134, '0.00421'],
    [1203.7, '1 204'],
    [-3, '-3'],
    [0, '0'],
    [Number.NaN, '?'],
  ])('measures %d as %s', (value, text) => expect(measure(value)).toBe(text));

  it.each([
    [0, '0'],
    [999, '999'],
    [999.7, '1.00 k'],
    [1234, '1.23 k'],
    [940e6, '940 M'],
    [2.5e12, '2.50 T'],
  ])('scales %d to %s', (value, text) => expect(scaled(value)).toBe(text));

  it('groups, shares and durations', () => {
    expect(grouped(1234567)).toBe('1 234 567');
    expect(percent(0.8123)).toBe('81.2 %');
    expect(percent(Number.NaN)).toBe('?');
    expect(duration(83.4)).toBe('1:23');
    expect(duration(-1)).toBe('0:00');
  });
});

describe('Screen', () => {
  it('hides the cursor once, and gives back cursor and screen once', () => {
    let written = '';
    const screen = new Screen({ write: (text) => (written += text) });
    screen.close();
    expect(written).toBe('');
    screen.draw(['one', 'two']);
    screen.draw(['three']);
    screen.close();
    screen.close();
    expect(written.split('\x1b[?25l').length).toBe(2);
    expect(written.endsWith('\x1b[?25h\x1b[?1049l')).toBe(true);
    expect(written.split('\x1b[?1049l').length).toBe(2);
    expect(written).toContain('one\x1b[K\r\ntwo\x1b[K\x1b[J');
  });

  it('takes 80x24 where the terminal does not say', () => {
    expect(new Screen({ write: () => true }).size).toEqual({ columns: 80, rows: 24 });
    expect(new Screen({ write: () => true, columns: 120, rows: 40 }).size).toEqual({
      columns: 120,
      rows: 40,
    });
  });

  it('colours a terminal, unless NO_COLOR says no', () => {
    expect(wantsColor(true, {})).toBe(true);
    expect(wantsColor(true, { NO_COLOR: '' })).toBe(true);
    expect(wantsColor(true, { NO_COLOR: '1' })).toBe(false);
    expect(wantsColor(true, { TERM: 'dumb' })).toBe(false);
    expect(wantsColor(false, {})).toBe(false);
  });
});
