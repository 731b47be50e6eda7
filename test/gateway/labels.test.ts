import { expect, test } from 'vitest';
import type { LabelConfig, RecordConfig } from '../../src/gateway/config/record.ts';
import { Labels } from '../../src/gateway/labels.ts';

function heard(
  label: Partial<LabelConfig>,
  record: Partial<RecordConfig>,
  payloads: readonly string[],
  retained = false,
) {
  const problems: string[] = [];
  const whole: LabelConfig = { filter: 'desk/label', isButton: false, ...label };
  const labels = new Labels(whole, { task: 'classify', classes: ['idle', 'Busy'], ...record }, (text) =>
    problems.push(text),
  );
  const after = payloads.map((payload) => {
    labels.hear(Buffer.from(payload), retained);
    return labels.current;
  });
  return { after, problems, unknown: labels.unknown };
}

test('a text names the class, in any case; what names none leaves the class as it is and is told once', () => {
  const { after, problems, unknown } = heard({}, {}, ['nonsense', ' IDLE ', 'x', 'busy', '']);
  expect(after).toEqual([undefined, 'idle', 'idle', 'Busy', 'Busy']);
  expect(unknown).toBe(3);
  expect(problems).toEqual([
    expect.stringContaining('desk/label: expected one of idle, Busy, got "nonsense"'),
  ]);
});

test('a value in a document', () => {
  const label = { path: ['activity', 'name'] };
  expect(
    heard(label, {}, ['{"activity":{"name":"busy"}}', '{}', 'no JSON', '{"activity":{"name":["idle"]}}'])
      .after,
  ).toEqual(['Busy', 'Busy', 'Busy', 'Busy']);
});

test('a switch: classes may be called ON and OFF, and an anomaly is 1', () => {
  expect(heard({}, { classes: ['OFF', 'ON'] }, ['on', 'off']).after).toEqual(['ON', 'OFF']);
  const anomaly = { task: 'anomaly', classes: ['0', '1'] } as const;
  expect(heard({}, anomaly, ['OFF', 'ON', '0', 'true', '2']).after).toEqual(['0', '1', '0', '1', '1']);
});

test('a button moves on to the next class and round; retained presses and other news of it do not', () => {
  const label = { isButton: true, path: ['action'] };
  const press = '{"action":"single"}';
  expect(
    heard(label, {}, [press, '{"battery":97}', '{"action":""}', press, '{"action":null}']).after,
  ).toEqual(['Busy', 'Busy', 'Busy', 'idle', 'idle']);
  expect(heard(label, {}, [press], true).after).toEqual(['idle']);
});
