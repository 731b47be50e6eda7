/** The page: history once, then what is new; drawn when the browser draws. */
import { Charts } from './charts.ts';
import type { Description, History, State, TickColumns } from './protocol.ts';
import { Ticks } from './ticks.ts';
import { footerText, showTiles, tilesOf } from './tiles.ts';

const element = (id: string) => document.getElementById(id)!;

interface View {
  readonly description: Description;
  readonly ticks: Ticks;
  readonly charts: Charts;
  state: State;
}

let view: View | undefined;
let isDrawing = false;

function drawSoon(): void {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    if (view !== undefined) draw(view);
  });
}

function draw({ description, ticks, charts, state }: View): void {
  showTiles(element('tiles'), tilesOf(description, state, ticks));
  charts.draw(state);
  element('footer').textContent = footerText(description, state);
}

function showStatus(text: string, kind: 'good' | 'bad' | ''): void {
  element('statusText').textContent = text;
  element('light').className = `light ${kind}`;
}

function showState(state: State): void {
  const { connected, problems, override } = state;
  showStatus(
    connected ? 'connected to the broker' : 'not connected to the broker',
    connected ? 'good' : 'bad',
  );
  const forced = override === 'none' ? [] : [`a command forces ${override}, until a command resumes`];
  const told = [...problems, ...forced];
  element('banner').hidden = told.length === 0;
  element('banner').textContent = told.join('; ');
}

/** From the gateway's memory; what came by events before is in it. */
async function load(): Promise<void> {
  const response = await fetch('/history');
  if (!response.ok) throw new Error(`the gateway answers ${response.status}`);
  const { description, state, ticks: columns, energy } = (await response.json()) as History;
  const ticks = new Ticks(description.historyTicks, description.channels.length);
  ticks.add(columns);
  const charts = new Charts(description, ticks, state, energy);
  view = { description, ticks, charts, state };
  document.title = `${description.gateway} – dormouse`;
  element('gateway').textContent = description.gateway;
  element('charts').replaceChildren(...charts.elements);
  showState(state);
  drawSoon();
}

function listen(): void {
  const events = new EventSource('/events');
  events.addEventListener(
    'open',
    () => void load().catch((error: Error) => showStatus(error.message, 'bad')),
  );
  events.addEventListener('error', () => showStatus('the gateway does not answer', 'bad'));
  events.addEventListener('ticks', ({ data }) => {
    if (view === undefined) return;
    view.ticks.add(JSON.parse(data) as TickColumns);
    drawSoon();
  });
  events.addEventListener('state', ({ data }) => {
    if (view === undefined) return;
    view.state = JSON.parse(data) as State;
    showState(view.state);
    drawSoon();
  });
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => view?.charts.restyle());
listen();
