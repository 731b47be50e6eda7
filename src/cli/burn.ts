/** Keeps cores busy, each by a thread that does nothing but count. */
import { Worker } from 'node:worker_threads';

const spin = 'let n = 0; for (;;) n = (Math.imul(n, 1664525) + 1013904223) | 0;';

export function burn(cores: number): { stop(): Promise<void> } {
  const workers = Array.from({ length: cores }, () => new Worker(spin, { eval: true }));
  return {
    async stop() {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
