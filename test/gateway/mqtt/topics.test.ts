import { expect, test } from 'vitest';
import {
  fillTopic,
  topicFilterProblem,
  topicMatches,
  topicNameProblem,
} from '../../../src/gateway/mqtt/topics.ts';

// The examples of MQTT 5.0, section 4.7.1.
test.each([
  ['sport/tennis/player1/#', 'sport/tennis/player1', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
  ['sport/#', 'sport', true],
  ['#', 'sport', true],
  ['sport/tennis/+', 'sport/tennis/player1', true],
  ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
  ['sport/+', 'sport', false],
  ['sport/+', 'sport/', true],
  ['+/+', '/finance', true],
  ['/+', '/finance', true],
  ['+', '/finance', false],
  ['#', '$SYS/monitor/clients', false],
  ['+/monitor/clients', '$SYS/monitor/clients', false],
  ['$SYS/#', '$SYS/monitor/clients', true],
  ['a/b', 'a/b', true],
  ['a/b', 'a/B', false],
  ['a/b', 'a/b/c', false],
])('%s with %s: %s', (filter, topic, expected) => {
  expect(topicMatches(filter, topic)).toBe(expected);
});

test.each(['a/b', '+', '#', 'a/+/b', 'a/#', '/'])('%s is a filter', (filter) => {
  expect(topicFilterProblem(filter)).toBeUndefined();
});

test.each(['', 'a/#/b', 'a#', 'a/b+', '$share/g/a', 'a\0b', 'x'.repeat(70_000)])(
  '%j is no filter',
  (filter) => {
    expect(topicFilterProblem(filter)).toBeDefined();
  },
);

test.each(['', 'a/+', '#', 'a\0'])('%j is no topic', (topic) => {
  expect(topicNameProblem(topic)).toBeDefined();
});

test.each([
  ['a/{model}/b', 'a/occupancy/b'],
  ['{gateway}', '.._.._etc'],
  ['{evil}/{unknown}/{__proto__}', '____x_/{unknown}/{__proto__}'],
])('fills %s, and a value is one level without wildcards', (topic, expected) => {
  const values = { model: 'occupancy', gateway: '../../etc', evil: '/+#$x\0' };
  expect(fillTopic(topic, values)).toBe(expected);
});
