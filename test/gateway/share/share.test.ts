import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadGatewayConfig } from '../../../src/gateway/config/load-config.ts';
import { Members } from '../../../src/gateway/share/members.ts';
import { ownerOf } from '../../../src/gateway/share/rendezvous.ts';
import { ShareTopics } from '../../../src/gateway/share/topics.ts';
import { Fixture } from '../fixture.ts';

const fixture = new Fixture();
afterAll(() => fixture.remove());

const base = {
  gateway: 'plant-{device}',
  model: 'model.safetensors',
  mqtt: { url: 'mqtt://localhost' },
  source: { topic: 'plant/{device}/climate', object: true },
  share: { group: 'plant', member: 'one' },
};

function load(overrides: object = {}, device?: string) {
  const path = fixture.path('share.yaml');
  writeFileSync(path, stringify({ ...base, ...overrides }));
  return loadGatewayConfig(path, device === undefined ? {} : { device }).config;
}

describe('who owns a device', () => {
  const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 8 });
  const parameters = { seed: 20_260_101, numRuns: 300 };

  test('all who know the same members agree, in whatever order they know them', () => {
    const property = (members: string[], device: string) =>
      ownerOf(device, members) === ownerOf(device, [...members].reverse()) &&
      members.includes(ownerOf(device, members)!);
    fc.assert(fc.property(names, fc.string(), property), parameters);
  });

  test('when one leaves, only its own devices move', () => {
    const property = (members: string[], device: string) => {
      const [gone, ...rest] = members;
      const owner = ownerOf(device, members);
      return owner === gone || ownerOf(device, rest) === owner;
    };
    fc.assert(fc.property(names, fc.string(), property), parameters);
  });

  test('names that differ little are shared out evenly', () => {
    const shares = new Map<string, number>();
    for (let index = 0; index < 3000; index++) {
      const owner = ownerOf(`press-${index}`, ['gateway-1', 'gateway-2', 'gateway-3'])!;
      shares.set(owner, (shares.get(owner) ?? 0) + 1);
    }
    // A thousand each; five standard deviations.
    for (const share of shares.values()) expect(Math.abs(share - 1000)).toBeLessThan(130);
    expect(ownerOf('press', [])).toBeUndefined();
  });
});

test('a member is there as long as it was heard within its lease', () => {
  const members = new Members('me', 10);
  expect(members.hear('me', 0)).toBe(false);
  expect(members.hear('you', 0)).toBe(true);
  expect(members.hear('you', 5)).toBe(false);
  expect(members.expire(15)).toBe(false);
  expect(members.names).toEqual(['me', 'you']);
  expect(members.expire(15.1)).toBe(true);
  expect(members.names).toEqual(['me']);
  expect(members.leave('you')).toBe(false);
});

describe('a shared config', () => {
  test('each device has its own names and topics', () => {
    const config = load({}, 'press-1');
    expect(config.gateway).toBe('plant-press-1');
    expect(config.mqtt.clientId).toBe('dormouse-plant-press-1');
    expect(config.topicPrefix).toBe('dormouse/plant-press-1');
    expect(config.routes.map(({ filter }) => filter)).toEqual(['plant/press-1/climate']);
    expect(config.share).toEqual({
      group: 'plant',
      member: 'one',
      heartbeatMs: 2000,
      leaseMs: 10_000,
      maxDevices: 256,
    });
  });

  test('without share, {device} means nothing', () => {
    expect(() => load({ share: undefined })).toThrow('gateway');
  });

  test.each([
    [{ gateway: 'plant' }, 'gateway (line 1): expected {device} in it, since each device has its own'],
    [{ topicPrefix: 'plant-results' }, 'topicPrefix'],
    [{ output: { topic: 'all/results' } }, 'output.topic'],
    [{ mqtt: { url: 'mqtt://localhost', clientId: 'same' } }, 'mqtt.clientId'],
    [{ mqtt: { url: 'mqtt://localhost', version: '3.1.1' } }, 'mqtt.version'],
    [{ source: { topic: 'plant/climate', object: true } }, 'expected topics with one level that is {device}'],
    [
      { source: { topic: '{device}/+/state', object: true } },
      'expected topics that are not those of results',
    ],
    [{ storage: { directory: 'x' } }, "storage (line 12): expected nothing beside 'share'"],
    [{ share: { group: 'a b' } }, 'share.group'],
    [{ share: { group: 'a', leaseS: 1 } }, 'share.leaseS (line 10): expected a number from 6 to 3600'],
    [{ share: { grop: 'a' } }, 'did you mean "group"?'],
  ])('%j is refused', (overrides, message) => expect(() => load(overrides)).toThrow(message));

  test('topics name devices: of inputs, and of results', () => {
    const topics = new ShareTopics(load());
    expect(topics.subscriptions).toEqual([
      'dormouse/share/plant/member/+',
      'dormouse/share/plant/device/+',
      'dormouse/+/state',
      '$share/plant/plant/+/climate',
    ]);
    expect(topics.deviceOf('plant/press-1/climate')).toBe('press-1');
    expect(topics.deviceOf('plant/press-1/other')).toBeUndefined();
    expect(topics.resultOf('dormouse/plant-press-1/state')).toBe('press-1');
    expect(topics.resultOf('dormouse/office/state')).toBeUndefined();
    expect(topics.resultOf('plant/press-1/climate')).toBeUndefined();
  });
});
