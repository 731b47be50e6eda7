/** `dormouse bench`: what the engine costs on this machine. */
import { type BenchResult, FULL, QUICK } from '../bench/harness.ts';
import { suites } from '../bench/suites.ts';
import { kernelNames } from '../engine/kernels/choose.ts';
import { type Command, parseOptions, UsageError } from './command.ts';

const usage = `Usage: dormouse bench [SUITE ...] [--quick] [--json] [--kernels NAME]

Measures on this machine, seeded, every call timed, cases interleaved in one run.

Suites (default: all): ${Object.keys(suites).join(', ')}
  tables    both presets, tiers 0 to 3: one step, a whole sequence, a skipped tick
  scaling   sequence length windowed and dense, layers, width
  streams   many streams over one set of weights, one by one and in a batch
  training  tokens per second of the trainer on the micro preset, one core

Options:
  --quick          a short run, for continuous integration
  --json           one JSON object per line: suite, case, unit, median, p99, cpu, node, kernel, ...
  --kernels NAME   ${kernelNames.join(', ')}; default: the fastest that passes its self-test
  --help           this text
`;

const columns = ['case', 'median', 'p99'] as const;
const common = new Set(['suite', 'unit', 'cpu', 'node', 'kernel', 'samples', 'p999', ...columns]);

async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseOptions({
    args,
    allowPositionals: true,
    options: { quick: { type: 'boolean' }, json: { type: 'boolean' }, kernels: { type: 'string' } },
  });
  const kernels = kernelNames.find((name) => name === values.kernels);
  if (values.kernels !== undefined && kernels === undefined) {
    throw new UsageError(`--kernels: expected one of ${kernelNames.join(', ')}, got '${values.kernels}'`);
  }
  for (const name of positionals) {
    if (!Object.hasOwn(suites, name)) {
      throw new UsageError(`suite: expected one of ${Object.keys(suites).join(', ')}, got '${name}'`);
    }
  }
  for (const name of positionals.length > 0 ? positionals : Object.keys(suites)) {
    const results = await suites[name]!(values.quick ? QUICK : FULL, kernels);
    process.stdout.write(
      values.json ? results.map((line) => `${JSON.stringify(line)}\n`).join('') : table(name, results),
    );
  }
  return 0;
}

/** Results of one suite as a table: the timing, then whatever each suite has to say. */
function table(suite: string, results: readonly BenchResult[]): string {
  const first = results[0];
  if (first === undefined) return '';
  const details = Object.keys(first).filter((key) => !common.has(key));
  const header = [...columns.map((key) => (key === 'case' ? key : `${key} us`)), ...details];
  const rows = [
    header,
    ...results.map((line) => [...columns, ...details].map((key) => String(line[key] ?? '-'))),
  ];
  const widths = header.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const text = rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
  );
  return `${suite}: ${first.cpu}, Node ${first.node}, ${first.kernel} kernels\n${text.join('\n')}\n\n`;
}

export const command: Command = { name: 'bench', summary: 'measure the engine on this machine', usage, run };
