import { writeFileSync } from 'node:fs';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { UsageError } from '../../src/cli/command.ts';
import { command } from '../../src/cli/validate.ts';
import { Fixture } from '../gateway/fixture.ts';

const fixture = new Fixture();
afterAll(() => fixture.remove());
afterEach(() => void vi.restoreAllMocks());

/** Runs the command; gives its exit code and what it printed. */
async function validate(...args: string[]) {
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      texts[name] += text;
      return true;
    });
  }
  const code = await command.run(args);
  return { code, ...texts };
}

const broken =
  'gateway: x\nmodel: model.safetensors\nmqtt: { url: nowhere }\nsource: { topic: a, object: true }\n';

test('a valid config: exit code 0, and what the gateway would do', async () => {
  const { code, stdout, stderr } = await validate(fixture.writeConfig('mqtt://127.0.0.1:1883'));
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toContain('is valid.\nmodel: classify, 2 channels');
  expect(stdout).toContain('room/climate -> temperature, humidity');
  expect(stdout).toContain(
    'outputs: dormouse/test/state (all), dormouse/test/status, dormouse/test/counters',
  );
});

test('a broken one: exit code 1, every problem on a line of its own', async () => {
  writeFileSync(fixture.path('broken.yaml'), `${broken}outputs: {}\n`);
  const { code, stdout, stderr } = await validate(fixture.path('broken.yaml'));
  expect([code, stdout]).toEqual([1, '']);
  expect(
    stderr
      .trimEnd()
      .split('\n')
      .map((line) => line.trim().split(':')[0]),
  ).toEqual([expect.stringContaining('broken.yaml has 2 problems'), 'outputs (line 5)', 'mqtt.url (line 3)']);
});

test('--json: the same for programs', async () => {
  writeFileSync(fixture.path('broken.yaml'), broken);
  const bad = await validate(fixture.path('broken.yaml'), '--json');
  expect(bad.code).toBe(1);
  expect(JSON.parse(bad.stdout)).toEqual({
    ok: false,
    problems: [{ path: 'mqtt.url', line: 3, expected: expect.any(String), got: 'something that is no URL' }],
  });
  const good = await validate(fixture.writeConfig('mqtt://127.0.0.1:1883'), '--json');
  expect([good.code, JSON.parse(good.stdout)]).toEqual([0, { ok: true, problems: [], hints: [] }]);
});

test('what is right but may not be meant is told as a hint', async () => {
  const channels = (value: string) => ({
    source: undefined,
    frame: {},
    channels: {
      temperature: { topic: 'room/temperature', value },
      humidity: { topic: 'room/humidity', value: 'plain' },
    },
  });
  for (const typed of ['plian', 'Plain', 'plane']) {
    const { code, stdout } = await validate(fixture.writeConfig('mqtt://127.0.0.1', channels(typed)));
    expect(code).toBe(0);
    expect(stdout).toContain(
      `hint: channels.temperature.value (line 14): "${typed}" is taken for a key of a document; 'plain' would be the whole payload`,
    );
  }
  for (const meant of ['plain', 'temperature', '$.plian', 'plian.value'])
    expect((await validate(fixture.writeConfig('mqtt://127.0.0.1', channels(meant)))).stdout).not.toContain(
      'hint:',
    );
});

test('a policy or target that does not exist is a problem', async () => {
  const overrides = { policy: 'lazy', ledger: { directory: 'x', target: 'pi9' } };
  const { code, stderr } = await validate(fixture.writeConfig('mqtt://127.0.0.1:1883', overrides));
  expect(code).toBe(1);
  expect(stderr).toMatch(/policy \(line \d+\): expected one of .*steady/);
  expect(stderr).toMatch(/ledger\.target \(line \d+\): expected one of .*pi5/);
});

test.each([[[]], [['a', 'b']], [['a', '--yaml']]])('%j is a usage error', async (args) => {
  await expect(command.run(args)).rejects.toThrow(UsageError);
});
