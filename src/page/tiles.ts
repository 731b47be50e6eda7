/** What is so at this moment, in a few large words. */
import type { Description, State } from './protocol.ts';
import { duration, joules, numeral, percent, unitText } from './text.ts';
import type { Ticks } from './ticks.ts';

interface Tile {
  readonly title: string;
  readonly value: string;
  readonly note: string;
}

/** In the order of their importance. */
export function tilesOf(description: Description, state: State, ticks: Ticks): Tile[] {
  return [
    outputTile(description, state, ticks),
    skipTile(state),
    computeTile(state),
    trustTile(description, state, ticks),
    ...(state.energy === null ? [] : [energyTile(state.energy)]),
  ];
}

function outputTile({ task, channels }: Description, state: State, ticks: Ticks): Tile {
  const top = ticks.top.at(-1) ?? -1;
  const score = ticks.score.at(-1) ?? null;
  if (task.kind === 'forecast') return forecastTile(channels, state);
  if (score === null) return { title: 'Output', value: 'nothing yet', note: 'no token was computed' };
  if (task.kind === 'classify')
    return { title: 'Output', value: task.classes[top] ?? '?', note: `${percent(score, 0)} sure` };
  const isAnomaly = score >= task.threshold;
  return {
    title: 'Output',
    value: isAnomaly ? `anomaly: ${channels[top]?.name ?? '?'}` : 'normal',
    note: `score ${numeral(score, 3)}, threshold ${numeral(task.threshold, 3)}`,
  };
}

function forecastTile(channels: Description['channels'], { forecast }: State): Tile {
  const next = forecast?.[0]?.[0];
  const { name, unit } = channels[0]!;
  return {
    title: 'Output',
    value: next === undefined ? 'nothing yet' : `${numeral(next)} ${unitText(unit)}`,
    note: `${name}, the next interval`,
  };
}

function skipTile({ ticks, perTier }: State): Tile {
  return {
    title: 'Asleep',
    value: percent(perTier[3]! / ticks),
    note: `of ${numeral(ticks, 9)} ticks`,
  };
}

function computeTile({ macs, macsDense }: State): Tile {
  return {
    title: 'Compute spared',
    value: percent(1 - macs / macsDense),
    note: 'of full compute at every tick',
  };
}

function trustTile({ trusts }: Description, { policy, override }: State, ticks: Ticks): Tile {
  const trust = trusts[ticks.trust.at(-1) ?? 0] ?? '';
  return {
    title: 'Trust',
    value: override === 'none' ? trust : `forced: ${override}`,
    note: `policy ${policy.name}, lambda ${ticks.lambdaText(ticks.length - 1)}`,
  };
}

function energyTile({ source, energyJ, savedEstimateJ, powerW }: NonNullable<State['energy']>): Tile {
  const how = source === 'model' ? 'by the watt model' : `measured by ${source}`;
  const saved = savedEstimateJ === null ? '' : `, about ${joules(savedEstimateJ)} spared`;
  const power = powerW === null ? '' : ` at ${numeral(powerW, 3)} W`;
  return { title: 'Energy', value: joules(energyJ), note: `${how}${power}${saved}` };
}

/** Puts the tiles in their place; elements are made once. */
export function showTiles(parent: HTMLElement, tiles: readonly Tile[]): void {
  while (parent.children.length > tiles.length) parent.lastElementChild!.remove();
  while (parent.children.length < tiles.length) parent.append(makeTile());
  for (const [at, { title, value, note }] of tiles.entries()) {
    const [heading, large, small] = parent.children[at]!.children;
    setText(heading!, title);
    setText(large!, value);
    setText(small!, note);
  }
}

export function footerText({ version, kernel, intervalMs }: Description, { uptimeS }: State): string {
  return `dormouse ${version}, kernel ${kernel}, interval ${duration(intervalMs / 1000)}, up for ${duration(uptimeS)}. Drag over a chart to zoom in, double-click to zoom out.`;
}

function makeTile(): HTMLElement {
  const tile = document.createElement('div');
  tile.className = 'tile';
  const heading = document.createElement('h2');
  const large = document.createElement('p');
  large.className = 'value';
  const small = document.createElement('p');
  small.className = 'note';
  tile.append(heading, large, small);
  return tile;
}

function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
