/** The gateway's commands as a program of their own, built from the sources, so that signals hit a real process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { until } from '../gateway/fixture.ts';

const { aliases, withoutUnused } = await import(
  new URL('../../scripts/package/unused.mjs', import.meta.url).href
);
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Bundles commands about a gateway into `directory`; gives the program's path. */
export async function buildProgram(directory: string): Promise<string> {
  const outfile = join(directory, 'dormouse-test.mjs');
  const names = ['run', 'validate', 'replay', 'record', 'keygen', 'sign', 'deploy'];
  await build({
    stdin: {
      contents: [
        "import { dispatch } from './src/cli/dispatch.ts';",
        `const commands = { ${names.map((name) => `${name}: () => import('./src/cli/${name}.ts')`).join(', ')} };`,
        'const streams = { out: (t) => process.stdout.write(t), error: (t) => process.stderr.write(t) };',
        'process.exitCode = await dispatch(process.argv.slice(2), commands, streams);',
      ].join('\n'),
      resolveDir: root,
    },
    outfile,
    bundle: true,
    alias: aliases,
    plugins: [withoutUnused],
    platform: 'node',
    target: 'node20',
    format: 'esm',
    banner: { js: "import { createRequire as r_ } from 'node:module'; const require = r_(import.meta.url);" },
  });
  return outfile;
}

/** A running program and what it printed. */
export class Running {
  stdout = '';
  stderr = '';
  readonly child: ChildProcess;
  readonly exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;

  constructor(program: string, args: readonly string[], env: Record<string, string> = {}) {
    this.child = spawn(process.execPath, [program, ...args], { env: { ...process.env, ...env } });
    this.child.stdout!.on('data', (text) => (this.stdout += text));
    this.child.stderr!.on('data', (text) => (this.stderr += text));
    this.exit = new Promise((resolve) => this.child.on('close', (code, signal) => resolve({ code, signal })));
  }

  prints(text: string): Promise<void> {
    return until(() => this.stdout.includes(text), `it prints '${text}', not '${this.stdout}${this.stderr}'`);
  }

  /** Sends a signal; resolves to the exit code and the milliseconds that it took. */
  async end(signal: NodeJS.Signals): Promise<{ code: number | null; tookMs: number }> {
    const startMs = performance.now();
    this.child.kill(signal);
    const { code } = await this.exit;
    return { code, tookMs: performance.now() - startMs };
  }
}
