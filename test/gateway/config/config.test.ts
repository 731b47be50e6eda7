import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseDocument, stringify } from 'yaml';
import { saveModel } from '../../../src/engine/model-file.ts';
import { formatProblem } from '../../../src/gateway/config/checker.ts';
import {
  GatewayConfigError,
  loadGatewayConfig,
  parseGatewayConfig,
} from '../../../src/gateway/config/load-config.ts';
import { makeKeyPair } from '../../../src/gateway/models/signature.ts';
import { tinyModel } from '../../engine/tiny-model.ts';
import { Fixture } from '../fixture.ts';

const fixture = new Fixture();
afterAll(() => fixture.remove());

const minimal = {
  gateway: 'office',
  model: 'model.safetensors',
  mqtt: { url: 'mqtt://127.0.0.1:1883' },
  source: { topic: 'room/climate', object: true },
};

const options = { policies: ['steady', 'prototype', 'events'], targets: ['pi5', 'pi4'] };

function parse(text: string) {
  return parseGatewayConfig(text, fixture.path('gateway.yaml'), options);
}

/** The config of `minimal` with some keys replaced; undefined removes one. */
function load(changes: Record<string, unknown> = {}) {
  return parse(stringify({ ...minimal, ...changes })).config;
}

/** The problems of a text or of changes, formatted, without their lines. */
function problems(input: string | Record<string, unknown>): string[] {
  try {
    if (typeof input === 'string') parse(input);
    else load(input);
  } catch (error) {
    if (!(error instanceof GatewayConfigError)) throw error;
    return error.problems.map(({ line: _, ...problem }) => formatProblem(problem));
  }
  return [];
}

describe('calibration', () => {
  const chart = { calibrationTicks: 400, levelHalfLife: 3, surpriseHalfLife: 3, release: 0.75 };
  writeFileSync(
    fixture.path('chart.safetensors'),
    saveModel(
      tinyModel({ config: { outputs: 4 }, meaning: { task: { kind: 'anomaly', threshold: 3, chart } } }),
    ),
  );
  const model = 'chart.safetensors';

  test('is so many minutes of ticks, or as the model says', () => {
    expect(load({ model, calibration: { minutes: 5 } }).calibrationTicks).toBe(300);
    expect(load({ model }).calibrationTicks).toBeUndefined();
  });

  test('has its bounds, and a model that it is for', () => {
    expect(problems({ model, calibration: { minutes: 0.1 } })).toEqual([
      'calibration.minutes: expected 30 to 50000 ticks, got 6 of 1000 ms',
    ]);
    expect(problems({ calibration: { minutes: 5 } })).toEqual([
      'calibration: expected a model that calibrates itself, got one that does not, for classify',
    ]);
    expect(problems({ model, calibration: { hours: 5 } })[0]).toMatch(/^calibration.hours: /);
  });
});

describe('a valid config', () => {
  test('needs a name, a model, a broker and topics; the rest has defaults', () => {
    expect(load()).toMatchObject({
      gateway: 'office',
      topicPrefix: 'dormouse/office',
      modelPath: fixture.path('model.safetensors'),
      mqtt: { clientId: 'dormouse-office', version: 'auto', qos: 1, keepaliveS: 30, sessionExpiryS: 3600 },
      frame: { mode: 'message', intervalMs: 1000, timestampUnit: 'ms' },
      spikes: fixture.model.meaning.spikes,
      output: { topic: 'dormouse/office/state', qos: 1, retain: true, publish: 'tokens' },
      limits: { ringMessages: 1024, outboxMessages: 1000 },
    });
  });

  test('gives all channels of one source one route, by their names', () => {
    expect(load().routes).toEqual([
      {
        filter: 'room/climate',
        channels: [
          {
            channel: 0,
            name: 'temperature',
            rule: { kind: 'path', path: ['temperature'], text: 'the key temperature' },
          },
          {
            channel: 1,
            name: 'humidity',
            rule: { kind: 'path', path: ['humidity'], text: 'the key humidity' },
          },
        ],
      },
    ]);
  });

  test('lets a channel have its own topic', () => {
    const channels = { humidity: { topic: 'esp/+/state', value: 'plain' } };
    expect(load({ channels }).routes).toEqual([
      {
        filter: 'room/climate',
        channels: [
          {
            channel: 0,
            name: 'temperature',
            rule: { kind: 'path', path: ['temperature'], text: 'the key temperature' },
          },
        ],
      },
      { filter: 'esp/+/state', channels: [{ channel: 1, name: 'humidity', rule: { kind: 'plain' } }] },
    ]);
  });

  test('joins channels of one topic into one route', () => {
    const channels = {
      temperature: { topic: 'a', value: '$.t' },
      humidity: { topic: 'a', value: "$['h'][0]" },
    };
    const [route, ...others] = load({ source: undefined, channels }).routes;
    expect(others).toEqual([]);
    expect(route!.channels.map(({ rule }) => rule)).toEqual([
      { kind: 'path', path: ['t'], text: '$.t' },
      { kind: 'path', path: ['h', 0], text: "$['h'][0]" },
    ]);
  });

  test('overrides spike settings per channel', () => {
    const { spikes } = load({ spikes: { humidity: { delta: 2, refractory: 3 } } });
    expect(spikes).toEqual({ delta: [0.5, 2], heartbeat: [60, 60], refractory: [0, 3] });
  });

  test('takes a version written as a number', () => {
    expect(load({ mqtt: { ...minimal.mqtt, version: 5 } }).mqtt.version).toBe('5');
  });

  test('resolves paths from where the file is', () => {
    const witnessLog = { directory: 'state/witness' };
    expect(load({ witnessLog }).witnessLog).toMatchObject({
      directory: join(fixture.directory, 'state/witness'),
      flushMs: 600_000,
    });
  });

  test('is read from a file', () => {
    writeFileSync(fixture.path('some.yaml'), stringify(minimal));
    expect(loadGatewayConfig(fixture.path('some.yaml')).config.gateway).toBe('office');
  });
});

const mqtt = (changes: object) => ({ mqtt: { ...minimal.mqtt, ...changes } });

describe('each mistake is told with its path, what was expected and what was got', () => {
  const cases: [string, string | Record<string, unknown>, string | RegExp][] = [
    [
      'no gateway',
      { gateway: undefined },
      'gateway: expected a name (letters, digits, _ and -), got nothing',
    ],
    [
      'a gateway with a space',
      { gateway: 'my office' },
      /^gateway: expected at most 64 letters.*got "my office"$/,
    ],
    [
      'an unknown key',
      { gatway: 1 },
      'gatway: expected a known key, got the unknown key "gatway"; did you mean "gateway"?',
    ],
    [
      'an unknown key that is like no other',
      { xyzzyplugh: 1 },
      /^xyzzyplugh: expected one of the keys gateway, .*, got the unknown key "xyzzyplugh"$/,
    ],
    [
      'an unknown key in a section',
      mqtt({ keepalive: 5 }),
      'mqtt.keepalive: expected a known key, got the unknown key "keepalive"; did you mean "keepaliveS"?',
    ],
    [
      'a number out of range',
      mqtt({ keepaliveS: 1 }),
      'mqtt.keepaliveS: expected a whole number from 5 to 3600, got 1',
    ],
    [
      'a fraction',
      mqtt({ keepaliveS: 30.5 }),
      'mqtt.keepaliveS: expected a whole number from 5 to 3600, got 30.5',
    ],
    [
      'text for a number',
      mqtt({ keepaliveS: '30 s' }),
      'mqtt.keepaliveS: expected a whole number from 5 to 3600, got "30 s"',
    ],
    [
      '.nan for a number',
      mqtt({ connectTimeoutS: Number.NaN }),
      /^mqtt.connectTimeoutS: expected a number from 0.001 to 600, got NaN$/,
    ],
    ['a list for a mapping', { mqtt: [1] }, 'mqtt: expected a mapping (key: value), got a list of 1'],
    [
      'a word that is none of the choices',
      { output: { publish: 'al' } },
      'output.publish: expected one of all, changes, tokens, got "al"; did you mean "all"?',
    ],
    ['text for a flag', { output: { retain: 'yes' } }, 'output.retain: expected true or false, got "yes"'],
    ['no URL', { mqtt: {} }, /^mqtt.url: expected a URL such as .*, got nothing$/],
    ['a URL of another kind', mqtt({ url: 'http://host' }), /^mqtt.url: .*got the protocol "http:"$/],
    ['something that is no URL', mqtt({ url: 'localhost' }), /^mqtt.url: .*got something that is no URL$/],
    [
      'a password file without a user',
      mqtt({ passwordFile: 'x' }),
      'mqtt.username: expected a user name beside the password, got nothing',
    ],
    [
      'two passwords',
      mqtt({ username: 'u', passwordFile: 'x', passwordEnv: 'Y' }),
      'mqtt.passwordEnv: expected only one of passwordFile and passwordEnv, got both',
    ],
    [
      'a largest wait below the least',
      mqtt({ reconnectMinMs: 5000, reconnectMaxMs: 100 }),
      'mqtt.reconnectMaxMs: expected a number from 5000 to 3600000, got 100',
    ],
    [
      'a model that is not there',
      { model: 'no.safetensors' },
      /^model: expected a model file, got "no.safetensors": no such file$/,
    ],
    ['a model that is none', { model: 'gateway.txt' }, /^model: expected a model file, got "gateway.txt": /],
    [
      'an unknown channel',
      { channels: { temprature: { topic: 'a', value: 'plain' } } },
      'channels.temprature: expected a channel of the model (temperature, humidity), got the unknown channel "temprature"; did you mean "temperature"?',
    ],
    [
      'a channel without a topic',
      { source: undefined, channels: { temperature: { topic: 'a', value: 'plain' } } },
      "channels.humidity: expected a topic and a value for this channel of the model, or a 'source' for all, got nothing",
    ],
    [
      'a broken topic filter',
      { source: { topic: 'a/#/b', object: true } },
      'source.topic: expected an MQTT topic filter, got "a/#/b", with a \'#\' that is not the last level',
    ],
    [
      'a source that is not an object',
      { source: { topic: 'a', object: false } },
      'source.object: expected true, got false',
    ],
    [
      'a value that is no path',
      { channels: { temperature: { topic: 'a', value: 'a..b' } } },
      "channels.temperature.value: expected a path such as $.a.b, $['a b'] or $.a[0], or 'plain', got \"a..b\"",
    ],
    [
      'a path outside the subset',
      { channels: { temperature: { topic: 'a', value: '$..t' } } },
      "channels.temperature.value: expected a path such as $.a.b, $['a b'] or $.a[0], or 'plain', got \"$..t\"",
    ],
    [
      'spikes of an unknown channel',
      { spikes: { co2: {} } },
      /^spikes.co2: expected a channel of the model \(temperature, humidity\), got the unknown channel "co2"$/,
    ],
    [
      'a negative delta',
      { spikes: { humidity: { delta: -1 } } },
      /^spikes.humidity.delta: expected a number from 0 to .*, got -1$/,
    ],
    [
      'a heartbeat of zero',
      { spikes: { humidity: { heartbeat: 0 } } },
      /^spikes.humidity.heartbeat: expected a whole number from 1 to .*, got 0$/,
    ],
    [
      'an unknown policy',
      { policy: 'stedy' },
      'policy: expected one of steady, prototype, events, got "stedy"; did you mean "steady"?',
    ],
    [
      'an output topic with a wildcard',
      { output: { topic: 'a/+' } },
      'output.topic: expected a topic without wildcards, got "a/+", with a wildcard',
    ],
    ['a QoS that we do not speak', { output: { qos: 2 } }, 'output.qos: expected one of 0, 1, got 2'],
    [
      'a subscription to ourselves',
      { source: { topic: 'dormouse/#', object: true } },
      /^channels: expected topic filters that do not match what this gateway publishes, got "dormouse\/#", which matches "dormouse\/office\/state"$/,
    ],
    [
      'an edge node that is ourselves',
      { source: { preset: 'sparkplug', device: 'plant/office/x' }, sparkplug: { group: 'plant' } },
      /^channels: expected topic filters that do not match .*, which matches "spBv1.0\/plant\/NDATA\/office"$/,
    ],
    [
      'plain payloads with a timestamp',
      { frame: { timestamp: '$.time' }, channels: { humidity: { topic: 'h', value: 'plain' } } },
      'frame.timestamp: expected payloads that carry a time, got the plain payloads of humidity',
    ],
    [
      'a unit without a timestamp',
      { frame: { timestampUnit: 's' } },
      'frame.timestampUnit: expected a timestamp beside it, got none',
    ],
    [
      'a ring that holds no payload',
      { limits: { ringBytes: 100_000 } },
      'limits.ringBytes: expected at least 2 x payloadBytes (131072), got 100000',
    ],
    [
      'more under way than there may be',
      { limits: { outboxMessages: 4 } },
      'limits.outboxMessages: expected at least 2 x inFlight (32), got 4',
    ],
    [
      'an unknown target',
      { ledger: { directory: 'x', target: 'pi6' } },
      /^ledger.target: expected one of pi5, pi4, got "pi6"; did you mean "pi5"\?$/,
    ],
    [
      'a plug that is the meter and not there',
      { ledger: { directory: 'x', target: 'pi5', meter: 'plug' } },
      'ledger.plug: expected the plug that is the meter, got nothing',
    ],
    [
      'a plug of no kind',
      { ledger: { directory: 'x', target: 'pi5', plug: { topic: 'a/#' } } },
      /^ledger\.plug\.kind.*: expected one of tasmota, shelly, zigbee2mqtt, got/,
    ],
    ['a log without a directory', { witnessLog: {} }, 'witnessLog.directory: expected a path, got nothing'],
    ['YAML that is none', 'gateway: [', /^config: expected valid YAML, got /],
    ['a key given twice', 'gateway: a\ngateway: b\n', /^config: expected valid YAML, got .*unique/],
    ['a text for a document', 'just text', /^config: expected a mapping \(key: value\), got "just text"$/],
    ['a bomb of aliases', bomb(), /^config: expected valid YAML, got Excessive alias count/],
  ];
  writeFileSync(fixture.path('gateway.txt'), 'not a model');
  test.each(cases)('%s', (_, input, expected) => {
    const found = problems(input);
    if (typeof expected === 'string') expect(found).toContain(expected);
    else expect(found.find((problem) => expected.test(problem)) ?? found).toMatch(expected);
  });
});

function bomb(): string {
  const levels = ['a: &a [x,x,x,x,x,x,x,x,x]'];
  for (let i = 1; i < 9; i++) {
    const [name, previous] = [String.fromCharCode(97 + i), String.fromCharCode(96 + i)];
    levels.push(`${name}: &${name} [${Array(9).fill(`*${previous}`).join(',')}]`);
  }
  return levels.join('\n');
}

test('all mistakes are told at once, each with its line', () => {
  const text = [
    'gateway: office',
    'model: none.safetensors',
    'mqtt:',
    '  url: mqtt://host',
    '  keepaliveS: -1',
    'frame: { mode: gird }',
    'outptu: {}',
  ].join('\n');
  try {
    parse(text);
    expect.unreachable();
  } catch (error) {
    const { problems: found, message } = error as GatewayConfigError;
    expect(found.map(({ path, line }) => [path, line])).toEqual(
      [
        ['outptu', 7],
        ['model', 2],
        ['mqtt.keepaliveS', 5],
        ['frame.mode', 6],
      ].sort(
        (a, b) => found.findIndex(({ path }) => path === a[0]) - found.findIndex(({ path }) => path === b[0]),
      ),
    );
    expect(message).toContain('has 4 problems:');
    expect(message).toContain('mqtt.keepaliveS (line 5): expected a whole number');
  }
});

test('a password in the URL is refused and not repeated', () => {
  const found = problems(mqtt({ url: 'mqtt://user:hunter2@host' }));
  expect(found).toHaveLength(1);
  expect(found[0]).toContain('got a user name or password inside it');
  expect(found[0]).not.toContain('hunter2');
});

test('a password as a key is refused and not repeated', () => {
  const found = problems(mqtt({ username: 'user', password: 'hunter2' }));
  expect(found).toHaveLength(1);
  expect(found[0]).not.toContain('hunter2');
});

test('a file that is not there is a problem, not a crash', () => {
  expect(() => loadGatewayConfig(fixture.path('nowhere.yaml'))).toThrow(
    /expected a readable file, got no such file$/,
  );
});

describe('models', () => {
  const { publicKey, privateKey } = makeKeyPair();
  writeFileSync(fixture.path('key.pub.pem'), publicKey);
  writeFileSync(fixture.path('key.pem'), privateKey);

  test('off unless it is there; defaults', () => {
    expect(load().models).toBeUndefined();
    expect(load({ models: { directory: 'kept' } }).models).toEqual({
      directory: fixture.path('kept'),
      requireSignature: false,
      bytesMax: 16 << 20,
      pollMs: 10_000,
      canary: { ticks: 1000, tokens: 20, answers: 2, durationMs: 0 },
      watch: { ticks: 1000, tokens: 20, answers: 0, durationMs: 0 },
      thresholds: {
        agreementMin: 0.9,
        alarmsMax: 0.05,
        skipDropMax: 0.25,
        slowerMax: 4,
        stepMsMax: Number.POSITIVE_INFINITY,
        forecastTolerance: 0.5,
      },
    });
  });

  test('with a key signatures are required, and models may come over MQTT', () => {
    const models = { directory: 'kept', publicKeyFile: 'key.pub.pem', upload: true };
    expect(load({ models }).models).toMatchObject({
      publicKeyFile: fixture.path('key.pub.pem'),
      requireSignature: true,
      upload: { idleMs: 60_000 },
    });
  });

  test.each([
    ['no directory', {}, 'models.directory: expected a path, got nothing'],
    [
      'a key that is nearly right',
      { directory: 'x', canari: {} },
      'got the unknown key "canari"; did you mean "canary"?',
    ],
    [
      'a key within it',
      { directory: 'x', canary: { tick: 5 } },
      'models.canary.tick: expected a known key, got the unknown key "tick"; did you mean "ticks"?',
    ],
    [
      'no key to check with',
      { directory: 'x', requireSignature: true },
      'models.requireSignature: expected a publicKeyFile beside it, got none',
    ],
    [
      'uploads that anyone may send',
      { directory: 'x', upload: true },
      'models.upload: expected a publicKeyFile, and signatures required, got no publicKeyFile',
    ],
    [
      'uploads without signatures',
      { directory: 'x', upload: true, publicKeyFile: 'key.pub.pem', requireSignature: false },
      'models.upload: expected a publicKeyFile, and signatures required, got requireSignature: false',
    ],
    [
      'a private key',
      { directory: 'x', publicKeyFile: 'key.pem' },
      'got "key.pem": expected an Ed25519 public key in PEM, got a private one',
    ],
    ['no such key', { directory: 'x', publicKeyFile: 'no.pem' }, 'got "no.pem": no such file'],
    [
      'no such recording',
      { directory: 'x', selfTest: 'no.csv' },
      "models.selfTest: expected a recording with the model's channels",
    ],
    [
      'a share beyond 1',
      { directory: 'x', agreementMin: 90 },
      'models.agreementMin: expected a number from 0 to 1, got 90',
    ],
  ])('%s', (_, models, expected) => {
    expect(problems({ models }).join('\n')).toContain(expected);
  });
});

test('a file that is far too large is not read', () => {
  writeFileSync(fixture.path('large.yaml'), Buffer.alloc(2 << 20, '#'));
  expect(() => loadGatewayConfig(fixture.path('large.yaml'))).toThrow(/more than 1048576/);
});

describe('targets/example.yaml', () => {
  const text = readFileSync(new URL('../../../targets/example.yaml', import.meta.url), 'utf8');
  const problemsOf = (source: string) =>
    problems(source).filter((problem) => !/^model: |^channels\.|^spikes\./.test(problem));

  test('is valid', () => {
    expect(parseDocument(text).errors).toEqual([]);
    expect(problemsOf(text)).toEqual([]);
  });

  test('stays valid with everything in it that is commented out, and names every default rightly', () => {
    // A comment is a setting if what follows `# ` is a key or goes on from one.
    writeFileSync(fixture.path('model-key.pub.pem'), makeKeyPair().publicKey);
    const lines = text.split('\n').filter((line) => !/^# [A-Z.]/.test(line));
    const settings = lines.map((line) => line.replace(/^(\s*)# ?(?=\s*[a-zA-Z0-9]+:)/, '$1')).join('\n');
    expect(parseDocument(settings).errors).toEqual([]);
    expect(problemsOf(settings.replace(/channels:\n( {2}.*\n)+/, ''))).toEqual([]);
  });
});
