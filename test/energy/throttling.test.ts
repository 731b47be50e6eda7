import { describe, expect, it } from 'vitest';
import { parseThrottled, ThrottleWatch, throttleNames } from '../../src/energy/throttling.ts';
import { fakeFiles } from './fixture.ts';

describe('parseThrottled', () => {
  it.each([
    ['throttled=0x50005\n', 0x50005],
    ['throttled=0x0', 0],
    ['50000', 0x50000],
    ['error=1 error_msg="Command not registered"', undefined],
    ['', undefined],
  ])('%j', (text, bits) => {
    expect(parseThrottled(text)).toBe(bits);
  });
});

describe('throttleNames', () => {
  it('names what holds, and what held since the board was started', () => {
    expect(throttleNames(0)).toEqual([]);
    expect(throttleNames(0x50005)).toEqual(['undervoltage', 'throttled']);
    expect(throttleNames(0x50000)).toEqual(['undervoltage since boot', 'throttled since boot']);
    expect(throttleNames(0xa0002)).toEqual(['frequency capped', 'soft temperature limit since boot']);
  });
});

describe('ThrottleWatch', () => {
  const firmware = '/sys/devices/platform/soc/soc:firmware/get_throttled';

  it('remembers what held at any look until it is asked', async () => {
    const tree: Record<string, string> = { [firmware]: '1' };
    const watch = new ThrottleWatch(fakeFiles(tree));
    await watch.look();
    tree[firmware] = '4';
    await watch.look();
    expect([watch.take(), watch.take()]).toEqual([5, null]);
  });

  it('asks vcgencmd where the kernel does not tell', async () => {
    const watch = new ThrottleWatch(fakeFiles({}), async () => 'throttled=0x50000\n');
    await watch.look();
    expect(watch.take()).toBe(0x50000);
  });

  it('takes the voltage alarm where there is nothing else', async () => {
    const tree: Record<string, string> = {
      '/sys/class/hwmon/hwmon1/name': 'rpi_volt',
      '/sys/class/hwmon/hwmon1/in0_lcrit_alarm': '1',
    };
    const watch = new ThrottleWatch(fakeFiles(tree), () => Promise.reject(new Error('not installed')));
    await watch.look();
    expect(watch.take()).toBe(1);
  });

  it('sees an x64 processor get too hot', async () => {
    const file = '/sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count';
    const tree: Record<string, string> = { [file]: '7' };
    const watch = new ThrottleWatch(fakeFiles(tree));
    await watch.look();
    expect(watch.take()).toBe(0);
    tree[file] = '9';
    await watch.look();
    expect(watch.take()).toBe(4);
  });

  it('knows nothing where nothing tells', async () => {
    const watch = new ThrottleWatch(fakeFiles({}));
    await watch.look();
    expect(watch.take()).toBeNull();
  });
});
