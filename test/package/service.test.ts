import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { targets } from '../../src/energy/target.ts';
import { loadGatewayConfig } from '../../src/gateway/config/load-config.ts';
import { Fixture } from '../gateway/fixture.ts';

const { configText, fillIn, unitText, userText } = await import(
  new URL('../../scripts/package/service.mjs', import.meta.url).href
);

const root = join(import.meta.dirname, '../..');
const template = (name: string) => readFileSync(join(root, 'targets', name), 'utf8');
const fixture = new Fixture();
afterAll(() => fixture.remove());

describe.each(Object.values(targets))('for $name', (target) => {
  const unit: string = unitText(template('dormouse.service'), target);

  test('the unit bounds the memory, the program before the kernel', () => {
    const [own, kernel] = [/--max-memory (\d+)M/, /^MemoryMax=(\d+)M$/m].map((rule) =>
      Number(rule.exec(unit)?.[1]),
    );
    expect(own! * 2 ** 20).toBe(target.processBytesMax);
    expect(kernel).toBeGreaterThan(own!);
  });

  test('the user is in the groups that the unit gives the service', () => {
    const [, group] = /^SupplementaryGroups=(.*)$/m.exec(unit) ?? [];
    const sysusers = readFileSync(join(root, 'scripts/package/debian/sysusers.conf'), 'utf8');
    const members = [...userText(sysusers, target).matchAll(/^m dormouse (.*)$/gm)].map(([, name]) => name);
    expect(members).toEqual(group === undefined ? [] : [group]);
    expect(group).toBe(target.cpu.architecture === 'arm64' ? 'video' : undefined);
  });

  test('the unit is hardened, and lets V8 and vcgencmd live', () => {
    for (const line of [
      'NoNewPrivileges=yes',
      'ProtectSystem=strict',
      'User=dormouse',
      'WatchdogSec=120',
      'NotifyAccess=all',
    ]) {
      expect(unit.split('\n')).toContain(line);
    }
    expect(unit).not.toMatch(/^(MemoryDenyWriteExecute|PrivateDevices)=/m);
    expect(/^DeviceAllow=\/dev\/vcio rw$/m.test(unit)).toBe(target.cpu.architecture === 'arm64');
    expect(unit).not.toContain('@');
  });

  test('the first config is valid, for that target', () => {
    const text: string = configText(template('gateway.yaml'), target);
    const model = join(root, 'targets/models/occupancy.safetensors');
    writeFileSync(
      fixture.path('first.yaml'),
      text.replace('/usr/share/dormouse/models/occupancy.safetensors', model),
    );
    const { config } = loadGatewayConfig(fixture.path('first.yaml'), { targets: Object.keys(targets) });
    expect(config).toMatchObject({ target: target.name });
    expect(config.ledger).toMatchObject({ directory: '/var/lib/dormouse/ledger' });
  });
});

test('a placeholder that nothing is known about is an error', () => {
  expect(fillIn('a=@A@\nb=@B@\n', { A: '1', B: '' })).toBe('a=1\n');
  expect(() => fillIn('c=@C@', {})).toThrow('expected a value for @C@');
});
