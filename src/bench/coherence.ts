/** What a tick's coherence costs: the correlations, lambda where bounds decide, and lambda exactly. */
import type { Channel } from '../engine/model.ts';
import {
  Coherence,
  defaultCoherenceSettings,
  type LambdaWatch,
  makeGatePacket,
  watchAll,
} from '../gate/coherence.ts';
import { lambdaWatchOf } from '../gate/controller.ts';
import { conservativePolicy, steadyPolicy } from '../gate/policy.ts';
import { randomNumbers } from '../statistics/random.ts';
import { type BenchCase, type BenchResult, type Effort, measure, result, rounded } from './harness.ts';

const TICKS = 4096;
const COUNTS = [5, 16, 64];
const QUICK_COUNTS = [5, 16];
/** Of what each channel does by itself, beside the factor that all follow. */
const OWN = 0.7;
/** Calls per timing: a clock tick is about as long as one. */
const BATCH = 8;

/** One tick of 5, 16 and 64 channels that follow a common factor. Budget of 16: exact 25 us, by bounds 3 us. */
export async function coherence(effort: Effort): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const count of effort.quick ? QUICK_COUNTS : COUNTS)
    results.push(...(await measureCount(count, effort)));
  return results;
}

interface Measured extends BenchCase {
  /** Share of the ticks at which lambda was computed exactly; null where it was not asked for. */
  exactShare(): number | null;
}

async function measureCount(count: number, effort: Effort): Promise<BenchResult[]> {
  const rows = rowsOf(count);
  const cases = [
    makeCase(`${count} channels, correlations alone`, rows, null),
    makeCase(`${count} channels, lambda for policy steady`, rows, lambdaWatchOf(steadyPolicy)),
    makeCase(`${count} channels, lambda for policy conservative`, rows, lambdaWatchOf(conservativePolicy)),
    makeCase(`${count} channels, lambda exactly`, rows, { ...watchAll, drift: false }),
    makeCase(`${count} channels, lambda exactly, and drift`, rows, watchAll),
  ];
  const timings = await measure(cases, effort);
  return timings.map((timing, index) => {
    const share = cases[index]!.exactShare();
    const details = { channels: count, exactShare: share === null ? null : rounded(share) };
    return result('coherence', cases[index]!.name, 'none', timing, details);
  });
}

function rowsOf(count: number): Float64Array[] {
  const random = randomNumbers(1);
  const noise = () => random() + random() + random() - 1.5;
  return Array.from({ length: TICKS }, () => {
    const factor = noise();
    return Float64Array.from({ length: count }, () => factor + OWN * noise());
  });
}

function makeCase(name: string, rows: readonly Float64Array[], watch: LambdaWatch | null): Measured {
  const channels = rows[0]!.length;
  const coherence = new Coherence(makeChannels(channels), defaultCoherenceSettings, watch ?? watchAll);
  const packet = makeGatePacket();
  let [tick, exact, asked] = [0, 0, 0];
  return {
    name,
    batch: BATCH,
    run() {
      coherence.observe({ timeMs: tick, values: rows[tick++ % TICKS]! }, 1);
      if (watch === null) return;
      coherence.measure(true, packet);
      asked++;
      if (packet.isExact) exact++;
    },
    exactShare: () => (asked === 0 ? null : exact / asked),
  };
}

function makeChannels(count: number): Channel[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `channel${index}`,
    unit: '',
    center: 0,
    scale: 1,
  }));
}
