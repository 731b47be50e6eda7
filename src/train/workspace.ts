/** The memory of one trainer thread: parameters, gradients and everything that the backward pass needs again. */
import { headSize, isInt4, isRouted, type TransformerConfig } from '../engine/config.ts';
import { TABLE_SIZE } from '../engine/limits.ts';
import { gemmScratchWords, instantiateKernels, Regions, type TrainingKernels } from './kernels/kernels.ts';
import { type ParameterLayout, parameterLayout } from './layout.ts';
import { type TaskKind, targetSize } from './losses.ts';
import { placeSights, planSights, type Sights } from './sight.ts';

/** How large a batch of one thread may be. */
export interface BatchLimits {
  readonly sequences: number;
  /** Tokens over all sequences. */
  readonly rows: number;
}

/** What a feed-forward block computed, and the exit after it; byte addresses, rows first. */
export interface FeedForwardTape {
  readonly feedForwardNormed: number;
  readonly feedForwardInverse: number;
  /** [rows, feedForward], before and after GELU. */
  readonly up: number;
  readonly activated: number;
  /** Residual stream after the block. */
  readonly out: number;
  readonly exitNormed: number;
  readonly exitInverse: number;
  /** [rows, outputs] of the exit after this block; whole Q16 ones are kept only by the integer pass. */
  readonly logits: number;
  readonly integerLogits: number;
  /** [sequences], 1 or 0: whether the sequence runs this block. */
  readonly keep: number;
  /** [256] bytes, a constant of the integer pass. */
  readonly gelu: number;
}

export interface LayerTape extends FeedForwardTape {
  readonly attentionNormed: number;
  readonly attentionInverse: number;
  /** [rows, 3 hidden]. */
  readonly qkv: number;
  /** [rows, heads, sights.most]. */
  readonly probability: number;
  readonly context: number;
  /** Residual stream between attention and feed-forward. */
  readonly middle: number;
  /** [heads] each: constants of the integer pass. */
  readonly exponentScale: number;
  readonly contextScale: number;
  readonly qkvScales: number;
  readonly qkvLimits: number;
  /** Only in routed layers. */
  readonly routing?: RoutingTape;
  /** Only with spike attention. */
  readonly spiking?: SpikeTape;
}

/** See spike-attention.ts. */
export interface SpikeTape {
  /** [rows, 3 hidden]: queries, keys and values, 1 or 0. */
  readonly spikes: number;
  /** [rows, hidden] each: how far a channel's count is above what does not fire; whether it fires, 1 or 0. */
  readonly excess: number;
  readonly gates: number;
}

/** What a router decided, and what it needs to learn; see routing.ts. */
export interface RoutingTape {
  /** [rows] each: the router's logit, and its gradient. */
  readonly logit: number;
  readonly dLogit: number;
  /** [rows], the share of the layer's change that a token takes; 0: it goes around. */
  readonly gate: number;
  /** [rows], 1 for the capacity's share of largest logits in a sequence, else 0: what the router is taught. */
  readonly top: number;
  /** [rows, hidden], what the layer makes of the residual stream. */
  readonly through: number;
  /** [rows, hidden], whole numbers of the residual stream before the layer; later the gradient that goes around. */
  readonly around: number;
}

export interface Workspace {
  readonly config: TransformerConfig;
  readonly kind: TaskKind;
  readonly limits: BatchLimits;
  readonly layout: ParameterLayout;
  readonly memory: WebAssembly.Memory;
  readonly kernels: TrainingKernels;
  readonly targetSize: number;
  /** Flat arrays in the parameter layout: master values, gradients, dequantised values, whole numbers, multipliers. */
  readonly parameters: number;
  readonly gradients: number;
  readonly dequantised: number;
  readonly integers: number;
  readonly multipliers: number;
  readonly linearMultiplier: number;
  readonly exponentTable: number;
  /** int16 [rows, features]. */
  readonly features: number;
  readonly featuresHigh: number;
  readonly featuresLow: number;
  readonly featuresReal: number;
  /** int32 [rows], as the engine's; read only where heads pin. */
  readonly marks: number;
  readonly sights: Sights;
  /** [rows, targetSize], [rows]. */
  readonly targets: number;
  readonly weights: number;
  readonly embedded: number;
  readonly layers: readonly LayerTape[];
  /** The refinement block, once for each round. */
  readonly rounds: readonly FeedForwardTape[];
  /** [rows, hidden] whole-number residual stream and normed or attended activations. */
  readonly residual: number;
  readonly normed: number;
  readonly context: number;
  /** [rows, widest]: branches and their gradients. */
  readonly wide: number;
  readonly wider: number;
  /** [rows, hidden]. */
  readonly dResidual: number;
  readonly dNormed: number;
  /** [rows, max(outputs, hidden)]. */
  readonly pathHigh: number;
  readonly pathLow: number;
  readonly scratch: number;
  /** Of the integer pass, only with keys and values of four bits: see kernels/assembly/int4.ts. */
  readonly int4?: { readonly codes: number; readonly largest: number };
}

export function makeWorkspace(config: TransformerConfig, kind: TaskKind, limits: BatchLimits): Workspace {
  const { features, outputs, hidden, heads, window, feedForward } = config;
  const { sequences, rows } = limits;
  const layout = parameterLayout(config);
  const regions = new Regions();
  const words = (count: number) => regions.words(count);
  const perRow = (count: number) => words(rows * count);
  const widest = Math.max(3 * hidden, feedForward, outputs, features);
  const target = targetSize(kind, outputs);
  const sights = planSights(config, rows, regions);
  const routing = (): RoutingTape => ({
    logit: perRow(1),
    dLogit: perRow(1),
    gate: perRow(1),
    top: perRow(1),
    through: perRow(hidden),
    around: perRow(hidden),
  });
  const spiking = (): SpikeTape => ({
    spikes: perRow(3 * hidden),
    excess: perRow(hidden),
    gates: perRow(hidden),
  });
  const feedForwardTape = (gelu: number): FeedForwardTape => ({
    feedForwardNormed: perRow(hidden),
    feedForwardInverse: perRow(1),
    up: perRow(feedForward),
    activated: perRow(feedForward),
    out: perRow(hidden),
    exitNormed: perRow(hidden),
    exitInverse: perRow(1),
    logits: perRow(outputs),
    integerLogits: perRow(outputs),
    keep: words(sequences),
    gelu,
  });
  const layer = (_: unknown, index: number): LayerTape => ({
    attentionNormed: perRow(hidden),
    attentionInverse: perRow(1),
    qkv: perRow(3 * hidden),
    probability: perRow(heads * sights.most),
    context: perRow(hidden),
    middle: perRow(hidden),
    ...feedForwardTape(words(TABLE_SIZE / 4)),
    exponentScale: words(heads),
    contextScale: words(heads),
    qkvScales: words(3 * hidden),
    qkvLimits: words(3 * hidden),
    ...(isRouted(config, index) && { routing: routing() }),
    ...(config.attention === 'spike' && { spiking: spiking() }),
  });
  const roundsGelu = words(TABLE_SIZE / 4);
  const rounds = config.refinement?.rounds ?? 0;
  const places = {
    parameters: words(layout.count),
    gradients: words(layout.count),
    dequantised: words(layout.count),
    integers: words(layout.count),
    multipliers: words(layout.count),
    linearMultiplier: words(outputs),
    exponentTable: words(TABLE_SIZE),
    features: perRow(features),
    featuresHigh: perRow(features),
    featuresLow: perRow(features),
    featuresReal: perRow(features),
    marks: perRow(1),
    sights,
    targets: perRow(target),
    weights: perRow(1),
    embedded: perRow(hidden),
    layers: Array.from({ length: config.layers }, layer),
    rounds: Array.from({ length: rounds }, () => feedForwardTape(roundsGelu)),
    residual: perRow(hidden),
    normed: perRow(hidden),
    context: perRow(hidden),
    wide: perRow(widest),
    wider: perRow(widest),
    dResidual: perRow(hidden),
    dNormed: perRow(hidden),
    pathHigh: perRow(Math.max(outputs, hidden)),
    pathLow: perRow(Math.max(outputs, hidden)),
    scratch: words(Math.max(gemmScratchWords(Math.max(rows, widest)), window + 2 * headSize(config))),
    ...(isInt4(config.keyValues) && { int4: { codes: perRow(3 * hidden), largest: perRow(2 * heads) } }),
  };
  const memory = regions.memory();
  placeSights(sights, config, memory);
  const kernels = instantiateKernels(memory);
  // No sequence leaves out a round.
  for (const { keep } of places.rounds) new Float32Array(memory.buffer, keep, sequences).fill(1);
  return { config, kind, limits, layout, memory, kernels, targetSize: target, ...places };
}

/** All blocks with an exit, in order: the layers, then the rounds of refinement. */
export function exitTapes({ layers, rounds }: Workspace): readonly FeedForwardTape[] {
  return [...layers, ...rounds];
}

export function floats(workspace: Workspace, address: number, count: number): Float32Array {
  return new Float32Array(workspace.memory.buffer, address, count);
}

export function integers(workspace: Workspace, address: number, count: number): Int32Array {
  return new Int32Array(workspace.memory.buffer, address, count);
}
