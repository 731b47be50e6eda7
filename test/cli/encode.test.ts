import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { command } from '../../src/cli/encode.ts';
import { readTensors } from '../../src/engine/safetensors.ts';
import { writeSmallRecording } from './small-recording.ts';

let directory: string;
const at = (name: string) => join(directory, name);

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-encode-'));
  writeSmallRecording(at('recording'));
  vi.spyOn(process.stdout, 'write').mockReturnValue(true);
});
afterAll(() => {
  rmSync(directory, { recursive: true });
  vi.restoreAllMocks();
});

test('writes the tensors of a recording, with the options of training', async () => {
  const options = ['--variants', '3', '--without', 'wave', '--heartbeat', '9', '--features', 'trends'];
  expect(await command.run([at('recording'), '-o', at('tokens.safetensors'), ...options])).toBe(0);
  const { tensors, metadata } = readTensors(readFileSync(at('tokens.safetensors')));
  expect(tensors.get('train.starts')!.shape).toEqual([4]);
  const meaning = JSON.parse(metadata.get('meaning')!);
  expect(meaning).toMatchObject({ features: 'trends', spikes: { heartbeat: [9] } });
  expect(meaning.channels.map(({ name }: { name: string }) => name)).toEqual(['level']);
});

test.each([
  [() => [], 'expected a recording'],
  [() => [at('recording')], 'expected --output FILE'],
  [() => [at('recording'), 'more', '-o', 'x'], "expected one recording, got also 'more'"],
  [() => [at('recording'), '-o', at('x'), '--variants', '1'], '--variants: expected a number from 2 to 1000'],
  [
    () => [at('recording'), '-o', at('x'), '--features', 'y'],
    "--features: expected one of changes, trends, got 'y'",
  ],
  [() => [at('nowhere'), '-o', at('x')], 'nowhere'],
])('refuses what it cannot do (%#)', async (args, message) => {
  await expect(command.run(args())).rejects.toThrow(message);
});
