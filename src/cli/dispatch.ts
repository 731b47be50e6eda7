/** From the words on the command line to one command and its exit code. */
import { nearestName } from '../text/nearest.ts';
import { version } from '../version.ts';
import { type Command, UsageError } from './command.ts';

/** Commands by name, of one word or two (`calibrate energy`); each is loaded only when it is needed. */
export type CommandTable = Readonly<Record<string, () => Promise<{ readonly command: Command }>>>;

/** Where a command line's text goes. */
export interface Streams {
  out(text: string): void;
  error(text: string): void;
}

export interface DispatchOptions {
  readonly debug?: boolean;
  /** Commands that another build of the program has. */
  readonly elsewhere?: readonly string[];
}

const exitOk = 0;
const exitFailure = 1;
const exitUsage = 2;

/** Runs `args` (without node and program). Never throws; resolves to the exit code. */
export async function dispatch(
  args: readonly string[],
  table: CommandTable,
  streams: Streams,
  options: DispatchOptions = {},
): Promise<number> {
  const { name, rest } = readName(args, [...Object.keys(table), ...(options.elsewhere ?? [])]);
  try {
    if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
      const topic = name === 'help' ? readName(rest, Object.keys(table)).name : undefined;
      return await help(topic, table, streams, name === undefined);
    }
    if (name === '--version' || name === '-v') {
      streams.out(`${version}\n`);
      return exitOk;
    }
    if (options.elsewhere?.includes(name)) {
      throw new UsageError(`this is the build for devices, which has no '${name}'; use dist/dormouse.mjs`);
    }
    if (asksForHelp(rest)) return await help(name, table, streams, false);
    return await (await findCommand(name, table)).run(rest);
  } catch (error) {
    return report(error, name, table, streams, options.debug === true);
  }
}

/** The command's name and what comes behind it; the name has two words where a command is called by both. */
function readName(
  args: readonly string[],
  names: readonly string[],
): { readonly name: string | undefined; readonly rest: string[] } {
  const both = args.slice(0, 2).join(' ');
  const words = args.length > 1 && names.includes(both) ? 2 : 1;
  return { name: words === 2 ? both : args[0], rest: args.slice(words) };
}

async function help(
  name: string | undefined,
  table: CommandTable,
  streams: Streams,
  forWantOfACommand: boolean,
): Promise<number> {
  const text = name === undefined ? await overview(table) : await usageOf(name, table);
  (forWantOfACommand ? streams.error : streams.out)(withNewline(text));
  return forWantOfACommand ? exitUsage : exitOk;
}

async function overview(table: CommandTable): Promise<string> {
  return [
    `dormouse ${version}: a transformer for sensor gateways that sleeps until a sensor says something new`,
    '',
    'Usage: dormouse COMMAND [options]',
    '',
    ...(await summaries(table)),
    '',
    "'dormouse COMMAND --help' explains a command; 'dormouse --version' prints the version.",
  ].join('\n');
}

/** One command's usage, or what there is under the first word of several. */
async function usageOf(name: string, table: CommandTable): Promise<string> {
  const below = Object.entries(table).filter(([key]) => key.startsWith(`${name} `));
  if (below.length === 0) return (await findCommand(name, table)).usage;
  return [
    `Usage: dormouse ${name} ${secondWords(name, table).join('|')} ...`,
    '',
    ...(await summaries(Object.fromEntries(below))),
  ].join('\n');
}

async function summaries(table: CommandTable): Promise<string[]> {
  const commands = await Promise.all(Object.values(table).map((load) => load()));
  const width = Math.max(0, ...commands.map(({ command }) => command.name.length));
  return commands.map(({ command }) => `  ${command.name.padEnd(width)}  ${command.summary}`);
}

function secondWords(name: string, table: CommandTable): string[] {
  return Object.keys(table).flatMap((key) =>
    key.startsWith(`${name} `) ? [key.slice(name.length + 1)] : [],
  );
}

async function findCommand(name: string, table: CommandTable): Promise<Command> {
  const load = Object.hasOwn(table, name) ? table[name] : undefined;
  if (load !== undefined) return (await load()).command;
  if (name.startsWith('-')) throw new UsageError(`unknown option '${name}'`);
  const words = secondWords(name, table);
  if (words.length > 0) throw new UsageError(`expected '${name} ${words.join(`' or '${name} `)}'`);
  const near = nearestName(name, Object.keys(table));
  throw new UsageError(`unknown command '${name}'${near === undefined ? '' : `; did you mean '${near}'?`}`);
}

function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return args.slice(0, end < 0 ? args.length : end).some((arg) => arg === '--help' || arg === '-h');
}

function report(
  error: unknown,
  name: string | undefined,
  table: CommandTable,
  streams: Streams,
  debug: boolean,
): number {
  const usage = error instanceof UsageError;
  const known = name !== undefined && (Object.hasOwn(table, name) || secondWords(name, table).length > 0);
  const who = known ? `dormouse ${name}` : 'dormouse';
  const where = usage ? ` (see '${who} --help')` : '';
  streams.error(`${who}: ${oneSentence(error)}${where}\n`);
  if (debug && error instanceof Error && error.stack !== undefined) streams.error(`${error.stack}\n`);
  return usage ? exitUsage : exitFailure;
}

/** What went wrong, on one line; the system's own errors name the file already. */
function oneSentence(error: unknown): string {
  const message = error instanceof Error ? error.message || error.name : String(error);
  return message.replaceAll(/\s*\n\s*/g, ' ').trim() || 'failed without a reason';
}

function withNewline(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}
