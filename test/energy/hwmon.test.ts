import { describe, expect, it } from 'vitest';
import { findHwmonChips, hwmonSensor, hwmonWatts } from '../../src/energy/hwmon.ts';
import { fakeFiles, systemError } from './fixture.ts';

const path = '/sys/class/hwmon/hwmon2';

/** A Raspberry Pi 4 with an INA226 on its second bus: 5.12 V, 612.5 mA. */
const machine = (changes: Record<string, string | Error | undefined> = {}) => {
  const tree: Record<string, string | Error | undefined> = {
    '/sys/class/hwmon/hwmon0/name': 'cpu_thermal\n',
    '/sys/class/hwmon/hwmon0/temp1_input': '41868\n',
    '/sys/class/hwmon/hwmon1/name': 'rpi_volt\n',
    [`${path}/name`]: 'ina226\n',
    [`${path}/device`]: '/sys/devices/platform/soc/fe804000.i2c/i2c-1/1-0040\n',
    [`${path}/in0_input`]: '6\n',
    [`${path}/in1_input`]: '5120\n',
    [`${path}/curr1_input`]: '612\n',
    [`${path}/power1_input`]: '3136000\n',
    [`${path}/shunt_resistor`]: '10000\n',
    ...changes,
  };
  for (const key of Object.keys(tree)) if (tree[key] === undefined) delete tree[key];
  return fakeFiles(tree as Record<string, string | Error>);
};

describe('findHwmonChips', () => {
  it('finds power chips by name, whatever number they have got', () => {
    expect(findHwmonChips(machine())).toEqual([{ path, name: 'ina226', device: '1-0040' }]);
  });

  it('finds none where there is no hwmon, or none of them', () => {
    expect(findHwmonChips(fakeFiles({}))).toEqual([]);
    expect(findHwmonChips(machine({ [`${path}/name`]: 'nvme' }))).toEqual([]);
    expect(findHwmonChips(machine({ [`${path}/name`]: systemError('EACCES') }))).toEqual([]);
  });
});

describe('hwmonWatts', () => {
  it("reads the chip's own product, microwatts", () => {
    expect(hwmonWatts(machine(), path)).toBe(3.136);
  });

  it('multiplies millivolts and milliamperes where the chip gives no product', () => {
    expect(hwmonWatts(machine({ [`${path}/power1_input`]: undefined }), path)).toBeCloseTo(3.13344, 9);
  });

  it('is told by one sensor with its resolution and source', async () => {
    const files = machine();
    const sensor = hwmonSensor(files, findHwmonChips(files)[0]!);
    expect([sensor.source, sensor.title]).toEqual(['hwmon', `ina226 1-0040 (${path})`]);
    expect(await sensor.sample()).toBe(3.136);
  });

  it.each<[string, Record<string, string | Error | undefined>, RegExp]>([
    [
      'a driver that changed its unit to milliwatts',
      { [`${path}/power1_input`]: '3136' },
      /microwatts, got 3136, but in1_input times curr1_input is 3133440/,
    ],
    [
      'no number',
      { [`${path}/power1_input`]: 'n/a' },
      /power1_input: expected a number from 0 to 3000000000, got "n\/a"/,
    ],
    ['an empty file', { [`${path}/power1_input`]: '' }, /got ""/],
    ['a negative power', { [`${path}/power1_input`]: '-5' }, /got "-5"/],
    [
      'more than a chip can measure',
      { [`${path}/in1_input`]: '512000' },
      /in1_input: expected a number from 0 to 40000/,
    ],
    [
      'permission denied',
      { [`${path}/power1_input`]: systemError('EACCES'), [`${path}/in1_input`]: undefined },
      /power1_input: permission denied/,
    ],
    [
      'a bus that has hung up',
      { [`${path}/power1_input`]: systemError('ETIMEDOUT'), [`${path}/in1_input`]: systemError('ETIMEDOUT') },
      /ETIMEDOUT/,
    ],
    [
      'nothing at all',
      { [`${path}/power1_input`]: undefined, [`${path}/curr1_input`]: undefined },
      /power1_input: no such file/,
    ],
  ])('refuses %s', (_, changes, message) => {
    expect(() => hwmonWatts(machine(changes), path)).toThrow(message);
  });

  it('lets small values differ by rounding', () => {
    const files = machine({ [`${path}/curr1_input`]: '1', [`${path}/power1_input`]: '25000' });
    expect(hwmonWatts(files, path)).toBe(0.025);
  });
});
