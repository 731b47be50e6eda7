/** Who is in the office, minute by minute: days of work with lunch, breaks and meetings, and free weekends. */
import type { Random } from './random.ts';

export const minutesPerDay = 1440;
const minutesPerHour = 60;

/** Minutes [from, to) of one day. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** When a person is in the room on one day; empty on a weekend, a day off, or a day of meetings elsewhere. */
function planDay(random: Random, isWorkday: boolean): Span[] {
  if (!isWorkday || random.chance(0.1)) return [];
  const arrival = clockTime(random, 8.2, 0.4);
  const departure = clockTime(random, 17.4, 0.6);
  const absences = [lunch(random), ...meetings(random), ...breaks(random, arrival, departure)];
  return subtract({ from: arrival, to: departure }, absences);
}

function clockTime(random: Random, hour: number, deviationHours: number): number {
  return Math.round(random.normal(hour, deviationHours) * minutesPerHour);
}

function lunch(random: Random): Span {
  const from = clockTime(random, 12.3, 0.25);
  return { from, to: from + Math.round(random.between(30, 60)) };
}

function meetings(random: Random): Span[] {
  if (!random.chance(0.5)) return [];
  const from = clockTime(random, random.chance(0.5) ? 10 : 14.5, 0.3);
  return [{ from, to: from + Math.round(random.between(30, 90)) }];
}

/** One short absence every hour and a half or so. */
function breaks(random: Random, arrival: number, departure: number): Span[] {
  const spans: Span[] = [];
  for (let at = arrival; at < departure; ) {
    at += Math.round(random.between(50, 130));
    const to = at + Math.round(random.between(3, 12));
    spans.push({ from: at, to });
    at = to;
  }
  return spans;
}

/** What of `whole` is left when `absences` are taken out; they may overlap and come in any order. */
export function subtract(whole: Span, absences: readonly Span[]): Span[] {
  const left: Span[] = [];
  let from = whole.from;
  for (const absence of [...absences].sort((a, b) => a.from - b.from)) {
    if (absence.from > from) left.push({ from, to: Math.min(absence.from, whole.to) });
    from = Math.max(from, absence.to);
    if (from >= whole.to) return left;
  }
  left.push({ from, to: whole.to });
  return left;
}

/** The people of one office. */
export class People {
  readonly #random: Random;
  readonly #count: number;
  #day = Number.NaN;
  #spans: Span[][] = [];

  constructor(random: Random, count: number) {
    this.#random = random;
    this.#count = count;
  }

  /** How many are in the room at that minute since a Monday's midnight. Minutes must not go back by a day. */
  presentAt(minute: number): number {
    const day = Math.floor(minute / minutesPerDay);
    if (day !== this.#day) this.#plan(day);
    const time = minute - day * minutesPerDay;
    return this.#spans.filter((spans) => spans.some(({ from, to }) => time >= from && time < to)).length;
  }

  #plan(day: number): void {
    this.#day = day;
    const isWorkday = day % 7 < 5;
    this.#spans = Array.from({ length: this.#count }, () => planDay(this.#random, isWorkday));
  }
}
