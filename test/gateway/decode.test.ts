import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Decoder, makeDecoded } from '../../src/gateway/decode.ts';
import { type DecodeProblem, decodeProblems } from '../../src/gateway/decode-problems.ts';
import { parseJsonPath } from '../../src/gateway/json-path.ts';
import { jsonDepth } from '../../src/gateway/payloads/json-depth.ts';
import type { Route, ValueRule } from '../../src/gateway/payloads/rule.ts';

const limits = { payloadBytes: 1000, jsonDepth: 4 };

function path(text: string): ValueRule {
  return { kind: 'path', path: parseJsonPath(text)!, text };
}

/** The rule of a source: the key is the channel's name. */
function key(name: string): ValueRule {
  return { kind: 'path', path: [name], text: name };
}

function route(...rules: ValueRule[]): Route {
  return { filter: 't', channels: rules.map((rule, channel) => ({ channel, name: `c${channel}`, rule })) };
}

/** Decodes one payload; gives the values (undefined: absent) and the problems counted. */
function decode(rules: Route, payload: string | Buffer, frame: object = {}) {
  const decoder = new Decoder({ frame: { timestampUnit: 'ms', ...frame }, limits });
  const decoded = makeDecoded(rules.channels.length);
  const used = decoder.decode(rules, Buffer.from(payload as string), decoded);
  const problems = decodeProblems.filter((kind) => decoder.counts[kind] > 0);
  const values = [...decoded.values].map((value, channel) => (decoded.present[channel] ? value : undefined));
  return { used, values, problems, timeMs: decoded.timeMs, converted: decoder.converted };
}

describe('what is taken', () => {
  test('a value by its path', () => {
    expect(decode(route(path('$.BME280.Temperature')), '{"BME280":{"Temperature":21.7}}').values).toEqual([
      21.7,
    ]);
  });

  test('a value in a list', () => {
    expect(decode(route(path('$.Current[1]')), '{"Current":[1.32,2.1]}').values).toEqual([2.1]);
  });

  test('a JSON payload that is nothing but a number', () => {
    expect(decode(route(path('$')), ' 21.5 ').values).toEqual([21.5]);
  });

  test('a plain number', () => {
    expect(decode(route({ kind: 'plain' }), ' -2.5e1\n').values).toEqual([-25]);
  });

  test('several channels out of one object, by their names', () => {
    const both = route(key('c0'), key('c1'));
    expect(decode(both, '{"c1":2,"c0":1,"linkquality":255}').values).toEqual([1, 2]);
  });

  test.each([
    ['ON', 1],
    ['off', 0],
    ['true', 1],
    ['False', 0],
  ])('plain %s is %d', (text, value) => {
    expect(decode(route({ kind: 'plain' }), text)).toMatchObject({
      values: [value],
      problems: [],
      converted: 0,
    });
  });

  test.each([
    ['true', 1],
    ['false', 0],
    ['"ON"', 1],
    ['"off"', 0],
  ])('JSON %s is %d', (text, value) => {
    expect(decode(route(path('$.a')), `{"a":${text}}`)).toMatchObject({ values: [value], problems: [] });
  });

  test('a string number, which is counted as converted', () => {
    expect(decode(route(path('$.a')), '{"a":"21.5"}')).toMatchObject({
      values: [21.5],
      problems: [],
      converted: 1,
    });
  });
});

describe('what is refused, each with its own counter', () => {
  const cases: [string, DecodeProblem, Route, string | Buffer][] = [
    ['text that is not JSON', 'notJson', route(path('$.a')), 'temperature=21'],
    ['an empty payload', 'notJson', route(path('$.a')), ''],
    ['bytes that are not UTF-8', 'notJson', route(path('$.a')), Buffer.from([0xff, 0xfe, 0x00])],
    ['10 MB', 'tooLarge', route(path('$.a')), Buffer.alloc(10_000_000, '1')],
    ['10 MB of plain text', 'tooLarge', route({ kind: 'plain' }), Buffer.alloc(10_000_000, '1')],
    ['deep nesting', 'tooDeep', route(path('$.a')), '[[[[[1]]]]]'],
    ['a missing key', 'missingKey', route(path('$.a')), '{"b":1}'],
    ['a path through a scalar', 'missingKey', route(path('$.a.b')), '{"a":1}'],
    ['an object without the key', 'missingKey', route(key('c0')), '{}'],
    ['a payload that is null', 'missingKey', route(key('c0')), 'null'],
    ['a list where an object was expected', 'missingKey', route(key('c0')), '[1]'],
    ['text that is no number', 'wrongType', route(path('$.a')), '{"a":"warm"}'],
    ['a comma as decimal point', 'wrongType', route(path('$.a')), '{"a":"21,5"}'],
    ['hexadecimal', 'wrongType', route({ kind: 'plain' }), '0x10'],
    ['an empty plain payload', 'wrongType', route({ kind: 'plain' }), ''],
    ['an object for a number', 'wrongType', route(path('$.a')), '{"a":{"b":1}}'],
    ['a list for a number', 'wrongType', route(path('$.a')), '{"a":[1]}'],
  ];
  test.each(cases)('%s', (_, problem, rules, payload) => {
    expect(decode(rules, payload)).toMatchObject({ used: false, problems: [problem], values: [undefined] });
  });
});

describe('what makes a channel unknown', () => {
  const cases: [string, DecodeProblem, Route, string][] = [
    ['null', 'null', route(path('$.a')), '{"a":null}'],
    ['"NaN"', 'notANumber', route(path('$.a')), '{"a":"NaN"}'],
    ['plain nan', 'notANumber', route({ kind: 'plain' }), 'nan'],
    ['-Infinity', 'notANumber', route({ kind: 'plain' }), '-Infinity'],
    ['a number too large for a double', 'notANumber', route(path('$.a')), '{"a":1e999}'],
    ['a plain number too large for a double', 'notANumber', route({ kind: 'plain' }), '1e999'],
  ];
  test.each(cases)('%s', (_, problem, rules, payload) => {
    expect(decode(rules, payload)).toMatchObject({ used: true, problems: [problem], values: [Number.NaN] });
  });
});

test('one bad key does not spoil the others', () => {
  const three = route(key('c0'), key('c1'), key('c2'));
  const result = decode(three, '{"c0":"warm","c1":null,"c2":3}');
  expect(result).toMatchObject({
    used: true,
    values: [undefined, Number.NaN, 3],
    problems: ['null', 'wrongType'],
  });
});

test('prototype keys have no effect', () => {
  const own: Route = { filter: 't', channels: [{ channel: 0, name: '__proto__', rule: key('__proto__') }] };
  expect(decode(own, '{}')).toMatchObject({ used: false, problems: ['missingKey'] });
  expect(decode(own, '{"__proto__":5}')).toMatchObject({ used: true, values: [5] });
  expect(decode(route(key('c0')), '{"__proto__":{"c0":1}}')).toMatchObject({ used: false });
  expect(({} as Record<string, unknown>).c0).toBeUndefined();
});

describe('time', () => {
  const timestamp = parseJsonPath('$.time')!;
  const one = route(path('$.a'));
  test.each([
    ['milliseconds', 1423232340000, 'ms', 1423232340000],
    ['seconds', 1423232340.5, 's', 1423232340500],
    ['numeric text', '1423232340000', 'ms', 1423232340000],
    ['ISO 8601', '2015-02-06T14:19:00Z', 's', 1423232340000],
    ['ISO 8601 with a zone', '2015-02-06T15:19:00.250+01:00', 'ms', 1423232340250],
    ['ISO 8601 without a zone, which is UTC', '2015-02-06T14:19:00', 'ms', 1423232340000],
  ])('%s', (_, time, timestampUnit, timeMs) => {
    const result = decode(one, JSON.stringify({ time, a: 1 }), { timestamp, timestampUnit });
    expect(result).toMatchObject({ used: true, timeMs, problems: [] });
  });

  test.each([
    ['missing', undefined],
    ['null', null],
    ['no time', 'today'],
    ['an object', {}],
  ])('%s: the message is refused', (_, time) => {
    const result = decode(one, JSON.stringify({ time, a: 1 }), { timestamp });
    expect(result).toMatchObject({ used: false, problems: ['badTime'] });
  });

  test('is NaN when none is configured', () => {
    expect(decode(one, '{"time":5,"a":1}').timeMs).toBeNaN();
  });
});

test('nesting is counted outside of texts alone', () => {
  expect(jsonDepth(Buffer.from('{"a":"[[[[\\"[[{{","b":[1,{"c":[]}]}'))).toBe(4);
  expect(jsonDepth(Buffer.from('"\\\\"'))).toBe(0);
});

test('nesting equals that of the parsed value', () => {
  const depthOf = (value: unknown): number =>
    typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0;
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
      // `__proto__` as a key makes JSON.stringify and Object.values disagree about nothing but is worth having.
      expect(jsonDepth(Buffer.from(JSON.stringify(value)))).toBe(depthOf(value));
    }),
    { seed: 1, numRuns: 300 },
  );
});

test('never throws, whatever comes', () => {
  const rules = route(path('$.a.b[0]'), key('c1'), path('$'));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), fc.json()), (payload) => {
      const bytes = Buffer.from(payload as string);
      const decoder = new Decoder({ frame: { timestampUnit: 'ms', timestamp: ['a'] }, limits });
      const decoded = makeDecoded(3);
      const used = decoder.decode(rules, bytes, decoded);
      expect(used).toBe(decoded.present.includes(1));
    }),
    { seed: 2, numRuns: 1000 },
  );
});

test('nothing of one payload is left in the next', () => {
  const decoder = new Decoder({ frame: { timestampUnit: 'ms' }, limits });
  const two = route(key('c0'), key('c1'));
  const decoded = makeDecoded(2);
  decoder.decode(two, Buffer.from('{"c0":1,"c1":2}'), decoded);
  decoder.decode(two, Buffer.from('{"c1":3}'), decoded);
  expect([...decoded.present]).toEqual([0, 1]);
});
