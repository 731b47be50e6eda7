/** Numbers as people read them. */

const dash = '–';

/** Up to so many significant digits, thousands grouped; a dash for what is not known. */
export function numeral(value: number | null | undefined, digits = 4): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return dash;
  return value.toLocaleString('en', { maximumSignificantDigits: digits });
}

export function percent(share: number, digits = 1): string {
  return Number.isFinite(share) ? `${(100 * share).toFixed(digits)} %` : dash;
}

/** Joules with a prefix that keeps the number short. */
export function joules(value: number | null): string {
  if (value === null) return dash;
  const [scaled, unit] =
    Math.abs(value) >= 1e6
      ? [value / 1e6, 'MJ']
      : Math.abs(value) >= 1e4
        ? [value / 1e3, 'kJ']
        : Math.abs(value) < 1 && value !== 0
          ? [value * 1e3, 'mJ']
          : [value, 'J'];
  return `${numeral(scaled, 3)} ${unit}`;
}

export function duration(seconds: number): string {
  const units: readonly (readonly [string, number])[] = [
    ['d', 86_400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ];
  const at = units.findIndex(([, length]) => seconds >= length);
  if (at < 0) return '0 s';
  const [name, length] = units[at]!;
  const first = `${Math.floor(seconds / length)} ${name}`;
  const rest = units[at + 1];
  const count = rest === undefined ? 0 : Math.floor((seconds % length) / rest[1]);
  return count === 0 ? first : `${first} ${count} ${rest![0]}`;
}

/** As channels' units are shown. */
export function unitText(unit: string): string {
  const shown: Readonly<Record<string, string>> = { Celsius: '°C', C: '°C', Fahrenheit: '°F', '1': '' };
  return Object.hasOwn(shown, unit) ? shown[unit]! : unit;
}

export function clock(seconds: number): string {
  return new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'medium' });
}
