/** How commands read what is typed behind their name. Whatever is wrong with it becomes a UsageError. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { type FeatureSet, featureSets } from '../engine/model.ts';
import { didYouMean } from '../text/nearest.ts';
import { UsageError } from './command.ts';

/** `parseArgs` of node:util, strict; what it refuses becomes a UsageError. */
export function parseOptions<const T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    throw new UsageError(firstSentence((error as Error).message));
  }
}

/** What stands beside the options: just as many as there are `names`, such as 'a recording'. Throws UsageError. */
export function requireArguments<const Names extends readonly string[]>(
  given: readonly string[],
  ...names: Names
): { readonly [Index in keyof Names]: string } {
  const missing = names.slice(given.length);
  if (missing.length > 0) throw new UsageError(`expected ${missing.join(' and ')}`);
  refuseSurplus(given, ...names);
  return given as { readonly [Index in keyof Names]: string };
}

/** For a command that takes fewer than `names`, too. Throws UsageError. */
export function refuseSurplus(given: readonly string[], ...names: readonly string[]): void {
  if (given.length <= names.length) return;
  const counted = names.map((name) => name.replace(/^an? /, 'one '));
  throw new UsageError(`expected ${counted.join(' and ')}, got also '${given[names.length]}'`);
}

/** An option that must be given, as in `-o, --output FILE`. Throws UsageError. */
export function requireOption(name: string, text: string | undefined, placeholder = 'FILE'): string {
  if (text !== undefined) return text;
  throw new UsageError(`expected --${name} ${placeholder}`);
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

/** One of `choices`. `what`: what is asked for, as the message begins. Throws UsageError. */
export function requireChoice<const Choice extends string>(
  what: string,
  text: string,
  choices: readonly Choice[],
): Choice {
  const choice = choices.find((known) => known === text);
  if (choice !== undefined) return choice;
  throw new UsageError(
    `${what}: expected one of ${choices.join(', ')}, got '${text}'${didYouMean(text, choices)}`,
  );
}

/** What a model sees of each channel. Throws UsageError. */
export function featuresOption(name = 'changes'): FeatureSet {
  return requireChoice('--features', name, featureSets);
}

/** Node adds advice about `--` after its first sentence, which helps nobody here. */
function firstSentence(message: string): string {
  return message.split('. ')[0]!;
}
