/** Programs that tell about the hardware; injected, so that a test can be any of them. */
import { execFile } from 'node:child_process';
import { MeterProblem } from './meter.ts';

/** What a program prints. Rejects with MeterProblem when it is not there, fails, or takes too long. */
export type RunProgram = (program: string, args: readonly string[]) => Promise<string>;

const timeoutMs = 5000;

export const runProgram: RunProgram = (program, args) =>
  new Promise((resolve, reject) => {
    execFile(program, [...args], { timeout: timeoutMs, maxBuffer: 1 << 16 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new MeterProblem(`${program} ${args.join(' ')}: ${reasonOf(error, `${stdout}${stderr}`)}`));
    });
  });

function reasonOf(error: Error & { code?: unknown; killed?: boolean }, said: string): string {
  if (error.code === 'ENOENT') return 'not installed';
  if (error.killed === true) return `no answer within ${timeoutMs / 1000} seconds`;
  if (/permission|vchi|vcio|can't open/i.test(said))
    return `permission denied: the user must be in the group 'video', which owns /dev/vcio (${firstLine(said)})`;
  return firstLine(said) || `exit code ${String(error.code)}`;
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0]!;
}
