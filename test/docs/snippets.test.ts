/** What the pages show must work as it stands there. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readLedger } from '../../src/energy/ledger-record.ts';
import { saveModel } from '../../src/engine/model-file.ts';
import { parseGatewayConfig } from '../../src/gateway/config/load-config.ts';
import { decodeProblems } from '../../src/gateway/decode-problems.ts';
import { parseDescription } from '../../src/recording/description.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { Fixture } from '../gateway/fixture.ts';

const root = join(import.meta.dirname, '../..');
const page = (name: string) => readFileSync(join(root, name), 'utf8');

/** The first block of a language on a page, without its indentation. */
function snippet(name: string, language: string): string {
  const block = new RegExp(`^( *)\`\`\`${language}\\n([^]*?)^ *\`\`\`$`, 'm').exec(page(name));
  expect(block, `${name} has a block of ${language}`).not.toBeNull();
  return block![2]!.replaceAll(new RegExp(`^${block![1]}`, 'gm'), '');
}

const fixture = new Fixture();
afterAll(() => fixture.remove());

describe('README.md', () => {
  const recording = parseDescription(snippet('README.md', 'json'), fixture.directory);

  test('shows a recording.json that is accepted', () => {
    expect(recording).toMatchObject({ task: 'classify', intervalMs: 60_000, labelColumn: 'label' });
  });

  test('shows a gateway.yaml that is valid with a model of that recording', () => {
    const { meaning, ...model } = tinyModel();
    const channels = meaning.channels.map((channel, index) => ({
      ...channel,
      ...recording.channels[index]!,
    }));
    writeFileSync(
      fixture.path('room.safetensors'),
      saveModel({ ...model, meaning: { ...meaning, channels } }),
    );
    const { config } = parseGatewayConfig(snippet('README.md', 'yaml'), fixture.path('gateway.yaml'));
    expect(config.routes.flatMap(({ channels }) => channels.map(({ name }) => name))).toEqual(
      recording.channels.map(({ name }) => name),
    );
  });
});

test('docs/energy.md shows a record whose checksum fits', () => {
  const line = snippet('docs/energy.md', 'json').trim().replaceAll('\n ', '');
  const { records, damagedLines } = readLedger(Buffer.from(`${line}\n`));
  expect([records.length, damagedLines]).toEqual([1, 0]);
  const [record] = records;
  expect(record!.tiers.reduce((sum, ticks) => sum + ticks)).toBe(record!.ticks);
  for (const field of Object.keys(record!).filter((name) => name !== 'version')) {
    expect(page('docs/energy.md')).toContain(`\`${field}\``);
  }
});

test.each(decodeProblems)('docs/gateway.md explains the counter %s', (kind) => {
  expect(page('docs/gateway.md')).toContain(`\`${kind}\``);
});

test('docs/recording.md explains every key', () => {
  const unknown = JSON.stringify({ zzzzzzzzzz: 1 });
  const problem = () => parseDescription(unknown, '.');
  const keys = /expected (.*)$/.exec(String(catchFrom(problem)))![1]!.split(', ');
  expect(keys.length).toBeGreaterThan(10);
  for (const key of keys) expect(page('docs/recording.md')).toContain(`\`${key}`);
});

function catchFrom(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return error;
  }
}
