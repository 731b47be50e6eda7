/** The float32 trainer against central differences of the double-precision reference, per parameter group and loss. */
import { describe, expect, it } from 'vitest';
import { type TransformerConfig, validateConfig } from '../../src/engine/config.ts';
import type { HeadPattern } from '../../src/engine/patterns.ts';
import { backward } from '../../src/train/backward.ts';
import { initialParameters } from '../../src/train/layout.ts';
import { exitWeights, type TaskKind } from '../../src/train/losses.ts';
import { exitLosses, forward } from '../../src/train/network.ts';
import { Random } from '../../src/train/random.ts';
import { type ReferenceBatch, referenceLogits, referenceLoss } from '../../src/train/reference.ts';
import { exitTapes, floats, integers, makeWorkspace, type Workspace } from '../../src/train/workspace.ts';

const seed = 20260;
const shape = { sequences: 3, length: 6 };
const rows = shape.sequences * shape.length;

type Technique = Partial<Pick<TransformerConfig, 'routing' | 'refinement' | 'attention' | 'patterns'>>;

const configOf = (outputs: number, hidden: number, heads: number, technique: Technique): TransformerConfig =>
  validateConfig({
    features: 5,
    outputs,
    sequence: 8,
    hidden,
    heads,
    layers: 3,
    window: 4,
    feedForward: 10,
    ...technique,
    tiers: [
      { layers: 3, sequence: 8, window: 4 },
      { layers: 1, sequence: 4, window: 2 },
      { layers: 1, sequence: 2, window: 2 },
    ],
  });

const outputsOf = { classify: 3, anomaly: 4, forecast: 6 } as const;
const exitsOf = ({ layers, refinement }: TransformerConfig) => exitWeights(layers, 1, refinement?.rounds);

interface Problem {
  readonly workspace: Workspace;
  readonly parameters: Float64Array;
  readonly batch: ReferenceBatch;
  readonly settings: {
    readonly kind: TaskKind;
    readonly labelSmoothing: number;
    readonly routerWeight: number;
  };
}

/** Everything random, nothing special: even the parameters that start at zero are moved away from it. */
function makeProblem(kind: TaskKind, hidden: number, heads: number, technique: Technique): Problem {
  const config = configOf(outputsOf[kind], hidden, heads, technique);
  const workspace = makeWorkspace(config, kind, { sequences: shape.sequences, rows });
  const random = new Random(seed);
  const parameters = initialParameters(config, workspace.layout, seed).map(
    (value) => value + 0.2 * random.normal(),
  );
  floats(workspace, workspace.parameters, parameters.length).set(parameters);
  const features = new Int16Array(workspace.memory.buffer, workspace.features, rows * config.features);
  features.forEach((_, index) => {
    features[index] = Math.round(1024 * random.normal());
  });
  // Few, so that some are equal, and some 0: never pinned.
  const marks = integers(workspace, workspace.marks, rows).map(() => random.below(4));
  integers(workspace, workspace.marks, rows).set(marks);
  const targets = floats(workspace, workspace.targets, rows * workspace.targetSize);
  targets.forEach((_, index) => {
    targets[index] = kind === 'classify' ? random.below(config.outputs) : random.normal();
  });
  if (kind !== 'classify') targets[3] = Number.NaN;
  const weights = floats(workspace, workspace.weights, rows);
  weights.forEach((_, row) => {
    weights[row] = row === 5 ? 0 : 0.5 + random.uniform();
  });
  const keep = workspace.layers.map((tape, layer) => {
    const kept = [1, layer === 1 ? 0 : 1, layer === 2 ? 0 : 1];
    floats(workspace, tape.keep, shape.sequences).set(kept);
    return kept;
  });
  const batch = {
    ...shape,
    features: Float64Array.from(features, (feature) => feature / 1024),
    marks,
    targets: Float64Array.from(targets),
    weights: Float64Array.from(weights),
    keep,
  };
  return {
    workspace,
    parameters: Float64Array.from(parameters),
    batch,
    settings: { kind, labelSmoothing: 0.1, routerWeight: 0.3 },
  };
}

const kinds = ['classify', 'anomaly', 'forecast'] as const;

/** Of 3 layers and 2 heads. */
const severalPatterns: HeadPattern[][] = [
  [{ local: 4 }, { local: 1, ages: [3] }],
  [{ local: 1, pinned: 1 }, { local: 2 }],
  [
    { local: 1, pinned: 1, ages: [2] },
    { local: 1, pinned: 1 },
  ],
];
const severalAges: HeadPattern[][] = Array.from({ length: 3 }, () => [
  { local: 1, ages: [2, 3] },
  { local: 3 },
]);

const cases: [string, number, number, Technique][] = [
  ['hidden 8, 2 heads', 8, 2, {}],
  ['hidden 9, 3 heads', 9, 3, {}],
  ['routed layers', 8, 2, { routing: { layers: [0, 2], capacity: 0.5 } }],
  ['spike attention', 8, 2, { attention: 'spike' }],
  ['spike attention in routed layers', 9, 3, { attention: 'spike', routing: { layers: [1], capacity: 0.6 } }],
  ['refinement', 8, 2, { refinement: { rounds: 3 } }],
  ['heads of several patterns', 8, 2, { patterns: severalPatterns }],
  ['ages in routed layers', 8, 2, { patterns: severalAges, routing: { layers: [1], capacity: 0.6 } }],
];

describe.each(kinds)('%s', (kind) => {
  it.each(cases)('computes the reference logits and loss (%s)', (_, hidden, heads, technique) => {
    const { workspace, parameters, batch, settings } = makeProblem(kind, hidden, heads, technique);
    forward(workspace, shape, 'top', 'ramps');
    const expected = referenceLogits(workspace.config, workspace.layout, parameters, batch);
    exitTapes(workspace).forEach((tape, layer) => {
      const logits = floats(workspace, tape.logits, rows * workspace.config.outputs);
      logits.forEach((logit, index) => {
        expect(Math.abs(logit - expected[layer]![index]!)).toBeLessThan(1e-4);
      });
    });
    const exits = exitsOf(workspace.config);
    const total = exitLosses(workspace, shape, settings, exits);
    const reference = referenceLoss(workspace.config, workspace.layout, parameters, batch, settings, exits);
    expect(total / reference).toBeCloseTo(1, 5);
  });

  it.each(cases)('has the gradients of central differences (%s)', (_, hidden, heads, technique) => {
    const { workspace, parameters, batch, settings } = makeProblem(kind, hidden, heads, technique);
    const { config, layout } = workspace;
    forward(workspace, shape, 'top', 'ramps');
    const exits = exitsOf(config);
    exitLosses(workspace, shape, settings, exits);
    backward(workspace, shape, workspace.parameters, null);
    const gradients = floats(workspace, workspace.gradients, layout.count);
    const lossAt = (index: number, value: number) => {
      const moved = parameters.slice();
      moved[index] = value;
      return referenceLoss(config, layout, moved, batch, settings, exits);
    };
    const random = new Random(seed, 7);
    for (const slice of layout.slices) {
      const size = slice.rows * slice.columns;
      for (let probe = 0; probe < Math.min(8, size); probe++) {
        const index = slice.offset + (size <= 8 ? probe : random.below(size));
        const step = 1e-5;
        const center = parameters[index]!;
        const expected = (lossAt(index, center + step) - lossAt(index, center - step)) / (2 * step);
        const tolerance = 2e-4 * Math.max(1, Math.abs(expected));
        expect(Math.abs(gradients[index]! - expected), `${slice.name}[${index - slice.offset}]`).toBeLessThan(
          tolerance,
        );
      }
    }
  });
});

it('gives every exit a weight, the last the most', () => {
  expect(exitWeights(1, 1)).toEqual([1]);
  const weights = exitWeights(4, 0.5);
  expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12);
  for (let layer = 1; layer < 4; layer++) expect(weights[layer]!).toBeGreaterThan(weights[layer - 1]!);
  const [first, last, ...rounds] = exitWeights(2, 1, 2);
  expect(rounds).toEqual([last, last]);
  expect(first! + 3 * last!).toBeCloseTo(1, 12);
});
