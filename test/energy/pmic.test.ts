import { describe, expect, it } from 'vitest';
import { correctedWatts, parsePmic, pmicSensor, railWatts } from '../../src/energy/pmic.ts';

/** As a Raspberry Pi 5 prints it at work: twelve currents, twelve voltages, and two voltages without a current. */
const output = `
 3V7_WL_SW_A current(0)=0.00000000A
   3V3_SYS_A current(1)=0.08197440A
   1V8_SYS_A current(2)=0.17273180A
  DDR_VDD2_A current(3)=0.02244537A
  DDR_VDDQ_A current(4)=0.00000000A
   1V1_SYS_A current(5)=0.18346650A
    0V8_SW_A current(6)=0.33862060A
  VDD_CORE_A current(7)=10.87674000A
   3V3_DAC_A current(17)=0.00030525A
   3V3_ADC_A current(18)=0.00042735A
   0V8_AON_A current(16)=0.00317460A
      HDMI_A current(22)=0.01202685A
 3V7_WL_SW_V volt(8)=3.79999600V
   3V3_SYS_V volt(9)=3.31146900V
   1V8_SYS_V volt(10)=1.79706900V
  DDR_VDD2_V volt(11)=1.10439400V
  DDR_VDDQ_V volt(12)=0.60659300V
   1V1_SYS_V volt(13)=1.10549200V
    0V8_SW_V volt(14)=0.80329640V
  VDD_CORE_V volt(15)=0.89745940V
   3V3_DAC_V volt(20)=3.30983500V
   3V3_ADC_V volt(21)=3.30647900V
   0V8_AON_V volt(19)=0.80054940V
      HDMI_V volt(23)=5.07200000V
     EXT5V_V volt(24)=5.07200000V
      BATT_V volt(25)=0.00000000V
`;

describe('parsePmic', () => {
  it('pairs volts and amperes by name, and leaves out voltages without a current', () => {
    const rails = parsePmic(output);
    expect(rails.length).toBe(12);
    expect(rails[0]).toEqual({ name: '3V7_WL_SW', volts: 3.799996, amperes: 0 });
    expect(rails.find(({ name }) => name === 'VDD_CORE')).toEqual({
      name: 'VDD_CORE',
      volts: 0.8974594,
      amperes: 10.87674,
    });
  });

  it('sums volts times amperes', () => {
    const byHand =
      0.0819744 * 3.311469 +
      0.1727318 * 1.797069 +
      0.02244537 * 1.104394 +
      0.1834665 * 1.105492 +
      0.3386206 * 0.8032964 +
      10.87674 * 0.8974594 +
      0.00030525 * 3.309835 +
      0.00042735 * 3.306479 +
      0.0031746 * 0.8005494 +
      0.01202685 * 5.072;
    expect(railWatts(parsePmic(output))).toBeCloseTo(byHand, 9);
  });

  const without = (name: string) =>
    output
      .split('\n')
      .filter((line) => !line.includes(name))
      .join('\n');

  it.each([
    ['nothing', '', /expected a rail VDD_CORE, got ""/],
    ['another board', 'error=1 error_msg="Command not registered"', /expected lines such as .* got "error=1/],
    ['a rail without its voltage', without('VDD_CORE_V'), /expected VDD_CORE_V beside VDD_CORE_A/],
    ['output without the main rail', without('VDD_CORE'), /expected a rail VDD_CORE/],
    [
      'another unit',
      output.replace('current(1)=0.08197440A', 'current(1)=81.97440mA'),
      /got "3V3_SYS_A current\(1\)=81/,
    ],
    [
      'swapped quantities',
      output.replace('3V3_SYS_A current(1)', '3V3_SYS_A volt(1)'),
      /expected lines such as/,
    ],
    ['an impossible current', output.replace('10.87674000A', '1087.674000A'), /at most 50 A and 30 V/],
    ['a line that was cut', output.replace('=0.89745940V', '='), /expected lines such as/],
  ])('refuses %s', (_, text, message) => {
    expect(() => parsePmic(text)).toThrow(message);
  });
});

describe('pmicSensor', () => {
  it('gives corrected watts, and the raw sum beside', async () => {
    const calls: string[] = [];
    const sensor = pmicSensor(async (program, args) => {
      calls.push([program, ...args].join(' '));
      return output;
    });
    const watts = await sensor.sample();
    expect(calls).toEqual(['vcgencmd pmic_read_adc']);
    const raw = railWatts(parsePmic(output));
    expect(watts).toBeCloseTo(1.1451 * raw + 0.5879, 9);
    expect(sensor.lastText).toBe(`${watts.toFixed(2)} W, of which 12 rails tell ${raw.toFixed(2)} W`);
    expect(correctedWatts(0)).toBe(0.5879);
  });
});
