/**
 * Runs test files in this one process, with vitest's own runner. bundles.mjs makes one program of it and of them.
 * Prints what failed to stderr, then the counts as JSON to stdout.
 */
import { type File, type Suite, startTests, type Task, type Test, type VitestRunner } from '@vitest/runner';

/** For a test that hangs: an emulated processor is some twenty times slower. */
const TIMEOUT_MS = 1_800_000;

export interface Counts {
  readonly passed: number;
  readonly skipped: number;
  readonly failed: number;
}

/**
 * Runs the files named in `files`, each a way to import it. `wanted`: those only; none: all. The process exits with 1
 * if a test or a whole file failed, or if no test ran.
 */
export async function runTests(
  files: Readonly<Record<string, () => unknown>>,
  wanted: readonly string[],
): Promise<void> {
  const paths = wanted.length > 0 ? wanted : Object.keys(files);
  const results = await startTests([...paths], makeRunner(files));
  const failures = results.flatMap((file) => problems(file));
  for (const failure of failures) process.stderr.write(`FAILED ${failure}\n`);
  const counts = countTests(results);
  process.stdout.write(`${JSON.stringify(counts)}\n`);
  const passed = counts.passed > 0 && results.every(({ result }) => result?.state === 'pass');
  process.exitCode = passed && failures.length === 0 && counts.failed === 0 ? 0 : 1;
}

function makeRunner(files: Readonly<Record<string, () => unknown>>): VitestRunner {
  const sequence = { seed: 1, hooks: 'stack', setupFiles: 'list' };
  const config = {
    root: '/',
    setupFiles: [],
    passWithNoTests: false,
    sequence,
    maxConcurrency: 1,
    testTimeout: TIMEOUT_MS,
    hookTimeout: TIMEOUT_MS,
    retry: 0,
    includeTaskLocation: false,
    tags: [],
    strictTags: false,
  } as unknown as VitestRunner['config'];
  return {
    config,
    importFile: (path) => files[path]!(),
    onBeforeRunTask: ({ name }) => {
      process.stderr.write(`${name}\n`);
    },
  };
}

/** Each error of a file, its suites and its tests, with the way to it. */
function problems(task: File | Suite | Test, path = ''): string[] {
  const own = (task.result?.errors ?? []).map(({ message }) => `${path}${task.name}: ${message}`);
  const inner = task.type === 'test' ? [] : task.tasks;
  return [...own, ...inner.flatMap((one) => problems(one, `${path}${task.name} > `))];
}

function testsOf(tasks: readonly Task[]): Test[] {
  return tasks.flatMap((task) => (task.type === 'test' ? [task] : testsOf(task.tasks)));
}

function countTests(files: readonly File[]): Counts {
  const tests = testsOf(files);
  const count = (state: string) =>
    tests.filter(({ result, mode }) => (result?.state ?? mode) === state).length;
  const [passed, skipped] = [count('pass'), count('skip')];
  return { passed, skipped, failed: tests.length - passed - skipped };
}
