import { describe, expect, it, vi } from 'vitest';
import { burn } from '../../src/cli/burn.ts';
import { calibrateAgainst, command } from '../../src/cli/calibrate-energy.ts';
import { UsageError } from '../../src/cli/command.ts';
import { makeProcessClock } from '../../src/energy/cpu-time.ts';
import type { Meter } from '../../src/energy/meter.ts';
import { PlugMeter } from '../../src/energy/plug.ts';
import { PolledMeter } from '../../src/energy/polled-meter.ts';
import { RaplMeter } from '../../src/energy/rapl.ts';
import { fakeFiles, uniform } from '../energy/fixture.ts';

vi.spyOn(process.stderr, 'write').mockReturnValue(true);

/** A board of four cores that draws 2.4 W and 0.9 W for each busy core; 0.05 cores are always busy with something. */
function board() {
  const random = uniform(9);
  const state = { nowMs: 0, busyMs: 0, burning: 0, joules: 0, most: 0 };
  const watts = () => 2.4 + 0.9 * (state.burning + 0.05);
  const onSleep: ((ms: number) => void)[] = [];
  const bench = {
    burn: (cores: number) => {
      state.burning = cores;
      state.most = Math.max(state.most, cores);
      return {
        stop: async () => {
          state.burning = 0;
        },
      };
    },
    sleep: async (ms: number) => {
      state.nowMs += ms;
      state.busyMs += (state.burning + 0.05) * ms;
      state.joules += (watts() * ms) / 1000;
      for (const told of onSleep) told(ms);
    },
    monotonicMs: () => state.nowMs,
    busyMs: () => state.busyMs,
    clockMHz: () => 1800,
  };
  return { state, bench, watts, onSleep, noise: () => 0.02 * (random() - 0.5) };
}

const times = { measureMs: 60_000, settleMs: 10_000 };

async function expectFit(meter: Meter, at: ReturnType<typeof board>, digits = 1) {
  const calibration = await calibrateAgainst(meter, 4, at.bench, times);
  expect(calibration.idleWatts).toBeCloseTo(2.4, digits);
  expect(calibration.coreWatts).toBeCloseTo(0.9, digits);
  expect(calibration.loads.map(({ busyCores }) => Number(busyCores.toFixed(2)))).toEqual([0.05, 1.05, 4.05]);
  expect([at.state.burning, at.state.most]).toEqual([0, 4]);
  return calibration;
}

describe('calibrateAgainst', () => {
  it('finds what a board draws by a sensor', async () => {
    const at = board();
    const sensor = {
      source: 'hwmon' as const,
      scope: 'board' as const,
      title: 'ina226',
      resolutionWatts: 0.01,
      accuracyShare: 0.01,
      intervalMs: 1000,
      sample: () => at.watts() + at.noise(),
    };
    const calibration = await expectFit(new PolledMeter(sensor, at.bench.monotonicMs), at, 2);
    expect(calibration).toMatchObject({ version: 1, source: 'hwmon', cores: 4, clockMHz: 1800 });
    expect(calibration.loads[0]!.readings).toBe(60);
    expect(calibration.idleErrorWatts).toBeLessThan(0.02);
  });

  it('finds it by a plug, each report counted once', async () => {
    const at = board();
    const meter = new PlugMeter('shelly', 'plug/status/switch:0', at.bench.monotonicMs);
    let sinceMs = 0;
    at.onSleep.push((ms) => {
      sinceMs += ms;
      if (sinceMs < 10_000) return;
      sinceMs = 0;
      meter.onMessage(JSON.stringify({ apower: Number((at.watts() + at.noise()).toFixed(1)) }));
    });
    const { loads } = await expectFit(meter, at);
    expect(loads.map(({ readings }) => readings)).toEqual([6, 6, 6]);
  });

  it('finds it by counters', async () => {
    const at = board();
    const zone = '/sys/class/powercap/intel-rapl:0';
    const tree: Record<string, string> = { [`${zone}/name`]: 'package-0' };
    const count = () => {
      tree[`${zone}/energy_uj`] = String(Math.round(at.state.joules * 1e6));
    };
    count();
    at.onSleep.push(count);
    const meter = new RaplMeter(fakeFiles(tree), [{ path: zone, rangeJ: 262_143 }], at.bench.monotonicMs);
    await expectFit(meter, at, 3);
  });

  it('takes the load away and says what was missing when a meter falls silent', async () => {
    const at = board();
    const meter = new PlugMeter('tasmota', 'tele/plug/SENSOR', at.bench.monotonicMs);
    await expect(calibrateAgainst(meter, 4, at.bench, times)).rejects.toThrow(
      /at least 2 readings of the meter with 0\.\d busy cores, got 0/,
    );
    expect(at.state.burning).toBe(0);
  });
});

describe('burn', () => {
  it('keeps a core busy, and stops', async () => {
    const clock = makeProcessClock();
    const load = burn(1);
    const startMs = clock.cpuMs();
    await vi.waitFor(() => expect(clock.cpuMs() - startMs).toBeGreaterThan(100), { timeout: 20_000 });
    await load.stop();
  });
});

describe('dormouse calibrate energy', () => {
  it('says what is wrong', async () => {
    await expect(command.run([])).rejects.toThrow(UsageError);
    await expect(command.run(['x.yaml', '--seconds', '0'])).rejects.toThrow(
      /--seconds: expected a number from 2/,
    );
    await expect(command.run(['absent.yaml'])).rejects.toThrow(/no such file/);
    await expect(command.run(['targets/example.yaml'])).rejects.toThrow(
      /expected a section 'ledger', got none/,
    );
  });
});
