import { afterAll, expect, test } from 'vitest';
import { type GatewayPart, Parts } from '../../src/gateway/part.ts';
import { Fixture } from './fixture.ts';

const fixture = new Fixture();
afterAll(() => fixture.remove());

function listener(...filters: string[]): GatewayPart & { heard: string[] } {
  const heard: string[] = [];
  return { filters, heard, onMessage: (topic, payload) => void heard.push(`${topic} ${payload}`) };
}

test('a part hears what its filters select, others do not', () => {
  const [a, b] = [listener('x/+', 'y'), listener('x/1')];
  const parts = new Parts([a, b, {}]);
  expect(parts.filters).toEqual(['x/+', 'y', 'x/1']);
  for (const topic of ['x/1', 'x/2', 'y', 'z', 'x/1']) parts.onMessage(topic, Buffer.from('!'), false);
  expect(a.heard).toEqual(['x/1 !', 'x/2 !', 'y !', 'x/1 !']);
  expect(b.heard).toEqual(['x/1 !', 'x/1 !']);
  expect(['x/9', 'z'].map((topic) => parts.wants(topic))).toEqual([true, false]);
});

test('one that hears topics can not come late', () => {
  const parts = new Parts([]);
  parts.add({ counters: () => ({ late: 1 }) });
  expect(parts.counters()).toEqual({ late: 1 });
  expect(() => parts.add(listener('x'))).toThrow('the subscriptions are settled');
});

test('a gateway starts its parts, tells them of each tick, counts theirs with its own, and stops them', async () => {
  const told: string[] = [];
  const part: GatewayPart = {
    filters: ['other/topic'],
    start: () => void told.push('start'),
    onTick: ({ timeMs }, { hasValue }, { values }) => void told.push(`${timeMs} ${hasValue} ${[...values]}`),
    counters: () => ({ mine: told.length }),
    stop: async () => void told.push('stop'),
  };
  const gateway = fixture.gateway('mqtt://127.0.0.1:1', {}, { parts: [part] });
  gateway.start();
  const payload = Buffer.from('{"time":1000,"temperature":20,"humidity":50}');
  gateway.intake.receive('room/climate', payload, false, () => {});
  gateway.intake.drain(Number.POSITIVE_INFINITY);
  expect(gateway.counters()).toMatchObject({ mine: 2, pipeline: { frames: 1 } });
  await gateway.stop();
  expect(told).toEqual(['start', '1000 true 20,50', 'stop']);
});
