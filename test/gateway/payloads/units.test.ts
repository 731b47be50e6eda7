import { describe, expect, test } from 'vitest';
import { conversionBetween } from '../../../src/gateway/payloads/units.ts';

function convert(value: number, from: string, to: string): number | undefined {
  const conversion = conversionBetween(from, to);
  return conversion && value * conversion.scale + conversion.offset;
}

describe('converts', () => {
  test.each([
    [212, '°F', 'Celsius', 100],
    [100, 'Celsius', 'Fahrenheit', 212],
    [0, 'K', 'C', -273.15],
    [1.5, 'kWh', 'Wh', 1500],
    [3600, 'J', 'Wh', 1],
    [988.6, 'hPa', 'Pa', 98_860],
    [1, 'bar', 'mbar', 1000],
    [3005, 'mV', 'V', 3.005],
    [0.5, 'share', '%', 50],
    [2, 'MW', 'kW', 2000],
    [2, 'mW', 'W', 0.002],
    [36, 'km/h', 'm/s', 10],
    [1, 'Sekel', 'Sekel', 1],
  ])('%d %s to %s', (value, from, to, expected) => {
    expect(convert(value, from, to)).toBeCloseTo(expected, 9);
  });
});

describe('does not convert', () => {
  test.each([
    ['W', 'Wh'],
    ['Celsius', '%'],
    ['Sekel', 'W'],
    ['W', 'constructor'],
    ['', 'W'],
  ])('%s to %s', (from, to) => {
    expect(conversionBetween(from, to)).toBeUndefined();
  });
});
