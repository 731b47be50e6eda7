/** A chart with its caption, on uPlot: one time axis, one cursor for all of them. */
import uPlot from 'uplot';

export interface FigureOptions {
  readonly title: string;
  readonly height: number;
  readonly wide?: boolean;
  readonly legend?: readonly { readonly text: string; readonly key: string }[];
  readonly series: readonly uPlot.Series[];
  /** Range of the values; default: what they have. */
  readonly range?: readonly [number, number];
  readonly hasValueAxis?: boolean;
  /** Draws what no series can. */
  readonly draw?: (plot: uPlot) => void;
  /** Place of the newest that is known; default: the last there is. */
  readonly newest?: () => number;
  /** What is told at the cursor, or of the newest without one. */
  readonly reading: (index: number) => string;
}

const leftAxis = 46;

/** A colour of the style sheet, as it is now. */
export function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export class Figure {
  readonly element = document.createElement('figure');
  readonly #options: FigureOptions;
  readonly #reading = document.createElement('span');
  readonly #chart = document.createElement('div');
  #plot: uPlot | undefined;
  #data: uPlot.AlignedData = [[]];
  #isZoomed = false;

  constructor(options: FigureOptions) {
    this.#options = options;
    const caption = document.createElement('figcaption');
    const title = document.createElement('h2');
    title.textContent = options.title;
    this.#reading.className = 'reading';
    this.#chart.className = 'chart';
    this.#chart.setAttribute('role', 'img');
    this.#chart.setAttribute('aria-label', options.title);
    if (options.wide) this.element.className = 'wide';
    caption.append(title, legendOf(options.legend ?? []), this.#reading);
    this.element.append(caption, this.#chart);
    new ResizeObserver(() => this.#fit()).observe(this.#chart);
  }

  update(data: uPlot.AlignedData): void {
    this.#data = data;
    if (this.#plot === undefined) this.#make();
    else this.#plot.setData(data, !this.#isZoomed);
    // What is zoomed in on stays, but is drawn again.
    if (this.#isZoomed) this.#plot?.redraw();
    this.#tell();
  }

  /** Colours are read when a plot is made. */
  restyle(): void {
    this.#plot?.destroy();
    this.#plot = undefined;
    this.update(this.#data);
  }

  #make(): void {
    const width = this.#chart.clientWidth;
    if (width === 0) return;
    this.#plot = new uPlot({ width, ...this.#plotOptions() }, this.#data, this.#chart);
  }

  #plotOptions(): Omit<uPlot.Options, 'width'> {
    const { height, series, range, draw } = this.#options;
    return {
      height,
      padding: [6, 8, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: 'time' }, y: false, points: { size: 6 }, drag: { x: true, y: false } },
      scales: { y: range === undefined ? {} : { range: [...range] as [number, number] } },
      axes: this.#axes(),
      series: [{}, ...series],
      hooks: {
        setCursor: [() => this.#tell()],
        setSelect: [
          ({ select }) => {
            if (select.width > 0) this.#isZoomed = true;
          },
        ],
        ready: [(plot) => plot.over.addEventListener('dblclick', () => (this.#isZoomed = false))],
        ...(draw === undefined ? {} : { draw: [draw] }),
      },
    };
  }

  #axes(): uPlot.Axis[] {
    const font = '11px system-ui, sans-serif';
    const common = { stroke: color('quiet'), font, ticks: { show: false } };
    const grid = { stroke: color('grid'), width: 1 };
    const value =
      this.#options.hasValueAxis === false
        ? { values: () => [] as string[], grid: { show: false } }
        : { grid };
    return [
      { ...common, size: 22, space: 70, grid },
      { ...common, size: leftAxis, space: 26, gap: 4, ...value },
    ];
  }

  #fit(): void {
    const width = this.#chart.clientWidth;
    if (width === 0) return;
    if (this.#plot === undefined) this.#make();
    else if (this.#plot.width !== width) this.#plot.setSize({ width, height: this.#options.height });
  }

  #tell(): void {
    const index = this.#plot?.cursor.idx ?? this.#options.newest?.() ?? this.#data[0]!.length - 1;
    this.#reading.textContent = index < 0 ? '' : this.#options.reading(index);
  }
}

function legendOf(entries: NonNullable<FigureOptions['legend']>): HTMLElement {
  const legend = document.createElement('span');
  legend.className = 'legend';
  for (const { text, key } of entries) {
    const entry = document.createElement('span');
    entry.className = `key-${key}`;
    entry.textContent = text;
    legend.append(entry);
  }
  return legend;
}

export interface Ribbon {
  /** What ticks look like that have this key: a colour, and the share of the height that they take. */
  readonly look: (key: number) => { readonly fill: string; readonly share: number };
  /** Of the n-th tick. */
  readonly keyOf: (index: number) => number;
  /** Ticks of this key are background: the others lie over them, and are seen however narrow they are. */
  readonly background: number;
}

/** Fills from each tick to the next; ticks that look the same are one piece. */
export function drawRibbon(plot: uPlot, ribbon: Ribbon): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  const runs = runsOf(plot.data[0].length, ribbon.keyOf);
  for (const isBackground of [true, false]) {
    for (const run of runs)
      if ((run.key === ribbon.background) === isBackground)
        fillRun(plot, run, ribbon, isBackground ? 0 : 1.5);
  }
  ctx.restore();
}

interface Run {
  readonly key: number;
  readonly from: number;
  readonly to: number;
}

function runsOf(length: number, keyOf: (index: number) => number): Run[] {
  const runs: Run[] = [];
  for (let from = 0; from < length; ) {
    const key = keyOf(from);
    let to = from + 1;
    while (to < length && keyOf(to) === key) to++;
    runs.push({ key, from, to });
    from = to;
  }
  return runs;
}

function fillRun(plot: uPlot, { key, from, to }: Run, { look }: Ribbon, widthMin: number): void {
  const { ctx, bbox, data } = plot;
  const place = (index: number) => plot.valToPos(data[0][index]!, 'x', true);
  const { fill, share } = look(key);
  const left = Math.round(place(from));
  const right = to < data[0].length ? Math.round(place(to)) : bbox.left + bbox.width;
  const height = share * bbox.height;
  ctx.fillStyle = fill;
  ctx.fillRect(left, bbox.top + bbox.height - height, Math.max(right - left, widthMin), height);
}
