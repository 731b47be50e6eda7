/** Power over time as an SVG picture, hour by hour: idle, what this process adds, and what the rest does. */
import type { Period, SourceSummary } from './summary.ts';

const width = 720;
const height = 260;
const frame = { left: 48, right: 14, top: 34, bottom: 40 };
const hourMs = 3_600_000;

/** Mean watts of a period, from the bottom up; undefined where joules are not known. */
interface Bar {
  readonly startMs: number;
  readonly parts: readonly (readonly [style: string, watts: number])[];
  readonly title: string;
}

/** A whole SVG document; hours in which nothing is known are left empty. Readable on light and dark pages. */
export function powerSvg(summary: SourceSummary): string {
  const bars = summary.hours.flatMap(barOf);
  const top = niceTop(
    Math.max(0.001, ...bars.map(({ parts }) => parts.reduce((sum, [, watts]) => sum + watts, 0))),
  );
  const first = summary.hours[0]?.startMs ?? 0;
  const hours = Math.max(1, Math.round(((summary.hours.at(-1)?.startMs ?? 0) - first) / hourMs) + 1);
  const x = (ms: number) => frame.left + ((ms - first) / hourMs / hours) * (width - frame.left - frame.right);
  const y = (watts: number) => height - frame.bottom - (watts / top) * (height - frame.top - frame.bottom);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>Power by the hour, by ${summary.source}</title>
<style>${style}</style>
${[...titleAndLegend(summary), ...axes(summary, top, x, y), ...bars.flatMap((bar) => drawBar(bar, x, y))].join('\n')}
</svg>
`;
}

const style = `
text { font: 11px system-ui, sans-serif; fill: #333; }
.title { font-weight: 600; font-size: 12px; }
.grid { stroke: #8883; stroke-width: 1; }
.idle { fill: #8c959f; } .own { fill: #0969da; } .rest { fill: #bf8700; } .all { fill: #8c959f; }
@media (prefers-color-scheme: dark) { text { fill: #ddd; } .own { fill: #58a6ff; } .rest { fill: #d29922; } }
`;

function barOf({ name, startMs, totals }: Period): Bar[] {
  if (!(totals.knownMs > 0)) return [];
  const watts = (joules: number) => (1000 * joules) / totals.knownMs;
  const whole = watts(totals.energyJ);
  const title = `${name}: ${whole.toPrecision(4)} W`;
  if (Number.isNaN(totals.energyAboveIdleJ)) return [{ startMs, title, parts: [['all', whole]] }];
  const idle = watts(totals.energyJ - totals.energyAboveIdleJ);
  const own = watts(totals.ownJ);
  return [
    {
      startMs,
      title,
      parts: [
        ['idle', idle],
        ['own', own],
        ['rest', Math.max(0, whole - idle - own)],
      ],
    },
  ];
}

function drawBar(
  { startMs, parts, title }: Bar,
  x: (ms: number) => number,
  y: (watts: number) => number,
): string[] {
  const left = x(startMs);
  const wide = Math.max(0.5, x(startMs + hourMs) - left - 0.5);
  let from = 0;
  return parts.map(([kind, watts]) => {
    const [low, high] = [y(from), y(from + watts)];
    from += watts;
    return `<rect class="${kind}" x="${tidy(left)}" y="${tidy(high)}" width="${tidy(wide)}" height="${tidy(low - high)}"><title>${title}</title></rect>`;
  });
}

function titleAndLegend({ source, scope, basis, hours }: SourceSummary): string[] {
  const knowsIdle = hours.some(({ totals }) => !Number.isNaN(totals.energyAboveIdleJ));
  const entries = knowsIdle
    ? [
        ['idle', 'idle'],
        ['own', 'this process'],
        ['rest', 'everything else'],
      ]
    : [['all', `all that the ${source} meter sees`]];
  const legend = entries.map(([kind, name], at) => {
    const left = width - frame.right - 130 * (entries.length - at);
    return `<rect class="${kind}" x="${left}" y="9" width="9" height="9"/><text x="${left + 14}" y="17">${name}</text>`;
  });
  const by = source === 'model' ? `the ${basis} watt model` : `${source} (${scope})`;
  return [`<text class="title" x="${frame.left}" y="17">W by the hour, by ${by}</text>`, ...legend];
}

function axes(
  summary: SourceSummary,
  top: number,
  x: (ms: number) => number,
  y: (watts: number) => number,
): string[] {
  const lines = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const at = tidy(y(share * top));
    return `<line class="grid" x1="${frame.left}" x2="${width - frame.right}" y1="${at}" y2="${at}"/><text x="${frame.left - 6}" y="${at + 4}" text-anchor="end">${tidy(share * top)}</text>`;
  });
  const { hours } = summary;
  const named = [hours[0], hours.at(-1)].filter((hour) => hour !== undefined);
  const names = named.map(({ name, startMs }, at) => {
    const anchor = at === 0 ? 'start' : 'end';
    return `<text x="${tidy(at === 0 ? x(startMs) : x(startMs + hourMs))}" y="${height - frame.bottom + 18}" text-anchor="${anchor}">${name}</text>`;
  });
  return [...lines, ...(hours.length > 1 ? names : names.slice(0, 1))];
}

/** The next of 1, 2, 4 or 8 times a power of ten: quarters of it are short numbers. */
function niceTop(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 4, 8, 10].find((step) => step * power >= value) ?? 10);
}

function tidy(value: number): number {
  return Number(value.toFixed(3));
}
