/**
 * The exact global minimum cut of a small dense graph: Stoer and Wagner, "A simple min-cut algorithm" (JACM 1997).
 *
 * O(n^3) on fixed arrays, integers only; ties go to the lowest index, so every machine finds the same cut.
 */
import { assert } from '../engine/limits.ts';

export class MinimumCut {
  /** Total weight of the edges that cross the cut found last. */
  weight = 0;
  /** [nodes], 1 for the nodes on the side without node 0. */
  readonly side: Uint8Array;
  /** Weights of the graph as it shrinks; merged nodes keep the lower index. */
  readonly #merged: Int32Array;
  /** Nodes still in the shrinking graph, ascending. */
  readonly #active: Int32Array;
  /** The node of the shrinking graph that holds each original node. */
  readonly #holder: Int32Array;
  /** Weight between a node and those already ordered; -1 once it is ordered itself. */
  readonly #attachment: Int32Array;
  readonly #stride: number;

  /** Room for graphs of up to `nodesMax` nodes. */
  constructor(nodesMax: number) {
    this.side = new Uint8Array(nodesMax);
    this.#merged = new Int32Array(nodesMax * nodesMax);
    this.#active = new Int32Array(nodesMax);
    this.#holder = new Int32Array(nodesMax);
    this.#attachment = new Int32Array(nodesMax);
    this.#stride = nodesMax;
  }

  /**
   * Finds the cut of the graph with `nodes` (2 or more) nodes. `weights`: row-major, `stride` numbers per row,
   * symmetric, whole numbers >= 0 whose sum per node fits an int32; the diagonal is not looked at.
   * Returns `weight`; `side` tells where the nodes are.
   */
  find(weights: Int32Array, nodes: number, stride: number): number {
    assert(nodes >= 2 && nodes <= this.#stride, 'a cut has two sides and the graph fits');
    this.#load(weights, nodes, stride);
    this.weight = 2 ** 31 - 1;
    for (let count = nodes; count > 1; count--) this.#phase(count, nodes);
    return this.weight;
  }

  #load(weights: Int32Array, nodes: number, stride: number): void {
    for (let row = 0; row < nodes; row++) {
      this.#active[row] = row;
      this.#holder[row] = row;
      for (let column = 0; column < nodes; column++) {
        this.#merged[row * this.#stride + column] = weights[row * stride + column]!;
      }
    }
  }

  /** Orders the active nodes by maximum adjacency; the last one alone is the phase's cut; then merges the last two. */
  #phase(count: number, nodes: number): void {
    const attachment = this.#attachment;
    for (let index = 0; index < count; index++) attachment[this.#active[index]!] = 0;
    let previous = 0;
    let last = 0;
    let cut = 0;
    for (let ordered = 0; ordered < count; ordered++) {
      previous = last;
      last = this.#mostAttached(count);
      cut = attachment[last]!;
      this.#order(last, count);
    }
    if (cut < this.weight) this.#keep(cut, last, nodes);
    this.#merge(Math.min(previous, last), Math.max(previous, last), count, nodes);
  }

  #mostAttached(count: number): number {
    let best = -1;
    let node = 0;
    for (let index = 0; index < count; index++) {
      const candidate = this.#active[index]!;
      if (this.#attachment[candidate]! <= best) continue;
      best = this.#attachment[candidate]!;
      node = candidate;
    }
    return node;
  }

  #order(node: number, count: number): void {
    const row = node * this.#stride;
    this.#attachment[node] = -1;
    for (let index = 0; index < count; index++) {
      const other = this.#active[index]!;
      if (this.#attachment[other]! >= 0) this.#attachment[other]! += this.#merged[row + other]!;
    }
  }

  #keep(cut: number, last: number, nodes: number): void {
    this.weight = cut;
    for (let node = 0; node < nodes; node++) this.side[node] = this.#holder[node] === last ? 1 : 0;
  }

  #merge(kept: number, gone: number, count: number, nodes: number): void {
    const stride = this.#stride;
    let position = 0;
    for (let index = 0; index < count; index++) {
      const other = this.#active[index]!;
      if (other === gone) continue;
      this.#active[position++] = other;
      if (other === kept) continue;
      const sum = this.#merged[kept * stride + other]! + this.#merged[gone * stride + other]!;
      this.#merged[kept * stride + other] = sum;
      this.#merged[other * stride + kept] = sum;
    }
    for (let node = 0; node < nodes; node++) if (this.#holder[node] === gone) this.#holder[node] = kept;
  }
}
