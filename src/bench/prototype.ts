/**
 * What the documents of the prototype claim, and how they read once they are counted again. Its code computes nothing
 * in tiers 0 to 2 (its logits stay as they were), so none of its times was measured; they stand beside ours all the
 * same, since they are what this project set out from.
 */
import { type PresetName, presetConfig, presetNames } from '../engine/config.ts';
import { layerMacs } from '../engine/cost.ts';
import { type BenchResult, type Measurement, quantileUs, summarise } from './harness.ts';

interface Claim {
  /** Microseconds for a whole sequence, by tier; tier 2 has none. */
  readonly tierUs: readonly [number, number, null, number];
  /** Of its mix: 20 % tier 0, 40 % tier 1, 40 % skipped. */
  readonly mixMeanUs: number;
}

export const claims: Readonly<Record<PresetName, Claim>> = {
  micro: { tierUs: [850, 320, null, 12], mixMeanUs: 368 },
  baseline: { tierUs: [3400, 1150, null, 18], mixMeanUs: 1238 },
};

/** Shares of tiers 0 to 3 in its mix. */
export const MIX: readonly number[] = [0.2, 0.4, 0, 0.4];

/** Its documents: micro at 850 us moves 245 MB/s. */
const CLAIMED_BYTES_PER_SECOND = 245e6;

/** Multiply-accumulates of a whole sequence in one tier, of the layers alone, as its documents count. */
export function sequenceMacs(preset: PresetName, tier: 0 | 1): number {
  const config = presetConfig(preset, 1, 1);
  const { layers, sequence, window } = config.tiers[tier];
  // The first positions see fewer than a window.
  const positions = sequence * window - (window * (window - 1)) / 2;
  return layers * (sequence * layerMacs(config) + 2 * positions * config.hidden);
}

/** The claimed mean of the mix, and what its own latencies give. */
export function mixMeanUs({ tierUs }: Claim): number {
  return MIX.reduce((sum, share, tier) => sum + share * (tierUs[tier] ?? 0), 0);
}

const millions = (macs: number) => `${(macs / 1e6).toPrecision(3)} M`;
const percent = (share: number) => `${Math.round(100 * share)} %`;

/** The corrected reading, line by line; `results` are those of `tables`. */
export function readings(results: readonly BenchResult[]): string[] {
  return [
    "The prototype's claims (claimedUs: a whole sequence; its code computes nothing), read again:",
    ...[sizes(), tierOne(), skip(results), windowing(), mean(), p99(results), bytes(), energy()].map(
      (line) => `- ${line}`,
    ),
  ];
}

function sizes(): string {
  const [micro, baseline] = presetNames.map((preset) => sequenceMacs(preset, 0));
  const rate = (preset: PresetName, macs: number) =>
    `${Math.round(macs / claims[preset].tierUs[0] / 1000)} GMAC/s`;
  return (
    `micro and baseline are ${claims.baseline.tierUs[0] / claims.micro.tierUs[0]} x apart in claimed time but ` +
    `${(baseline! / micro!).toFixed(1)} x in multiply-accumulates (${millions(micro!)} and ${millions(baseline!)}): ` +
    `the same engine at ${rate('micro', micro!)} and at ${rate('baseline', baseline!)}.`
  );
}

function tierOne(): string {
  const { tierUs } = claims.baseline;
  const counted = sequenceMacs('baseline', 1) / sequenceMacs('baseline', 0);
  const config = presetConfig('baseline', 1, 1);
  const cached = config.tiers[1].layers / config.layers;
  return (
    `tier 1 is said to cost "35 %" (${percent(tierUs[1] / tierUs[0])} by its own times). Half the layers on half the ` +
    `sequence are ${percent(counted)} of the work if the window is computed anew, ${percent(cached)} with a KV cache.`
  );
}

function skip(results: readonly BenchResult[]): string {
  const measured = results.find(({ case: name }) => name === 'micro tier 3 skip');
  return (
    'a skip is said to take 12 or 18 us, and its code then writes zeros: a false output. Here it holds the last ' +
    `output: ${measured?.median ?? '?'} us from values to held output, the same for both presets.`
  );
}

function windowing(): string {
  const shares = presetNames.map((preset) => {
    const config = presetConfig(preset, 1, 1);
    const macs = layerMacs(config);
    const causal = (config.sequence + 1) / 2;
    return (macs + 2 * causal * config.hidden) / (macs + 2 * config.window * config.hidden);
  });
  return (
    '"sparse attention halves the cost" can not be: the window saves a factor of ' +
    `${shares.map((share) => share.toFixed(3)).join(' (micro) and ')} (baseline) of a layer against causal attention.`
  );
}

function mean(): string {
  const parts = presetNames.map((preset) => {
    const claim = claims[preset];
    return `${preset} ${claim.mixMeanUs} us, where its own times give ${mixMeanUs(claim).toFixed(1)} us`;
  });
  return `the mean of its mix (20 % tier 0, 40 % tier 1, 40 % skipped): ${parts.join('; ')}.`;
}

function p99(results: readonly BenchResult[]): string {
  const parts = results
    .filter((line) => line.meanOfP99sUs !== undefined)
    .map((line) => `${line.case}: ${line.meanOfP99sUs} us by its way, ${line.p99} us in truth`);
  return (
    'its p99 of the mix ("36.8 % of tier 0") is the mean of the p99s. The p99 of a mixture with 20 % tier 0 is tier ' +
    `0's own 95th percentile. ${parts.join('; ')}.`
  );
}

function bytes(): string {
  const claimed = (CLAIMED_BYTES_PER_SECOND * claims.micro.tierUs[0]) / 1e6;
  const config = presetConfig('micro', 1, 1);
  const weights = config.layers * layerMacs(config);
  return (
    `micro at 245 MB/s would move ${Math.round(claimed / 1000)} KB per inference; its weights alone are ` +
    `${Math.round(weights / 1000)} KB.`
  );
}

function energy(): string {
  return (
    '"1.2 mJ" for micro at tier 0 comes from no meter and no method. modelledUj is no measurement either: it is ' +
    'time x the watts that a busy core adds by the description of the target.'
  );
}

const MIXTURE_POINTS = 10_000;

/** The times of calls of which share `shares[i]` are drawn from `timings[i]`. */
export function mixture(timings: readonly Measurement[], shares: readonly number[]): Measurement {
  const points = timings.flatMap(({ sortedUs }, index) => {
    const count = Math.round(shares[index]! * MIXTURE_POINTS);
    return Array.from({ length: count }, (_, at) => quantileUs(sortedUs, (at + 0.5) / count));
  });
  return summarise(Float64Array.from(points));
}
