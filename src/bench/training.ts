/** Tokens per second of the trainer: whole steps of the micro preset on one thread. */
import { measureThroughput } from '../train/throughput.ts';
import { type BenchResult, type Effort, result } from './harness.ts';

const TOKENS = 1000;

export async function training(effort: Effort): Promise<BenchResult[]> {
  const wanted = effort.quick ? 3 : 12;
  const { steps, floatTokensPerSecond, quantisedTokensPerSecond } = await measureThroughput(
    wanted,
    () => performance.now(),
    // A minute: only what is hopelessly slow shall do with less than whole batches.
    effort.runMsMax && 12 * effort.runMsMax,
  );
  const line = (name: string, tokensPerSecond: number) => {
    // The trainer tells the median over its steps and no more.
    const us = (TOKENS / tokensPerSecond) * 1e6;
    const timing = { medianUs: us, p99Us: us, p999Us: us, samples: steps };
    return result('training', `micro, ${TOKENS} tokens, ${name}`, 'training', timing, {
      tokensPerSecondPerCore: Math.round(tokensPerSecond),
    });
  };
  return [line('float32', floatTokensPerSecond), line('integer rules', quantisedTokensPerSecond)];
}
