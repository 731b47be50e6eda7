/** `dormouse demo`: a gateway at work, to be watched. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { brokerUrlProblem } from '../gateway/config/sections.ts';
import { type Command, UsageError } from './command.ts';
import { DemoSession } from './demo-session.ts';
import { readModel } from './files.ts';
import { numberOption, parseOptions, wholeNumberOption } from './options.ts';
import { openShippedModel } from './shipped-model.ts';
import { startBroker } from './simulation/broker.ts';
import { type Playback, playRecording, simulatedRoom } from './simulation/playback.ts';
import { pictureOf } from './terminal/picture.ts';
import { Screen, wantsColor } from './terminal/screen.ts';
import { renderSummary } from './terminal/summary.ts';
import { renderPlain, renderView } from './terminal/view.ts';

const defaultSeconds = 60;
const defaultTicksPerSecond = 100;
/** Faster than any broker; only keeps the arithmetic sane. */
const ticksPerSecondMax = 100_000;

export const command: Command = {
  name: 'demo',
  summary: 'watch a gateway sleep and wake on a simulated office room',
  usage: `Usage: dormouse demo [options]

Starts a broker on loopback, publishes a simulated office room through it, runs the gateway with the shipped
occupancy model on what comes, and shows what it sees, decides and saves. Ends by itself; Ctrl-C ends it sooner.

  --recording CSV   play a recording (a CSV file beside its recording.json, or that directory) instead
  --broker URL      use this broker, such as mqtt://host:1883, instead of starting one; topics are demo-.../room
                    in and dormouse/demo-.../... out
  --seconds N       how long to play (default ${defaultSeconds})
  --speed X         how many times faster than life (default: ${defaultTicksPerSecond} ticks a second)
  --seed N          another room, other people, other weather (default 1)
  --model FILE      another model; its channels must be those that are played
  --plain           a line a second instead of the live view, as when the output is no terminal
  --page            serve the gateway's page too, and say where
  --picture FILE    at the end, write the live view as an SVG picture

NO_COLOR=1 leaves the colours out.`,
  async run(args) {
    const options = parseDemoOptions(args);
    if (options.model !== undefined) await demonstrate(options, resolve(options.model));
    else {
      const { path, release } = openShippedModel();
      await demonstrate(options, path).finally(release);
    }
    return 0;
  },
};

export interface DemoOptions {
  readonly recording: string | undefined;
  readonly broker: string | undefined;
  readonly seconds: number;
  readonly speed: number | undefined;
  readonly seed: number;
  readonly model: string | undefined;
  readonly plain: boolean;
  readonly page: boolean;
  readonly picture: string | undefined;
}

/** Throws UsageError. */
export function parseDemoOptions(args: string[]): DemoOptions {
  const text = { type: 'string' } as const;
  const { values } = parseOptions({
    args,
    options: {
      recording: text,
      broker: text,
      seconds: text,
      speed: text,
      seed: text,
      model: text,
      plain: { type: 'boolean' },
      page: { type: 'boolean' },
      picture: text,
    },
  });
  const problem = values.broker === undefined ? undefined : brokerUrlProblem(values.broker);
  if (problem !== undefined)
    throw new UsageError(`--broker: expected a URL such as mqtt://host:1883, got ${problem}`);
  return {
    recording: values.recording,
    broker: values.broker,
    seconds: numberOption('seconds', values.seconds, defaultSeconds, 0.1, 1e9),
    speed: values.speed === undefined ? undefined : numberOption('speed', values.speed, 1, 1e-3, 1e9),
    seed: wholeNumberOption('seed', values.seed, 1, 0, 2 ** 32 - 1),
    model: values.model,
    plain: values.plain === true,
    page: values.page === true,
    picture: values.picture,
  };
}

async function demonstrate(options: DemoOptions, modelPath: string): Promise<void> {
  const model = readModel(modelPath);
  const playback =
    options.recording === undefined ? simulatedRoom(options.seed) : playRecording(options.recording);
  requireChannels(
    playback,
    model.meaning.channels.map(({ name }) => name),
  );
  const ticksPerSecond = ticksPerSecondOf(options.speed, model.meaning.intervalMs);
  const broker = options.broker === undefined ? await startBroker() : undefined;
  try {
    const url = broker?.url ?? options.broker!;
    const mqttVersion = broker === undefined ? 'auto' : '3.1.1';
    const session = new DemoSession({
      modelPath,
      playback,
      url,
      mqttVersion,
      ticksPerSecond,
      page: options.page,
    });
    await play(session, options.seconds, options.plain || process.stdout.isTTY !== true);
    if (options.picture !== undefined)
      writeFileSync(
        options.picture,
        pictureOf(lastView(session, options.seconds), pictureSize.columns, pictureTitle),
      );
  } finally {
    await broker?.close();
  }
}

const pictureTitle = 'The live view of a gateway: channels with spikes, tiers, lambda, output and truth';
const pictureSize = { columns: 96, rows: 26 };

function lastView(session: DemoSession, seconds: number): string[] {
  return renderView(session.view(seconds), pictureSize, true);
}

function ticksPerSecondOf(speed: number | undefined, intervalMs: number): number {
  const wanted = speed === undefined ? defaultTicksPerSecond : (speed * 1000) / intervalMs;
  return Math.min(ticksPerSecondMax, wanted);
}

/** A model can't be fed what is not played. Throws Error. */
export function requireChannels(playback: Playback, wanted: readonly string[]): void {
  const missing = wanted.filter((name) => !playback.channels.includes(name));
  if (missing.length === 0) return;
  throw new Error(
    `the model wants ${missing.join(', ')}, but the ${playback.name} has only ${playback.channels.join(', ')}`,
  );
}

/** Plays with a live view or with lines until time, playback or the user ends it; then prints the summary. */
async function play(session: DemoSession, seconds: number, plain: boolean): Promise<void> {
  const screen = new Screen(process.stdout);
  const color = wantsColor(process.stdout.isTTY === true, process.env);
  let isPageTold = false;
  const tellPage = () => {
    if (isPageTold || session.pageUrl === undefined) return;
    process.stdout.write(`page: ${session.pageUrl}\n`);
    isPageTold = true;
  };
  const showLine = () => {
    tellPage();
    process.stdout.write(`${renderPlain(session.view(seconds))}\n`);
  };
  const show = plain ? showLine : () => screen.draw(renderView(session.view(seconds), screen.size, color));
  const stop = () => session.end();
  for (const signal of signals) process.on(signal, stop);
  const timer = setInterval(show, plain ? 1000 : 100);
  try {
    await session.run(seconds);
  } finally {
    clearInterval(timer);
    for (const signal of signals) process.off(signal, stop);
    screen.close();
  }
  process.stdout.write(`${renderSummary(session.summary()).join('\n')}\n`);
  for (const text of session.notes) process.stderr.write(`${text}\n`);
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
