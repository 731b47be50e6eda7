/**
 * An edge node's messages against the rules of Sparkplug 3.0 (the normative statements of chapters 4, 5 and 6; their ids
 * are in the names), read by sparkplug-payload.
 */

import { describe, expect, test } from 'vitest';
import type { ModelMeaning, Task } from '../../../src/engine/model.ts';
import { Witness } from '../../../src/gate/witness.ts';
import { Output } from '../../../src/gateway/output.ts';
import { gone, rebirthRequest, SparkplugEdge } from '../../../src/gateway/payloads/sparkplug.ts';
import { SparkplugSession } from '../../../src/gateway/sparkplug/session.ts';
import { tinyModel } from '../../engine/tiny-model.ts';
import { get, type } from './oracle.ts';

const nowMs = 1_700_000_000_000;
const one = 65_536;

function meaningOf(task: Task): ModelMeaning {
  return { ...tinyModel().meaning, task };
}

const classify = meaningOf({ kind: 'classify', classes: ['empty', 'occupied'] });
const settings = { group: 'plant', edge: 'office' };

function node(meaning = classify) {
  const session = new SparkplugSession(settings, meaning, () => nowMs);
  const output = new Output(meaning);
  const witness = Object.assign(new Witness(), { timeMs: nowMs - 5, tier: 1 });
  return { session, output, witness };
}

describe('a life', () => {
  const { session, output, witness } = node();
  const will = session.will();
  const birth = get(session.birth());
  output.update(Int32Array.of(one, 0), Float64Array.of(1, 1));
  const first = session.data(witness, output)!;

  test('begins with a will: NDEATH, QoS 1, not retained, nothing but bdSeq, no seq', () => {
    expect(will).toMatchObject({ topic: 'spBv1.0/plant/NDEATH/office', qos: 1, retain: false });
    expect(get(will)).toMatchObject({
      seq: undefined,
      metrics: [{ name: 'bdSeq', type: 'Int64', value: 0 }],
    });
    expect(get(will).metrics).toHaveLength(1);
  });

  test('tck-id-topics-nbirth-*: NBIRTH, QoS 0, not retained, seq 0, timestamp, bdSeq of the will', () => {
    const { topic, qos, retain } = session.birth();
    expect([topic, qos, retain]).toEqual(['spBv1.0/plant/NBIRTH/office', 0, false]);
    expect(birth).toMatchObject({ seq: 0, timestamp: nowMs });
    expect(birth.metrics.find(({ name }) => name === 'bdSeq')).toMatchObject({ type: 'Int64', value: 0 });
  });

  test('tck-id-operational-behavior-data-commands-rebirth-*: Node Control/Rebirth, Boolean, false, without alias', () => {
    const rebirth = birth.metrics.find(({ name }) => name === 'Node Control/Rebirth');
    expect(rebirth).toMatchObject({ type: 'Boolean', value: false, alias: undefined });
  });

  test('tck-id-payloads-alias-*: the birth has every metric with name, type, time and an alias of its own', () => {
    const own = birth.metrics.filter(({ name }) => name !== 'bdSeq' && name !== 'Node Control/Rebirth');
    expect(own.map(({ name }) => name)).toEqual([
      'class',
      'probability/empty',
      'probability/occupied',
      'held',
      'tier',
    ]);
    expect(new Set(own.map(({ alias }) => alias)).size).toBe(own.length);
    for (const metric of own)
      expect([typeof metric.alias, metric.type, metric.timestamp]).toEqual([
        'number',
        expect.any(String),
        nowMs,
      ]);
    expect(own.map(({ value }) => value)).toEqual([null, null, null, null, null]);
  });

  test('tck-id-topics-ndata-*: NDATA, QoS 0, not retained, by alias alone, what has changed, each with its time', () => {
    expect(first).toMatchObject({ topic: 'spBv1.0/plant/NDATA/office', qos: 0, retain: false });
    const data = get(first);
    expect(data).toMatchObject({ seq: 1, timestamp: nowMs });
    for (const metric of data.metrics)
      expect(metric).toMatchObject({ name: undefined, alias: expect.any(Number), timestamp: nowMs - 5 });
    expect(data.metrics).toHaveLength(5);
    expect(session.data(witness, output)).toBeUndefined();
  });

  test('only what has changed is told', () => {
    output.hold(1);
    witness.held = true;
    witness.tier = 3;
    const data = get(session.data(witness, output)!);
    const names = data.metrics.map(({ alias }) => birth.metrics.find((each) => each.alias === alias)!.name);
    expect(names).toEqual(['held', 'tier']);
  });

  test('a rebirth repeats bdSeq, begins to count anew, and has the values of now', () => {
    const again = get(session.birth());
    expect(again.seq).toBe(0);
    expect(again.metrics.find(({ name }) => name === 'bdSeq')!.value).toBe(0);
    expect(again.metrics.find(({ name }) => name === 'class')).toMatchObject({
      value: 'empty',
      timestamp: nowMs - 5,
    });
  });
});

test('bdSeq counts connections from 0 to 255 and begins again; no data before a birth', () => {
  const { session, output, witness } = node();
  const sequences = Array.from({ length: 258 }, () => get(session.will()).metrics[0]!.value);
  expect(sequences.slice(0, 3)).toEqual([0, 1, 2]);
  expect(sequences.slice(255)).toEqual([255, 0, 1]);
  output.update(Int32Array.of(one, 0), Float64Array.of(1, 1));
  expect(session.data(witness, output)).toBeUndefined();
  const birth = get(session.birth());
  expect(birth.metrics.find(({ name }) => name === 'bdSeq')!.value).toBe(1);
  expect(birth.metrics.find(({ name }) => name === 'class')!.value).toBe('empty');
  session.will();
  output.update(Int32Array.of(0, one), Float64Array.of(1, 1));
  expect(session.data(witness, output)).toBeUndefined();
});

test('seq counts from 0 to 255 and begins again', () => {
  const { session, output, witness } = node();
  session.will();
  session.birth();
  const sequences = Array.from({ length: 300 }, (_, tick) => {
    output.update(Int32Array.of(tick % 2 === 0 ? one : 0, 5), Float64Array.of(1, 1));
    return get(session.data(witness, output)!).seq;
  });
  expect(sequences).toEqual(Array.from({ length: 300 }, (_, tick) => (tick + 1) % 256));
});

describe('commands', () => {
  const { session } = node();
  test('a rebirth request is understood, by name and true alone', () => {
    expect(session.commandTopic).toBe('spBv1.0/plant/NCMD/office');
    expect(session.asksForBirth(rebirthRequest(settings, nowMs).payload)).toBe(true);
    expect(session.asksForBirth(type([{ name: 'Node Control/Rebirth', type: 'Boolean', value: true }]))).toBe(
      true,
    );
    expect(
      session.asksForBirth(type([{ name: 'Node Control/Rebirth', type: 'Boolean', value: false }])),
    ).toBe(false);
    expect(session.asksForBirth(type([{ name: 'Node Control/Reboot', type: 'Boolean', value: true }]))).toBe(
      false,
    );
    expect(session.asksForBirth(Buffer.from('no payload'))).toBe(false);
  });
});

test.each<[Task, string[]]>([
  [{ kind: 'anomaly', threshold: 3 }, ['anomaly', 'score', 'channel', 'held', 'tier']],
  [
    { kind: 'forecast', horizon: 2 },
    [
      'forecast/temperature/1',
      'forecast/temperature/2',
      'forecast/humidity/1',
      'forecast/humidity/2',
      'held',
      'tier',
    ],
  ],
])('metrics of %j', (task, names) => {
  const { session, output, witness } = node(meaningOf(task));
  session.will();
  output.update(Int32Array.of(0, one, 2 * one, -one), Float64Array.of(20, 20));
  session.data(witness, output);
  const own = get(session.birth()).metrics.slice(2);
  expect(own.map(({ name }) => name)).toEqual(names);
  const values = Object.fromEntries(own.map(({ name, value }) => [name, value]));
  if (task.kind === 'anomaly')
    expect(values).toMatchObject({ anomaly: false, score: null, channel: null, tier: 1 });
  else expect(values).toMatchObject({ 'forecast/temperature/2': 22, 'forecast/humidity/2': 18 });
});

test('our own host understands our own node: birth, data, death', () => {
  const { session, output, witness } = node();
  const rule = { kind: 'sparkplug', ...settings, metric: 'probability/empty' } as const;
  const edge = new SparkplugEdge({ filter: '', channels: [{ channel: 0, name: 'p', rule }] });
  const heard: unknown[] = [];
  const problems: string[] = [];
  const tell = ({ topic, payload }: { topic: string; payload: string | Uint8Array }) =>
    edge.receive(
      topic,
      payload as Uint8Array,
      (_, value) => heard.push(value),
      (kind) => problems.push(kind),
    );
  const will = session.will();
  tell(session.birth());
  output.update(Int32Array.of(0, 0), Float64Array.of(1, 1));
  tell(session.data(witness, output)!);
  tell(will);
  expect(heard).toEqual([null, 0.5, gone]);
  expect(problems).toEqual(['offline']);
});
