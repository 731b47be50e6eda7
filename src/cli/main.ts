/** The program `dormouse`, and the training threads that it starts from its own file. */
import { isMainThread, workerData } from 'node:worker_threads';
import type { CommandTable } from './dispatch.ts';
import { gatewayCommands } from './gateway-commands.ts';
import { runProgram } from './program.ts';
import type { workshopNames } from './workshop-names.ts';

/** What makes and judges models. */
const workshopCommands: Record<(typeof workshopNames)[number], CommandTable[string]> = {
  demo: () => import('./demo.ts'),
  train: () => import('./train.ts'),
  encode: () => import('./encode.ts'),
  quantize: () => import('./quantize.ts'),
  eval: () => import('./eval.ts'),
  'calibrate gate': () => import('./calibrate-gate.ts'),
  'calibrate attention': () => import('./calibrate-attention.ts'),
  lambda: () => import('./lambda.ts'),
  tune: () => import('./tune.ts'),
  bench: () => import('./bench.ts'),
  generate: () => import('./generate.ts'),
  export: () => import('./export.ts'),
  keygen: () => import('./keygen.ts'),
  sign: () => import('./sign.ts'),
  deploy: () => import('./deploy.ts'),
};

if (!isMainThread && workerData?.dormouseWorker === 'train') {
  const { runTrainWorker } = await import('../train/worker.ts');
  runTrainWorker();
} else await runProgram({ ...gatewayCommands, ...workshopCommands });
