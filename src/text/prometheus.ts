/** Prometheus' text format, version 0.0.4. */

export interface Metric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  /** A sample that is NaN is not known, and left out. */
  readonly samples: readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[];
}

/** With a newline at its end; nothing at all for a metric without a known sample. */
export function formatMetric({ name, type, help, samples }: Metric): string {
  const known = samples.filter(([, value]) => Number.isFinite(value));
  if (known.length === 0) return '';
  const lines = known.map(
    ([labels, value]) => `${name}${formatLabels(labels)} ${Number(value.toPrecision(12))}\n`,
  );
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
