import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { findHwmonChips, hwmonWatts } from '../../src/energy/hwmon.ts';
import { findRaplZones } from '../../src/energy/rapl.ts';
import { systemFiles } from '../../src/energy/system-files.ts';

const root = mkdtempSync(join(tmpdir(), 'dormouse-root-'));
afterAll(() => rmSync(root, { recursive: true }));

it('reads a tree as Linux lays it out, links and all', () => {
  const put = (path: string, text: string) => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  put('/sys/devices/i2c-1/1-0040/hwmon/hwmon3/name', 'ina226\n');
  put('/sys/devices/i2c-1/1-0040/hwmon/hwmon3/power1_input', '2500000\n');
  symlinkSync('../..', join(root, 'sys/devices/i2c-1/1-0040/hwmon/hwmon3/device'));
  mkdirSync(join(root, 'sys/class/hwmon'), { recursive: true });
  symlinkSync('../../devices/i2c-1/1-0040/hwmon/hwmon3', join(root, 'sys/class/hwmon/hwmon3'));
  const files = systemFiles(root);
  const [chip] = findHwmonChips(files);
  expect(chip).toEqual({ path: '/sys/class/hwmon/hwmon3', name: 'ina226', device: '1-0040' });
  expect(hwmonWatts(files, chip!.path)).toBe(2.5);
});

it('finds nothing where nothing is', () => {
  const files = systemFiles(join(root, 'empty'));
  expect([findHwmonChips(files), findRaplZones(files), files.list('/dev')]).toEqual([[], [], []]);
  expect(() => files.read('/proc/stat')).toThrow(/ENOENT/);
});
