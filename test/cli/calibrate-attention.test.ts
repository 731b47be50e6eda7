import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { command } from '../../src/cli/calibrate-attention.ts';
import { UsageError } from '../../src/cli/command.ts';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { captureOutput } from './captured-output.ts';
import { writeSmallRecording } from './small-recording.ts';

let directory = '';
const output = captureOutput();
const at = (name: string) => join(directory, name);
const limits = { layers: 2, sequence: 48, window: 48 };
const config = { hidden: 32, sequence: 48, window: 48, tiers: [limits, limits, limits] as const };
const channels = ['level', 'wave'];
const meaning = { task: { kind: 'classify', classes: ['below', 'above'] } } as const;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-attention-'));
  writeSmallRecording(at('recording'), 600);
  writeSmallRecording(at('short'), 100);
  writeFileSync(at('model.safetensors'), saveModel(tinyModel({ channels, config, meaning })));
  writeFileSync(
    at('spiking.safetensors'),
    saveModel(tinyModel({ channels, config: { ...config, attention: 'spike' }, meaning })),
  );
});
afterAll(() => rmSync(directory, { recursive: true }));

const run = (model: string, recording: string, ...options: string[]) =>
  command.run([at(model), at(recording), '-o', at('out.safetensors'), '--every-tick', ...options]);

describe('calibrate attention', () => {
  it('writes the same model with a pattern for each head, and says what each keeps', async () => {
    expect(await run('model.safetensors', 'recording', '--mass', '0.9', '--json')).toBe(0);
    const { heads, variants } = JSON.parse(output.written);
    const model = loadModel(readFileSync(at('out.safetensors')));
    expect(model.config.keyValues).toBeUndefined();
    expect(model.config.patterns).toEqual(
      heads.map((layer: { pattern: object }[]) => layer.map(({ pattern }) => pattern)),
    );
    for (const head of heads.flat()) {
      expect(head.recall).toBeGreaterThanOrEqual(0.9);
      expect(head.positions).toBeLessThanOrEqual(48);
    }
    expect(variants.map(({ name }: { name: string }) => name)).toEqual(
      ['int8', 'int4', 'int4-rotated'].flatMap((format) => [`dense ${format}`, `patterns ${format}`]),
    );
    expect(variants[1].macs).toBeLessThanOrEqual(variants[0].macs);
  });

  it('holds keys and values in four bits, without patterns if no share is asked for', async () => {
    expect(await run('model.safetensors', 'recording', '--mass', '0', '--key-values', 'int4-rotated')).toBe(
      0,
    );
    const { config } = loadModel(readFileSync(at('out.safetensors')));
    expect(config).toMatchObject({ keyValues: 'int4-rotated' });
    expect(config.patterns).toBeUndefined();
    expect(output.written).toContain('dense int4-rotated');
    // What is there is replaced, not built upon.
    expect(await run('out.safetensors', 'recording', '--mass', '0')).toBe(0);
    expect(readFileSync(at('out.safetensors'))).toEqual(readFileSync(at('model.safetensors')));
  });

  it('says what it can not do', async () => {
    await expect(run('model.safetensors', 'short')).rejects.toThrow(
      'rows: expected more tokens in a run than the window of 48, got',
    );
    await expect(run('spiking.safetensors', 'recording')).rejects.toThrow(
      'expected softmax attention, got spike',
    );
    await expect(run('model.safetensors', 'recording', '--key-values', 'int2')).rejects.toThrow(UsageError);
    await expect(command.run([at('model.safetensors'), at('recording')])).rejects.toThrow(
      'expected --output FILE',
    );
    await expect(command.run([at('model.safetensors')])).rejects.toThrow(UsageError);
  });
});
