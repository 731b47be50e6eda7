/** The part of the config that is about exchanging the model while the gateway runs. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { ModelMeaning } from '../../engine/model.ts';
import { fileProblem } from '../../text/file-problem.ts';
import type { Thresholds } from '../models/comparison.ts';
import { openSelfTest, type SelfTestConfig } from '../models/self-test.ts';
import { readPublicKey } from '../models/signature.ts';
import { describe, type Section } from './checker.ts';
import type { ModelsConfig, TrialConfig } from './config.ts';

const mebi = 1 << 20;
const day = 86_400;
const keys = [
  'directory',
  'publicKeyFile',
  'requireSignature',
  'bytes',
  'pollS',
  'upload',
  'selfTest',
  'canary',
  'watch',
  'agreementMin',
  'alarmsMax',
  'skipDropMax',
  'slowerMax',
  'stepMsMax',
  'forecastTolerance',
];

/** A mapping switches it on. */
export function readModels(
  root: Section,
  directory: string,
  meaning: Pick<ModelMeaning, 'channels'> | undefined,
): ModelsConfig | undefined {
  if (!root.has('models')) return undefined;
  const section = root.section('models', keys);
  const publicKeyFile = readKeyFile(section, directory);
  const upload = readUpload(section, publicKeyFile);
  const selfTest = readSelfTest(section, directory, meaning);
  return {
    directory: resolve(directory, section.text('directory', undefined, 'a path')),
    ...(publicKeyFile === undefined ? {} : { publicKeyFile }),
    requireSignature: readRequireSignature(section, publicKeyFile),
    bytesMax: section.whole('bytes', 1024, 256 * mebi, 16 * mebi),
    pollMs: 1000 * section.number('pollS', { min: 0, max: day }, 10),
    ...(upload === undefined ? {} : { upload }),
    ...(selfTest === undefined ? {} : { selfTest }),
    canary: readTrial(section, 'canary', 2),
    watch: readTrial(section, 'watch', 0),
    thresholds: readThresholds(section),
  };
}

/** The key itself is read when the gateway starts, and again with its config. */
function readKeyFile(section: Section, directory: string): string | undefined {
  const name = section.optionalText('publicKeyFile', 'a path');
  if (name === undefined) return undefined;
  const path = resolve(directory, name);
  try {
    readPublicKey(readFileSync(path, 'utf8'));
  } catch (error) {
    section.add('publicKeyFile', 'a file with an Ed25519 public key in PEM', keyProblem(name, error));
  }
  return path;
}

function keyProblem(name: string, error: unknown): string {
  return `${describe(name)}: ${fileProblem(error)}`;
}

function readRequireSignature(section: Section, publicKeyFile: string | undefined): boolean {
  const isRequired = section.flag('requireSignature', publicKeyFile !== undefined);
  if (isRequired && publicKeyFile === undefined)
    section.add('requireSignature', 'a publicKeyFile beside it', 'none');
  return isRequired;
}

/** Whoever may publish could change what the gateway says, were it not for the signature. */
function readUpload(section: Section, publicKeyFile: string | undefined): ModelsConfig['upload'] {
  const upload = section.switch('upload', ['idleS']);
  if (upload === undefined) return undefined;
  if (publicKeyFile === undefined || section.value('requireSignature') === false)
    section.add(
      'upload',
      'a publicKeyFile, and signatures required',
      publicKeyFile === undefined ? 'no publicKeyFile' : 'requireSignature: false',
    );
  return { idleMs: 1000 * upload.number('idleS', { min: 1, max: 3600 }, 60) };
}

function readSelfTest(
  section: Section,
  directory: string,
  meaning: Pick<ModelMeaning, 'channels'> | undefined,
): SelfTestConfig | undefined {
  if (!section.has('selfTest')) return undefined;
  const given = section.value('selfTest');
  const own =
    typeof given === 'string'
      ? undefined
      : section.section('selfTest', ['recording', 'rows', 'accuracyDropMax']);
  const name = own === undefined ? String(given) : own.text('recording', undefined, 'a path');
  const config = {
    recording: resolve(directory, name),
    rows: own?.whole('rows', 1, 1_000_000, 2000) ?? 2000,
    accuracyDropMax: own?.number('accuracyDropMax', { min: 0, max: 1 }, 0.02) ?? 0.02,
  };
  if (name !== '' && meaning !== undefined) noteRecording(section, config, meaning);
  return config;
}

function noteRecording(
  section: Section,
  config: SelfTestConfig,
  meaning: Pick<ModelMeaning, 'channels'>,
): void {
  try {
    openSelfTest(config, meaning);
  } catch (error) {
    section.add('selfTest', "a recording with the model's channels", (error as Error).message);
  }
}

function readTrial(section: Section, key: 'canary' | 'watch', answers: number): TrialConfig {
  const own = section.section(key, ['ticks', 'tokens', 'answers', 'minutes']);
  return {
    ticks: own.whole('ticks', 0, 1_000_000_000, 1000),
    tokens: own.whole('tokens', 0, 1_000_000_000, 20),
    answers: own.whole('answers', 0, 4096, answers),
    durationMs: 60_000 * own.number('minutes', { min: 0, max: 1440 * 31 }, 0),
  };
}

function readThresholds(section: Section): Thresholds {
  const share = { min: 0, max: 1 };
  return {
    agreementMin: section.number('agreementMin', share, 0.9),
    alarmsMax: section.number('alarmsMax', share, 0.05),
    skipDropMax: section.number('skipDropMax', share, 0.25),
    slowerMax: section.number('slowerMax', { min: 1, max: 1_000_000 }, 4),
    stepMsMax: section.has('stepMsMax')
      ? section.number('stepMsMax', { min: 0.001, max: 1_000_000 })
      : Number.POSITIVE_INFINITY,
    forecastTolerance: section.number('forecastTolerance', { min: 0, max: 1_000_000 }, 0.5),
  };
}
