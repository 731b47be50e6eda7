import { expect, test } from 'vitest';
import { fitDiscriminant } from '../../src/statistics/discriminant.ts';
import { randomNumbers } from '../engine/tiny-model.ts';

test('two round clouds are cut half way between their means', () => {
  const random = randomNumbers(1);
  const labels = Array.from({ length: 4000 }, (_, row) => row % 2);
  const table = Float64Array.from(labels.flatMap((label) => [label * 4 + random() - 0.5, random() - 0.5]));
  const { weights, biases } = fitDiscriminant(table, labels, 2, 2, [0, 0]);
  const slope = weights[2]! - weights[0]!;
  expect((biases[0]! - biases[1]!) / slope).toBeCloseTo(2, 1);
  expect(Math.abs(weights[3]! - weights[1]!)).toBeLessThan(slope / 20);
});

test('a class that is nine times as frequent moves the cut by log 9 over the slope', () => {
  const random = randomNumbers(2);
  const labels = Array.from({ length: 10000 }, (_, row) => (row % 10 === 0 ? 1 : 0));
  const table = Float64Array.from(labels, (label) => label + random() + random() + random() - 1.5);
  const { weights, biases } = fitDiscriminant(table, labels, 1, 2, [0]);
  const slope = weights[1]! - weights[0]!;
  expect((biases[0]! - biases[1]!) / slope).toBeCloseTo(0.5 + Math.log(9) / slope, 1);
});

test('a ridge lets channels that copy each other be', () => {
  const labels = [0, 1, 0, 1];
  const table = Float64Array.of(0, 0, 1, 1, 0.1, 0.1, 1.1, 1.1);
  expect(fitDiscriminant(table, labels, 2, 2, [1e-6, 1e-6]).weights.every(Number.isFinite)).toBe(true);
});

test('a column that is expected to wander counts less', () => {
  const random = randomNumbers(3);
  const labels = Array.from({ length: 2000 }, (_, row) => row % 2);
  const table = Float64Array.from(labels.flatMap((label) => [label + random(), label + random()]));
  const { weights } = fitDiscriminant(table, labels, 2, 2, [0, 10]);
  expect(weights[3]! - weights[1]!).toBeLessThan((weights[2]! - weights[0]!) / 20);
});
