/** The gateway's counters in Prometheus' text format. */
import { type EnergySnapshot, metricsText } from '../../energy/metrics.ts';
import type { Json } from '../../engine/model.ts';
import { formatMetric, type Metric } from '../../text/prometheus.ts';
import { version } from '../../version.ts';

type Counters = { readonly [key: string]: Json };

export interface MetricsInput {
  /** As the gateway publishes them. */
  readonly counters: Counters;
  readonly gateway: string;
  readonly kernel: string;
  /** How the SHA-256 of the model's file begins. */
  readonly model: string;
  readonly policy: string;
  readonly connected: boolean;
  readonly override: string;
  /** Where there is a ledger it counts operations, skips and tiers too. */
  readonly energy: EnergySnapshot | undefined;
  readonly residentBytes: number;
}

export function gatewayMetrics(input: MetricsInput): string {
  const own = [...metricsOfState(input), ...metricsOfMessages(input.counters), ...metricsOfTicks(input)];
  return own.map(formatMetric).join('') + (input.energy === undefined ? '' : metricsText(input.energy));
}

function metricsOfState(input: MetricsInput): Metric[] {
  const { gateway, kernel, model, policy, counters } = input;
  return [
    gauge('build_info', 'Always 1; its labels tell what runs.', [
      { version, gateway, kernel, model, policy },
      1,
    ]),
    gauge('uptime_seconds', 'Since the gateway was started.', [{}, number(counters.uptimeS)]),
    gauge('mqtt_connected', '1 while connected and subscribed.', [{}, Number(input.connected)]),
    gauge(
      'override',
      '1 for what a command forces.',
      ...['safe', 'skip'].map((state) => [{ state }, Number(input.override === state)] as const),
    ),
    gauge('process_resident_memory_bytes', 'Resident memory.', [{}, input.residentBytes]),
    counter('mqtt_connects', 'Connections that became ready.', [{}, number(counters.connects)]),
  ];
}

/** Groups of counters that become one metric each, a label telling which. */
const groups = [
  { group: 'messages', name: 'mqtt_messages', label: 'what', help: 'Messages, by what became of them.' },
  { group: 'payloads', name: 'payload_problems', label: 'problem', help: 'Payloads with problems.' },
  { group: 'frames', name: 'frames', label: 'what', help: 'Frames that made no tick, by reason.' },
  { group: 'outbox', name: 'results', label: 'what', help: 'Results, by what became of them.' },
  { group: 'commands', name: 'commands', label: 'what', help: 'Commands over MQTT.' },
  { group: 'models', name: 'models', label: 'what', help: 'Models, by what became of them.' },
  { group: 'page', name: 'page_requests', label: 'what', help: 'Requests of the page and of metrics.' },
] as const;
/** Those among them that go down too. */
const gauges: readonly string[] = ['waiting', 'unacknowledged', 'readers'];

function metricsOfMessages(counters: Counters): Metric[] {
  return groups.flatMap(({ group, name, label, help }) => {
    const entries = Object.entries((counters[group] ?? {}) as Counters);
    const counted = entries.filter(([key, value]) => typeof value === 'number' && !gauges.includes(key));
    const current = entries.filter(([key]) => gauges.includes(key));
    return [
      counter(name, help, ...counted.map(([key, value]) => [{ [label]: key }, number(value)] as const)),
      ...current.map(([key, value]) => gauge(`${name}_${key}`, 'At this moment.', [{}, number(value)])),
    ];
  });
}

function metricsOfTicks({ counters, energy }: MetricsInput): Metric[] {
  const pipeline = counters.pipeline as Counters;
  const perTier = pipeline.perTier as readonly number[];
  const always = [
    counter('ticks', 'Ticks that were decided.', [{}, number(pipeline.frames)]),
    counter('ticks_by_tier', '0 full, 1 reduced, 2 safe, 3 skipped.', ...byTier(perTier)),
    counter('ticks_refused', 'Frames whose time was not later than the last.', [{}, number(pipeline.stale)]),
    counter('values_missing', 'Channel values that were unknown at a tick.', [{}, number(pipeline.missing)]),
    gauge('skip_ratio', 'Share of ticks that did not run the engine, since the start.', [
      {},
      number(pipeline.skips) / number(pipeline.frames),
    ]),
  ];
  if (energy !== undefined) return always;
  const skipped = [{}, number(pipeline.skips)] as const;
  return [
    ...always,
    counter('inferences', 'Ticks that ran the engine, by tier.', ...byTier(perTier.slice(0, 3))),
    counter('inferences_skipped', 'Ticks that did not run the engine.', skipped),
    counter(
      'ops',
      'Multiply-accumulates executed, and those of full compute on every tick with its cache.',
      [{ kind: 'executed' }, number(pipeline.macs)],
      [{ kind: 'dense_equiv' }, number(pipeline.macsDense)],
    ),
  ];
}

function byTier(perTier: readonly number[]): Metric['samples'] {
  return perTier.map((value, tier) => [{ tier: String(tier) }, value] as const);
}

function counter(name: string, help: string, ...samples: Metric['samples']): Metric {
  return { name: `dormouse_${name}_total`, type: 'counter', help, samples };
}

function gauge(name: string, help: string, ...samples: Metric['samples']): Metric {
  return { name: `dormouse_${name}`, type: 'gauge', help, samples };
}

function number(value: Json | undefined): number {
  return typeof value === 'number' ? value : Number.NaN;
}
