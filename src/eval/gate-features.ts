/** What the gate sees at every row of a series: novelty on one side, coherence on the other, for whoever compares them. */
import type { Channel, SpikeSettings } from '../engine/model.ts';
import { Coherence, defaultCoherenceSettings, makeGatePacket } from '../gate/coherence.ts';
import { makeDemandPacket, TypicalActivity } from '../gate/demand.ts';
import { type GatePacket, Q15_ONE, type SpikePacket } from '../gate/packets.ts';
import { makeSpikePacket, SpikeEncoder } from '../gate/spike-encoder.ts';
import type { Series } from '../recording/recording.ts';
import { fillForward, fitStandardiser, knownMeans, standardise } from '../statistics/statistics.ts';

/** Columns of the table, in order. */
export const gateFeatureNames = [
  'novelty',
  'noveltyOverTypical',
  'rate',
  'largestMovingAverage',
  'lambda',
  'lambdaOverReference',
  'lambdaFromReference',
  'agreement',
  'driftUp',
  'driftDown',
] as const;

/** Columns of each kind of evidence. */
export const noveltyColumns = [0, 1, 2, 3];
export const lambdaColumns = [4, 5, 6];
export const agreementColumns = [7, 8, 9];

const TIMES_MAX = 8;
const SIGMAS_MAX = 10;
const RATIO_MAX = 2;
/** Weight of a row in the moving average of z-scores. */
const EWMA_WEIGHT = 0.2;

/**
 * [rows x features]. `calibrationRows`: the rows at the start by which the moving averages' z-scores are made; the rest
 * follows what was before, row by row, as at a gateway where every row is a token.
 */
export function gateFeatures(
  series: Series,
  channels: readonly Channel[],
  spikes: SpikeSettings,
  calibrationRows: number,
): Float64Array {
  const count = channels.length;
  const encoder = new SpikeEncoder(channels, spikes);
  const coherence = new Coherence(channels, defaultCoherenceSettings);
  const typical = new TypicalActivity();
  const [spike, gate, demand] = [makeSpikePacket(count), makeGatePacket(), makeDemandPacket()];
  const averages = largestMovingAverages(series, count, calibrationRows);
  const table = new Float64Array(series.rows * gateFeatureNames.length);
  for (let row = 0; row < series.rows; row++) {
    const values = series.values.subarray(row * count, (row + 1) * count);
    const frame = { timeMs: series.timeMs[row]!, values };
    encoder.encode(frame, row === 0 ? 0 : 1, spike);
    coherence.observe(frame, row === 0 ? 0 : 1);
    coherence.measure(true, gate);
    if (spike.fired) typical.measure(spike, demand);
    table.set(
      [...noveltyOf(spike, demand.noveltyTypicalQ15), averages[row]!, ...coherenceOf(gate)],
      row * gateFeatureNames.length,
    );
  }
  return table;
}

function noveltyOf({ noveltyQ15, rateQ15 }: SpikePacket, typicalQ15: number): number[] {
  const times = typicalQ15 === 0 ? 1 : Math.min(noveltyQ15 / typicalQ15, TIMES_MAX);
  return [noveltyQ15 / Q15_ONE, times, rateQ15 / Q15_ONE];
}

function coherenceOf(gate: GatePacket): number[] {
  const known = gate.ready && gate.lambdaReferenceQ15 > 0;
  const ratio = known ? Math.min(gate.lambdaQ15 / gate.lambdaReferenceQ15, RATIO_MAX) : 1;
  const lambda = known ? gate.lambdaQ15 / Q15_ONE : 0.5;
  const agreement = known ? gate.agreementQ15 / Q15_ONE : 1;
  return [lambda, ratio, Math.abs(ratio - 1), agreement, gate.driftUpQ8 / 256, gate.driftDownQ8 / 256];
}

/** Per row, the largest over the channels of |moving average of z|. */
function largestMovingAverages(series: Series, count: number, calibrationRows: number): Float64Array {
  const start = knownMeans(series.values.subarray(0, calibrationRows * count), count);
  const filled = fillForward(series.values, start);
  const z = standardise(filled, fitStandardiser(filled.subarray(0, calibrationRows * count), count));
  const averages = new Float64Array(count);
  return Float64Array.from({ length: series.rows }, (_, row) => {
    let largest = 0;
    for (let channel = 0; channel < count; channel++) {
      averages[channel]! += EWMA_WEIGHT * (z[row * count + channel]! - averages[channel]!);
      largest = Math.max(largest, Math.abs(averages[channel]!));
    }
    return Math.min(largest, SIGMAS_MAX);
  });
}
