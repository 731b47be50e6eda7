/**
 * Cheap bounds of a graph's minimum cut: often they already say on which side of a threshold it lies.
 *
 * From above: any cut, here the lightest single node and the cut found last. From below: a cut loses at most what
 * all edges together lost since the exact cut was last known; and one maximum adjacency ordering may prove a floor.
 */
import type { StateCarrier } from './carrier.ts';
import type { CorrelationGraph } from './correlation-graph.ts';
import type { MinimumCut } from './min-cut.ts';

export class CutBounds {
  readonly #graph: CorrelationGraph;
  readonly #cut: MinimumCut;
  /** The graph when its cut was known exactly: channels, weights, and the cut's weight. */
  readonly #channels: Int32Array;
  readonly #weights: Int32Array;
  #nodeCount = 0;
  #weight = 0;
  /** The cut weighs from `#floor` to `#ceiling`. */
  #floor = 0;
  #ceiling = 0;

  /** Of `graph`, whose exact cut is found with `cut`. */
  constructor(graph: CorrelationGraph, cut: MinimumCut) {
    this.#graph = graph;
    this.#cut = cut;
    this.#channels = new Int32Array(graph.channelOf.length);
    this.#weights = new Int32Array(graph.weights.length);
  }

  /** Hands over what it remembers. */
  carry(state: StateCarrier): void {
    this.#nodeCount = state.number(this.#nodeCount);
    this.#weight = state.number(this.#weight);
    state.array(this.#channels);
    state.array(this.#weights);
    this.#cut.carry(state);
  }

  reset(): void {
    this.#nodeCount = 0;
  }

  /** The graph's exact cut weighs `weight`. */
  remember(weight: number): void {
    this.#nodeCount = this.#graph.nodeCount;
    this.#weight = weight;
    this.#channels.set(this.#graph.channelOf);
    this.#weights.set(this.#graph.weights);
  }

  /** Takes the cheapest bounds of the graph as it is now; it has 2 or more nodes. */
  start(): void {
    this.#floor = 0;
    this.#ceiling = this.#lightestNode();
    if (this.#isSameGraph()) this.#compare();
  }

  #lightestNode(): number {
    const { degree, nodeCount } = this.#graph;
    let least = degree[0]!;
    for (let node = 1; node < nodeCount; node++) if (degree[node]! < least) least = degree[node]!;
    return least;
  }

  #isSameGraph(): boolean {
    const { channelOf, nodeCount } = this.#graph;
    if (this.#nodeCount !== nodeCount) return false;
    for (let node = 0; node < nodeCount; node++) {
      if (this.#channels[node] !== channelOf[node]) return false;
    }
    return true;
  }

  /** What was lost since; and what the last cut weighs now. */
  #compare(): void {
    const { nodeCount, stride, weights } = this.#graph;
    const { side } = this.#cut;
    let lost = 0;
    let last = 0;
    for (let node = 0; node < nodeCount; node++) {
      for (let other = node + 1, at = node * stride + other; other < nodeCount; other++, at++) {
        const change = weights[at]! - this.#weights[at]!;
        if (change < 0) lost -= change;
        if (side[node] !== side[other]) last += weights[at]!;
      }
    }
    if (last < this.#ceiling) this.#ceiling = last;
    if (this.#weight - lost > this.#floor) this.#floor = this.#weight - lost;
  }

  /** Whether the bounds tell if lambda, Q15, is `lambdaQ15` or more; tries to prove it if they do not yet. */
  decides(lambdaQ15: number): boolean {
    const { nodeCount, stride, weights, heaviest } = this.#graph;
    // Lambda is the weight over (nodes - 1), rounded to nearest, halves up.
    const least = lambdaQ15 === 0 ? 0 : Math.ceil(((2 * lambdaQ15 - 1) * (nodeCount - 1)) / 2);
    if (this.#floor >= least || this.#ceiling < least) return true;
    // The ordering joins its first node to another only by an edge of the floor's weight.
    if (heaviest < least || !this.#cut.proves(least, weights, nodeCount, stride)) return false;
    this.#floor = least;
    return true;
  }

  get floorQ15(): number {
    return Math.round(this.#floor / (this.#graph.nodeCount - 1));
  }

  get ceilingQ15(): number {
    return Math.round(this.#ceiling / (this.#graph.nodeCount - 1));
  }
}
