/** Checks what a model file says of its inputs and outputs. */
import type { TransformerConfig } from './config.ts';
import type {
  CandidateRule,
  Channel,
  ChartSettings,
  ExitRule,
  ModelMeaning,
  RecoverySettings,
  RefinementRule,
  SpikeSettings,
  Task,
} from './model.ts';
import { chartUnits, featureSets, spikeRules } from './model.ts';
import { ModelError } from './safetensors.ts';

type Fields = Record<string, unknown>;

/** A frozen copy of `input` if it is a valid meaning for `config`. Throws ModelError with the path. */
export function validateMeaning(input: unknown, config: TransformerConfig): ModelMeaning {
  const { exit, refinement, candidates, features, ...rest } = requireObject(input, 'meaning');
  const fields = requireFields(rest, 'meaning', ['channels', 'intervalMs', 'task', 'spikes', 'provenance']);
  const channels = requireList(fields.channels, 'meaning.channels').map(requireChannel);
  if (new Set(channels.map(({ name }) => name)).size !== channels.length) {
    throw new ModelError('meaning', 'meaning.channels: expected different names');
  }
  const task = requireTask(fields.task, channels.length, config.outputs);
  requireHistoryFits(config, task, channels.length);
  return Object.freeze({
    channels: Object.freeze(channels),
    intervalMs: requireNumber(fields.intervalMs, 'meaning.intervalMs', Number.MIN_VALUE),
    task,
    spikes: requireSpikes(fields.spikes, channels.length),
    ...(features === undefined ? {} : { features: requireOneOf(featureSets, features, 'meaning.features') }),
    ...(exit === undefined ? {} : { exit: requireExit(exit, config) }),
    ...(refinement === undefined ? {} : { refinement: requireRefinement(refinement, config, exit) }),
    ...(candidates === undefined ? {} : { candidates: requireCandidates(candidates, task) }),
    provenance: Object.freeze({
      ...(requireObject(fields.provenance, 'meaning.provenance') as ModelMeaning['provenance']),
    }),
  });
}

function requireChannel(input: unknown, index: number): Channel {
  const path = `meaning.channels[${index}]`;
  const { name, unit, center, scale } = requireFields(input, path, ['name', 'unit', 'center', 'scale']);
  return Object.freeze({
    name: requireText(name, `${path}.name`),
    unit: requireText(unit, `${path}.unit`),
    center: requireNumber(center, `${path}.center`),
    scale: requireNumber(scale, `${path}.scale`, Number.MIN_VALUE),
  });
}

function requireExit(input: unknown, config: TransformerConfig): ExitRule {
  const { layers, confidenceQ16 } = requireFields(input, 'meaning.exit', ['layers', 'confidenceQ16']);
  const first = requireNumber(layers, 'meaning.exit.layers', 1);
  if (!Number.isInteger(first) || first >= config.layers) {
    throw new ModelError(
      'meaning',
      `meaning.exit.layers: expected a whole number below ${config.layers}, got ${first}`,
    );
  }
  return Object.freeze({
    layers: first,
    confidenceQ16: requireNumber(confidenceQ16, 'meaning.exit.confidenceQ16'),
  });
}

function requireRefinement(input: unknown, config: TransformerConfig, exit: unknown): RefinementRule {
  const { gainQ16 } = requireFields(input, 'meaning.refinement', ['gainQ16']);
  if (config.refinement === undefined || exit !== undefined) {
    const got = exit === undefined ? 'a configuration without refinement' : 'an exit';
    throw new ModelError('meaning', `meaning.refinement: expected a refinement and no exit, got ${got}`);
  }
  return Object.freeze({ gainQ16: requireNumber(gainQ16, 'meaning.refinement.gainQ16') });
}

function requireCandidates(input: unknown, { kind }: Task): CandidateRule {
  const path = 'meaning.candidates';
  const { energyHalfLife, levelHalfLife } = requireFields(input, path, ['energyHalfLife', 'levelHalfLife']);
  if (kind === 'classify')
    throw new ModelError('meaning', `${path}: expected anomaly or forecast, got classify`);
  return Object.freeze({
    energyHalfLife: requireWhole(energyHalfLife, `${path}.energyHalfLife`, 1),
    levelHalfLife: requireWhole(levelHalfLife, `${path}.levelHalfLife`, 1),
  });
}

function requireTask(input: unknown, channels: number, outputs: number): Task {
  const { kind } = requireObject(input, 'meaning.task');
  const task =
    kind === 'classify'
      ? classifyTask(input)
      : kind === 'anomaly'
        ? anomalyTask(input)
        : forecastTask(input, kind);
  const expected =
    task.kind === 'classify' ? task.classes.length : channels * (task.kind === 'anomaly' ? 2 : task.horizon);
  if (expected !== outputs) {
    throw new ModelError(
      'meaning',
      `meaning.task: ${task.kind} needs ${expected} outputs, the configuration has ${outputs}`,
    );
  }
  return Object.freeze(task);
}

/** A linear path over each channel's past makes what is to come of that channel. */
function requireHistoryFits({ history }: TransformerConfig, { kind }: Task, channels: number): void {
  if (history === undefined || (kind === 'forecast' && history.channels === channels)) return;
  const expected = `expected a forecast of ${history.channels} channels, as config.history has`;
  throw new ModelError('meaning', `meaning.task: ${expected}, got ${kind} of ${channels}`);
}

function classifyTask(input: unknown): Task {
  const { classes } = requireFields(input, 'meaning.task', ['kind', 'classes']);
  const names = requireList(classes, 'meaning.task.classes').map((name, index) =>
    requireText(name, `meaning.task.classes[${index}]`),
  );
  return { kind: 'classify', classes: Object.freeze(names) };
}

function anomalyTask(input: unknown): Task {
  const { threshold, chart } = requireFields(input, 'meaning.task', ['kind', 'threshold', 'chart']);
  return {
    kind: 'anomaly',
    threshold: requireNumber(threshold, 'meaning.task.threshold'),
    ...(chart === undefined ? {} : { chart: requireChart(chart) }),
  };
}

const chartKeys = ['calibrationTicks', 'levelHalfLife', 'surpriseHalfLife', 'release', 'unit', 'recovery'];

function requireChart(input: unknown): ChartSettings {
  const path = 'meaning.task.chart';
  const fields = requireFields(input, path, chartKeys);
  const { unit, recovery } = fields;
  const release = requireNumber(fields.release, `${path}.release`, Number.MIN_VALUE);
  if (release > 1) {
    throw new ModelError('meaning', `${path}.release: expected a number above 0 and up to 1, got ${release}`);
  }
  const whole = (key: string, min: number) => requireWhole(fields[key], `${path}.${key}`, min);
  return Object.freeze({
    calibrationTicks: whole('calibrationTicks', 2),
    levelHalfLife: whole('levelHalfLife', 1),
    surpriseHalfLife: whole('surpriseHalfLife', 1),
    release,
    ...(unit === undefined ? {} : { unit: requireOneOf(chartUnits, unit, `${path}.unit`) }),
    ...(recovery === undefined ? {} : { recovery: requireRecovery(recovery, `${path}.recovery`) }),
  });
}

function requireRecovery(input: unknown, path: string): RecoverySettings {
  const fields = requireFields(input, path, ['share', 'halfLife', 'intervals']);
  const share = requireNumber(fields.share, `${path}.share`, Number.MIN_VALUE);
  if (share >= 1)
    throw new ModelError('meaning', `${path}.share: expected a number above 0 and below 1, got ${share}`);
  return Object.freeze({
    share,
    halfLife: requireWhole(fields.halfLife, `${path}.halfLife`, 1),
    intervals: requireWhole(fields.intervals, `${path}.intervals`, 1),
  });
}

function forecastTask(input: unknown, kind: unknown): Task {
  if (kind !== 'forecast') {
    throw new ModelError(
      'meaning',
      `meaning.task.kind: expected classify, anomaly or forecast, got ${String(kind)}`,
    );
  }
  const { horizon } = requireFields(input, 'meaning.task', ['kind', 'horizon']);
  return { kind: 'forecast', horizon: requireWhole(horizon, 'meaning.task.horizon', 1) };
}

function requireSpikes(input: unknown, channels: number): SpikeSettings {
  const keys = ['rule', 'delta', 'heartbeat', 'firstHeartbeat', 'refractory'];
  const fields = requireFields(input, 'meaning.spikes', keys);
  const list = (key: string, min = 0) => {
    const values = requireList(fields[key], `meaning.spikes.${key}`);
    if (values.length !== channels) {
      throw new ModelError(
        'meaning',
        `meaning.spikes.${key}: expected ${channels} entries, got ${values.length}`,
      );
    }
    return Object.freeze(
      values.map((value, index) => requireNumber(value, `meaning.spikes.${key}[${index}]`, min)),
    );
  };
  return Object.freeze({
    delta: list('delta'),
    heartbeat: list('heartbeat'),
    refractory: list('refractory'),
    ...(fields.firstHeartbeat !== undefined && { firstHeartbeat: list('firstHeartbeat', 1) }),
    ...(fields.rule !== undefined && { rule: requireOneOf(spikeRules, fields.rule, 'meaning.spikes.rule') }),
  });
}

function requireOneOf<Name extends string>(names: readonly Name[], input: unknown, path: string): Name {
  const name = names.find((known) => known === input);
  if (name !== undefined) return name;
  const expected = `expected one of ${names.join(', ')}`;
  throw new ModelError('meaning', `${path}: ${expected}, got ${JSON.stringify(input)}`);
}

function requireObject(input: unknown, path: string): Fields {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new ModelError('meaning', `${path}: expected an object, got ${JSON.stringify(input)}`);
  }
  return input as Fields;
}

function requireFields(input: unknown, path: string, keys: readonly string[]): Fields {
  const fields = requireObject(input, path);
  for (const key of Object.keys(fields)) {
    if (!keys.includes(key))
      throw new ModelError('meaning', `${path}.${key}: unknown; expected ${keys.join(', ')}`);
  }
  return fields;
}

function requireList(input: unknown, path: string): unknown[] {
  if (!Array.isArray(input) || input.length === 0)
    throw new ModelError('meaning', `${path}: expected a list that is not empty`);
  return input;
}

function requireText(input: unknown, path: string): string {
  if (typeof input !== 'string')
    throw new ModelError('meaning', `${path}: expected text, got ${JSON.stringify(input)}`);
  return input;
}

/** At most what a moving average may have for a half-life. */
const WHOLE_MAX = 2 ** 20;

function requireWhole(input: unknown, path: string, min: number): number {
  const value = requireNumber(input, path, min);
  if (Number.isInteger(value) && value <= WHOLE_MAX) return value;
  throw new ModelError('meaning', `${path}: expected a whole number up to ${WHOLE_MAX}, got ${value}`);
}

function requireNumber(input: unknown, path: string, min = -Number.MAX_VALUE): number {
  if (typeof input !== 'number' || !Number.isFinite(input) || input < min) {
    const range = min > 0 ? ' above 0' : min === 0 ? ' from 0 on' : '';
    throw new ModelError('meaning', `${path}: expected a number${range}, got ${JSON.stringify(input)}`);
  }
  return input;
}
