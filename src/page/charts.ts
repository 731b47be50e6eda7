/** The charts of a gateway: output, tiers, lambda, each channel, energy. */
import type uPlot from 'uplot';
import { color, drawRibbon, Figure } from './figure.ts';
import type { Description, EnergyInterval, State } from './protocol.ts';
import { clock, numeral, percent, unitText } from './text.ts';
import type { Ticks } from './ticks.ts';

const tierKeys = ['full', 'reduced', 'safe', 'skipped'] as const;
const tierShares = [1, 0.68, 0.4, 0.14];
const classColors = 6;
const dashes = [5, 4];

/** A chart and what it shows. */
interface Chart {
  readonly figure: Figure;
  readonly data: () => uPlot.AlignedData;
}

export class Charts {
  readonly #description: Description;
  readonly #ticks: Ticks;
  readonly #energy: EnergyInterval[];
  #state: State;
  readonly #charts: readonly Chart[];

  constructor(description: Description, ticks: Ticks, state: State, energy: readonly EnergyInterval[]) {
    this.#description = description;
    this.#ticks = ticks;
    this.#state = state;
    this.#energy = energy.filter(({ energyJ, wallMs }) => energyJ !== null && wallMs > 0);
    this.#charts = [
      ...this.#output(),
      this.#tiers(),
      this.#lambda(),
      ...description.channels.map((_, channel) => this.#channel(channel)),
      ...(this.#energy.length > 1 ? [this.#power()] : []),
    ];
  }

  get elements(): HTMLElement[] {
    return this.#charts.map(({ figure }) => figure.element);
  }

  draw(state: State): void {
    this.#state = state;
    for (const { figure, data } of this.#charts) figure.update(data());
  }

  restyle(): void {
    for (const { figure } of this.#charts) figure.restyle();
  }

  #output(): Chart[] {
    const { task } = this.#description;
    if (task.kind === 'classify') return [this.#classes(task.classes)];
    return task.kind === 'anomaly' ? [this.#score(task.threshold)] : [];
  }

  #classes(classes: readonly string[]): Chart {
    const keyOf = (index: number) => `class${Math.max(0, index) % classColors}`;
    const ticks = this.#ticks;
    const ribbon = {
      look: (key: number) => ({ fill: color(key < 0 ? 'grid' : keyOf(key)), share: 1 }),
      keyOf: (index: number) => (ticks.score[index] === null ? -1 : ticks.top[index]!),
      background: 0,
    };
    const figure = new Figure({
      title: 'Output',
      height: 66,
      wide: true,
      range: [0, 1],
      hasValueAxis: false,
      legend: classes.slice(0, 12).map((text, index) => ({ text, key: keyOf(index) })),
      series: [hidden],
      draw: (plot) => drawRibbon(plot, ribbon),
      reading: (index) =>
        ticks.score[index] === null
          ? 'nothing yet'
          : `${classes[ticks.top[index]!] ?? '?'}, ${percent(ticks.score[index]!, 0)} sure`,
    });
    return { figure, data: () => [ticks.timeS, ticks.top] };
  }

  #score(threshold: number): Chart {
    const ticks = this.#ticks;
    const figure = new Figure({
      title: 'Anomaly score',
      height: 150,
      wide: true,
      legend: [
        { text: 'score', key: 'trace' },
        { text: 'threshold', key: 'quarantine' },
      ],
      series: [line('trace'), { ...line('quarantine'), dash: dashes }],
      reading: (index) => `${numeral(ticks.score[index])} of ${numeral(threshold)}`,
    });
    return { figure, data: () => [ticks.timeS, ticks.score, ticks.timeS.map(() => threshold)] };
  }

  #tiers(): Chart {
    const ticks = this.#ticks;
    const { reasons } = this.#description;
    const ribbon = {
      look: (tier: number) => ({ fill: color(tierKeys[tier]!), share: tierShares[tier]! }),
      keyOf: (index: number) => ticks.tier[index]!,
      background: 3,
    };
    const figure = new Figure({
      title: 'Compute',
      height: 84,
      wide: true,
      range: [0, 1],
      hasValueAxis: false,
      legend: tierKeys.map((key) => ({ text: key, key })),
      series: [hidden],
      draw: (plot) => drawRibbon(plot, ribbon),
      reading: (index) => {
        const reason = reasons[ticks.reason[index]!] ?? '';
        const why = reason === 'none' || reason === 'noSpike' ? '' : `, ${reason}`;
        return `${tierKeys[ticks.tier[index]!]}${why} at ${clock(ticks.timeS[index]!)}`;
      },
    });
    return { figure, data: () => [ticks.timeS, ticks.tier] };
  }

  #lambda(): Chart {
    const ticks = this.#ticks;
    const share = (of: number) =>
      ticks.reference.map((reference) => (reference === null || of === 0 ? null : reference * of));
    const figure = new Figure({
      title: 'Lambda: do the channels move together?',
      height: 150,
      wide: true,
      range: [0, 1],
      legend: [
        { text: 'lambda, at most', key: 'trace' },
        { text: 'its reference', key: 'reference' },
        { text: 'freeze below', key: 'freeze' },
        { text: 'quarantine below', key: 'quarantine' },
      ],
      series: [
        line('trace'),
        { ...line('reference'), width: 1 },
        { ...line('freeze'), dash: dashes, width: 1 },
        { ...line('quarantine'), dash: dashes, width: 1 },
      ],
      reading: (index) =>
        ticks.lambda[index] === null
          ? ticks.lambdaText(index)
          : `${ticks.lambdaText(index)} (reference ${numeral(ticks.reference[index], 3)}), ${this.#description.trusts[ticks.trust[index]!]}`,
    });
    const data = (): uPlot.AlignedData => [
      ticks.timeS,
      ticks.lambda,
      ticks.reference,
      share(this.#state.policy.freezeShare),
      share(this.#state.policy.quarantineShare),
    ];
    return { figure, data };
  }

  #channel(channel: number): Chart {
    const { name, unit } = this.#description.channels[channel]!;
    const ticks = this.#ticks;
    const isForecast = this.#description.task.kind === 'forecast';
    const figure = new Figure({
      title: unitText(unit) === '' ? name : `${name}, ${unitText(unit)}`,
      height: 130,
      // Two stand beside each other; one that is left over takes the row.
      wide: channel % 2 === 0 && channel === this.#description.channels.length - 1,
      legend: [
        { text: 'spikes', key: 'spike' },
        ...(isForecast ? [{ text: 'forecast', key: 'quarantine' }] : []),
      ],
      series: [line('trace'), spikes, ...(isForecast ? [{ ...line('quarantine'), dash: dashes }] : [])],
      newest: () => ticks.length - 1,
      reading: (index) => {
        const ahead = index - ticks.length;
        if (ahead < 0) return `${numeral(ticks.values[channel]![index])} ${unitText(unit)}`;
        return `forecast ${numeral(this.#state.forecast?.[channel]?.[ahead])} ${unitText(unit)}`;
      },
    });
    const fired = () =>
      ticks.values[channel]!.map((value, index) => (ticks.fired[channel]![index] ? value : null));
    const data = (): uPlot.AlignedData =>
      isForecast ? this.#withForecast(channel, fired()) : [ticks.timeS, ticks.values[channel]!, fired()];
    return { figure, data };
  }

  /** What is to come follows the last tick. */
  #withForecast(channel: number, fired: (number | null)[]): uPlot.AlignedData {
    const { timeS, values } = this.#ticks;
    const ahead = this.#state.forecast?.[channel] ?? [];
    const last = timeS.at(-1);
    if (last === undefined) return [[], [], [], []];
    const intervalS = this.#description.intervalMs / 1000;
    const gap: null[] = Array(ahead.length).fill(null);
    return [
      [...timeS, ...ahead.map((_, step) => last + (step + 1) * intervalS)],
      [...values[channel]!, ...gap],
      [...fired, ...gap],
      [...timeS.map(() => null), ...ahead],
    ];
  }

  #power(): Chart {
    const times = this.#energy.map(({ startMs }) => startMs / 1000);
    const watts = this.#energy.map(({ energyJ, wallMs }) => (1000 * energyJ!) / wallMs);
    const source = this.#state.energy?.source ?? '';
    const figure = new Figure({
      title: 'Power of the last day, W',
      height: 130,
      wide: true,
      legend: [{ text: source === 'model' ? 'by the watt model' : `measured by ${source}`, key: 'trace' }],
      series: [line('trace')],
      reading: (index) => `${numeral(watts[index], 3)} W`,
    });
    return { figure, data: () => [times, watts] };
  }
}

/** Nothing of its own: a ribbon is drawn by its figure. */
const hidden: uPlot.Series = { paths: () => null, points: { show: false } };

const spikes: uPlot.Series = {
  paths: () => null,
  points: { show: true, size: 5, width: 0, fill: () => color('spike'), stroke: () => color('spike') },
};

function line(name: string): uPlot.Series {
  return { stroke: () => color(name), width: 1.5, points: { show: false }, spanGaps: false };
}
