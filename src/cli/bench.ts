/** `dormouse bench`: what the engine costs on this machine. */
import { arch } from 'node:process';
import { type BenchResult, FULL, QUICK } from '../bench/harness.ts';
import { type Suite, suites } from '../bench/suites.ts';
import { findTarget, type Target, targets } from '../energy/target.ts';
import { kernelNames } from '../engine/kernels/choose.ts';
import type { Command } from './command.ts';
import { parseOptions, requireChoice } from './options.ts';
import { alignColumns } from './terminal/columns.ts';

const nameWidth = Math.max(...Object.keys(suites).map(({ length }) => length));
const suiteLines = Object.entries(suites).map(([name, { about }]) => `  ${name.padEnd(nameWidth)}  ${about}`);

const usage = `Usage: dormouse bench [SUITE ...] [--quick] [--json] [--kernels NAME] [--target NAME]
                      [--recordings DIRECTORY] [--models DIRECTORY]

Measures on this machine, seeded, every call timed, cases interleaved in one run.

Suites (default: all):
${suiteLines.join('\n')}

Options:
  --quick                 a short run, for continuous integration
  --json                  one JSON object per line: suite, case, unit, median, p99, cpu, node, kernel, ...
  --kernels NAME          ${kernelNames.join(', ')}; default: the fastest that passes its self-test
  --target NAME           ${Object.keys(targets).join(', ')}: whose watts modelled energy takes (default: x64
                          on x64, else none)
  --recordings DIRECTORY  recordings that ablation and policies play besides, each in a folder of its own, if there is
                          a model of its name
  --models DIRECTORY      models for these two beside the shipped ones: scripts/ablation-models.mjs makes them
`;

const common = new Set([
  'suite',
  'case',
  'unit',
  'median',
  'p99',
  'cpu',
  'node',
  'kernel',
  'samples',
  'p999',
]);

async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseOptions({
    args,
    allowPositionals: true,
    options: {
      quick: { type: 'boolean' },
      json: { type: 'boolean' },
      kernels: { type: 'string' },
      target: { type: 'string' },
      recordings: { type: 'string' },
      models: { type: 'string' },
    },
  });
  const kernels =
    values.kernels === undefined ? undefined : requireChoice('--kernels', values.kernels, kernelNames);
  const target = targetOf(values.target);
  const folders = {
    ...(values.recordings === undefined ? {} : { recordings: values.recordings }),
    ...(values.models === undefined ? {} : { models: values.models }),
  };
  const names = positionals.map((name) => requireChoice('suite', name, Object.keys(suites)));
  for (const name of names.length > 0 ? names : Object.keys(suites)) {
    const suite = suites[name]!;
    const results = await suite.run(values.quick ? QUICK : FULL, kernels, target, folders);
    process.stdout.write(values.json ? jsonLines(results) : text(name, suite, results));
  }
  return 0;
}

function targetOf(name: string | undefined): Target | undefined {
  if (name !== undefined) return findTarget(requireChoice('--target', name, Object.keys(targets)));
  return arch === 'x64' ? findTarget('x64') : undefined;
}

function jsonLines(results: readonly BenchResult[]): string {
  return results.map((line) => `${JSON.stringify(line)}\n`).join('');
}

/** The timing of each case, then whatever the suite has to say. */
function text(name: string, suite: Suite, results: readonly BenchResult[]): string {
  const first = results[0];
  if (first === undefined) return '';
  const all = [...new Set(results.flatMap(Object.keys))].filter((key) => !common.has(key));
  const details = suite.columns ?? all;
  const rows = results.map((line) =>
    ['case', 'median', 'p99', ...details].map((key) => String(line[key] ?? '-')),
  );
  const table = alignColumns([['case', 'median us', 'p99 us', ...details], ...rows]);
  const title = `${name}: ${first.cpu}, Node ${first.node}, ${first.kernel} kernels`;
  return `${[title, ...table, ...(suite.notes?.(results) ?? [])].join('\n')}\n\n`;
}

export const command: Command = { name: 'bench', summary: 'measure the engine on this machine', usage, run };
