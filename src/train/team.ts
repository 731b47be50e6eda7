/** The threads of a training run. Which thread computes a shard never changes the result. */
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { carriedFile } from '../carried.ts';
import type { Scales } from './quantise.ts';
import { type Job, type ShardResult, ShardRunner } from './shard.ts';

/** What a worker thread gets at its start. */
export interface TrainWorkerData {
  readonly dormouseWorker: 'train';
  readonly job: Job;
  readonly share: Share;
}

/** The arrays that all threads see, and which shards are this thread's. */
export interface Share {
  readonly parameters: Float32Array;
  /** [shards] of [layout.count]. */
  readonly gradients: readonly Float32Array[];
  readonly thread: number;
  readonly threads: number;
}

export interface StepOrder {
  readonly step: number;
  readonly scales: Scales | null;
}

export type ShardResults = readonly (readonly [shard: number, result: ShardResult])[];

/** Runs the shards of one thread. */
export function runShare(runner: ShardRunner, share: Share, { step, scales }: StepOrder): ShardResults {
  runner.prepare(share.parameters, scales);
  const results: [number, ShardResult][] = [];
  for (let shard = share.thread; shard < share.gradients.length; shard += share.threads) {
    results.push([shard, runner.run(step, shard, share.gradients[shard]!)]);
  }
  return results;
}

export class Team {
  /** The calling thread's own runner. */
  readonly runner: ShardRunner;
  readonly #own: Share;
  readonly #workers: Worker[];

  /** `threads` includes the calling one; more than one needs the bundle, whose main module starts as a worker too. */
  constructor(job: Job, threads: number) {
    this.runner = new ShardRunner(job);
    const { count } = this.runner.workspace.layout;
    const shared = () => new Float32Array(new SharedArrayBuffer(4 * count));
    const parameters = shared();
    const gradients = Array.from({ length: job.settings.shards }, shared);
    const used = Math.min(threads, gradients.length);
    const share = (thread: number): Share => ({ parameters, gradients, thread, threads: used });
    this.#own = share(0);
    this.#workers = Array.from({ length: used - 1 }, (_, index) => {
      const workerData: TrainWorkerData = { dormouseWorker: 'train', job, share: share(index + 1) };
      return startWorker({ workerData });
    });
  }

  get gradients(): readonly Float32Array[] {
    return this.#own.gradients;
  }

  get threads(): number {
    return this.#own.threads;
  }

  /** Computes all shards with these parameters; the gradients are then in `gradients`. Rejects if a thread dies. */
  async step(parameters: Float32Array, order: StepOrder): Promise<ShardResult> {
    this.#own.parameters.set(parameters);
    const others = this.#workers.map((worker) => answerOf(worker));
    for (const worker of this.#workers) worker.postMessage(order);
    const results = [runShare(this.runner, this.#own, order), ...(await Promise.all(others))].flat();
    results.sort(([a], [b]) => a - b);
    return results.reduce(
      (sum, [, { loss, weight }]) => ({ loss: sum.loss + loss, weight: sum.weight + weight }),
      { loss: 0, weight: 0 },
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

/** From the bundle's own file, or from the text of it that a single executable carries. */
function startWorker(options: WorkerOptions): Worker {
  const carried = carriedFile('dormouse.mjs');
  if (carried === undefined) return new Worker(new URL(import.meta.url), options);
  const text = new TextDecoder().decode(carried);
  return new Worker(text, { ...options, eval: true, execArgv: ['--input-type=module'] });
}

function answerOf(worker: Worker): Promise<ShardResults> {
  return new Promise((resolve, reject) => {
    const settle = (finish: () => void) => {
      worker.off('message', onMessage);
      worker.off('error', onError);
      worker.off('exit', onExit);
      finish();
    };
    const onMessage = (results: ShardResults) => settle(() => resolve(results));
    const onError = (error: Error) => settle(() => reject(error));
    const onExit = (code: number) =>
      settle(() => reject(new Error(`a training thread ended with code ${code}`)));
    worker.on('message', onMessage);
    worker.on('error', onError);
    worker.on('exit', onExit);
  });
}
