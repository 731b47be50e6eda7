/** Running a program and waiting for it, with what it said. */
import { spawn } from 'node:child_process';

/** Rejects with what it said when it does not end with code 0 in time. */
export function runProgram(command, args, { seconds = 600, env = {}, cwd } = {}) {
  return startProgram(command, args, { seconds, env, cwd }).done;
}

/** A running program: `output` so far, `done` when it ends well, `stop()` to ask it to. */
export function startProgram(command, args, { seconds = 600, env = {}, cwd } = {}) {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const running = { stdout: '', stderr: '', stop: () => child.kill('SIGTERM'), done: undefined };
  for (const name of ['stdout', 'stderr']) {
    child[name].on('data', (text) => {
      running[name] += text;
    });
  }
  const timer = setTimeout(() => child.kill('SIGKILL'), 1000 * seconds);
  running.done = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve(running);
      else reject(new Error(failure(command, args, { code, signal, seconds, ...running })));
    });
  });
  // Whoever started it may look later.
  running.done.catch(() => {});
  return running;
}

/** Resolves when `condition` holds; rejects with `what` after so many seconds. */
export async function until(condition, what, seconds = 60) {
  const untilMs = performance.now() + 1000 * seconds;
  while (!condition()) {
    if (performance.now() > untilMs) throw new Error(`waited ${seconds} s in vain until ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function failure(command, args, { code, signal, seconds, stdout, stderr }) {
  const how = signal === 'SIGKILL' ? `not done after ${seconds} s` : `ended with ${signal ?? `code ${code}`}`;
  return `${[command, ...args].join(' ')}: ${how}\n${(stderr + stdout).trimEnd().split('\n').slice(-15).join('\n')}`;
}
