/** What docs/payloads.md shows works, and names everything. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { binaryTypes } from '../../../src/gateway/payloads/binary.ts';
import { presetNames } from '../../../src/gateway/payloads/presets.ts';
import { routesOf } from './helpers.ts';

const page = readFileSync(new URL('../../../docs/payloads.md', import.meta.url), 'utf8');

test('its lines are accepted', () => {
  const block = /^```yaml\n(.*?)^```$/ms.exec(page)![1]!;
  const config = parse(block) as { channels: Record<string, unknown> };
  const names = Object.keys(config.channels);
  expect(names.length).toBeGreaterThan(4);
  const { routes, problems } = routesOf(config, Object.fromEntries(names.map((name) => [name, ''])));
  expect(problems).toEqual([]);
  expect(routes.length).toBeGreaterThanOrEqual(names.length);
});

test.each(presetNames)('explains %s', (name) => {
  expect(page).toMatch(new RegExp(`^\\| \`${name}\``, 'm'));
});

test('the types of numbers are as it says', () => {
  for (const type of binaryTypes) expect(type).toMatch(/^(u?int(8|16|32|64)|float(32|64))(le|be)?$/);
});

test('shows the error that a typing mistake gives', () => {
  const { problems } = routesOf({ channels: { power: { preset: 'tasmotta', device: 'x' } } }, { power: 'W' });
  expect(problems[0]).toMatch(
    /^channels\.power\.preset: expected one of json, zigbee2mqtt, .*, got "tasmotta"; did you mean "tasmota"\?$/,
  );
});
