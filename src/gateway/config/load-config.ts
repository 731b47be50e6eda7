/** From a YAML file to a checked config and its model, or to the list of everything that is wrong. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, extname, resolve } from 'node:path';
import { isNode, LineCounter, parseDocument } from 'yaml';
import type { Channel, Model, ModelMeaning } from '../../engine/model.ts';
import { loadModel } from '../../engine/model-file.ts';
import { fileProblem } from '../../text/file-problem.ts';
import { storedModelBytes } from '../models/model-store.ts';
import { sha256Of } from '../models/signature.ts';
import { fillTopic, topicMatches } from '../mqtt/topics.ts';
import { readRoutes, readSpikes } from './channels.ts';
import { type ConfigProblem, describe, formatProblem, type KeyPath, Problems, Section } from './checker.ts';
import { type GatewayConfig, ownTopics } from './config.ts';
import { readLedger } from './ledger.ts';
import { readModels } from './models.ts';
import { readHomeAssistant, readSparkplug } from './outputs.ts';
import { readCommands, readPage } from './page.ts';
import { meaningToRecord, type RecordConfig, readRecord } from './record.ts';
import * as sections from './sections.ts';
import { anyDevice, forDevice, noteShareProblems, readShare } from './share.ts';
import { readState, readStorage } from './storage.ts';

const configBytesMax = 1 << 20;

/** A config that can't be used. `problems` lists all of it; the message has one problem per line. */
export class GatewayConfigError extends Error {
  override readonly name = 'GatewayConfigError';
  readonly problems: readonly ConfigProblem[];

  constructor(path: string, problems: readonly ConfigProblem[]) {
    const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`;
    super([`${path} has ${count}:`, ...problems.map((problem) => `  ${formatProblem(problem)}`)].join('\n'));
    this.problems = problems;
  }
}

export interface LoadOptions {
  /** Names that `policy` may have; empty: not checked. */
  readonly policies?: readonly string[];
  /** Names that `target` and `ledger.target` may have; empty: not checked. */
  readonly targets?: readonly string[];
  /** Of a model instead of the one that the config names. */
  readonly modelBytes?: Uint8Array;
  /** Where there is a `share`: the device that `{device}` stands for. Default: any. */
  readonly device?: string;
}

export interface LoadedConfig {
  readonly config: GatewayConfig;
  readonly model: Model;
  /** What is right, but perhaps not what was meant. */
  readonly hints: readonly string[];
  /** Of the model's file, hexadecimal. */
  readonly modelSha256: string;
  /** What is wrong with the file that the config names, where a stored model stands in for it. */
  readonly modelProblem?: string;
  /**
   * The same text with another model instead of the one that it names. Throws ModelError, and GatewayConfigError where
   * the model is none for this config.
   */
  withModel(bytes: Uint8Array): LoadedConfig;
  /** The same text, and the same model, for a device. Throws GatewayConfigError where that is none for this config. */
  forDevice(device: string): LoadedConfig;
}

/** Reads the file and the model that it names. Throws GatewayConfigError with every problem found. */
export function loadGatewayConfig(path: string, options: LoadOptions = {}): LoadedConfig {
  return parseGatewayConfig(readConfigText(path), path, options);
}

/** The same for a text; `path` names it and is what relative paths in it are relative to. */
export function parseGatewayConfig(text: string, path: string, options: LoadOptions = {}): LoadedConfig {
  return parseWith(text, path, options, undefined);
}

type KnownModel = Pick<LoadedConfig, 'model' | 'modelSha256' | 'modelProblem'>;

function parseWith(
  text: string,
  path: string,
  options: LoadOptions,
  known: KnownModel | undefined,
): LoadedConfig {
  const { value, problems } = parseYaml(text);
  if (problems.list.length > 0) throw new GatewayConfigError(path, problems.list);
  const { device = anyDevice } = options;
  const isShared = new Section(new Problems(), [], value).has('share');
  const root = new Section(problems, [], isShared ? forDevice(value, device) : value, sections.rootKeys);
  const directory = dirname(resolve(path));
  const used = known ?? findModel(root, directory, options.modelBytes);
  // Without a model its channels are unknown; the rest is checked all the same.
  const config = readConfig(root, directory, used?.model.meaning, options);
  readRecord(root);
  if (used === undefined || problems.list.length > 0) throw new GatewayConfigError(path, problems.list);
  return {
    config,
    hints: problems.hints,
    ...used,
    forDevice: (name) => parseWith(text, path, { ...options, device: name }, used),
    withModel: (modelBytes) => parseGatewayConfig(text, path, { ...options, modelBytes }),
  };
}

/** `given`, or that of the file; should that be gone or damaged, the one that worked last, where models are kept. */
function findModel(root: Section, directory: string, given: Uint8Array | undefined): KnownModel | undefined {
  const { length } = root.problems.list;
  const bytes = given ?? readModelFile(root, directory);
  const model = bytes === undefined ? undefined : parseModel(root, bytes, given !== undefined);
  if (model !== undefined) return { model, modelSha256: sha256Of(bytes!) };
  const stored = readStored(root, directory);
  if (stored === undefined) return undefined;
  const [problem] = root.problems.list.splice(length);
  return { model: loadModel(stored), modelSha256: sha256Of(stored), modelProblem: formatProblem(problem!) };
}

function readStored(root: Section, directory: string): Uint8Array | undefined {
  const models = root.value('models');
  if (typeof models !== 'object' || models === null || !root.has('model')) return undefined;
  const { directory: name } = models as { readonly directory?: unknown };
  return typeof name === 'string' ? storedModelBytes(resolve(directory, name)) : undefined;
}

/** What a recorder takes from a config: where the channels come from, without a model that knows them. */
export interface RecorderConfig {
  readonly config: GatewayConfig;
  readonly record: RecordConfig;
  readonly channels: readonly Channel[];
}

/**
 * Reads a config that needs no model yet: the channels are those of `record.channels`, else the model's, else those
 * under `channels`. Throws GatewayConfigError with every problem found.
 */
export function loadRecorderConfig(path: string, options: LoadOptions = {}): RecorderConfig {
  const { value, problems } = parseYaml(readConfigText(path));
  if (problems.list.length > 0) throw new GatewayConfigError(path, problems.list);
  const { device } = options;
  const given = device === undefined ? value : forDevice(value, device);
  const root = new Section(problems, [], given, sections.rootKeys);
  if (device === undefined && root.has('share'))
    root.add('share', 'one of its devices to record (--device NAME)', 'none');
  const directory = dirname(resolve(path));
  const meaning = meaningToRecord(root, modelIfThere(root, directory)?.meaning);
  const config = readConfig(root, directory, meaning, options);
  const record = readRecord(root);
  if (problems.list.length > 0) throw new GatewayConfigError(path, problems.list);
  return { config, record, channels: meaning.channels };
}

function modelIfThere(root: Section, directory: string): Model | undefined {
  if (!root.has('model')) return undefined;
  const isThere = existsSync(resolve(directory, root.text('model')));
  const bytes = isThere ? readModelFile(root, directory) : undefined;
  return bytes === undefined ? undefined : parseModel(root, bytes, false);
}

function readConfigText(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > configBytesMax) throw new Error(`it has ${size} bytes, more than ${configBytesMax}`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    const got = fileProblem(error);
    throw new GatewayConfigError(path, [{ path: '', expected: 'a readable file', got }]);
  }
}

function parseYaml(text: string): { value: unknown; problems: Problems } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const lineOf = (path: KeyPath) => {
    for (let length = path.length; length > 0; length--) {
      const node = document.getIn(path.slice(0, length), true);
      if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
    }
    return undefined;
  };
  const problems = new Problems(lineOf);
  for (const error of document.errors) {
    const { line } = lines.linePos(error.pos[0]);
    problems.list.push({ path: '', expected: 'valid YAML', got: error.message.split('\n')[0]!, line });
  }
  try {
    return { value: document.errors.length > 0 ? {} : (document.toJS() ?? {}), problems };
  } catch (error) {
    problems.add([], 'valid YAML', (error as Error).message);
    return { value: {}, problems };
  }
}

function readModelFile(root: Section, directory: string): Uint8Array | undefined {
  const name = root.text('model', undefined, 'the path of a model file');
  if (name === '') return undefined;
  try {
    return readFileSync(resolve(directory, name));
  } catch (error) {
    noteModel(root, error);
    return undefined;
  }
}

/** `isGiven`: it is not the config's, so its problems are not either. */
function parseModel(root: Section, bytes: Uint8Array, isGiven: boolean): Model | undefined {
  try {
    return loadModel(bytes);
  } catch (error) {
    if (isGiven) throw error;
    noteModel(root, error);
    return undefined;
  }
}

function noteModel(root: Section, error: unknown): void {
  root.add('model', 'a model file', `${describe(root.value('model'))}: ${fileProblem(error)}`);
}

/** What a config is read for; undefined where there is no model to read it for. */
type Meaning = Pick<ModelMeaning, 'channels' | 'intervalMs' | 'spikes'> & Partial<ModelMeaning>;

function readConfig(
  root: Section,
  directory: string,
  meaning: Meaning | undefined,
  options: LoadOptions,
): GatewayConfig {
  const { optional } = sections;
  const gateway = sections.readGatewayName(root);
  const topicPrefix = sections.readTopicName(root, 'topicPrefix', `dormouse/${gateway || 'gateway'}`);
  const targets = options.targets ?? [];
  const target = root.has('target') ? sections.readKnownName(root, 'target', targets) : undefined;
  const modelPath = resolve(directory, root.text('model', 'model'));
  const output = sections.readOutput(root.section('output', sections.outputKeys), topicPrefix);
  const names = { gateway, model: basename(modelPath, extname(modelPath)) };
  const config: GatewayConfig = {
    gateway,
    topicPrefix,
    modelPath,
    ...optional('target', target),
    output: { ...output, topic: fillTopic(output.topic, names) },
    ...optional('homeAssistant', readHomeAssistant(root, gateway)),
    ...optional('sparkplug', readSparkplug(root, gateway)),
    ...optional('page', readPage(root, directory)),
    ...optional('commands', readCommands(root)),
    ...optional('models', readModels(root, directory, meaning)),
    ...optional('share', readShare(root)),
    ...optional('ledger', readLedger(root, directory, targets, target)),
    mqtt: sections.readMqtt(root.section('mqtt', sections.mqttKeys), gateway, directory),
    ...readTicks(root, meaning, topicPrefix, options.policies ?? []),
    countersIntervalS: root.number('countersIntervalS', { min: 0, max: 86_400 }, 60),
    limits: sections.readLimits(root.section('limits', sections.limitsKeys)),
    ...optional('storage', readStorage(root, directory)),
    ...optional('state', readState(root, directory)),
    ...optional('witnessLog', sections.readWitnessLog(root, directory)),
  };
  if (config.share !== undefined && (options.device ?? anyDevice) === anyDevice && meaning !== undefined)
    noteShareProblems(root, config);
  noteLoops(root, config);
  notePlainTimestamps(root, config);
  return config;
}

/** What makes ticks of messages, and tokens of ticks. */
function readTicks(
  root: Section,
  meaning: Meaning | undefined,
  topicPrefix: string,
  policies: readonly string[],
): Pick<GatewayConfig, 'frame' | 'routes' | 'spikes' | 'policy' | 'calibrationTicks'> {
  const read = sections.readFrame(root.section('frame', sections.frameKeys));
  const frame = { ...read, intervalMs: read.intervalMs || (meaning?.intervalMs ?? 1) };
  const hasTimestamp = frame.timestamp !== undefined;
  return {
    frame,
    ...(meaning === undefined
      ? { routes: [], spikes: { delta: [], heartbeat: [], refractory: [] } }
      : {
          routes: readRoutes(root, meaning.channels, { topicPrefix, hasTimestamp }),
          spikes: readSpikes(root.section('spikes'), meaning.channels, meaning.spikes),
        }),
    ...(root.has('policy') ? { policy: sections.readKnownName(root, 'policy', policies) } : {}),
    ...sections.optional('calibrationTicks', sections.readCalibration(root, frame.intervalMs, meaning?.task)),
  };
}

/** A gateway that hears itself never sleeps again. */
function noteLoops(root: Section, config: GatewayConfig): void {
  for (const { filter } of config.routes) {
    for (const topic of [...Object.values(ownTopics(config)), ...sparkplugTopics(config)]) {
      if (!topicMatches(filter, topic)) continue;
      const expected = 'topic filters that do not match what this gateway publishes';
      root.add('channels', expected, `${describe(filter)}, which matches ${describe(topic)}`);
    }
  }
}

function sparkplugTopics({ sparkplug }: GatewayConfig): string[] {
  return sparkplug === undefined ? [] : [`spBv1.0/${sparkplug.group}/NDATA/${sparkplug.edge}`];
}

/** Only documents tell a time, and two kinds of time don't mix. */
function notePlainTimestamps(root: Section, config: GatewayConfig): void {
  if (config.frame.timestamp === undefined) return;
  for (const { channels } of config.routes) {
    for (const { name, rule } of channels) {
      if (rule.kind === 'path') continue;
      root.problems.add(
        ['frame', 'timestamp'],
        'payloads that carry a time',
        `the ${rule.kind} payloads of ${name}`,
      );
    }
  }
}
