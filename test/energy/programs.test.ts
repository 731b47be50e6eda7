import { describe, expect, it } from 'vitest';
import { MeterProblem } from '../../src/energy/meter.ts';
import { runProgram } from '../../src/energy/programs.ts';

describe('runProgram', () => {
  it('gives what a program prints', async () => {
    expect(await runProgram(process.execPath, ['-e', 'console.log(6 * 7)'])).toBe('42\n');
  });

  it('says that a program is not there', async () => {
    await expect(runProgram('no-such-vcgencmd', ['pmic_read_adc'])).rejects.toThrow(
      'no-such-vcgencmd pmic_read_adc: not installed',
    );
  });

  it('explains a refusal of the firmware device', async () => {
    const say = 'process.stderr.write("Can\'t open device file: /dev/vcio\\n"); process.exit(1)';
    const refused = runProgram(process.execPath, ['-e', say]);
    await expect(refused).rejects.toThrow(MeterProblem);
    await expect(refused).rejects.toThrow(/permission denied: the user must be in the group 'video'/);
  });

  it('tells what else went wrong', async () => {
    await expect(runProgram(process.execPath, ['-e', 'process.exit(3)'])).rejects.toThrow(/exit code 3$/);
  });
});
