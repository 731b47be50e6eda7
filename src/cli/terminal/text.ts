/** Lines of styled text, cut to a width: the only place that knows escape codes for colours. */

/** SGR codes of the styles that the live view uses. */
const codes = {
  bold: '1',
  dim: '2',
  red: '31',
  green: '32',
  yellow: '33',
  cyan: '36',
  magenta: '35',
} as const;

export type Style = keyof typeof codes;

/** A piece of a line. Every character of `text` must be one column wide. */
export interface Span {
  readonly text: string;
  readonly style?: Style;
}

export type Line = readonly (Span | string)[];

/** The line as at most `columns` characters, with escape codes only if `color`. */
export function renderLine(line: Line, columns: number, color: boolean): string {
  let left = columns;
  let out = '';
  for (const part of line) {
    const { text, style } = typeof part === 'string' ? { text: part, style: undefined } : part;
    const shown = text.slice(0, Math.max(0, left));
    left -= shown.length;
    out += color && style !== undefined && shown !== '' ? `\x1b[${codes[style]}m${shown}\x1b[0m` : shown;
  }
  return out;
}

/** `left` and `right` at the two ends of `columns`; at least one space between them. */
export function spread(left: Line, right: Line, columns: number): Line {
  const gap = Math.max(1, columns - width(left) - width(right));
  return [...left, ' '.repeat(gap), ...right];
}

export function width(line: Line): number {
  return line.reduce((sum, part) => sum + (typeof part === 'string' ? part : part.text).length, 0);
}

/** Neighbours of one style become one span, so that a ribbon needs few escape codes. */
export function joinSpans(spans: readonly Span[]): Span[] {
  const joined: Span[] = [];
  for (const span of spans) {
    const last = joined.at(-1);
    if (last !== undefined && last.style === span.style) {
      joined[joined.length - 1] = { ...span, text: last.text + span.text };
    } else joined.push(span);
  }
  return joined;
}

const bars = '▁▂▃▄▅▆▇█';

/** One character per value, from the least to the largest of them; NaN is a space, a constant a low bar. */
export function sparkline(values: readonly number[]): string {
  const known = values.filter(Number.isFinite);
  const low = Math.min(...known);
  const span = Math.max(...known) - low;
  return values
    .map((value) => {
      if (!Number.isFinite(value)) return ' ';
      const level = span > 0 ? Math.floor(((value - low) / span) * bars.length) : 0;
      return bars[Math.min(level, bars.length - 1)];
    })
    .join('');
}

/** One character per share from 0 to 1: a space for exactly 0, else a bar. */
export function shareBars(shares: readonly number[]): string {
  return shares
    .map((share) => (share > 0 ? bars[Math.min(bars.length - 1, Math.floor(share * bars.length))] : ' '))
    .join('');
}

/** A number in at most six characters or so: `21.9`, `1 204`, `0.00421`. */
export function measure(value: number): string {
  if (!Number.isFinite(value)) return '?';
  if (Math.abs(value) >= 1000) return grouped(Math.round(value));
  return String(Number(value.toPrecision(3)));
}

/** Whole numbers with spaces between thousands. */
export function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ' ');
}

const prefixes = ['', 'k', 'M', 'G', 'T', 'P'];

/** `1.23 G`: three digits and a prefix, for counts. */
export function scaled(value: number): string {
  let power = 0;
  let mantissa = value;
  while (Math.abs(mantissa) >= 999.5 && power < prefixes.length - 1) {
    mantissa /= 1000;
    power++;
  }
  const digits = power === 0 ? String(Math.round(mantissa)) : mantissa.toPrecision(3);
  return `${digits} ${prefixes[power]}`.trimEnd();
}

export function percent(share: number): string {
  return Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : '?';
}

/** Minutes and seconds. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
