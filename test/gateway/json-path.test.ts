import { expect, test } from 'vitest';
import { parseJsonPath, valueAt } from '../../src/gateway/json-path.ts';

test.each([
  ['$', []],
  ['$.temperature', ['temperature']],
  ['$.BME280.Temperature', ['BME280', 'Temperature']],
  ["$['DS18B20-1'].Temperature", ['DS18B20-1', 'Temperature']],
  ['$["switch:0"].apower', ['switch:0', 'apower']],
  ['$.Current[1]', ['Current', 1]],
  ['$.under_score', ['under_score']],
  ['$.with-dash', ['with-dash']],
])('%s is a path', (text, path) => {
  expect(parseJsonPath(text)).toEqual(path);
});

test.each([
  '',
  'temperature',
  '$temperature',
  '$.',
  '$..a',
  '$.a.',
  '$.*',
  '$[*]',
  '$[-1]',
  '$.a[',
  "$['']",
  '$.a b',
])('%j is refused', (text) => {
  expect(parseJsonPath(text)).toBeUndefined();
});

test('finds a nested value, and undefined where there is none', () => {
  const root = { a: [{ b: 0 }], c: null };
  expect(valueAt(root, ['a', 0, 'b'])).toBe(0);
  expect(valueAt(root, ['a', 1, 'b'])).toBeUndefined();
  expect(valueAt(root, ['c', 'd'])).toBeUndefined();
  expect(valueAt(root, ['c'])).toBeNull();
  expect(valueAt(7, [])).toBe(7);
});

test('a prototype never answers', () => {
  expect(valueAt({}, ['constructor'])).toBeUndefined();
  expect(valueAt({}, ['__proto__', 'toString'])).toBeUndefined();
  expect(valueAt([], ['map'])).toBeUndefined();
  expect(valueAt('text', ['length'])).toBeUndefined();
});
