/** How unsure an output is. */
import { expect, it } from 'vitest';
import type { Task } from '../../src/engine/model.ts';
import { Q15_ONE } from '../../src/gate/packets.ts';
import { doubtOf } from '../../src/gateway/doubt.ts';
import type { Output } from '../../src/gateway/output.ts';

const classify: Task = { kind: 'classify', classes: ['off', 'on'] };
const anomaly: Task = { kind: 'anomaly', threshold: 4 };
const forecast: Task = { kind: 'forecast', horizon: 2 };

it.each([
  ['nothing before the first output', classify, { hasValue: false, confidence: 1 }, 1],
  ['a class by its probability', classify, { confidence: 0.75 }, 0.25],
  ['a score halfway to its threshold', anomaly, { score: 2 }, 0.5],
  ['a score beyond its threshold', anomaly, { score: 40 }, 1],
  ['a score below zero', anomaly, { score: -1 }, 0],
  ['a score that is not known', anomaly, { score: Number.NaN }, 1],
  ['a forecast, which does not say how sure it is', forecast, {}, 1],
] as [string, Task, Partial<Output>, number][])('%s', (_, task, output, doubt) => {
  expect(doubtOf({ hasValue: true, ...output } as Output, task)).toBe(Math.round(doubt * Q15_ONE));
});
