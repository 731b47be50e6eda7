import { afterEach, expect, test, vi } from 'vitest';
import { suites } from '../../src/bench/suites.ts';
import { command } from '../../src/cli/bench.ts';
import { UsageError } from '../../src/cli/command.ts';

afterEach(() => vi.restoreAllMocks());

async function output(...args: string[]): Promise<string> {
  const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  expect(await command.run(args)).toBe(0);
  return write.mock.calls.map(([text]) => String(text)).join('');
}

test('--json prints one object per line with what the design names', async () => {
  const lines = (await output('gateway', '--quick', '--json')).trim().split('\n');
  expect(lines.length).toBeGreaterThan(1);
  for (const line of lines) {
    expect(JSON.parse(line)).toMatchObject({
      suite: 'gateway',
      case: expect.any(String),
      unit: 'us',
      median: expect.any(Number),
      p99: expect.any(Number),
      cpu: expect.any(String),
      node: process.version,
      kernel: expect.any(String),
    });
  }
});

test('a table names the machine, Node and kernels, and has a row per case', async () => {
  const text = await output('gateway', '--quick');
  expect(text).toMatch(new RegExp(`^gateway: .+, Node ${process.version}, (relaxed|exact) kernels\n`));
  expect(text).toMatch(/^case +median us +p99 us +messagesPerSecond/m);
  expect(text).toMatch(/^JSON message, skipped +\d/m);
});

test('the help lists every suite', () => {
  for (const name of Object.keys(suites)) expect(command.usage).toMatch(new RegExp(`^  ${name} `, 'm'));
});

test.each([
  [['speed'], /^suite: expected one of tables, .*, got 'speed'$/],
  [['--kernels', 'fast'], /^--kernels: expected one of relaxed, exact, truth, got 'fast'$/],
  [['--target', 'pi9'], /^--target: expected one of pi5, .*, got 'pi9'; did you mean "pi5"\?$/],
])('refuses %j', async (args, message) => {
  await expect(command.run(args)).rejects.toThrow(UsageError);
  await expect(command.run(args)).rejects.toThrow(message);
});
