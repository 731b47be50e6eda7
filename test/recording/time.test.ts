import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTime } from '../../src/recording/time.ts';

const noon = Date.UTC(2020, 2, 1, 12, 30, 5);

describe('parseTime', () => {
  it.each([
    ['2020-03-01T12:30:05Z', noon],
    ['2020-03-01T12:30:05', noon],
    ['2020-03-01 12:30:05', noon],
    ['2020-03-01 12:30:05Z', noon],
    [' 2020-03-01T12:30:05.25Z ', noon + 250],
    ['2020-03-01T12:30:05,250', noon + 250],
    ['2020-03-01T14:30:05+02:00', noon],
    ['2020-03-01T14:00:05+0130', noon],
    ['2020-03-01T09:30:05-03', noon],
    ['2020-03-01T12:30', noon - 5000],
    ['2020-03-01', Date.UTC(2020, 2, 1)],
    ['2020-02-29', Date.UTC(2020, 1, 29)],
    ['0', 0],
    ['1.5', 1500],
    ['-2e1', -20000],
  ])('%s', (text, expected) => {
    expect(parseTime(text)).toBe(expected);
  });

  it.each([
    '',
    'now',
    '2020-02-30',
    '2021-02-29',
    '2020-13-01',
    '2020-00-10',
    '2020-01-00',
    '2020-03-01T24:00:00',
    '2020-03-01T12:60:00',
    '2020-03-01T12:00:60',
    '01.03.2020',
    '2020-03-01T',
    '2020-03-01T12',
    '12:30:05',
    '1,5',
    'Infinity',
    'NaN',
    '0x10',
  ])('refuses %j', (text) => {
    expect(parseTime(text)).toBeNaN();
  });

  it('reads back every moment that toISOString writes', () => {
    const moment = fc.date({
      min: new Date('0000-01-01T00:00:00Z'),
      max: new Date('9999-12-31T23:59:59Z'),
      noInvalidDate: true,
    });
    fc.assert(
      fc.property(moment, (date) => parseTime(date.toISOString()) === date.getTime()),
      { seed: 1 },
    );
  });
});
