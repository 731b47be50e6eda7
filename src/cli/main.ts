/** The program `dormouse`, and the training threads that it starts from its own file. */
import { isMainThread, workerData } from 'node:worker_threads';
import { type CommandTable, dispatch } from './dispatch.ts';

const commands: CommandTable = {
  run: () => import('./run.ts'),
  demo: () => import('./demo.ts'),
  train: () => import('./train.ts'),
  eval: () => import('./eval.ts'),
  calibrate: () => import('./calibrate.ts'),
  inspect: () => import('./inspect.ts'),
  explain: () => import('./explain.ts'),
  lambda: () => import('./lambda.ts'),
  validate: () => import('./validate.ts'),
  replay: () => import('./replay.ts'),
  sniff: () => import('./sniff.ts'),
  tune: () => import('./tune.ts'),
  energy: () => import('./energy.ts'),
  'calibrate-energy': () => import('./calibrate-energy.ts'),
  bench: () => import('./bench.ts'),
  generate: () => import('./generate.ts'),
  export: () => import('./export.ts'),
};

/** `dormouse eval ... | head` is no failure: whoever reads has seen enough. */
function endQuietlyWhenNobodyReads(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
}

async function main(): Promise<void> {
  endQuietlyWhenNobodyReads();
  const streams = {
    out: (text: string) => void process.stdout.write(text),
    error: (text: string) => void process.stderr.write(text),
  };
  const debug = process.env.DORMOUSE_DEBUG === '1';
  // Not process.exit: what was written to a pipe must still get out.
  process.exitCode = await dispatch(process.argv.slice(2), commands, streams, { debug });
}

if (!isMainThread && workerData?.dormouseWorker === 'train') {
  const { runTrainWorker } = await import('../train/worker.ts');
  runTrainWorker();
} else await main();
