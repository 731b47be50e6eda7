/**
 * Do the channels still move together? The correlation graph's minimum cut, lambda, and its drift from a reference.
 *
 * What lambda is worth: it sees a sensor that came loose, is stuck or grew noisy, and is blind to level shifts and
 * common drift; the cut isolates a single channel nearly always. It therefore votes on trust; docs/gate.md has what it
 * adds to novelty on real recordings.
 */

import type { Channel } from '../engine/model.ts';
import { AgreementGraph } from './agreement.ts';
import type { StateCarrier } from './carrier.ts';
import { CorrelationGraph, type CorrelationSettings } from './correlation-graph.ts';
import { Cusum } from './cusum.ts';
import { CutBounds } from './cut-bounds.ts';
import { MinimumCut } from './min-cut.ts';
import { type Frame, type GatePacket, Q15_ONE } from './packets.ts';
import { RunningMedian } from './running-median.ts';

export type CoherenceSettings = CorrelationSettings;

export const defaultCoherenceSettings: CoherenceSettings = Object.freeze({
  halfLife: 30,
  shrinkage: 0.1,
  edgeThresholdQ15: 6554,
  stillness: 0.02,
});

/** What somebody wants to know of lambda: where bounds answer it, the exact cut is not computed. */
export interface LambdaWatch {
  /** Lambda itself is wanted, and what is derived from its cut. */
  readonly exact: boolean;
  /** Shares of the reference, Q15, that lambda is compared with while the channels are trusted, and otherwise. */
  readonly sharesQ15: readonly number[];
  readonly sharesDistrustedQ15: readonly number[];
  /** Lambda is compared with nothing while its reference is below this, Q15. */
  readonly referenceMinQ15: number;
  /** Whether the drift of the reference-agreement graph is wanted. */
  readonly drift: boolean;
}

/** Everything, always. */
export const watchAll: LambdaWatch = Object.freeze({
  exact: true,
  sharesQ15: [],
  sharesDistrustedQ15: [],
  referenceMinQ15: 0,
  drift: true,
});

/**
 * The reference is the median of so many of the last lambdas in normal state, one per half-life: closer ones are
 * nearly the same sample, and a reference that moves as fast as lambda could never tell that lambda fell. ...
 */
const REFERENCE_SAMPLES = 60;
/** ... It means something from so many on. */
const REFERENCE_SAMPLES_MIN = 8;
/** A state other than normal that lasts for so many samples, a half-life each, is the new normal. */
const ABNORMAL_SAMPLES_MAX = 30;
/** Agreement is measured so many times per half-life: it can't move faster. */
const DRIFT_SAMPLES_PER_HALF_LIFE = 8;
/** A steadier agreement than this is not believed. */
const AGREEMENT_DEVIATION_MIN = 0.05 * Q15_ONE;
/** Drift in a packet: 1 is one standard deviation over one half-life. */
const DRIFT_ONE = 256;

/** An empty gate packet, to be refilled by `Coherence.measure`. */
export function makeGatePacket(): GatePacket {
  return {
    lambdaQ15: Q15_ONE,
    lambdaFloorQ15: Q15_ONE,
    isExact: true,
    lambdaPreviousQ15: Q15_ONE,
    lambdaReferenceQ15: 0,
    boundaryEdges: 0,
    boundaryConcentrationQ15: 0,
    partitionCount: 0,
    agreementQ15: Q15_ONE,
    driftUpQ8: 0,
    driftDownQ8: 0,
    ready: false,
  };
}

/** All memory is taken by the constructor. */
export class Coherence {
  readonly #settings: CoherenceSettings;
  #watch: LambdaWatch;
  readonly #graph: CorrelationGraph;
  readonly #bounds: CutBounds;
  readonly #cut: MinimumCut;
  readonly #agreement: AgreementGraph;
  readonly #drift = new Cusum(AGREEMENT_DEVIATION_MIN);
  readonly #reference = new RunningMedian(REFERENCE_SAMPLES);
  readonly #crossing: Int32Array;
  /** Weight of past ticks from which the correlations mean something: that of two half-lives. */
  readonly #weightReady: number;
  readonly #driftIntervals: number;
  #previousQ15 = Q15_ONE;
  #agreementQ15 = Q15_ONE;
  #abnormal = 0;
  /** Intervals since the last sample of the reference, and of the agreement. */
  #sinceSample = 0;
  #sinceDrift = 0;

  /** 0 to 64 channels. */
  constructor(
    channels: readonly Channel[],
    settings: CoherenceSettings = defaultCoherenceSettings,
    watch: LambdaWatch = watchAll,
  ) {
    this.#settings = settings;
    this.#watch = watch;
    this.#graph = new CorrelationGraph(channels, settings);
    this.#cut = new MinimumCut(Math.max(channels.length, 2));
    this.#bounds = new CutBounds(this.#graph, this.#cut);
    this.#agreement = new AgreementGraph(channels.length);
    this.#crossing = new Int32Array(channels.length);
    this.#weightReady = 0.75 * this.#graph.weightMax;
    this.#driftIntervals = Math.max(1, Math.round(settings.halfLife / DRIFT_SAMPLES_PER_HALF_LIFE));
  }

  /** From the next measurement on something else is wanted. */
  watch(wanted: LambdaWatch): void {
    this.#watch = wanted;
  }

  /** Hands over what it remembers. */
  carry(state: StateCarrier): void {
    for (const part of [this.#graph, this.#bounds, this.#agreement, this.#drift, this.#reference])
      part.carry(state);
    this.#previousQ15 = state.number(this.#previousQ15);
    this.#agreementQ15 = state.number(this.#agreementQ15);
    this.#abnormal = state.number(this.#abnormal);
    this.#sinceSample = state.number(this.#sinceSample);
    this.#sinceDrift = state.number(this.#sinceDrift);
  }

  /** Forgets everything. */
  reset(): void {
    this.#graph.reset();
    this.#bounds.reset();
    this.#agreement.reset();
    this.#drift.reset();
    this.#reference.reset();
    this.#previousQ15 = Q15_ONE;
    this.#agreementQ15 = Q15_ONE;
    this.#abnormal = 0;
    this.#sinceSample = 0;
    this.#sinceDrift = 0;
  }

  /** Takes in one tick; an unknown value (NaN) is held. `elapsedIntervals`: since the last tick, >= 0. */
  observe(frame: Frame, elapsedIntervals: number): void {
    const intervals = this.#graph.observe(frame, elapsedIntervals);
    this.#sinceSample += intervals;
    this.#sinceDrift += intervals;
  }

  /**
   * Fills `packet` from the ticks so far. Lambda is the minimum cut over (nodes - 1), so that 1 means that all move as
   * one; nodes are the channels that are not still. With fewer than two, nothing can come apart: lambda is 1 and not
   * ready. Otherwise it is ready once two half-lives were seen and the reference has 8 samples.
   *
   * `normal`: whether the last decision trusted the channels; only such samples make the references, unless the
   * state lasts.
   *
   * Where bounds answer all that is watched, lambda lies from `lambdaFloorQ15` to `lambdaQ15`, on the same side of each
   * watched share, and edges and concentration are 0.
   *
   * `boundaryConcentrationQ15`: where the cut isolates one channel, that channel, which always holds all of the
   * crossing weight, is not counted.
   */
  measure(normal: boolean, packet: GatePacket): void {
    const graph = this.#graph;
    graph.build();
    const warm = graph.weight[0]! >= this.#weightReady && graph.nodeCount >= 2;
    const sampled = warm && this.#sinceSample >= this.#settings.halfLife;
    packet.lambdaPreviousQ15 = this.#previousQ15;
    packet.partitionCount = graph.countComponents();
    packet.boundaryEdges = 0;
    packet.boundaryConcentrationQ15 = 0;
    if (graph.nodeCount < 2) setLambda(packet, Q15_ONE, Q15_ONE);
    else if (sampled || !this.#isBounded(normal, warm, packet)) this.#measureCut(packet);
    packet.isExact = packet.lambdaFloorQ15 === packet.lambdaQ15;
    if (this.#watch.drift && warm) this.#measureDrift();
    if (sampled) this.#sample(packet.lambdaQ15, normal);
    this.#previousQ15 = packet.lambdaQ15;
    packet.lambdaReferenceQ15 = this.#reference.median;
    packet.ready = warm && this.#reference.count >= REFERENCE_SAMPLES_MIN;
    packet.agreementQ15 = this.#agreementQ15;
    packet.driftUpQ8 = Math.floor(this.#drift.sums[0]! * DRIFT_ONE);
    packet.driftDownQ8 = Math.floor(this.#drift.sums[1]! * DRIFT_ONE);
  }

  /** Whether bounds say enough; then lambda's are in the packet. */
  #isBounded(normal: boolean, warm: boolean, packet: GatePacket): boolean {
    const { exact, sharesQ15, sharesDistrustedQ15, referenceMinQ15 } = this.#watch;
    if (exact) return false;
    const bounds = this.#bounds;
    bounds.start();
    const reference = this.#reference.median;
    const judged = warm && this.#reference.count >= REFERENCE_SAMPLES_MIN && reference >= referenceMinQ15;
    const shares = normal ? sharesQ15 : sharesDistrustedQ15;
    for (let index = 0; judged && index < shares.length; index++) {
      if (!bounds.decides(leastNotBelow(reference, shares[index]!))) return false;
    }
    setLambda(packet, bounds.floorQ15, bounds.ceilingQ15);
    return true;
  }

  #measureCut(packet: GatePacket): void {
    const graph = this.#graph;
    const weight = this.#cut.find(graph.weights, graph.nodeCount, graph.stride);
    this.#bounds.remember(weight);
    const lambdaQ15 = Math.round(weight / (graph.nodeCount - 1));
    setLambda(packet, lambdaQ15, lambdaQ15);
    packet.boundaryEdges = this.#crossEdges();
    packet.boundaryConcentrationQ15 = this.#concentration(weight);
  }

  /** Sums the crossing weight at each node; returns how many crossing edges exceed the edge threshold. */
  #crossEdges(): number {
    const { side } = this.#cut;
    const { nodeCount, stride, weights } = this.#graph;
    let edges = 0;
    this.#crossing.fill(0);
    for (let node = 0; node < nodeCount; node++) {
      for (let other = 0; other < node; other++) {
        if (side[node] === side[other]) continue;
        const weight = weights[node * stride + other]!;
        if (weight > this.#settings.edgeThresholdQ15) edges++;
        this.#crossing[node]! += weight;
        this.#crossing[other]! += weight;
      }
    }
    return edges;
  }

  #concentration(weight: number): number {
    if (weight === 0) return 0;
    const { nodeCount } = this.#graph;
    const { side } = this.#cut;
    let inside = 0;
    for (let node = 0; node < nodeCount; node++) inside += side[node]!;
    const alone = inside === 1 ? 1 : inside === nodeCount - 1 ? 0 : -1;
    let largest = 0;
    for (let node = 0; node < nodeCount; node++) {
      if (side[node] !== alone || nodeCount === 2) largest = Math.max(largest, this.#crossing[node]!);
    }
    return Math.round((largest / weight) * Q15_ONE);
  }

  #measureDrift(): void {
    if (this.#sinceDrift < this.#driftIntervals) return;
    this.#agreementQ15 = this.#agreement.measure(this.#graph);
    this.#drift.add(this.#agreementQ15, this.#sinceDrift, this.#settings.halfLife);
    this.#sinceDrift = 0;
  }

  /** One sample per half-life makes the references. */
  #sample(lambdaQ15: number, normal: boolean): void {
    this.#sinceSample = 0;
    this.#abnormal = normal ? 0 : this.#abnormal + 1;
    if (!normal && this.#abnormal <= ABNORMAL_SAMPLES_MAX) return;
    this.#reference.push(lambdaQ15);
    if (!this.#watch.drift) return;
    if (this.#reference.count > REFERENCE_SAMPLES_MIN) this.#drift.learn(this.#agreementQ15);
    this.#agreement.learn(this.#graph);
  }
}

function setLambda(packet: GatePacket, floorQ15: number, lambdaQ15: number): void {
  packet.lambdaFloorQ15 = floorQ15;
  packet.lambdaQ15 = lambdaQ15;
}

/** The least lambda, Q15, that the controller does not call below that share of the reference. */
function leastNotBelow(referenceQ15: number, shareQ15: number): number {
  return Math.ceil((referenceQ15 * shareQ15) / Q15_ONE);
}
