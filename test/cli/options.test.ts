import { expect, test } from 'vitest';
import { UsageError } from '../../src/cli/command.ts';
import {
  featuresOption,
  namesOption,
  numberOption,
  parseOptions,
  refuseSurplus,
  requireArguments,
  requireChoice,
  requireOption,
  wholeNumberOption,
} from '../../src/cli/options.ts';

test('an unknown option is a usage error, in one sentence', () => {
  const options = { json: { type: 'boolean' } } as const;
  expect(parseOptions({ args: ['--json'], options }).values.json).toBe(true);
  expect(() => parseOptions({ args: ['--jsno'], options })).toThrow(UsageError);
  expect(() => parseOptions({ args: ['--jsno'], options })).toThrow(/^Unknown option '--jsno'$/);
});

test('arguments are as many as were named', () => {
  const both = (...given: string[]) => requireArguments(given, 'a model file', 'a recording');
  expect(both('m', 'r')).toEqual(['m', 'r']);
  expect(() => both()).toThrow(/^expected a model file and a recording$/);
  expect(() => both('m')).toThrow(/^expected a recording$/);
  expect(() => both('m', 'r', 'x', 'y')).toThrow(/^expected one model file and one recording, got also 'x'$/);
  expect(() => both()).toThrow(UsageError);
});

test('an argument that may be missing may not be two', () => {
  refuseSurplus([], 'a config file');
  refuseSurplus(['c'], 'a config file');
  expect(() => refuseSurplus(['c', 'd'], 'a config file')).toThrow(
    /^expected one config file, got also 'd'$/,
  );
});

test('an option that is required is asked for by name', () => {
  expect(requireOption('output', '')).toBe('');
  expect(() => requireOption('output', undefined)).toThrow(/^expected --output FILE$/);
  expect(() => requireOption('broker', undefined, 'URL')).toThrow(/^expected --broker URL$/);
});

test('numbers stay in their range', () => {
  expect(numberOption('speed', undefined, 5, 1, 10)).toBe(5);
  expect(numberOption('speed', '2.5', 5, 1, 10)).toBe(2.5);
  for (const bad of ['', 'fast', '11', 'NaN', '0', '-1', 'Infinity']) {
    expect(() => numberOption('speed', bad, 5, 1, 10), bad).toThrow(UsageError);
  }
  expect(() => wholeNumberOption('streams', '1.5', 1, 1, 9)).toThrow(/whole number/);
});

test('a choice is one of those there are, or is told what is near', () => {
  expect(requireChoice('--policy', 'steady', ['steady', 'prototype'])).toBe('steady');
  expect(() => requireChoice('--policy', 'x', ['steady', 'prototype'])).toThrow(
    /^--policy: expected one of steady, prototype, got 'x'$/,
  );
  expect(() => requireChoice('--policy', 'stedy', ['steady', 'prototype'])).toThrow(
    /got 'stedy'; did you mean "steady"\?$/,
  );
  expect(featuresOption()).toBe('changes');
  expect(() => featuresOption('all')).toThrow(/^--features: expected one of changes, trends, got 'all'$/);
});

test('names stand between commas, with or without blanks', () => {
  expect(namesOption(undefined)).toEqual([]);
  expect(namesOption('a, b,c')).toEqual(['a', 'b', 'c']);
});
