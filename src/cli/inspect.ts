/** `dormouse inspect`: everything that a model file says, and what it will take to run it. */
import { Engine } from '../engine/engine.ts';
import { STREAMS_MAX } from '../engine/limits.ts';
import type { Region } from '../engine/memory-plan.ts';
import type { Model, ModelMeaning, Task } from '../engine/model.ts';
import { tensorList } from '../engine/model-file.ts';
import { type Command, UsageError } from './command.ts';
import { readModel, readNamed } from './files.ts';
import {
  type FloatInspection,
  inspectFloat,
  isFloatFile,
  problemCount,
  readConfigFile,
} from './inspect-float.ts';
import { parseOptions, requireArguments, wholeNumberOption } from './options.ts';
import { alignColumns } from './terminal/columns.ts';
import { grouped } from './terminal/text.ts';

export const command: Command = {
  name: 'inspect',
  summary: 'show what a model file holds, what memory and compute it takes',
  usage: `Usage: dormouse inspect MODEL [--json] [--streams N]
       dormouse inspect FLOAT [--json] [--config FILE]

Prints the configuration, channels with their normalisers, task, spike settings, provenance, the memory plan
region by region, the most that one tick of each tier can cost, and the tensors. Of FLOAT, float tensors that are still
to be quantised, it prints the configuration, the tensors, and everything that is wrong with them.

  --streams N    plan memory for N streams over the one set of weights (default 1)
  --config FILE  the configuration of float tensors, as JSON; default: the one in their metadata
  --json         one JSON object instead of text`,
  async run(args) {
    const { values, positionals } = parseOptions({
      args,
      options: { json: { type: 'boolean' }, streams: { type: 'string' }, config: { type: 'string' } },
      allowPositionals: true,
    });
    const [path] = requireArguments(positionals, 'a model file');
    const streams = wholeNumberOption('streams', values.streams, 1, 1, STREAMS_MAX);
    const bytes = readNamed(path, 'a model file');
    if (isFloatFile(bytes)) return inspectFloatFile(path, bytes, values);
    if (values.config !== undefined)
      throw new UsageError('--config: expected float tensors, got an int8 model');
    const report = inspect(readModel(path), streams);
    process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : `${describe(report).join('\n')}\n`);
    return 0;
  },
};

interface FloatOptions {
  readonly json?: boolean | undefined;
  readonly config?: string | undefined;
}

function inspectFloatFile(path: string, bytes: Uint8Array, { json, config }: FloatOptions): number {
  const report = floatInspection(path, bytes, readConfigFile(config));
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : `${describeFloat(report).join('\n')}\n`);
  if (report.problems.length > 0) throw problemCount(path, report.problems);
  return 0;
}

function floatInspection(path: string, bytes: Uint8Array, config: unknown): FloatInspection {
  try {
    return inspectFloat(bytes, config);
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

export interface Inspection {
  readonly config: Model['config'];
  readonly meaning: ModelMeaning;
  readonly kernel: string;
  readonly streams: number;
  readonly memory: { readonly totalBytes: number; readonly regions: readonly Region[] };
  /** Tiers 0 to 2: the most that one tick can take. */
  readonly tiers: readonly TierCost[];
  readonly tensors: readonly {
    readonly name: string;
    readonly dtype: string;
    readonly shape: readonly number[];
  }[];
  readonly parameters: number;
}

export interface TierCost {
  readonly tier: number;
  readonly layers: number;
  readonly sequence: number;
  readonly window: number;
  readonly macs: number;
  readonly bytes: number;
}

/** All facts about a model, from an engine that was made for it. Throws RangeError when it does not fit. */
export function inspect(model: Model, streams: number): Inspection {
  const engine = new Engine(model, { streams });
  const tensors = tensorList(model);
  return {
    config: model.config,
    meaning: model.meaning,
    kernel: engine.kernel,
    streams,
    memory: { totalBytes: engine.memoryPlan.totalBytes, regions: engine.memoryPlan.regions },
    tiers: engine.plans.map(({ write: plan }) => {
      const { tier, layers, sequence, window } = plan;
      return { tier, layers, sequence, window, ...engine.cost(plan) };
    }),
    tensors,
    parameters: tensors.reduce((sum, { shape }) => sum + shape.reduce((size, n) => size * n, 1), 0),
  };
}

/** The same as lines of text. */
export function describe(report: Inspection): string[] {
  return [
    ...section('Configuration', configRows(report)),
    ...section('Task', taskRows(report.meaning)),
    ...section('Channels', channelRows(report.meaning)),
    ...section(`Memory for ${count(report.streams, 'stream')}, bytes`, memoryRows(report)),
    ...section('The most that one tick costs', tierRows(report)),
    ...section('Tensors', tensorRows(report)),
    ...section('Provenance', provenanceRows(report.meaning)),
  ].slice(0, -1);
}

/** Float tensors as lines of text. */
function describeFloat(report: FloatInspection): string[] {
  const { config, meaning, parameters, absent, problems } = report;
  return [
    ...section('Float tensors, for dormouse quantize', [['parameters', grouped(parameters)]]),
    ...section('Configuration', sizeRows(config)),
    ...(meaning ? [...section('Task', taskRows(meaning)), ...section('Channels', channelRows(meaning))] : []),
    ...section('Tensors', tensorRows(report)),
    ...(absent.length > 0
      ? section(
          'Absent: biases and the linear path are zeros, gains ones',
          absent.map((name) => [name]),
        )
      : []),
    ...section('Problems', problems.length > 0 ? problems.map((problem) => [problem]) : [['none']]),
  ].slice(0, -1);
}

function section(title: string, rows: readonly (readonly string[])[]): string[] {
  return [title, ...alignColumns(rows).map((line) => `  ${line}`), ''];
}

function configRows({ config, kernel, parameters }: Inspection): string[][] {
  return [...sizeRows(config), ['parameters', grouped(parameters)], ['kernel here', kernel]];
}

function sizeRows({ tiers: _, ...sizes }: Model['config']): string[][] {
  return Object.entries(sizes).map(([name, size]) => [name, describeSize(size)]);
}

/** A number, a word, or the fields of a part. */
function describeSize(size: unknown): string {
  if (typeof size !== 'object' || size === null) return String(size);
  return Object.entries(size)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(', ');
}

function taskRows({ task, intervalMs, features = 'changes' }: ModelMeaning): string[][] {
  return [...describeTask(task), ['interval', `${intervalMs / 1000} s`], ['features', features]];
}

function describeTask(task: Task): string[][] {
  switch (task.kind) {
    case 'classify':
      return [['classify', task.classes.join(', ')]];
    case 'anomaly':
      return [
        ['anomaly', `from a score of ${task.threshold}`],
        ...(task.chart === undefined
          ? []
          : [['calibrates itself', `by its first ${count(task.chart.calibrationTicks, 'tick')}`]]),
      ];
    case 'forecast':
      return [['forecast', count(task.horizon, 'tick')]];
  }
}

function channelRows({ channels, spikes }: ModelMeaning): string[][] {
  const header = ['name', 'unit', 'center', 'scale', 'delta', 'heartbeat', 'refractory'];
  const rows = channels.map(({ name, unit, center, scale }, i) => [
    name,
    unit,
    short(center),
    short(scale),
    short(spikes.delta[i]!),
    short(spikes.heartbeat[i]!),
    short(spikes.refractory[i]!),
  ]);
  return [header, ...rows];
}

function memoryRows({ memory }: Inspection): string[][] {
  const rows = memory.regions.map(({ name, owner, offset, bytes }) => [
    name,
    owner,
    grouped(offset),
    grouped(bytes),
  ]);
  return [['region', 'owner', 'offset', 'bytes'], ...rows, ['total', '', '', grouped(memory.totalBytes)]];
}

function tierRows({ tiers }: Inspection): string[][] {
  const names = ['full', 'reduced', 'safe'];
  const rows = tiers.map(({ tier, layers, sequence, window, macs, bytes }) => [
    `${tier} ${names[tier]}`,
    ...[layers, sequence, window, macs, bytes].map(grouped),
  ]);
  return [['tier', 'layers', 'sequence', 'window', 'MACs', 'bytes'], ...rows, ['3 skip', ...'00000']];
}

function tensorRows({ tensors }: Pick<Inspection, 'tensors'>): string[][] {
  return tensors.map(({ name, dtype, shape }) => [name, dtype, `[${shape.join(', ')}]`]);
}

function provenanceRows({ provenance }: ModelMeaning): string[][] {
  const rows = Object.entries(provenance).map(([name, value]) => [
    name,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  return rows.length > 0 ? rows : [['none']];
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

function short(value: number): string {
  return String(Number(value.toPrecision(6)));
}
