/** Quality against compute as an SVG picture: what sleeping costs, in one look. Readable on light and dark pages. */
import type { Evaluation, RunResult } from './evaluation.ts';
import { headings } from './report.ts';

/** Panels side by side, one for each metric that has intervals. */
const PANELS_MAX = 4;
const WIDTH = 470;
const HEIGHT = 330;
const FRAME = { left: 52, right: 172, top: 34, bottom: 44 };
/** Labels of lines keep this distance. */
const LABEL_PX = 12;

/** Where a smaller number is better: the axis is turned, so that up is always better. */
const errors: readonly string[] = ['mse', 'mae'];

interface Point {
  readonly name: string;
  readonly mark: Mark;
  readonly x: number;
  readonly y: number;
  readonly low: number;
  readonly high: number;
}

interface Level {
  readonly name: string;
  readonly y: number;
}

type Mark = 'gated' | 'dense' | 'tier' | 'other';

/** A whole SVG document. `name`: of the recording. */
export function plotEvaluation(evaluation: Evaluation, name: string): string {
  const metrics = plottedMetrics(evaluation);
  const width = WIDTH * metrics.length;
  const panels = metrics.map((metric, index) => {
    const inner = drawPanel(
      evaluation,
      metric,
      `${name}, ${headings[metric] ?? metric.replace(':', ' on ')}`,
    );
    return `<g transform="translate(${index * WIDTH} 0)">\n${inner}\n</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${HEIGHT}" width="${width}" height="${HEIGHT}" role="img">
<title>${escapeText(name)}: quality against compute</title>
<style>${style}</style>
${panels.join('\n')}
</svg>
`;
}

const style = `
text { font: 11px system-ui, sans-serif; fill: #333; }
.title { font-weight: 600; font-size: 12px; }
.axis { stroke: #888; stroke-width: 1; fill: none; }
.bar { stroke: #8886; stroke-width: 3; }
.grid { stroke: #8883; stroke-width: 1; }
.rival { stroke: #888; stroke-width: 1; stroke-dasharray: 4 3; }
.curve { stroke: #0969da; stroke-width: 1.5; fill: none; }
.gated { fill: #0969da; } .dense { fill: #cf222e; } .tier { fill: #9a6700; } .other { fill: #6e7781; }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd; }
  .curve { stroke: #58a6ff; }
  .gated { fill: #58a6ff; } .dense { fill: #ff7b72; } .tier { fill: #d29922; } .other { fill: #9ea7b3; }
}
`;

/** Files by themselves where they are few, else all together. */
function plottedMetrics({ gated }: Evaluation): string[] {
  const [whole, ...parts] = Object.keys(gated.interval);
  return parts.length > 0 && parts.length <= PANELS_MAX ? parts : [whole!];
}

function drawPanel(evaluation: Evaluation, metric: string, title: string): string {
  const points = pointsOf(evaluation, metric);
  const { shown, hidden } = levelsOf(evaluation, metric, points);
  const scale = new Scale(points, shown, errors.includes(metric));
  const curve = points.filter(({ mark }) => mark === 'gated').sort((a, b) => a.x - b.x);
  return [
    text(FRAME.left, 16, title, 'class="title"'),
    ...drawAxes(scale),
    ...drawLevels(shown, scale),
    `<polyline class="curve" points="${curve.map(({ x, y }) => `${scale.x(x)},${scale.y(y)}`).join(' ')}"/>`,
    ...drawPoints(points, scale),
    ...hidden.map(({ name, y }, index) =>
      text(
        WIDTH - FRAME.right + 6,
        HEIGHT - FRAME.bottom - LABEL_PX * index,
        `${name} ${round(y)} (not shown)`,
      ),
    ),
  ].join('\n');
}

function pointsOf({ gated, dense, tiers, curve, rivals }: Evaluation, metric: string): Point[] {
  const point = (name: string, mark: Mark, { metric: own, interval, macsPerTick }: RunResult): Point => {
    const y = own[metric]!;
    const [low, high] = interval[metric] ?? [y, y];
    return { name, mark, x: macsPerTick, y, low, high };
  };
  const isOwn = (scale: number) => scale !== 1;
  const points = [
    point('gated', 'gated', gated),
    ...curve
      .filter(({ thresholdScale }) => isOwn(thresholdScale))
      .map((one) => point(`x ${one.thresholdScale}`, 'gated', one)),
    point('dense', 'dense', dense),
    ...(tiers[1].macsPerTick === tiers[2].macsPerTick
      ? [point('tiers 1, 2', 'tier', tiers[1])]
      : [point('tier 1', 'tier', tiers[1]), point('tier 2', 'tier', tiers[2])]),
    ...Object.entries(rivals).flatMap(([name, { macsPerTick, ...rival }]) =>
      macsPerTick === undefined ? [] : [point(name, 'other', { ...rival, macsPerTick })],
    ),
  ];
  return points.filter(({ x, y }) => x > 0 && Number.isFinite(y));
}

/** Rivals without a model are lines; one so far off that all else would shrink is only named. */
function levelsOf({ rivals }: Evaluation, metric: string, points: readonly Point[]) {
  const all = Object.entries(rivals)
    .filter(([, { macsPerTick }]) => macsPerTick === undefined)
    .map(([name, rival]): Level => ({ name, y: rival.metric[metric]! }))
    .filter(({ y }) => Number.isFinite(y));
  const [low, high] = rangeOf(points.flatMap((point) => [point.low, point.high]));
  const room = 1.5 * (high - low);
  const isNear = ({ y }: Level) => y >= low - room && y <= high + room;
  return { shown: all.filter(isNear), hidden: all.filter((level) => !isNear(level)) };
}

function rangeOf(values: readonly number[]): [number, number] {
  const finite = values.filter(Number.isFinite);
  return [Math.min(...finite), Math.max(...finite)];
}

/** Compute is a ratio: its axis is logarithmic. */
class Scale {
  readonly xRange: readonly [number, number];
  readonly yRange: readonly [number, number];
  readonly #isTurned: boolean;

  constructor(points: readonly Point[], levels: readonly Level[], isTurned: boolean) {
    const [left, right] = rangeOf(points.map(({ x }) => x));
    const [low, high] = rangeOf([...points.flatMap((p) => [p.low, p.high]), ...levels.map(({ y }) => y)]);
    const margin = 0.05 * (high - low) + 1e-6;
    this.xRange = [left / 1.3, right * 1.3];
    this.yRange = [low - margin, high + margin];
    this.#isTurned = isTurned;
  }

  x(value: number): number {
    const [left, right] = this.xRange;
    const share = Math.log(value / left) / Math.log(right / left);
    return tidy(FRAME.left + share * (WIDTH - FRAME.left - FRAME.right));
  }

  y(value: number): number {
    const [low, high] = this.yRange;
    const share = (value - low) / (high - low);
    const up = this.#isTurned ? 1 - share : share;
    return tidy(HEIGHT - FRAME.bottom - up * (HEIGHT - FRAME.top - FRAME.bottom));
  }
}

function drawAxes(scale: Scale): string[] {
  const bottom = HEIGHT - FRAME.bottom;
  const right = WIDTH - FRAME.right;
  const [left, most] = scale.xRange;
  const decades = [1, 2, 5].flatMap((step) => Array.from({ length: 10 }, (_, power) => step * 10 ** power));
  const middle = (FRAME.left + right) / 2;
  return [
    `<path class="axis" d="M${FRAME.left} ${FRAME.top}V${bottom}H${right}"/>`,
    ...ticksOf(scale.yRange).flatMap((value) => [
      line('grid', FRAME.left, scale.y(value), right, scale.y(value)),
      text(FRAME.left - 6, scale.y(value) + 4, round(value), 'text-anchor="end"'),
    ]),
    ...decades
      .filter((value) => value >= left && value <= most)
      .flatMap((value) => [
        line('axis', scale.x(value), bottom, scale.x(value), bottom + 4),
        text(scale.x(value), bottom + 16, short(value), 'text-anchor="middle"'),
      ]),
    text(middle, HEIGHT - 10, 'multiply-accumulates per tick', 'text-anchor="middle"'),
  ];
}

/** About five round numbers. */
function ticksOf([low, high]: readonly [number, number]): number[] {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough)!;
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, index) => (first + index) * step);
}

/** Dashed lines, their names to the right, pushed apart where they would cover each other. */
function drawLevels(levels: readonly Level[], scale: Scale): string[] {
  const right = WIDTH - FRAME.right;
  let free = Number.NEGATIVE_INFINITY;
  return levels
    .map((level) => ({ ...level, at: scale.y(level.y) }))
    .sort((a, b) => a.at - b.at)
    .flatMap(({ name, y, at }) => {
      const label = Math.max(at, free);
      free = label + LABEL_PX;
      return [line('rival', FRAME.left, at, right, at), text(right + 6, label + 4, `${name} ${round(y)}`)];
    });
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
}

const LETTER_PX = 6;

/** Bars under marks under labels; a label goes where nothing is yet, or above right of its mark. */
function drawPoints(points: readonly Point[], scale: Scale): string[] {
  const placed = points.map((point) => ({ ...point, cx: scale.x(point.x), cy: scale.y(point.y) }));
  const taken: Box[] = placed.map(({ cx, cy }) => ({ x: cx - 5, y: cy + 5, width: 10 }));
  const bars = placed
    .filter(({ low, high }) => Number.isFinite(low) && Number.isFinite(high))
    .map(({ cx, low, high }) => line('bar', cx, scale.y(low), cx, scale.y(high)));
  const marks = placed.map(
    ({ name, mark, cx, cy, y }) =>
      `<circle class="${mark}" cx="${cx}" cy="${cy}" r="${name === mark ? 5 : 3.5}"><title>${escapeText(`${name}: ${round(y)}`)}</title></circle>`,
  );
  const labels = placed.map(({ name, cx, cy }) => {
    const box = freePlace(name, cx, cy, taken);
    taken.push(box);
    return text(box.x, box.y, name);
  });
  return [...bars, ...marks, ...labels];
}

function freePlace(name: string, cx: number, cy: number, taken: readonly Box[]): Box {
  const width = LETTER_PX * name.length;
  const places = [-6, 14, -18, 26, -30].flatMap((dy) =>
    [cx + 6, cx - 6 - width, cx - width / 2].map((x) => ({ x, y: cy + dy, width })),
  );
  const inside = places.filter(({ x }) => x > FRAME.left && x + width < WIDTH - FRAME.right + 4);
  return inside.find((place) => !taken.some((box) => overlap(place, box))) ?? places[0]!;
}

function overlap(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && Math.abs(a.y - b.y) < LABEL_PX;
}

function line(kind: string, x1: number, y1: number, x2: number, y2: number): string {
  return `<line class="${kind}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>`;
}

function text(x: number, y: number, content: string, attributes = ''): string {
  return `<text x="${tidy(x)}" y="${tidy(y)}" ${attributes}>${escapeText(content)}</text>`;
}

function escapeText(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function tidy(value: number): number {
  return Math.round(10 * value) / 10;
}

function round(value: number): string {
  return String(Number(value.toPrecision(4)));
}

function short(value: number): string {
  if (value >= 1e6) return `${value / 1e6} M`;
  return value >= 1e3 ? `${value / 1e3} k` : String(value);
}
