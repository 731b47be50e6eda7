/** docs/gateway.md has a line for every key of the config, and none for a key that there is not. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { saveModel } from '../../src/engine/model-file.ts';
import { parseGatewayConfig } from '../../src/gateway/config/load-config.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { Fixture } from '../gateway/fixture.ts';

const page = (name: string) => readFileSync(join(import.meta.dirname, '../..', name), 'utf8');
const fixture = new Fixture();
afterAll(() => fixture.remove());

/** Sections with a page of their own. */
const elsewhere: Readonly<Record<string, string>> = {
  share: 'docs/scale-out.md',
  record: 'docs/recording.md',
  'ledger.plug': 'docs/energy.md',
};

/** Keys by the path of their section, of which each is told when it has one that nobody knows. */
function knownKeys(): Map<string, string[]> {
  const model = tinyModel();
  writeFileSync(fixture.path('model.safetensors'), saveModel(model));
  const odd = { zzzzzzzzzz: 1 };
  const { name } = model.meaning.channels[0]!;
  const sections = [
    'mqtt',
    'source',
    'frame',
    'calibration',
    'output',
    'limits',
    'witnessLog',
    'homeAssistant',
  ];
  const more = ['sparkplug', 'page', 'commands', 'share', 'record', 'storage', 'state'];
  const config = {
    ...odd,
    model: 'model.safetensors',
    ...Object.fromEntries([...sections, ...more].map((section) => [section, odd])),
    channels: { [name]: odd },
    spikes: { [name]: odd },
    ledger: { ...odd, meter: 'plug', plug: odd },
    models: { ...odd, upload: odd, selfTest: odd, canary: odd, watch: odd },
  };
  const told = catchFrom(() => parseGatewayConfig(JSON.stringify(config), fixture.path('gateway.yaml')));
  const problems = String(told).matchAll(
    /^ *([\w.]*?)\.?zzzzzzzzzz .*: expected one of the keys (.*), got/gm,
  );
  return new Map(
    [...problems].map(([, section, keys]) => [section!.replace(`.${name}`, ''), keys!.split(', ')]),
  );
}

function catchFrom(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return error;
  }
}

/** Paths of keys as the first column names them: `a.b`, `c` or `a.b`, `.c` are a.b and a.c; [line, path]. */
function documented(): [string, string][] {
  const table = /\n\| key \| default \| meaning \|\n([\s\S]*?)\n\n/.exec(page('docs/gateway.md'))![1]!;
  return table.split('\n').flatMap((line) => {
    let section = '';
    const names = [...line.split(' | ')[0]!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
    return names.map((name): [string, string] => {
      const plain = name.replace('.<name>', '').replace(/^\./, '');
      if (plain.includes('.')) section = plain.slice(0, plain.lastIndexOf('.') + 1);
      return [line, plain.includes('.') ? plain : section + plain];
    });
  });
}

const known = knownKeys();
const rows = documented();

test.each([...known.keys()])("every key of '%s' is explained", (section) => {
  const isSection = (path: string) => path === section || path.startsWith(`${section}.`);
  const lines = rows.filter(([, path]) => section === '' || isSection(path)).map(([line]) => line);
  const text = section in elsewhere ? page(elsewhere[section]!) : lines.join('\n');
  const paths = rows.map(([, path]) => path);
  for (const key of known.get(section)!) {
    const path = section === '' ? key : `${section}.${key}`;
    const isExplained = paths.some((one) => one === path || one.startsWith(`${path}.`));
    if (!isExplained) expect(text, path).toMatch(new RegExp(`\\b${key}\\b`));
  }
});

test('every section is known', () => {
  expect(known.size).toBeGreaterThan(20);
  for (const [, path] of rows) {
    const [key, ...section] = path.split('.').reverse();
    expect(known.get(section.reverse().join('.')), path).toContain(key);
  }
});

describe('targets/example.yaml', () => {
  test.each([...known.keys()])("has every key of '%s'", (section) => {
    for (const key of known.get(section)!)
      expect(page('targets/example.yaml'), key).toMatch(new RegExp(`\\b${key}:`));
  });
});
