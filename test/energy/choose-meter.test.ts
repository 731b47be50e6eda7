import { describe, expect, it } from 'vitest';
import { chooseMeter } from '../../src/energy/choose-meter.ts';
import { MeterProblem } from '../../src/energy/meter.ts';
import type { MeterSettings } from '../../src/energy/meter-settings.ts';
import type { RunProgram } from '../../src/energy/programs.ts';
import { fakeFiles, systemError } from './fixture.ts';

const hwmon = {
  '/sys/class/hwmon/hwmon0/name': 'ina219',
  '/sys/class/hwmon/hwmon0/device': '/sys/bus/i2c/devices/1-0041',
  '/sys/class/hwmon/hwmon0/power1_input': '2500000',
  '/sys/class/hwmon/hwmon3/name': 'ina226',
  '/sys/class/hwmon/hwmon3/device': '/sys/bus/i2c/devices/1-0040',
  '/sys/class/hwmon/hwmon3/power1_input': '3100000',
};
const rapl = {
  '/sys/class/powercap/intel-rapl:0/name': 'package-0',
  '/sys/class/powercap/intel-rapl:0/energy_uj': '5',
  '/sys/class/powercap/intel-rapl:0/max_energy_range_uj': '262143328850',
};
const pi5 = { '/dev/vcio': '' };
const pmic = 'VDD_CORE_A current(7)=1.5A\nVDD_CORE_V volt(15)=0.9V\n';
const absent: RunProgram = () => Promise.reject(new MeterProblem('vcgencmd pmic_read_adc: not installed'));
const plug = { kind: 'tasmota', topic: 'tele/plug/SENSOR' } as const;

const choose = (
  tree: Record<string, string | Error>,
  settings: Partial<MeterSettings> = {},
  run: RunProgram = absent,
) => chooseMeter({ meter: 'auto', ...settings }, { files: fakeFiles(tree), run });

describe('chooseMeter', () => {
  it.each([
    ['a power chip before all others', { ...hwmon, ...pi5, ...rapl }, { plug }, 'hwmon'],
    ["the Pi 5's own before a plug", { ...pi5, ...rapl }, { plug }, 'pmic'],
    ['a plug that is configured before RAPL', rapl, { plug }, 'plug'],
    ['RAPL where there is nothing better', rapl, {}, 'rapl'],
    ['what is asked for', { ...hwmon, ...rapl }, { meter: 'rapl' as const }, 'rapl'],
  ])('takes %s', async (_, tree, settings, source) => {
    expect((await choose(tree, settings, async () => pmic)).meter?.source).toBe(source);
  });

  it('takes the chip that is named', async () => {
    expect((await choose(hwmon)).meter?.title).toContain('ina219 1-0041');
    expect((await choose(hwmon, { chip: '1-0040' })).meter?.title).toContain('ina226 1-0040');
    expect((await choose(hwmon, { chip: '1-0099' })).passedOver[0]).toMatch(
      /a power chip 1-0099 .* got 1-0041, 1-0040/,
    );
  });

  it('says of each source why it was passed over, and leaves the model', async () => {
    const tree = { ...rapl, '/sys/class/powercap/intel-rapl:0/energy_uj': systemError('EACCES') };
    const { meter, passedOver } = await choose(tree);
    expect(meter).toBeUndefined();
    expect(passedOver).toEqual([
      expect.stringMatching(/^hwmon: expected a power chip .* got none$/),
      'pmic: no /dev/vcio: this is no Raspberry Pi',
      'plug: none is configured',
      expect.stringMatching(/^rapl: .*permission denied: since CVE-2020-8694/),
    ]);
  });

  it('passes over a chip that does not answer and a program that is not there', async () => {
    const tree = { ...hwmon, ...pi5, '/sys/class/hwmon/hwmon0/power1_input': systemError('EIO') };
    const { passedOver } = await choose(tree);
    expect(passedOver.slice(0, 2)).toEqual([
      expect.stringMatching(/^hwmon: .*EIO/),
      'pmic: vcgencmd pmic_read_adc: not installed',
    ]);
  });

  it('passes over directories that must not be listed', async () => {
    const tree = { '/sys/class/hwmon': systemError('EACCES'), '/sys/class/powercap': systemError('EACCES') };
    expect((await choose(tree)).passedOver).toHaveLength(4);
  });

  it('needs no reason for the model', async () => {
    expect(await choose(hwmon, { meter: 'model' })).toEqual({ meter: undefined, passedOver: [] });
  });
});
