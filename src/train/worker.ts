/** A training thread: the bundle's main module calls this when it finds itself started as one. */
import { parentPort, workerData } from 'node:worker_threads';
import { ShardRunner } from './shard.ts';
import { runShare, type StepOrder, type TrainWorkerData } from './team.ts';

/** Answers each StepOrder with its shards' results, until the parent ends the thread. */
export function runTrainWorker(): void {
  const { job, share } = workerData as TrainWorkerData;
  const runner = new ShardRunner(job);
  parentPort!.on('message', (order: StepOrder) => {
    parentPort!.postMessage(runShare(runner, share, order));
  });
}
