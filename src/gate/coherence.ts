/**
 * Do the channels still move together? An exponentially weighted correlation graph and its minimum cut, lambda.
 *
 * What lambda is worth: it sees a sensor that came loose, is stuck or grew noisy, and is blind to level shifts and
 * common drift; the cut isolates a single channel nearly always. It therefore votes on trust, not on compute.
 */
import { assert } from '../engine/limits.ts';
import type { Channel } from '../engine/model.ts';
import { Decay, wholeIntervals } from './decay.ts';
import { MinimumCut } from './min-cut.ts';
import { CHANNELS_MAX, type Frame, type GatePacket, Q15_ONE } from './packets.ts';
import { RunningMedian } from './running-median.ts';

export interface CoherenceSettings {
  /** Intervals after which a tick counts half, a whole number >= 1. */
  readonly halfLife: number;
  /** Correlations are multiplied by 1 - shrinkage: few ticks overstate them. 0 to 1. */
  readonly shrinkage: number;
  /** An edge of the graph, for the derived fields: |correlation| above this, Q15. The default is twice its noise. */
  readonly edgeThresholdQ15: number;
  /**
   * A channel whose recent standard deviation is below this, in channel scales, is still and not in the graph: what
   * does not move cannot disagree (a light sensor at night). A sensor that got stuck is seen while it comes to rest.
   */
  readonly stillness: number;
}

export const defaultCoherenceSettings: CoherenceSettings = Object.freeze({
  halfLife: 30,
  shrinkage: 0.1,
  edgeThresholdQ15: 6554,
  stillness: 0.02,
});

/** Normalised values are clipped here, so that one wild reading does not own the correlation for an hour. */
const Z_CLIP = 6;
/**
 * The reference is the median of so many of the last lambdas in normal state, one per half-life: closer ones are
 * nearly the same sample, and a reference that moves as fast as lambda could never tell that lambda fell. ...
 */
export const REFERENCE_SAMPLES = 60;
/** ... It means something from so many on. */
export const REFERENCE_SAMPLES_MIN = 8;
/** A state other than normal that lasts for so many samples, a half-life each, is the new normal. */
export const ABNORMAL_SAMPLES_MAX = 30;

/** An empty gate packet, to be refilled by `Coherence.measure`. */
export function makeGatePacket(): GatePacket {
  return {
    lambdaQ15: Q15_ONE,
    lambdaPreviousQ15: Q15_ONE,
    lambdaReferenceQ15: 0,
    boundaryEdges: 0,
    boundaryConcentrationQ15: 0,
    partitionCount: 0,
    ready: false,
  };
}

/** Follows the correlations of the channels. All memory is taken by the constructor. */
export class Coherence {
  readonly #count: number;
  readonly #center: Float64Array;
  readonly #scale: Float64Array;
  readonly #settings: CoherenceSettings;
  readonly #decay: Decay;
  /** Weight of past ticks from which the correlations mean something: that of two half-lives. */
  readonly #weightReady: number;
  /** Last known normalised value, its weighted mean and, row-major, the weighted covariance. */
  readonly #values: Float64Array;
  readonly #means: Float64Array;
  readonly #covariance: Float64Array;
  readonly #deviation: Float64Array;
  /** 1 from a channel's first value on. */
  readonly #known: Uint8Array;
  readonly #nodes: Int32Array;
  readonly #weights: Int32Array;
  readonly #crossing: Int32Array;
  readonly #component: Int32Array;
  readonly #cut: MinimumCut;
  readonly #reference = new RunningMedian(REFERENCE_SAMPLES);
  #nodeCount = 0;
  #weight = 0;
  #unspent = 0;
  #previousQ15 = Q15_ONE;
  #abnormal = 0;
  /** Intervals since the last sample of the reference. */
  #sinceSample = 0;

  /** 0 to 64 channels. */
  constructor(channels: readonly Channel[], settings: CoherenceSettings = defaultCoherenceSettings) {
    const count = channels.length;
    assert(count <= CHANNELS_MAX, 'the channels fit');
    this.#count = count;
    this.#center = Float64Array.from(channels, (channel) => channel.center);
    this.#scale = Float64Array.from(channels, (channel) => channel.scale);
    this.#settings = settings;
    this.#decay = new Decay(settings.halfLife);
    this.#weightReady = 0.75 / (1 - this.#decay.factor);
    this.#values = new Float64Array(count);
    this.#means = new Float64Array(count);
    this.#covariance = new Float64Array(count * count);
    this.#deviation = new Float64Array(count);
    this.#known = new Uint8Array(count);
    this.#nodes = new Int32Array(count);
    this.#weights = new Int32Array(count * count);
    this.#crossing = new Int32Array(count);
    this.#component = new Int32Array(count);
    this.#cut = new MinimumCut(Math.max(count, 2));
  }

  /** Forgets everything. */
  reset(): void {
    this.#known.fill(0);
    this.#values.fill(0);
    this.#means.fill(0);
    this.#covariance.fill(0);
    this.#reference.reset();
    this.#weight = 0;
    this.#unspent = 0;
    this.#previousQ15 = Q15_ONE;
    this.#abnormal = 0;
    this.#sinceSample = 0;
  }

  /**
   * Takes in one tick; an unknown value (NaN) is held. `elapsedIntervals`: since the last tick, >= 0.
   * Weighted mean and covariance by West's update (1979), O(channels^2).
   */
  observe(frame: Frame, elapsedIntervals: number): void {
    const count = this.#count;
    assert(frame.values.length === count, 'a frame has one value per channel');
    this.#unspent += elapsedIntervals;
    const intervals = wholeIntervals(this.#unspent);
    this.#unspent -= intervals;
    this.#sinceSample += intervals;
    this.#decay.forget(intervals);
    this.#weight = this.#weight * this.#decay.left[0]! + 1;
    const share = 1 / this.#weight;
    this.#deviate(frame.values);
    for (let row = 0; row < count; row++) {
      const deviation = this.#deviation[row]! * share;
      this.#means[row]! += deviation;
      for (let column = row; column < count; column++) {
        const at = row * count + column;
        this.#covariance[at] = (1 - share) * (this.#covariance[at]! + deviation * this.#deviation[column]!);
      }
    }
  }

  #deviate(values: Float64Array): void {
    for (let channel = 0; channel < values.length; channel++) {
      if (Number.isFinite(values[channel]!)) this.#takeValue(channel, values);
      this.#deviation[channel] = this.#values[channel]! - this.#means[channel]!;
    }
  }

  #takeValue(channel: number, values: Float64Array): void {
    const z = (values[channel]! - this.#center[channel]!) / this.#scale[channel]!;
    this.#values[channel] = Math.max(-Z_CLIP, Math.min(Z_CLIP, z));
    if (this.#known[channel]) return;
    this.#known[channel] = 1;
    this.#means[channel] = this.#values[channel]!; // it did not jump here from the centre
  }

  /**
   * Computes lambda of the ticks so far into `packet`: the minimum cut over (nodes - 1), so that 1 means that all move
   * as one. Nodes are the channels that are not still. With fewer than two, nothing can come apart: lambda is 1 and
   * not ready. Otherwise it is ready once two half-lives were seen and the reference has 8 samples.
   *
   * `normal`: whether the last decision trusted the channels; only such samples make the reference, unless the
   * state lasts.
   *
   * `boundaryConcentrationQ15`: where the cut isolates one channel, that channel, which always holds all of the
   * crossing weight, is not counted.
   */
  measure(normal: boolean, packet: GatePacket): void {
    this.#buildGraph();
    packet.lambdaPreviousQ15 = this.#previousQ15;
    packet.partitionCount = this.#countComponents();
    if (this.#nodeCount < 2) this.#measureNothing(packet);
    else this.#measureCut(packet);
    const warm = this.#weight >= this.#weightReady && this.#nodeCount >= 2;
    if (warm) this.#updateReference(packet.lambdaQ15, normal);
    this.#previousQ15 = packet.lambdaQ15;
    packet.lambdaReferenceQ15 = this.#reference.median;
    packet.ready = warm && this.#reference.count >= REFERENCE_SAMPLES_MIN;
  }

  #buildGraph(): void {
    const count = this.#count;
    this.#nodeCount = 0;
    for (let channel = 0; channel < count; channel++) {
      if (this.#isStill(channel)) continue;
      const node = this.#nodeCount++;
      this.#nodes[node] = channel;
      for (let other = 0; other < node; other++) {
        const weight = this.#correlationQ15(this.#nodes[other]!, channel);
        this.#weights[node * count + other] = weight;
        this.#weights[other * count + node] = weight;
      }
    }
  }

  #isStill(channel: number): boolean {
    const variance = this.#covariance[channel * this.#count + channel]!;
    return variance === 0 || variance < this.#settings.stillness ** 2;
  }

  /** Shrunk |correlation| of two channels that move, row < column. */
  #correlationQ15(row: number, column: number): number {
    const count = this.#count;
    const variances = this.#covariance[row * count + row]! * this.#covariance[column * count + column]!;
    const correlation = Math.abs(this.#covariance[row * count + column]!) / Math.sqrt(variances);
    return Math.round(Math.min(correlation, 1) * (1 - this.#settings.shrinkage) * Q15_ONE);
  }

  #measureNothing(packet: GatePacket): void {
    packet.lambdaQ15 = Q15_ONE;
    packet.boundaryEdges = 0;
    packet.boundaryConcentrationQ15 = 0;
  }

  #measureCut(packet: GatePacket): void {
    const weight = this.#cut.find(this.#weights, this.#nodeCount, this.#count);
    packet.lambdaQ15 = Math.round(weight / (this.#nodeCount - 1));
    packet.boundaryEdges = this.#crossEdges();
    packet.boundaryConcentrationQ15 = this.#concentration(weight);
  }

  /** Sums the crossing weight at each node; returns how many crossing edges exceed the edge threshold. */
  #crossEdges(): number {
    const { side } = this.#cut;
    let edges = 0;
    this.#crossing.fill(0);
    for (let node = 0; node < this.#nodeCount; node++) {
      for (let other = 0; other < node; other++) {
        if (side[node] === side[other]) continue;
        const weight = this.#weights[node * this.#count + other]!;
        if (weight > this.#settings.edgeThresholdQ15) edges++;
        this.#crossing[node]! += weight;
        this.#crossing[other]! += weight;
      }
    }
    return edges;
  }

  #concentration(weight: number): number {
    if (weight === 0) return 0;
    let inside = 0;
    for (let node = 0; node < this.#nodeCount; node++) inside += this.#cut.side[node]!;
    const alone = inside === 1 ? 1 : inside === this.#nodeCount - 1 ? 0 : -1;
    let largest = 0;
    for (let node = 0; node < this.#nodeCount; node++) {
      if (this.#cut.side[node] !== alone || this.#nodeCount === 2)
        largest = Math.max(largest, this.#crossing[node]!);
    }
    return Math.round((largest / weight) * Q15_ONE);
  }

  /** Connected components over the edges above the threshold: merges labels towards the lower index. */
  #countComponents(): number {
    const label = this.#component;
    let components = this.#nodeCount;
    for (let node = 0; node < this.#nodeCount; node++) {
      label[node] = node;
      for (let other = 0; other < node; other++) {
        const edge = this.#weights[node * this.#count + other]! > this.#settings.edgeThresholdQ15;
        if (!edge || label[node] === label[other]) continue;
        components--;
        this.#relabel(label[node]!, label[other]!, node);
      }
    }
    return components;
  }

  #relabel(from: number, to: number, last: number): void {
    for (let node = 0; node <= last; node++) if (this.#component[node] === from) this.#component[node] = to;
  }

  #updateReference(lambdaQ15: number, normal: boolean): void {
    if (this.#sinceSample < this.#settings.halfLife) return;
    this.#sinceSample = 0;
    this.#abnormal = normal ? 0 : this.#abnormal + 1;
    if (normal || this.#abnormal > ABNORMAL_SAMPLES_MAX) this.#reference.push(lambdaQ15);
  }
}
