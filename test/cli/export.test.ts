import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { randomModel } from '../../src/bench/random-model.ts';
import { command } from '../../src/cli/export.ts';
import { saveModel } from '../../src/engine/model-file.ts';
import { readOnnx } from '../export/onnx-reader.ts';

let directory: string;
let model: string;
let onnx: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-export-'));
  model = join(directory, 'model.safetensors');
  onnx = join(directory, 'model.onnx');
  writeFileSync(model, saveModel(randomModel()));
  vi.spyOn(process.stdout, 'write').mockReturnValue(true);
});

afterAll(() => {
  rmSync(directory, { recursive: true });
  vi.restoreAllMocks();
});

test('writes a graph of as many ticks as asked for', async () => {
  expect(await command.run([model, '--onnx', onnx, '--rows', '3'])).toBe(0);
  const { inputs, outputs } = readOnnx(readFileSync(onnx));
  expect([...inputs.values()]).toEqual([[3, 24]]);
  expect([...outputs.values()]).toEqual([[3, 2]]);
});

test('by default of as many as the model holds', async () => {
  expect(await command.run([model, '--onnx', onnx])).toBe(0);
  expect([...readOnnx(readFileSync(onnx)).inputs.values()]).toEqual([[8, 24]]);
});

test.each([
  [() => [], 'expected a model file'],
  [() => [model], 'expected --onnx FILE'],
  [() => [model, 'more', '--onnx', onnx], "expected one model file, got also 'more'"],
  [() => [model, '--onnx', onnx, '--rows', '0'], "--rows: expected a number from 1 to 4096, got '0'"],
  [() => ['missing', '--onnx', onnx], /^missing: /],
])('refuses what it cannot do (%#)', async (args, message) => {
  await expect(command.run(args())).rejects.toThrow(message);
});

test('writes nothing when it fails', async () => {
  const target = join(directory, 'nothing.onnx');
  await expect(command.run(['missing', '--onnx', target])).rejects.toThrow();
  expect(existsSync(target)).toBe(false);
});
