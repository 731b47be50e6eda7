import { afterAll, describe, expect, test } from 'vitest';
import {
  checkClock,
  checkKernels,
  checkMemory,
  checkMeters,
  checkNode,
  checkTarget,
} from '../../../src/cli/doctor/machine.ts';
import { systemFiles } from '../../../src/energy/system-files.ts';
import { findTarget, targets } from '../../../src/energy/target.ts';
import { loadGatewayConfig } from '../../../src/gateway/config/load-config.ts';
import { fakeFiles } from '../../energy/fixture.ts';
import { Fixture } from '../../gateway/fixture.ts';

test.each([
  ['18.20.4', 'failure'],
  ['20.0.0', 'ok'],
  ['26.1.0', 'ok'],
])('Node %s: %s', (version, level) => expect(checkNode(version).level).toBe(level));

test('the clock: what to do where it is not synchronised', () => {
  expect(checkClock(true).level).toBe('ok');
  expect(checkClock(false)).toMatchObject({ level: 'warning', advice: expect.stringContaining('set-ntp') });
  expect(checkClock(undefined)).toMatchObject({ level: 'warning', text: expect.stringContaining('nobody') });
});

test('the kernel: which, and why not a faster one', () => {
  expect(checkKernels(undefined, () => true)).toEqual({
    check: 'kernel',
    level: 'ok',
    text: 'relaxed, the fastest',
  });
  expect(checkKernels(undefined, (name) => name !== 'relaxed').text).toMatch(
    /^exact; not relaxed: .*self-test/,
  );
  expect(checkKernels(undefined, (name) => name === 'truth')).toMatchObject({
    level: 'warning',
    text: expect.stringMatching(/^truth; not relaxed: .*; not exact: /),
  });
});

describe('memory', () => {
  const fixture = new Fixture();
  afterAll(() => fixture.remove());
  const loaded = loadGatewayConfig(fixture.writeConfig('mqtt://127.0.0.1:1', { target: 'pi5' }));
  const target = findTarget('pi5');

  test('within the budget of the target, and that within the machine', () => {
    expect(checkMemory(loaded, target, 2 ** 33)).toMatchObject({
      level: 'ok',
      text: expect.stringMatching(/^the engine takes \d+ of the \d+ KiB of target pi5$/),
    });
    expect(checkMemory(loaded, target, 2 ** 25)).toMatchObject({
      level: 'warning',
      text: expect.stringContaining('this machine has 32 MiB'),
    });
  });

  test('a model that does not fit', () => {
    const config = { ...loaded.config, target: 'no-such-device' };
    expect(checkMemory({ ...loaded, config }, target).level).toBe('failure');
  });
});

test('the target: of this machine or not', () => {
  const other = Object.values(targets).find(({ cpu }) => cpu.architecture !== process.arch)!;
  expect(checkTarget(undefined)).toEqual([]);
  expect(checkTarget(other)[0]).toMatchObject({ level: 'warning', check: 'target' });
});

test('meters: a machine without any says why, and what would help', async () => {
  const machine = { files: systemFiles('/nowhere'), run: () => Promise.reject(new Error('no')) };
  expect(await checkMeters(undefined, machine)).toMatchObject({
    level: 'warning',
    text: expect.stringMatching(/nothing here measures; not hwmon: .*; not pmic: .*; not rapl: /),
    advice: expect.stringContaining('estimates'),
  });
  expect(await checkMeters({ meter: 'model' }, machine)).toMatchObject({ level: 'ok' });
  expect((await checkMeters({ meter: 'rapl' }, machine)).text).toContain('rapl is configured, but nothing');
});

test('meters: what the Pi 5 tells, raw and corrected', async () => {
  const rails = 'VDD_CORE_A current(7)=1.5A\nVDD_CORE_V volt(15)=0.9V\n';
  const machine = { files: fakeFiles({ '/dev/vcio': '' }), run: async () => rails };
  expect((await checkMeters({ meter: 'pmic' }, machine)).text).toMatch(
    /^pmic, Raspberry Pi 5 PMIC .*, now 2\.13 W, of which 1 rails tell 1\.35 W$/,
  );
});
