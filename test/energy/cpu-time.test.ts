import { describe, expect, it } from 'vitest';
import { countCores, makeProcessClock, parseBusyMs } from '../../src/energy/cpu-time.ts';
import { fakeFiles } from './fixture.ts';

const stat = `cpu  709840 533519 97074 2032285 3015 20 1532 845 0 0
cpu0 328126 269047 49436 1040511 599 0 306 422 0 0
cpu1 381713 264472 47638 991774 2416 20 1226 422 0 0
intr 74839201 0 9
ctxt 129381
`;

describe('parseBusyMs', () => {
  it('sums user, nice, system and interrupts; idle, waiting and stolen time are not busy', () => {
    expect(parseBusyMs(stat)).toBe((709840 + 533519 + 97074 + 20 + 1532) * 10);
  });

  it.each(['', 'cpu', 'cpu  1 2 3', 'intr 5', 'cpu  a b c d e f g'])('%j tells nothing', (text) => {
    expect(parseBusyMs(text)).toBeNaN();
  });

  it('counts cores', () => {
    expect(countCores(fakeFiles({ '/proc/stat': stat }))).toBe(2);
    expect(countCores(fakeFiles({}))).toBe(0);
  });
});

describe('the mean clock', () => {
  const policy = '/sys/devices/system/cpu/cpufreq/policy0';

  it('is that of the time spent at each step since the last look', () => {
    const tree: Record<string, string> = {
      [`${policy}/stats/time_in_state`]: '600000 1000\n1500000 200\n1800000 50\n',
      [`${policy}/scaling_cur_freq`]: '1800000\n',
    };
    const clock = makeProcessClock(fakeFiles(tree));
    clock.clockMHz();
    tree[`${policy}/stats/time_in_state`] = '600000 1030\n1500000 200\n1800000 60\n';
    expect(clock.clockMHz()).toBe(900);
  });

  it('is that of now where no times are kept, and not known without cpufreq', () => {
    expect(makeProcessClock(fakeFiles({ [`${policy}/scaling_cur_freq`]: '1000000\n' })).clockMHz()).toBe(
      1000,
    );
    expect(makeProcessClock(fakeFiles({})).clockMHz()).toBeNaN();
  });
});
