/** Payloads as sparkplug-payload reads and writes them, numbers as numbers. */
import { get as namespaceOf } from 'sparkplug-payload';

const oracle = namespaceOf('spBv1.0')!;

export interface OracleMetric {
  readonly name: string | undefined;
  readonly alias: number | undefined;
  readonly type: string | undefined;
  readonly timestamp: number | undefined;
  readonly value: number | boolean | string | null | undefined;
}

const toNumber = (value: unknown) => (value === undefined || value === null ? undefined : Number(value));

export function get({ payload }: { readonly payload: string | Uint8Array }): {
  readonly seq: number | undefined;
  readonly timestamp: number | undefined;
  readonly metrics: readonly OracleMetric[];
} {
  const { seq, timestamp, metrics } = oracle.decodePayload(payload as Uint8Array);
  return {
    seq: toNumber(seq),
    timestamp: toNumber(timestamp),
    metrics: (metrics ?? []).map(({ name, alias, type, timestamp, value }) => ({
      name: name === '' || name === null ? undefined : name,
      alias: toNumber(alias),
      type,
      timestamp: toNumber(timestamp),
      value: typeof value === 'object' && value !== null ? Number(value) : (value as OracleMetric['value']),
    })),
  };
}

/** A payload of some metrics. */
export function type(metrics: readonly object[]): Uint8Array {
  return oracle.encodePayload({ timestamp: 1, metrics } as never);
}
