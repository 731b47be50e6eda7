import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UsageError } from '../../src/cli/command.ts';
import { command, describe as describeModel, inspect } from '../../src/cli/inspect.ts';
import { alignColumns } from '../../src/cli/terminal/columns.ts';
import { Engine } from '../../src/engine/engine.ts';
import { saveModel } from '../../src/engine/model-file.ts';
import { tinyModel } from '../engine/tiny-model.ts';

describe('inspect', () => {
  it('tells sizes that agree with an engine and with the sum of the regions', () => {
    const report = inspect(tinyModel(), 3);
    const engine = new Engine(tinyModel(), { streams: 3 });
    expect(report.memory.totalBytes).toBe(engine.memory.buffer.byteLength);
    const sum = report.memory.regions.reduce((all, { bytes }) => all + bytes, 0);
    expect(sum).toBe(report.memory.totalBytes);
    expect(report.kernel).toBe(engine.kernel);
    expect(report.tiers.map(({ macs }) => macs)).toEqual(
      engine.plans.map(({ write }) => engine.cost(write).macs),
    );
  });

  it('counts every number of every tensor', () => {
    const { weights, config } = tinyModel();
    const sizeOf = (value: unknown): number => {
      if (typeof value === 'number') return 1;
      if (ArrayBuffer.isView(value)) return (value as Uint8Array).length;
      return Object.values(value as object).reduce((sum: number, part) => sum + sizeOf(part), 0);
    };
    expect(inspect({ weights, config, meaning: tinyModel().meaning }, 1).parameters).toBe(sizeOf(weights));
  });

  it('reads like this', () => {
    const lines = describeModel(inspect(tinyModel(), 1));
    const text = lines.join('\n');
    expect(text).toMatch(/^Configuration\n {2}features +24\n/);
    expect(text).toMatch(
      /\nTask\n {2}classify {2}empty, occupied\n {2}interval {2}1 s\n {2}features {2}changes\n/,
    );
    expect(text).toMatch(/\n {2}temperature +20 +2 +0\.5 +60 +0\n/);
    expect(text).toMatch(/\nMemory for 1 stream, bytes\n/);
    expect(text).toMatch(/\n {2}total +(\d+ )?65 536\n|\n {2}total +65 536\n/);
    expect(text).toMatch(/\n {2}3 skip +0 +0 +0 +0 +0\n/);
    expect(text).toMatch(/\n {2}layers\.1\.feed_forward\.down\.weight +I8 +\[16, 32\]\n/);
    expect(lines.at(-1)).toBe(`  made  ${tinyModel().meaning.provenance.made}`);
  });
});

describe('the command', () => {
  let directory: string;
  let written: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'dormouse-inspect-'));
    written = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      written += text;
      return true;
    });
  });
  afterEach(() => {
    vi.restoreAllMocks();
    rmSync(directory, { recursive: true });
  });

  const file = (bytes: Uint8Array) => {
    const path = join(directory, 'model.safetensors');
    writeFileSync(path, bytes);
    return path;
  };

  it('prints one JSON object', async () => {
    expect(await command.run([file(saveModel(tinyModel())), '--json', '--streams', '2'])).toBe(0);
    expect(JSON.parse(written)).toMatchObject({
      streams: 2,
      config: { hidden: 16 },
      meaning: { intervalMs: 1000 },
    });
  });

  it('prints text', async () => {
    expect(await command.run([file(saveModel(tinyModel()))])).toBe(0);
    expect(written).toContain('Provenance\n');
  });

  it('names the file that it cannot read', async () => {
    const missing = join(directory, 'none.safetensors');
    await expect(command.run([missing])).rejects.toThrow(
      `${missing}: expected a model file, got no such file`,
    );
    await expect(command.run([directory])).rejects.toThrow(/got a directory/);
    const cut = file(saveModel(tinyModel()).subarray(0, 1000));
    await expect(command.run([cut])).rejects.toThrow(cut);
  });

  it.each([[[]], [['a', 'b']], [['a', '--streams', '0']], [['a', '--streams', 'x']], [['a', '--wat']]])(
    'refuses %j',
    async (args) => {
      await expect(command.run(args)).rejects.toThrow(UsageError);
    },
  );
});

describe('alignColumns', () => {
  it('puts numbers right and words left', () => {
    expect(alignColumns([['a', '1 000', 'x'], ['long', '2', 'yy'], ['b']])).toEqual([
      'a     1 000  x',
      'long      2  yy',
      'b',
    ]);
  });
});
