import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fileProblem } from '../../src/text/file-problem.ts';

test.each([
  ['nowhere/at-all', 'no such file'],
  ['.', 'a directory'],
])('%s is %s', (path, problem) => {
  let thrown: unknown;
  try {
    readFileSync(path);
  } catch (error) {
    thrown = error;
  }
  expect(fileProblem(thrown)).toBe(problem);
});

test('any other failure speaks for itself', () => {
  expect(fileProblem(new Error('data: too short'))).toBe('data: too short');
});
