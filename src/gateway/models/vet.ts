/** Whether a model file may take part: hash, signature, format, and that it speaks of the same things. */
import type { KeyObject } from 'node:crypto';
import type { ModelMeaning } from '../../engine/model.ts';
import { ModelError } from '../../engine/safetensors.ts';
import { GatewayConfigError, type LoadedConfig } from '../config/load-config.ts';
import { isSignedBy, sha256Of } from './signature.ts';

/** Why a model is refused; counted by these names. */
export const refusalCodes = [
  'unsolicited',
  'malformed',
  'busy',
  'tooLarge',
  'abandoned',
  'hash',
  'unsigned',
  'signature',
  'foreign',
  'shape',
  'memory',
  'disk',
  'selfTest',
  'canary',
  'failed',
  'withdrawn',
] as const;
export type RefusalCode = (typeof refusalCodes)[number];

/** A model that is not taken. The message says what was expected and what was got. */
export class ModelRefusal extends Error {
  override readonly name = 'ModelRefusal';
  readonly code: RefusalCode;

  constructor(code: RefusalCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A model file, and who vouches for it. */
export interface Offered {
  readonly bytes: Uint8Array;
  /** Base64; null: nobody does. */
  readonly signature: string | null;
}

export interface Trust {
  readonly publicKey: KeyObject | undefined;
  readonly requireSignature: boolean;
}

/**
 * The running config with the offered model in it. Throws ModelRefusal: `sha256` is that of other bytes (where it is
 * given), the signature is missing or not the key's, it is no model file, or not one that could stand in for the model
 * of `running`.
 */
export function vetModel(
  offered: Offered,
  trust: Trust,
  running: LoadedConfig,
  sha256?: string,
): LoadedConfig {
  const got = sha256Of(offered.bytes);
  if (sha256 !== undefined && got !== sha256)
    throw new ModelRefusal('hash', `expected SHA-256 ${sha256}, got ${got}`);
  requireSignature(got, offered.signature, trust);
  const next = load(offered.bytes, running);
  requireSameShape(running.model.meaning, next.model.meaning);
  return next;
}

/** A wrong signature is refused even where none is asked for. Throws ModelRefusal. */
export function requireSignature(sha256: string, signature: string | null, trust: Trust): void {
  const { publicKey } = trust;
  if (signature === null) {
    if (!trust.requireSignature) return;
    throw new ModelRefusal('unsigned', `model ${short(sha256)}: expected a signature, got none`);
  }
  if (publicKey === undefined || isSignedBy(sha256, signature, publicKey)) return;
  throw new ModelRefusal(
    'signature',
    `model ${short(sha256)}: expected a signature by the key of models.publicKeyFile, got another`,
  );
}

function load(bytes: Uint8Array, running: LoadedConfig): LoadedConfig {
  try {
    return running.withModel(bytes);
  } catch (error) {
    if (error instanceof ModelError) throw new ModelRefusal('foreign', error.message, { cause: error });
    // Its channels are not those that the config routes.
    if (error instanceof GatewayConfigError)
      throw new ModelRefusal('shape', error.message.replaceAll(/\s*\n\s*/g, ' '), { cause: error });
    throw error;
  }
}

/** Everything that subscribers, schema and frames rest on. */
function requireSameShape(running: ModelMeaning, next: ModelMeaning): void {
  requireSame('channels', channelsOf(running), channelsOf(next));
  requireSame('task', taskOf(running), taskOf(next));
  requireSame('interval', `${running.intervalMs} ms`, `${next.intervalMs} ms`);
}

function requireSame(what: string, expected: string, got: string): void {
  if (got !== expected) throw new ModelRefusal('shape', `${what}: expected ${expected}, got ${got}`);
}

function channelsOf({ channels }: ModelMeaning): string {
  return channels.map(({ name, unit }) => (unit === '' ? name : `${name} (${unit})`)).join(', ');
}

/** The threshold of an anomaly is the model's own. */
function taskOf({ task }: ModelMeaning): string {
  if (task.kind === 'classify') return `classify ${task.classes.join(', ')}`;
  return task.kind === 'forecast' ? `forecast of ${task.horizon} ticks` : 'anomaly';
}

/** Enough of a digest to tell models apart in a sentence. */
export function short(sha256: string): string {
  return sha256.slice(0, 12);
}
