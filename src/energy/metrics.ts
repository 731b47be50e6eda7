/** The ledger in Prometheus' text format: base units, counters that end in _total. */
import { formatMetric, type Metric } from '../text/prometheus.ts';
import type { LedgerTotals } from './ledger-totals.ts';
import type { MeterScope, MeterSource } from './meter.ts';

/** Everything since the gateway's start. */
export interface EnergySnapshot {
  readonly source: MeterSource;
  readonly scope: MeterScope;
  readonly totals: LedgerTotals;
  /** Mean of the last interval; NaN before there is one, or where it is not known. */
  readonly powerWatts: number;
  readonly meterFailures: number;
  readonly writeFailures: number;
  readonly writtenBytes: number;
}

/** The whole exposition, newline at its end. A metric without a known sample is left out. */
export function metricsText(snapshot: EnergySnapshot): string {
  return metricsOf(snapshot).map(formatMetric).join('');
}

function metricsOf(snapshot: EnergySnapshot): readonly Metric[] {
  const { totals, source, scope } = snapshot;
  const counter = (name: string, help: string, ...samples: Metric['samples']): Metric => ({
    name: `dormouse_${name}_total`,
    type: 'counter',
    help,
    samples,
  });
  return [
    counter(
      'energy_joules',
      'Joules of all that the source sees, and above idle of this process, by CPU time.',
      ...boardJoules(snapshot),
      [
        { source: 'model', scope: 'process', state: 'active' },
        totals.tiersJ.reduce((sum, each) => sum + each, 0),
      ],
    ),
    {
      name: 'dormouse_power_watts',
      type: 'gauge',
      help: 'Mean power of the last interval.',
      samples: [[{ source, scope }, snapshot.powerWatts]],
    },
    counter(
      'energy_saved_estimate_joules',
      'An estimate, not a measurement: what full compute on every tick would have taken more.',
      [{}, totals.savedEstimateJ],
    ),
    counter(
      'inferences',
      'Ticks that ran the engine, by tier.',
      ...([0, 1, 2] as const).map((tier) => [{ tier: String(tier) }, totals.tiers[tier]] as const),
    ),
    counter('inferences_skipped', 'Ticks that did not run the engine.', [{}, totals.tiers[3]]),
    counter(
      'ops',
      'Multiply-accumulates executed, and those of full compute on every tick with its cache.',
      [{ kind: 'executed' }, totals.macs],
      [{ kind: 'dense_equiv' }, totals.macsDense],
    ),
    counter(
      'cpu_seconds',
      'CPU time of this process, and of the engine by measured cost of its steps.',
      [{ part: 'process' }, totals.cpuMs / 1000],
      [{ part: 'engine' }, totals.engineCpuMs / 1000],
    ),
    counter('meter_errors', 'Readings of the meter that failed.', [{ source }, snapshot.meterFailures]),
    counter('ledger_write_errors', 'Writes that the disk refused.', [{}, snapshot.writeFailures]),
    counter('ledger_written_bytes', 'Bytes written to the ledger.', [{}, snapshot.writtenBytes]),
  ];
}

/** What a meter shows above idle falls now and then, by its noise, and a counter must not: so its joules stay whole. */
function boardJoules({ source, scope, totals }: EnergySnapshot): Metric['samples'] {
  const { energyJ, energyAboveIdleJ } = totals;
  if (source !== 'model') return [[{ source, scope, state: 'all' }, energyJ]];
  return [
    [{ source, scope, state: 'idle' }, energyJ - energyAboveIdleJ],
    [{ source, scope, state: 'active' }, energyAboveIdleJ],
  ];
}
