/** Which channels move together: exponentially weighted correlations, shrunk, as a weighted graph. */

import { assert } from '../engine/limits.ts';
import type { Channel } from '../engine/model.ts';
import type { StateCarrier } from './carrier.ts';
import { Decay, wholeIntervals } from './decay.ts';
import { CHANNELS_MAX, type Frame, Q15_ONE } from './packets.ts';

export interface CorrelationSettings {
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

/** Normalised values are clipped here, so that one wild reading does not own the correlation for an hour. */
const Z_CLIP = 6;

/** Follows the correlations of up to 64 channels. All memory is taken by the constructor. */
export class CorrelationGraph {
  /** Nodes of the graph: the channels that are not still, ascending. */
  nodeCount = 0;
  /** [nodes] the channel of each node. */
  readonly channelOf: Int32Array;
  /** [nodes x stride] |correlation| x (1 - shrinkage), Q15; the diagonal says nothing. */
  readonly weights: Int32Array;
  readonly stride: number;
  /** [nodes] sum of each node's weights. */
  readonly degree: Int32Array;
  /** The heaviest edge, 0 without any. */
  heaviest = 0;
  /** Weight of the ticks seen: their number, each halved every half-life. In its one place. */
  readonly weight = new Float64Array(1);
  /** What `weight` comes to in the long run. */
  readonly weightMax: number;

  readonly #settings: CorrelationSettings;
  readonly #decay: Decay;
  readonly #center: Float64Array;
  readonly #scale: Float64Array;
  /** Last known normalised value, its weighted mean and, row-major above the diagonal, the weighted covariance. */
  readonly #values: Float64Array;
  readonly #means: Float64Array;
  readonly #covariance: Float64Array;
  readonly #deviation: Float64Array;
  /** 1 / standard deviation of each node. */
  readonly #inverse: Float64Array;
  /** 1 from a channel's first value on. */
  readonly #known: Uint8Array;
  readonly #component: Int32Array;
  #unspent = 0;

  constructor(channels: readonly Channel[], settings: CorrelationSettings) {
    const count = channels.length;
    assert(count <= CHANNELS_MAX, 'the channels fit');
    this.stride = count;
    this.#settings = settings;
    this.#decay = new Decay(settings.halfLife);
    this.weightMax = 1 / (1 - this.#decay.factor);
    this.#center = Float64Array.from(channels, (channel) => channel.center);
    this.#scale = Float64Array.from(channels, (channel) => channel.scale);
    this.#values = new Float64Array(count);
    this.#means = new Float64Array(count);
    this.#covariance = new Float64Array(count * count);
    this.#deviation = new Float64Array(count);
    this.#inverse = new Float64Array(count);
    this.#known = new Uint8Array(count);
    this.#component = new Int32Array(count);
    this.channelOf = new Int32Array(count);
    this.weights = new Int32Array(count * count);
    this.degree = new Int32Array(count);
  }

  /** Hands over what it remembers. */
  carry(state: StateCarrier): void {
    state.array(this.#known);
    state.array(this.#values);
    state.array(this.#means);
    state.array(this.#covariance);
    state.array(this.weight);
    this.#unspent = state.number(this.#unspent);
    this.nodeCount = state.number(this.nodeCount);
  }

  /** Forgets everything. */
  reset(): void {
    this.#known.fill(0);
    this.#values.fill(0);
    this.#means.fill(0);
    this.#covariance.fill(0);
    this.weight[0] = 0;
    this.#unspent = 0;
    this.nodeCount = 0;
  }

  /**
   * Takes in one tick; an unknown value (NaN) is held. `elapsedIntervals`: since the last tick, >= 0. Returns the whole
   * intervals that passed. Weighted mean and covariance by West's update (1979), O(channels^2).
   */
  observe(frame: Frame, elapsedIntervals: number): number {
    const count = this.stride;
    assert(frame.values.length === count, 'a frame has one value per channel');
    this.#unspent += elapsedIntervals;
    const intervals = wholeIntervals(this.#unspent);
    this.#unspent -= intervals;
    this.#decay.forget(intervals);
    this.weight[0] = this.weight[0]! * this.#decay.left[0]! + 1;
    this.#deviate(frame.values);
    const share = 1 / this.weight[0]!;
    const rest = 1 - share;
    for (let row = 0; row < count; row++) {
      const deviation = this.#deviation[row]! * share;
      this.#means[row]! += deviation;
      for (let column = row, at = row * count + row; column < count; column++, at++) {
        this.#covariance[at] = rest * (this.#covariance[at]! + deviation * this.#deviation[column]!);
      }
    }
    return intervals;
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

  /** Makes nodes, weights, degrees and the heaviest edge of the ticks so far. */
  build(): void {
    this.#findNodes();
    const { nodeCount, stride, weights, degree } = this;
    const whole = (1 - this.#settings.shrinkage) * Q15_ONE;
    const limit = Math.floor(whole + 0.5);
    let heaviest = 0;
    degree.fill(0);
    for (let node = 0; node < nodeCount; node++) {
      const covariances = this.channelOf[node]! * stride;
      const scaled = this.#inverse[node]! * whole;
      for (let other = node + 1; other < nodeCount; other++) {
        const covariance = Math.abs(this.#covariance[covariances + this.channelOf[other]!]!);
        const rounded = (covariance * scaled * this.#inverse[other]! + 0.5) | 0;
        const weight = rounded < limit ? rounded : limit;
        weights[node * stride + other] = weight;
        weights[other * stride + node] = weight;
        degree[node]! += weight;
        degree[other]! += weight;
        if (weight > heaviest) heaviest = weight;
      }
    }
    this.heaviest = heaviest;
  }

  #findNodes(): void {
    const still = this.#settings.stillness ** 2;
    this.nodeCount = 0;
    for (let channel = 0; channel < this.stride; channel++) {
      const variance = this.#covariance[channel * this.stride + channel]!;
      if (variance === 0 || variance < still) continue;
      this.#inverse[this.nodeCount] = 1 / Math.sqrt(variance);
      this.channelOf[this.nodeCount++] = channel;
    }
  }

  /** Sets `out[0]` to the signed correlation, not shrunk, of two nodes of the graph, node < other. */
  correlation(node: number, other: number, out: Float64Array): void {
    const covariance = this.#covariance[this.channelOf[node]! * this.stride + this.channelOf[other]!]!;
    const correlation = covariance * this.#inverse[node]! * this.#inverse[other]!;
    out[0] = Math.max(-1, Math.min(1, correlation));
  }

  /** Connected components over the edges above the edge threshold: merges labels towards the lower index. */
  countComponents(): number {
    const { nodeCount, stride, weights } = this;
    const label = this.#component;
    const threshold = this.#settings.edgeThresholdQ15;
    let components = nodeCount;
    for (let node = 0; node < nodeCount; node++) {
      label[node] = node;
      for (let other = 0; other < node; other++) {
        if (label[node] === label[other] || weights[node * stride + other]! <= threshold) continue;
        components--;
        this.#relabel(label[node]!, label[other]!, node);
      }
    }
    return components;
  }

  #relabel(from: number, to: number, last: number): void {
    for (let node = 0; node <= last; node++) if (this.#component[node] === from) this.#component[node] = to;
  }
}
