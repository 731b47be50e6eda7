/** Times as recordings write them. */

const dateTime =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s?(Z|[+-]\d{2}(?::?\d{2})?)?)?$/;
const seconds = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/**
 * Milliseconds since 1970 of an ISO 8601 time, of `YYYY-MM-DD HH:MM:SS`, or of a number of seconds (from any zero).
 * Without a zone it is UTC. NaN if it is none of these or no such moment exists.
 */
export function parseTime(text: string): number {
  const trimmed = text.trim();
  if (seconds.test(trimmed)) return Number(trimmed) * 1000;
  const match = dateTime.exec(trimmed);
  return match === null ? Number.NaN : momentMs(match);
}

function momentMs(match: RegExpExecArray): number {
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0));
  if (hour! > 23 || minute! > 59 || second! > 59) return Number.NaN;
  const date = new Date(0);
  // Not Date.UTC: it takes the years 0 to 99 for 1900 to 1999.
  date.setUTCFullYear(year!, month! - 1, day!);
  date.setUTCHours(hour!, minute!, second!);
  // A Date rolls 30 February over to March; such a moment does not exist.
  if (date.getUTCMonth() !== month! - 1 || date.getUTCDate() !== day!) return Number.NaN;
  return date.getTime() + fractionMs(match[7]) - zoneMs(match[8]);
}

function fractionMs(digits: string | undefined): number {
  return digits === undefined ? 0 : Number(`0.${digits}`) * 1000;
}

function zoneMs(zone: string | undefined): number {
  if (zone === undefined || zone === 'Z') return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3).replace(':', '') || 0);
  return (zone[0] === '-' ? -minutes : minutes) * 60_000;
}
