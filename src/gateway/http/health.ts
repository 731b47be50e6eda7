/** Whether a gateway does what its config asks of it, for whoever would start it anew. */
import type { Vitals } from '../service.ts';

export interface HealthCheck {
  readonly ok: boolean;
  /** What was seen, for people. */
  readonly why: string;
}

export interface Health {
  readonly ok: boolean;
  readonly checks: { readonly mqtt: HealthCheck; readonly ticks: HealthCheck };
}

/** What health is judged from; times by one monotonic clock. */
export interface HealthInput {
  readonly nowMs: number;
  readonly startedMs: number;
  readonly isConnected: boolean;
  readonly vitals: Vitals;
  /** When the last tick was decided; undefined: none yet. */
  readonly lastTickMs: number | undefined;
  /** A tick must come within so long; 0: not asked, except where ticks are due by the clock. */
  readonly tickWithinMs: number;
}

/** A grid's ticks may be so late. */
const graceMs = 10_000;

export function healthOf(input: HealthInput): Health {
  const mqtt = mqttCheck(input);
  const ticks = ticksCheck(input);
  return { ok: mqtt.ok && ticks.ok, checks: { mqtt, ticks } };
}

function mqttCheck({ isConnected, vitals }: HealthInput): HealthCheck {
  if (vitals.silence !== undefined) return { ok: false, why: `the gateway ${vitals.silence}` };
  return { ok: isConnected, why: isConnected ? 'connected and subscribed' : 'not connected to the broker' };
}

function ticksCheck(input: HealthInput): HealthCheck {
  const { nowMs, startedMs, lastTickMs, vitals } = input;
  const sinceS = Math.round((nowMs - (lastTickMs ?? startedMs)) / 1000);
  const seen =
    lastTickMs === undefined ? `no tick since the start ${sinceS} s ago` : `last tick ${sinceS} s ago`;
  const withinMs = withinOf(input);
  if (withinMs === 0) return { ok: true, why: `${seen}; ticks come when messages do` };
  const ok = nowMs - (lastTickMs ?? startedMs) <= withinMs;
  const waiting = vitals.waiting > 0 ? `, ${vitals.waiting} messages wait` : '';
  return { ok, why: ok ? seen : `${seen}, expected one each ${Math.round(withinMs / 1000)} s${waiting}` };
}

function withinOf({ tickWithinMs, vitals: { grid } }: HealthInput): number {
  if (tickWithinMs > 0 || grid === undefined) return tickWithinMs;
  return 3 * grid.intervalMs + graceMs;
}
