/** What a meter shows while so many cores are busy: the readings that a calibration is fitted to. */
import type { LoadMeasurement } from './calibration.ts';
import { type Meter, makeMeterReading } from './meter.ts';
import { PlugMeter } from './plug.ts';
import { PolledMeter } from './polled-meter.ts';

/** The machine that is measured. */
export interface LoadBench {
  /** Keeps so many cores busy until it is stopped. */
  burn(cores: number): { stop(): Promise<void> };
  sleep(ms: number): Promise<void>;
  monotonicMs(): number;
  /** CPU time of all processes; NaN where nobody tells. */
  busyMs(): number;
}

/** How long each load is measured, after it was let settle, milliseconds. */
export interface LoadTimes {
  readonly measureMs: number;
  readonly settleMs: number;
}

/** Readings that are more than this apart are different ones. */
const readMs = 1000;

/** The load is taken away again, also when a reading fails. */
export async function measureLoad(
  meter: Meter,
  cores: number,
  bench: LoadBench,
  times: LoadTimes,
): Promise<LoadMeasurement> {
  const load = bench.burn(cores);
  try {
    await bench.sleep(times.settleMs);
    const [startMs, startBusyMs] = [bench.monotonicMs(), bench.busyMs()];
    const watts = await readingsOf(meter, bench, times.measureMs);
    const busyCores = (bench.busyMs() - startBusyMs) / (bench.monotonicMs() - startMs);
    return { busyCores: Number.isNaN(busyCores) ? cores : busyCores, watts };
  } finally {
    await load.stop();
  }
}

/** Every reading of its own that the meter gives in that time. */
async function readingsOf(meter: Meter, bench: LoadBench, measureMs: number): Promise<number[]> {
  const endMs = bench.monotonicMs() + measureMs;
  const next = readerOf(meter, bench);
  const watts: number[] = [];
  while (bench.monotonicMs() < endMs) {
    const reading = await next();
    if (reading !== undefined) watts.push(reading);
  }
  return watts;
}

/** Waits as long as the meter's next reading takes, and gives it if there is one. */
function readerOf(meter: Meter, bench: LoadBench): () => Promise<number | undefined> {
  if (meter instanceof PolledMeter) return () => nextPolled(meter, bench);
  if (meter instanceof PlugMeter) return nextHeard(meter, bench);
  return nextCounted(meter, bench);
}

async function nextPolled(meter: PolledMeter, bench: LoadBench): Promise<number | undefined> {
  await bench.sleep(meter.sensor.intervalMs);
  const { failures } = meter;
  await meter.poll();
  return meter.failures === failures ? meter.watts : undefined;
}

function nextHeard(meter: PlugMeter, bench: LoadBench): () => Promise<number | undefined> {
  let { readings } = meter;
  return async () => {
    await bench.sleep(readMs);
    const isNew = meter.readings > readings;
    readings = meter.readings;
    return isNew ? meter.watts : undefined;
  };
}

function nextCounted(meter: Meter, bench: LoadBench): () => Promise<number | undefined> {
  const before = makeMeterReading();
  meter.read(before);
  return async () => {
    await bench.sleep(readMs);
    const now = makeMeterReading();
    meter.read(now);
    const [joules, ms] = [now.totalJ - before.totalJ, now.coveredMs - before.coveredMs];
    Object.assign(before, now);
    return ms > 0 ? (1000 * joules) / ms : undefined;
  };
}
