/**
 * Do the channels still move together as they used to? The reference-agreement graph: an edge weighs 1 where a pair's
 * correlation is what it was in ordinary times, and less the further it is from there, whichever way. Its minimum cut
 * falls when some channels agree with themselves but no longer with the rest.
 */

import { makeExponentTable } from '../engine/integer.ts';
import { EXPONENT_ONE, TABLE_SIZE } from '../engine/limits.ts';
import type { StateCarrier } from './carrier.ts';
import type { CorrelationGraph } from './correlation-graph.ts';
import { MinimumCut } from './min-cut.ts';
import { Q15_ONE } from './packets.ts';

/** A pair is judged once so many samples of it were learned; until then it agrees. */
const PAIR_SAMPLES_MIN = 4;
/** Older samples than so many fade. */
const PAIR_SAMPLES_MAX = 60;
/** A reference that never moved is still not known better than this. */
const DEVIATION_MIN = 0.02;
/** e^(-x/2) = 2^(-x * this / 256). */
const STEPS_PER_NAT = (TABLE_SIZE * 0.5) / Math.LN2;

export class AgreementGraph {
  readonly #count: number;
  /** Row-major above the diagonal, by channel: mean and variance of the correlation, and samples behind them. */
  readonly #means: Float64Array;
  readonly #variances: Float64Array;
  readonly #samples: Uint8Array;
  readonly #weights: Int32Array;
  readonly #cut: MinimumCut;
  readonly #exponents = makeExponentTable();
  readonly #correlation = new Float64Array(1);

  /** For so many channels. */
  constructor(count: number) {
    this.#count = count;
    this.#means = new Float64Array(count * count);
    this.#variances = new Float64Array(count * count);
    this.#samples = new Uint8Array(count * count);
    this.#weights = new Int32Array(count * count);
    this.#cut = new MinimumCut(Math.max(count, 2));
  }

  /** Hands over what it remembers. */
  carry(state: StateCarrier): void {
    state.array(this.#means);
    state.array(this.#variances);
    state.array(this.#samples);
  }

  reset(): void {
    this.#means.fill(0);
    this.#variances.fill(0);
    this.#samples.fill(0);
  }

  /** Takes the correlations of now into the reference. Samples should lie a half-life apart. */
  learn(graph: CorrelationGraph): void {
    for (let node = 0; node < graph.nodeCount; node++) {
      for (let other = node + 1; other < graph.nodeCount; other++) this.#learnPair(graph, node, other);
    }
  }

  #learnPair(graph: CorrelationGraph, node: number, other: number): void {
    const at = graph.channelOf[node]! * this.#count + graph.channelOf[other]!;
    graph.correlation(node, other, this.#correlation);
    if (this.#samples[at]! < PAIR_SAMPLES_MAX) this.#samples[at]!++;
    const share = 1 / this.#samples[at]!;
    const deviation = this.#correlation[0]! - this.#means[at]!;
    this.#means[at]! += share * deviation;
    this.#variances[at] = (1 - share) * (this.#variances[at]! + share * deviation * deviation);
  }

  /** Minimum cut of the agreement graph over (nodes - 1), Q15: 1 when every pair is as it was. */
  measure(graph: CorrelationGraph): number {
    const { nodeCount, stride } = graph;
    if (nodeCount < 2) return Q15_ONE;
    for (let node = 0; node < nodeCount; node++) {
      for (let other = node + 1; other < nodeCount; other++) {
        const weight = this.#agreementQ15(graph, node, other);
        this.#weights[node * stride + other] = weight;
        this.#weights[other * stride + node] = weight;
      }
    }
    return Math.round(this.#cut.find(this.#weights, nodeCount, stride) / (nodeCount - 1));
  }

  /** e^(-((r - reference) / deviation)^2 / 2), the deviation no less than the noise of r itself. */
  #agreementQ15(graph: CorrelationGraph, node: number, other: number): number {
    const at = graph.channelOf[node]! * this.#count + graph.channelOf[other]!;
    if (this.#samples[at]! < PAIR_SAMPLES_MIN) return Q15_ONE;
    graph.correlation(node, other, this.#correlation);
    const mean = this.#means[at]!;
    const spread = 1 - mean * mean;
    const noise = (spread * spread) / (2 * graph.weightMax) + DEVIATION_MIN * DEVIATION_MIN;
    const distance = this.#correlation[0]! - mean;
    const steps = (STEPS_PER_NAT * distance * distance) / Math.max(this.#variances[at]!, noise);
    if (steps >= 15 * TABLE_SIZE) return 0;
    const index = Math.floor(steps);
    const power = this.#exponents[index & (TABLE_SIZE - 1)]! >> (index >> 8);
    return Math.floor((power * Q15_ONE) / EXPONENT_ONE);
  }
}
