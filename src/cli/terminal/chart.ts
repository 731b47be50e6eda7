/** A chart of columns, several lines high. */

const eighths = ' ▁▂▃▄▅▆▇█';

/**
 * The values as columns on a scale from 0 to the largest, `rows` lines high, that largest and 0 written at the left.
 * NaN leaves its column empty; a value above zero shows at least the lowest bar.
 */
export function columnChart(
  values: readonly number[],
  rows: number,
  label: (value: number) => string,
): string[] {
  const top = Math.max(0, ...values.filter((value) => !Number.isNaN(value)));
  const heights = values.map((value) =>
    top > 0 && value > 0 ? Math.max(1, Math.round((value / top) * rows * 8)) : 0,
  );
  const labels = [label(top), ...Array<string>(rows - 1).fill('')];
  labels[rows - 1] = label(0);
  const width = Math.max(...labels.map((text) => text.length));
  return labels.map((text, row) => {
    const floor = (rows - 1 - row) * 8;
    const bars = heights.map((height) => eighths[Math.min(8, Math.max(0, height - floor))]);
    return `${text.padStart(width)} ${bars.join('')}`.trimEnd();
  });
}
