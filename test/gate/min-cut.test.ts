import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MinimumCut } from '../../src/gate/min-cut.ts';
import { heapBytesPerCall, NOTHING_BYTES, SEED } from './fixtures.ts';

/** Every way to cut: masks of the side without node 0. */
function sidesOf(nodes: number): number[] {
  return Array.from({ length: 2 ** (nodes - 1) - 1 }, (_, index) => (index + 1) << 1);
}

function crosses(side: number, a: number, b: number): boolean {
  return ((side >> a) & 1) !== ((side >> b) & 1);
}

function edgesOf(nodes: number): [number, number][] {
  const edges: [number, number][] = [];
  for (let a = 0; a < nodes; a++) for (let b = a + 1; b < nodes; b++) edges.push([a, b]);
  return edges;
}

function cutWeight(weights: Int32Array, nodes: number, side: number): number {
  return edgesOf(nodes).reduce((sum, [a, b]) => sum + (crosses(side, a, b) ? weights[a * nodes + b]! : 0), 0);
}

function symmetric(nodes: number, edgeWeights: readonly number[]): Int32Array {
  const weights = new Int32Array(nodes * nodes);
  edgesOf(nodes).forEach(([a, b], edge) => {
    weights[a * nodes + b] = weights[b * nodes + a] = edgeWeights[edge]!;
  });
  return weights;
}

function sideMask(cut: MinimumCut, nodes: number): number {
  let mask = 0;
  for (let node = 0; node < nodes; node++) mask |= cut.side[node]! << node;
  return mask;
}

/** Per assignment of weights 0..3 to some edges (as base-4 digits): what each side mask cuts of them. */
function partialCuts(edges: [number, number][], nodes: number): Int32Array {
  const masks = 2 ** nodes;
  const table = new Int32Array(4 ** edges.length * masks);
  for (let code = 0; code < 4 ** edges.length; code++) {
    for (let side = 0; side < masks; side++) {
      let sum = 0;
      edges.forEach(([a, b], digit) => {
        if (crosses(side, a, b)) sum += (code >> (2 * digit)) & 3;
      });
      table[code * masks + side] = sum;
    }
  }
  return table;
}

/** Runs every graph with weights 0..3; returns how many have a wrong weight or a side that does not cut it. */
function exhaust(nodes: number): { graphs: number; wrong: number } {
  const edges = edgesOf(nodes);
  const half = edges.length >> 1;
  const low = partialCuts(edges.slice(0, half), nodes);
  const high = partialCuts(edges.slice(half), nodes);
  const masks = 2 ** nodes;
  const sides = sidesOf(nodes);
  const cut = new MinimumCut(nodes);
  const weights = new Int32Array(nodes * nodes);
  const graphs = 4 ** edges.length;
  let wrong = 0;
  for (let code = 0; code < graphs; code++) {
    for (let edge = 0; edge < edges.length; edge++) {
      const [a, b] = edges[edge]!;
      weights[a * nodes + b] = weights[b * nodes + a] = (code >> (2 * edge)) & 3;
    }
    const lowAt = (code % 4 ** half) * masks;
    const highAt = Math.floor(code / 4 ** half) * masks;
    let least = Number.POSITIVE_INFINITY;
    for (let index = 0; index < sides.length; index++) {
      least = Math.min(least, low[lowAt + sides[index]!]! + high[highAt + sides[index]!]!);
    }
    const found = cut.find(weights, nodes, nodes);
    const side = sideMask(cut, nodes);
    const proper = side !== 0 && (side & 1) === 0;
    if (found !== least || !proper || low[lowAt + side]! + high[highAt + side]! !== least) wrong++;
  }
  return { graphs, wrong };
}

describe('MinimumCut', () => {
  it.each([2, 3, 4, 5])('equals brute force on every graph of %i nodes with weights 0 to 3', (nodes) => {
    const { graphs, wrong } = exhaust(nodes);
    expect(graphs).toBe(4 ** ((nodes * (nodes - 1)) / 2));
    expect(wrong).toBe(0);
  });

  it('equals brute force on random larger graphs', () => {
    const graph = fc.integer({ min: 6, max: 11 }).chain((nodes) => {
      const edges = (nodes * (nodes - 1)) / 2;
      const weight = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 32767 }));
      return fc.record({
        nodes: fc.constant(nodes),
        edges: fc.array(weight, { minLength: edges, maxLength: edges }),
      });
    });
    const cut = new MinimumCut(64);
    fc.assert(
      fc.property(graph, ({ nodes, edges }) => {
        const weights = symmetric(nodes, edges);
        const least = Math.min(...sidesOf(nodes).map((side) => cutWeight(weights, nodes, side)));
        expect(cut.find(weights, nodes, nodes)).toBe(least);
        expect(cutWeight(weights, nodes, sideMask(cut, nodes))).toBe(least);
      }),
      { seed: SEED, numRuns: 60 },
    );
  });

  it("finds the cut of Stoer and Wagner's own example", () => {
    const cut = new MinimumCut(8);
    const edges: [number, number, number][] = [
      [1, 2, 2],
      [1, 5, 3],
      [2, 3, 3],
      [2, 5, 2],
      [2, 6, 2],
      [3, 4, 4],
      [3, 7, 2],
      [4, 7, 2],
      [4, 8, 2],
      [5, 6, 3],
      [6, 7, 1],
      [7, 8, 3],
    ];
    const weights = new Int32Array(64);
    for (const [a, b, weight] of edges) weights[(a - 1) * 8 + b - 1] = weights[(b - 1) * 8 + a - 1] = weight;
    expect(cut.find(weights, 8, 8)).toBe(4);
    expect([...cut.side]).toEqual([0, 0, 1, 1, 0, 0, 1, 1]);
  });

  it('reads a graph inside a wider matrix, and breaks ties the same way every time', () => {
    const wide = new Int32Array(4 * 10);
    for (let a = 0; a < 4; a++) for (let b = 0; b < 4; b++) wide[a * 10 + b] = a === b ? 99 : 1;
    const cut = new MinimumCut(10);
    expect(cut.find(wide, 4, 10)).toBe(3);
    expect([...cut.side.subarray(0, 4)]).toEqual([0, 1, 1, 1]);
  });

  it('refuses a graph without two sides, or too large', () => {
    const cut = new MinimumCut(3);
    for (const nodes of [0, 1, 4])
      expect(() => cut.find(new Int32Array(16), nodes, 4)).toThrow(/assertion failed/);
  });

  it('allocates nothing', () => {
    const cut = new MinimumCut(16);
    const weights = new Int32Array(256);
    const bytes = heapBytesPerCall((tick) => {
      weights[(tick * 7) & 255] = tick & 32767;
      cut.find(weights, 16, 16);
    }, 1000);
    expect(bytes).toBeLessThan(NOTHING_BYTES);
  });
});
