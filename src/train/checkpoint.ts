/**
 * A training run's whole state on disk, so that a run that was killed goes on where it was. Written beside and renamed,
 * so that a kill at any time leaves the last whole one; what is damaged or belongs to another run is not used.
 */
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import type { TransformerConfig } from '../engine/config.ts';
import { crc32 } from '../engine/crc32.ts';
import { readTensors, type Tensor, writeTensors } from '../engine/safetensors.ts';
import type { Series } from '../recording/recording.ts';
import { version } from '../version.ts';
import type { Dataset } from './dataset.ts';
import type { Validation } from './evaluate.ts';
import type { OptimiserState } from './optimiser.ts';
import type { Scales } from './quantise.ts';
import type { TrainingSettings } from './settings.ts';

/** The best parameters so far. */
export interface Best {
  readonly step: number;
  readonly score: number;
  readonly validation: Validation | null;
  readonly parameters: Float32Array;
}

/** All that the steps to come depend on, beside dataset, configuration and settings. */
export interface TrainingState {
  /** Steps done. */
  readonly step: number;
  readonly optimiser: OptimiserState;
  readonly best: Best | null;
  /** Set once the steps follow the engine's integer rules. */
  readonly scales: Scales | null;
}

/** Where a run keeps its state. */
export interface Checkpoints {
  /** The state to go on from; null to begin. */
  load(): TrainingState | null;
  /** Asked after every step, so that a state is only made when it is wanted. */
  isDue(): boolean;
  save(state: TrainingState): void;
}

/** What makes two runs the same run: everything that decides the result. */
export function fingerprint(dataset: Dataset, config: TransformerConfig, settings: TrainingSettings): string {
  const { train, validation, leftOut: _, ...rest } = dataset;
  const hash = createHash('sha256');
  hash.update(JSON.stringify({ version, config, settings, rest }));
  const add = (part: Float64Array | Int8Array | null) => {
    hash.update(`${part?.byteLength ?? -1};`);
    if (part !== null) hash.update(part);
  };
  const addSeries = ({ timeMs, values, labels }: Series) => [timeMs, values, labels].forEach(add);
  train.forEach(addSeries);
  hash.update('validation');
  validation.forEach(addSeries);
  return hash.digest('hex');
}

/** One file, renewed at most every `everyMs` (0: after every step). `nowMs`: a clock. */
export class CheckpointFile implements Checkpoints {
  readonly #path: string;
  readonly #fingerprint: string;
  readonly #everyMs: number;
  readonly #nowMs: () => number;
  #savedMs: number;

  constructor(path: string, fingerprint: string, everyMs: number, nowMs: () => number) {
    this.#path = path;
    this.#fingerprint = fingerprint;
    this.#everyMs = everyMs;
    this.#nowMs = nowMs;
    this.#savedMs = nowMs();
  }

  load(): TrainingState | null {
    try {
      return decode(readFileSync(this.#path), this.#fingerprint);
    } catch {
      // Absent, damaged or another's: the run begins anew, which costs time and nothing else.
      return null;
    }
  }

  isDue(): boolean {
    return this.#nowMs() - this.#savedMs >= this.#everyMs;
  }

  /** Throws what the disk throws. */
  save(state: TrainingState): void {
    const beside = `${this.#path}.new`;
    const file = openSync(beside, 'w');
    try {
      writeSync(file, encode(state, this.#fingerprint));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(beside, this.#path);
    this.#savedMs = this.#nowMs();
  }

  /** Once the run's result is written. */
  remove(): void {
    for (const path of [this.#path, `${this.#path}.new`]) rmSync(path, { force: true });
  }
}

const FORMAT = 'dormouse-checkpoint-1';

function encode({ step, optimiser, best, scales }: TrainingState, fingerprint: string): Uint8Array {
  const { parameters, first, second, power1, power2 } = optimiser;
  const arrays = { parameters, first, second, ...(best && { best: best.parameters }) };
  const tensors = new Map(Object.entries(arrays).map(([name, data]) => [name, tensor(data)]));
  const kept = best && { step: best.step, score: best.score, validation: best.validation };
  const state = JSON.stringify({ step, power1, power2, scales, best: kept });
  const checksum = checksumOf(state, Object.values(arrays));
  return writeTensors({
    tensors,
    metadata: new Map(Object.entries({ format: FORMAT, fingerprint, state, checksum })),
  });
}

/** Throws whatever is wrong: the caller begins anew. */
function decode(bytes: Uint8Array, fingerprint: string): TrainingState {
  const { tensors, metadata } = readTensors(bytes);
  const text = metadata.get('state') ?? '';
  const arrays = [...tensors.values()].map(({ data }) => data as Float32Array);
  if (metadata.get('format') !== FORMAT) throw new Error(`expected ${FORMAT}`);
  if (metadata.get('fingerprint') !== fingerprint) throw new Error('expected a checkpoint of this run');
  if (metadata.get('checksum') !== checksumOf(text, arrays)) throw new Error('expected a whole checkpoint');
  const { step, power1, power2, scales, best } = JSON.parse(text) as State;
  const at = (name: string) => tensors.get(name)!.data as Float32Array;
  return {
    step,
    optimiser: {
      parameters: at('parameters'),
      first: at('first'),
      second: at('second'),
      power1,
      power2,
    },
    best: best && { ...best, parameters: at('best') },
    scales,
  };
}

/** The part of a state that is no array. */
interface State {
  readonly step: number;
  readonly power1: number;
  readonly power2: number;
  readonly scales: Scales | null;
  readonly best: Omit<Best, 'parameters'> | null;
}

function tensor(data: Float32Array): Tensor {
  return { dtype: 'F32', shape: [data.length], data };
}

/** Over the state's text and the arrays, in their order. */
function checksumOf(text: string, arrays: readonly Float32Array[]): string {
  let sum = crc32(new TextEncoder().encode(text));
  for (const { buffer, byteOffset, byteLength } of arrays) {
    sum = crc32(new Uint8Array(buffer, byteOffset, byteLength), sum);
  }
  return String(sum);
}
