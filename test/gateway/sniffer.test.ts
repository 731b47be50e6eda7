import { describe, expect, test } from 'vitest';
import { proposeChannels, proposeConfig } from '../../src/gateway/proposal.ts';
import { Sniffer } from '../../src/gateway/sniffer.ts';

const hear = (sniffer: Sniffer, topic: string, payload: unknown, retained = false) =>
  sniffer.hear(topic, Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload)), retained);

describe('a sniffer', () => {
  test('remembers so many topics and values, and counts the rest', () => {
    const sniffer = new Sniffer();
    for (let topic = 0; topic < 6000; topic++) hear(sniffer, `t/${topic}`, String(topic));
    expect([sniffer.topics.size, sniffer.values.size, sniffer.forgotten]).toEqual([5000, 5000, 2000]);
  });

  test('does not keep what is endless', () => {
    const sniffer = new Sniffer();
    hear(sniffer, 'x'.repeat(60_000), '1');
    hear(sniffer, 'x', { ['k'.repeat(1000)]: 1 });
    hear(sniffer, 'y', '1'.repeat(10_000));
    expect([sniffer.messages, sniffer.forgotten, sniffer.topics.size, sniffer.values.size]).toEqual([
      3, 1, 2, 0,
    ]);
  });

  test('counts what came, not what was retained; ranges take both', () => {
    const sniffer = new Sniffer();
    hear(sniffer, 'a', '5', true);
    hear(sniffer, 'a', '7');
    hear(sniffer, 'a', 'nan');
    expect(sniffer.described()).toMatchObject([{ updates: 2, min: 5, max: 7 }]);
    expect(sniffer.topics.get('a')).toMatchObject({ messages: 3, retained: 1, format: 'plain' });
  });

  test('learns other base topics of Zigbee2MQTT from their bridges', () => {
    const sniffer = new Sniffer();
    hear(sniffer, 'home/z2m/bridge/state', { state: 'online' });
    hear(sniffer, 'home/z2m/desk', { temperature: 20 });
    expect(sniffer.described()[0]!.source).toEqual({
      preset: 'zigbee2mqtt',
      base: 'home/z2m',
      device: 'desk',
      value: 'temperature',
    });
  });

  test('takes what looks like Sparkplug and is none as such', () => {
    const sniffer = new Sniffer();
    hear(sniffer, 'spBv1.0/g/NDATA/e', 'no payload');
    hear(sniffer, 'spBv1.0/g/NCMD/e', 'whatever');
    expect([...sniffer.topics.values()].map(({ format }) => format)).toEqual([
      'sparkplug, not to be read',
      'sparkplug, NCMD',
    ]);
  });
});

describe('a proposal', () => {
  test('has names of letters, digits and _, all different', () => {
    const sniffer = new Sniffer();
    for (const topic of ['a/b', 'a-b', 'A B', '1/2', 'Küche/Ofen', '温度']) hear(sniffer, topic, '1');
    const names = proposeChannels(sniffer.described()).map(({ name }) => name);
    expect(names).toEqual(['a_b', 'a_b_2', 'a_b_3', 'c_1_2', 'küche_ofen', '温度']);
  });

  test('is bounded, and says when a tick should be one of a grid', () => {
    const sniffer = new Sniffer();
    for (let topic = 0; topic < 100; topic++) hear(sniffer, `t/${topic}`, '1');
    const channels = proposeChannels(sniffer.described());
    expect(channels).toHaveLength(60);
    const options = { mqtt: { url: 'mqtt://h', username: 'me' }, seconds: 30 };
    expect(proposeConfig(channels, options)).toContain('frame: { mode: grid }');
    expect(proposeConfig(channels.slice(0, 1), options)).not.toContain('frame');
    expect(proposeConfig(channels, options)).toContain('mqtt: { url: mqtt://h, username: me }');
  });
});
