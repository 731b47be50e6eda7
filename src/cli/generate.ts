/** `dormouse generate`: a workload as a recording. */
import { type WorkloadName, workloadNames, workloads } from '../workloads/physics.ts';
import { defaultRows, seedsOf, type WorkloadTask, writeWorkload } from '../workloads/recording.ts';
import { type Command, UsageError } from './command.ts';
import {
  parseOptions,
  requireArguments,
  requireChoice,
  requireOption,
  wholeNumberOption,
} from './options.ts';

const listed = workloadNames.map((name) => `  ${name.padEnd(16)} ${workloads[name].plant}`).join('\n');

export const command: Command = {
  name: 'generate',
  summary: 'make a recording of a simulated plant, with events, bursts and faults',
  usage: `Usage: dormouse generate WORKLOAD -o DIRECTORY [options]

Writes train.csv, validation.csv, test.csv (three seeds) and recording.json, which train, eval, tune and replay read.
The same seed gives the same files on every machine. Workloads, defined by what happens in them and how often:

${listed}

  -o, --output DIRECTORY   where the files go (required)
  --seed N                 (default 1)
  --task NAME              what models learn of it: classify (the regime, or that a sensor is faulty), anomaly (that a
                           sensor is faulty), or forecast; the rows are the same (default classify)
  --horizon N              forecast: ticks to predict (default 1)
  --rows N                 rows to train on and to test on, half as many to validate (default ${defaultRows.train})`,
  async run(args) {
    const { values, positionals } = parseOptions({
      args,
      options: {
        output: { type: 'string', short: 'o' },
        seed: { type: 'string' },
        rows: { type: 'string' },
        task: { type: 'string' },
        horizon: { type: 'string' },
      },
      allowPositionals: true,
    });
    const physics = workloads[requireWorkload(positionals)];
    const output = requireOption('output', values.output, 'DIRECTORY');
    const seeds = seedsOf(wholeNumberOption('seed', values.seed, 1, 0, 1e9));
    const rows = wholeNumberOption('rows', values.rows, defaultRows.train, 100, 1e6);
    const task = requireTask(values.task, values.horizon);
    const parts = { train: rows, validation: Math.ceil(rows / 2), test: rows };
    writeWorkload(output, physics, seeds, parts, task);
    process.stdout.write(`${output}: ${physics.name}, ${physics.plant}\n`);
    return 0;
  },
};

function requireTask(text = 'classify', horizon: string | undefined): WorkloadTask {
  const kind = requireChoice('--task', text, ['classify', 'anomaly', 'forecast']);
  if (kind === 'forecast') return { kind, horizon: wholeNumberOption('horizon', horizon, 1, 1, 4096) };
  if (horizon !== undefined) throw new UsageError(`--horizon: expected --task forecast, got ${kind}`);
  return { kind };
}

function requireWorkload(positionals: readonly string[]): WorkloadName {
  const [name] = requireArguments(positionals, `a workload (${workloadNames.join(', ')})`);
  return requireChoice('workload', name, workloadNames);
}
