/** What a command is, and how it reads its options. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { type FeatureSet, featureSets } from '../engine/model.ts';

export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** The whole text of `dormouse NAME --help`. */
  readonly usage: string;
  /** Takes the arguments after the command's name; resolves to the exit code. */
  run(args: string[]): Promise<number>;
}

/** The command was called wrongly; one sentence is printed and the exit code is 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** `parseArgs` of node:util, strict; what it refuses becomes a UsageError. */
export function parseOptions<const T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    throw new UsageError(firstSentence((error as Error).message));
  }
}

/** A finite number within [min, max]; `fallback` when the option was not given. Throws UsageError. */
export function numberOption(
  name: string,
  text: string | undefined,
  fallback: number,
  min: number,
  max: number,
): number {
  if (text === undefined) return fallback;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!(value >= min && value <= max)) {
    throw new UsageError(`--${name}: expected a number from ${min} to ${max}, got '${text}'`);
  }
  return value;
}

/** The same for whole numbers. Throws UsageError. */
export function wholeNumberOption(
  name: string,
  text: string | undefined,
  fallback: number,
  min: number,
  max: number,
): number {
  const value = numberOption(name, text, fallback, min, max);
  if (!Number.isInteger(value)) throw new UsageError(`--${name}: expected a whole number, got '${text}'`);
  return value;
}

/** A list of names with commas between; empty when the option was not given. */
export function namesOption(text: string | undefined): readonly string[] {
  return text?.split(',').map((name) => name.trim()) ?? [];
}

/** What a model sees of each channel. Throws UsageError. */
export function featuresOption(name = 'changes'): FeatureSet {
  const features = featureSets.find((known) => known === name);
  if (features !== undefined) return features;
  throw new UsageError(`--features: expected ${featureSets.join(' or ')}, got '${name}'`);
}

/** Node adds advice about `--` after its first sentence, which helps nobody here. */
function firstSentence(message: string): string {
  return message.split('. ')[0]!;
}
