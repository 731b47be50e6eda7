/** The ledger's records for other programs. */
import type { LedgerRecord } from './ledger-record.ts';

type Column = readonly [name: string, value: (record: LedgerRecord) => string | number | null];

/** Names as in the records; an empty cell is not known, which is not 0. */
const columns: readonly Column[] = [
  ['start', ({ startMs }) => new Date(startMs).toISOString()],
  ['wallMs', ({ wallMs }) => wallMs],
  ['cpuMs', ({ cpuMs }) => cpuMs],
  ['busyMs', ({ busyMs }) => busyMs],
  ['engineCpuMs', ({ engineCpuMs }) => engineCpuMs],
  ['clockMHz', ({ clockMHz }) => clockMHz],
  ['ticks', ({ ticks }) => ticks],
  ['skips', ({ skips }) => skips],
  ...[0, 1, 2, 3].map((tier): Column => [`tier${tier}`, ({ tiers }) => tiers[tier]!]),
  ['macs', ({ macs }) => macs],
  ['macsDense', ({ macsDense }) => macsDense],
  ['bytes', ({ bytes }) => bytes],
  ['bytesDense', ({ bytesDense }) => bytesDense],
  ['energyJ', ({ energyJ }) => energyJ],
  ['errorJ', ({ errorJ }) => errorJ],
  ['noiseJ', ({ noiseJ }) => noiseJ],
  ['energyAboveIdleJ', ({ energyAboveIdleJ }) => energyAboveIdleJ],
  ...[0, 1, 2, 3].map((tier): Column => [`tier${tier}J`, ({ tiersJ }) => tiersJ[tier]!]),
  ['othersJ', ({ othersJ }) => othersJ],
  ['modelJ', ({ modelJ }) => modelJ],
  ['savedEstimateJ', ({ savedEstimateJ }) => savedEstimateJ],
  ['throttled', ({ throttled }) => throttled],
  ['source', ({ source }) => source],
  ['scope', ({ scope }) => scope],
  ['resolutionJ', ({ resolutionJ }) => resolutionJ],
  ['idleWatts', ({ watts }) => watts.idle],
  ['idleErrorWatts', ({ watts }) => watts.idleError],
  ['coreWatts', ({ watts }) => watts.core],
  ['coreErrorWatts', ({ watts }) => watts.coreError],
  ['basis', ({ watts }) => watts.basis],
  ['target', ({ target }) => target],
];

/** A header and a line for each record. No cell needs quotes: all are numbers, times and names. */
export function ledgerCsv(records: readonly LedgerRecord[]): string {
  const header = columns.map(([name]) => name).join(',');
  const lines = records.map((record) => columns.map(([, value]) => value(record) ?? '').join(','));
  return [header, ...lines, ''].join('\n');
}

/** A record a line, without the checksums. */
export function ledgerNdjson(records: readonly LedgerRecord[]): string {
  return records.map((record) => `${JSON.stringify(record)}\n`).join('');
}
