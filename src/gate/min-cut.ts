/**
 * The exact global minimum cut of a small dense graph, after Nagamochi, Ono and Ibaraki, "Implementing an efficient
 * minimum capacity cut algorithm" (Mathematical Programming 1994): the maximum adjacency ordering of Stoer and Wagner,
 * but whatever it proves to be connected at least as strongly as the best cut known is merged at once, so that a
 * healthy graph takes two or three orderings instead of one per node.
 *
 * Integers only, on fixed arrays, in an order that depends on nothing but the weights: every machine finds the same cut.
 */

import { assert } from '../engine/limits.ts';
import type { StateCarrier } from './carrier.ts';

export class MinimumCut {
  /** Total weight of the edges that cross the cut found last. */
  weight = 0;
  /** [nodes], 1 for the nodes on the side without node 0. */
  readonly side: Uint8Array;
  readonly #nodesMax: number;
  /** The graph as it shrinks, [count x count], row-major; two of them to shrink from one into the other. */
  #graph: Int32Array;
  #shrunk: Int32Array;
  /** Nodes of the shrinking graph. */
  #count = 0;
  /** Sum of each node's edges. */
  readonly #degree: Int32Array;
  /** Weight between a node and those already ordered. */
  readonly #attachment: Int32Array;
  /** Nodes of the shrinking graph: those not yet ordered in front, those ordered behind. */
  readonly #order: Int32Array;
  /** The node of the shrinking graph that holds each original node. */
  readonly #holder: Int32Array;
  /** Union-find over the nodes of the shrinking graph; a root is its own parent and the least of its set. */
  readonly #parent: Int32Array;
  /** Number of each root in the next graph. */
  readonly #number: Int32Array;

  /** Room for graphs of up to `nodesMax` nodes. */
  constructor(nodesMax: number) {
    this.#nodesMax = nodesMax;
    this.side = new Uint8Array(nodesMax);
    this.#graph = new Int32Array(nodesMax * nodesMax);
    this.#shrunk = new Int32Array(nodesMax * nodesMax);
    this.#degree = new Int32Array(nodesMax);
    this.#attachment = new Int32Array(nodesMax);
    this.#order = new Int32Array(nodesMax);
    this.#holder = new Int32Array(nodesMax);
    this.#parent = new Int32Array(nodesMax);
    this.#number = new Int32Array(nodesMax);
  }

  /**
   * Finds the cut of the graph with `nodes` (2 or more) nodes. `weights`: row-major, `stride` numbers per row,
   * symmetric, whole numbers >= 0 whose sum over the graph fits an int32; the diagonal is not looked at.
   * Returns `weight`; `side` tells where the nodes are.
   */
  find(weights: Int32Array, nodes: number, stride: number): number {
    this.#load(weights, nodes, stride);
    this.weight = 2 ** 31 - 1;
    this.#keepLightestNode(nodes);
    while (this.#count > 1 && this.weight > 0) {
      this.#arrange(nodes);
      this.#shrink(nodes);
      if (this.#count > 1) this.#keepLightestNode(nodes);
    }
    this.#orient(nodes);
    return this.weight;
  }

  /**
   * Whether one ordering proves that no cut of the graph weighs less than `floor`; false says nothing. Arguments as
   * `find`; `weight` and `side` stay as they are.
   */
  proves(floor: number, weights: Int32Array, nodes: number, stride: number): boolean {
    this.#load(weights, nodes, stride);
    return this.#joinAtLeast(floor) === 1;
  }

  /** Hands over what it remembers. */
  carry(state: StateCarrier): void {
    this.weight = state.number(this.weight);
    state.array(this.side);
  }

  #load(weights: Int32Array, nodes: number, stride: number): void {
    assert(nodes >= 2 && nodes <= this.#nodesMax, 'a cut has two sides and the graph fits');
    this.#count = nodes;
    const graph = this.#graph;
    for (let row = 0; row < nodes; row++) {
      this.#holder[row] = row;
      const from = row * stride;
      const to = row * nodes;
      let degree = 0;
      for (let column = 0; column < nodes; column++) {
        const weight = column === row ? 0 : weights[from + column]!;
        graph[to + column] = weight;
        degree += weight;
      }
      this.#degree[row] = degree;
    }
  }

  /** One node against all others is a cut. */
  #keepLightestNode(nodes: number): void {
    let lightest = 0;
    for (let node = 1; node < this.#count; node++) {
      if (this.#degree[node]! < this.#degree[lightest]!) lightest = node;
    }
    if (this.#degree[lightest]! >= this.weight) return;
    this.weight = this.#degree[lightest]!;
    for (let node = 0; node < nodes; node++) this.side[node] = this.#holder[node] === lightest ? 1 : 0;
  }

  /**
   * Orders the nodes by maximum adjacency. Each prefix of the order is a cut, kept if it is lighter than the best; and
   * where an edge's later end is attached to its predecessors, that edge included, by the best weight or more, no
   * lighter cut parts the two ends (the paper's Lemma 3.1), so that they are joined.
   */
  #arrange(nodes: number): void {
    const count = this.#startOrder();
    let prefix = 0;
    let next = 0;
    for (let left = count; left > 1; ) {
      const node = this.#order[next]!;
      this.#order[next] = this.#order[--left]!;
      this.#order[left] = node;
      prefix += this.#degree[node]! - 2 * this.#attachment[node]!;
      if (prefix < this.weight) this.#keepPrefix(prefix, left, nodes);
      next = this.#attach(node, left, this.weight);
    }
  }

  /** The same without looking for a cut: joins by `floor`. Returns how many sets of nodes are left. */
  #joinAtLeast(floor: number): number {
    const count = this.#startOrder();
    let next = 0;
    for (let left = count; left > 1; ) {
      const node = this.#order[next]!;
      this.#order[next] = this.#order[--left]!;
      this.#order[left] = node;
      next = this.#attach(node, left, floor);
    }
    let sets = 0;
    for (let node = 0; node < count; node++) if (this.#parent[node] === node) sets++;
    return sets;
  }

  #startOrder(): number {
    const count = this.#count;
    for (let node = 0; node < count; node++) {
      this.#order[node] = node;
      this.#parent[node] = node;
      this.#attachment[node] = 0;
    }
    return count;
  }

  /** Attaches the first `left` of the order to `node`; returns the place of the one attached most. */
  #attach(node: number, left: number, floor: number): number {
    const graph = this.#graph;
    const attachment = this.#attachment;
    const order = this.#order;
    const row = node * this.#count;
    let next = 0;
    let most = -1;
    for (let place = 0; place < left; place++) {
      const other = order[place]!;
      const weight = graph[row + other]!;
      const sum = attachment[other]! + weight;
      attachment[other] = sum;
      if (sum > most) {
        most = sum;
        next = place;
      }
      if (sum >= floor && weight > 0) this.#join(node, other);
    }
    return next;
  }

  #root(node: number): number {
    const parent = this.#parent;
    let root = node;
    while (parent[root] !== root) {
      parent[root] = parent[parent[root]!]!;
      root = parent[root]!;
    }
    return root;
  }

  #join(a: number, b: number): void {
    const rootA = this.#root(a);
    const rootB = this.#root(b);
    if (rootA < rootB) this.#parent[rootB] = rootA;
    else this.#parent[rootA] = rootB;
  }

  /** The places from `left` on hold the prefix. */
  #keepPrefix(weight: number, left: number, nodes: number): void {
    this.weight = weight;
    const inside = this.#number;
    for (let place = 0; place < this.#count; place++) inside[this.#order[place]!] = place >= left ? 1 : 0;
    for (let node = 0; node < nodes; node++) this.side[node] = inside[this.#holder[node]!]!;
  }

  /** Makes one node of each set that was joined. */
  #shrink(nodes: number): void {
    const before = this.#count;
    const after = this.#numberRoots();
    const into = this.#shrunk;
    into.fill(0, 0, after * after);
    for (let row = 0; row < before; row++) {
      const to = this.#number[row]! * after;
      for (let column = 0; column < before; column++) {
        into[to + this.#number[column]!]! += this.#graph[row * before + column]!;
      }
    }
    for (let node = 0; node < nodes; node++) this.#holder[node] = this.#number[this.#holder[node]!]!;
    this.#shrunk = this.#graph;
    this.#graph = into;
    this.#count = after;
    this.#sumDegrees();
  }

  /** Roots are the least of their sets, so that a member's root has its number before it. */
  #numberRoots(): number {
    let roots = 0;
    for (let node = 0; node < this.#count; node++) {
      const root = this.#root(node);
      this.#number[node] = root === node ? roots++ : this.#number[root]!;
    }
    return roots;
  }

  #sumDegrees(): void {
    const count = this.#count;
    for (let row = 0; row < count; row++) {
      this.#graph[row * count + row] = 0;
      let degree = 0;
      for (let column = 0; column < count; column++) degree += this.#graph[row * count + column]!;
      this.#degree[row] = degree;
    }
  }

  #orient(nodes: number): void {
    if (this.side[0] === 0) return;
    for (let node = 0; node < nodes; node++) this.side[node] = 1 - this.side[node]!;
  }
}
