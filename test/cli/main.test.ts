import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { saveModel } from '../../src/engine/model-file.ts';
import { tinyModel } from '../engine/tiny-model.ts';

let directory: string;
let program: string;

/** Bundled as build.mjs does it, but into a folder of its own. */
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-main-'));
  program = join(directory, 'dormouse.mjs');
  await build({
    entryPoints: ['src/cli/main.ts'],
    outfile: program,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    define: { DORMOUSE_VERSION: '"1.2.3"' },
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    logLevel: 'error',
  });
});
afterAll(() => rmSync(directory, { recursive: true }));

function run(args: string[], environment: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...environment },
  });
  return { status, stdout, stderr };
}

describe('the program', () => {
  it('prints the version of its build', () => {
    expect(run(['--version'])).toEqual({ status: 0, stdout: '1.2.3\n', stderr: '' });
  });

  it('lists every command, and each explains itself', () => {
    const { stdout } = run(['--help']);
    const names = [...stdout.matchAll(/^ {2}(\w+(?: \w+)?) {2,}\S/gm)].map(([, name]) => name!);
    expect(names).toEqual(
      expect.arrayContaining(['run', 'demo', 'calibrate energy', 'calibrate gate', 'bench', 'train']),
    );
    for (const name of names) {
      const { status, stdout: usage } = run([...name.split(' '), '--help']);
      expect([status, usage.split('\n')[0]]).toEqual([0, expect.stringContaining(`dormouse ${name}`)]);
    }
  });

  it('exits 2 on wrong use and 1 on failure, each with one line', () => {
    expect(run(['inspcet'])).toEqual({
      status: 2,
      stdout: '',
      stderr: "dormouse: unknown command 'inspcet'; did you mean 'inspect'? (see 'dormouse --help')\n",
    });
    const missing = run(['inspect', 'no-such-file']);
    expect(missing).toEqual({
      status: 1,
      stdout: '',
      stderr: 'dormouse inspect: no-such-file: expected a model file, got no such file\n',
    });
  });

  it('shows a stack only when asked to', () => {
    expect(run(['inspect', 'no-such-file'], { DORMOUSE_DEBUG: '1' }).stderr).toMatch(/\n\s+at /);
  });

  it('ends quietly when nobody reads on', async () => {
    const path = join(directory, 'model.safetensors');
    writeFileSync(path, saveModel(tinyModel({ config: { layers: 48 } })));
    const child = spawn(process.execPath, [program, 'inspect', path], { stdio: ['ignore', 'pipe', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (text) => {
      errors += text;
    });
    // Closed before anything is written.
    child.stdout.destroy();
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect([code, errors]).toEqual([0, '']);
  });
});
