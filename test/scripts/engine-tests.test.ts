/** The one-process runner of the runtime matrix: what fails must make the program fail. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

const bundles: {
  bundleTests(files: readonly string[], outfile: string): Promise<void>;
  testFilesBelow(folder: string): string[];
} = await import(new URL('../../scripts/runtimes/bundles.mjs', import.meta.url).href);

const folder = mkdtempSync(join(tmpdir(), 'dormouse-engine-tests-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs test files with these bodies as the matrix would. */
async function run(...bodies: string[]): Promise<{ status: number | null; counts: unknown; told: string }> {
  const files = bodies.map((body, index) => {
    const file = join(folder, `case-${index}.test.ts`);
    writeFileSync(file, `import { beforeEach, describe, expect, test } from 'vitest';\n${body}`);
    return file;
  });
  const program = join(folder, 'program.mjs');
  await bundles.bundleTests(files, program);
  const { status, stdout, stderr } = spawnSync(process.execPath, [program], { encoding: 'utf8' });
  return { status, counts: stdout === '' ? null : JSON.parse(stdout), told: stderr };
}

const good = `test('good', () => expect([1, { a: 2 }]).toEqual([1, { a: 2 }]));`;

describe('the program of test files', () => {
  test('succeeds if all pass, and counts what is skipped', async () => {
    const one = await run(good, `test.skipIf(true)('later', () => {}); test.each([1, 2])('%i', () => {});`);
    expect(one).toMatchObject({ status: 0, counts: { passed: 3, skipped: 1, failed: 0 } });
  });

  test('fails with one wrong expectation, which it names', async () => {
    const one = await run(
      good,
      `describe('sums', () => { test('two', () => expect(1 + 1, 'sum').toBe(3)); });`,
    );
    expect(one).toMatchObject({ status: 1, counts: { passed: 1, skipped: 0, failed: 1 } });
    expect(one.told).toMatch(/^FAILED .*case-1\.test\.ts > sums > two: sum: expected 2 to be 3/m);
  });

  test.each([
    ['an error in a test', `test('x', () => { throw new Error('broken'); });`, 'broken'],
    ['a rejected promise', `test('x', async () => { throw new Error('late'); });`, 'late'],
    [
      'an error before a test',
      `beforeEach(() => { throw new Error('early'); }); test('x', () => {});`,
      'early',
    ],
    ['an error outside of tests', `throw new Error('outside'); test('x', () => {});`, 'outside'],
    ['a file without tests', '', 'No test suite found'],
  ])('fails with %s', async (_, body, message) => {
    const { status, told } = await run(good, body);
    expect(status).toBe(1);
    expect(told).toContain(message);
  });

  test('fails if every test is skipped', async () => {
    expect((await run(`test.skipIf(true)('x', () => {});`)).status).toBe(1);
  });

  test("takes the engine's test files", () => {
    expect(bundles.testFilesBelow('test/engine')).toContain('test/engine/kernels/wasm.test.ts');
  });
});
