/**
 * The transformer: causal, pre-norm, int8.
 *
 * This page is the whole of it and reads like the paper, from `run` on; the arithmetic of each line is in
 * docs/integer-rules.md, its loops are the kernels'.
 */
import { isRouted, type TransformerConfig } from './config.ts';
import {
  componentMacs,
  componentWeightBytes,
  embeddingMacs,
  embeddingWeightBytes,
  feedForwardMacs,
  feedForwardWeightBytes,
  forecastMacs,
  forecastWeightBytes,
  headMacs,
  headWeightBytes,
  historyRank,
  keyValueMacs,
  keyValueWeightBytes,
  layerMacs,
  layerWeightBytes,
  routerWeightBytes,
} from './cost.ts';
import type { Histories } from './history.ts';
import { sigmoidQ15 } from './integer.ts';
import type { Kernels } from './kernels/contract.ts';
import type { KvRings } from './kv-rings.ts';
import type { FeedForwardLayout, MemoryLayout } from './memory-layout.ts';
import type { Gain, Model } from './model.ts';
import type { Plan } from './plan.ts';
import type { StepStats } from './step-stats.ts';

/** Which outputs of a prefill are wanted. */
export type Wanted = 'all' | 'last';

/** What it works on. Rows hold the ticks of one call. */
export interface Parts {
  readonly model: Model;
  readonly rows: number;
  readonly memory: WebAssembly.Memory;
  readonly layout: MemoryLayout;
  readonly kernels: Kernels;
  readonly rings: KvRings;
  /** Only if the configuration has a history. */
  readonly histories: Histories | undefined;
  /** Every call charges it. */
  readonly stats: StepStats;
}

export class ForwardPass {
  /** [rows] layers that the tick in each row has gone through. */
  readonly depths: Uint8Array;
  readonly #model: Model;
  readonly #config: TransformerConfig;
  readonly #layout: MemoryLayout;
  readonly #kernels: Kernels;
  readonly #rings: KvRings;
  readonly #histories: Histories | undefined;
  readonly #stats: StepStats;
  readonly #bytes: Uint8Array;
  /** [1] what the last router said; empty without routing. */
  readonly #routeLogit: Int32Array;

  constructor({ model, rows, memory, layout, kernels, rings, histories, stats }: Parts) {
    this.#model = model;
    this.#config = model.config;
    this.#layout = layout;
    this.#kernels = kernels;
    this.#rings = rings;
    this.#histories = histories;
    this.#stats = stats;
    this.depths = new Uint8Array(rows);
    this.#bytes = new Uint8Array(memory.buffer);
    this.#routeLogit = new Int32Array(memory.buffer, layout.route, model.config.routing ? 1 : 0);
  }

  /** The transformer: rows `from` to `to` -> logits. What the `wanted` outputs do not need is left out. */
  run(from: number, to: number, plan: Plan, wanted: Wanted, logits: number): void {
    const memory = this.#config.window - 1;
    const embedded = plan.layers > 0 ? this.#coneRows(plan, 0) + memory : 1;
    this.#summarise(firstRow(wanted, from, to, embedded), to, plan);
    if (plan.layers > 0) this.#embed(firstRow(wanted, from, to, embedded), to);
    for (let index = 0; index < plan.layers; index++) {
      const computed = firstRow(wanted, from, to, this.#coneRows(plan, index));
      const written = firstRow(wanted, from, to, this.#coneRows(plan, index) + memory);
      this.#layer(index, written, computed, to, plan);
    }
    this.depths.fill(plan.layers, from, to);
    this.#extrapolate(firstRow(wanted, from, to, 1), to, plan);
    this.#predict(firstRow(wanted, from, to, 1), to, logits);
  }

  #embed(from: number, to: number): void {
    const { features, featureBytes, embedding, residual, residualBytes } = this.#layout;
    this.#kernels.embed(
      features + from * featureBytes,
      embedding,
      residual + from * residualBytes,
      to - from,
    );
    this.#charge((to - from) * embeddingMacs(this.#config), embeddingWeightBytes(this.#config));
  }

  /** Rows from `written` on give the layer keys and values; rows from `computed` on go through it. */
  #layer(index: number, written: number, computed: number, to: number, plan: Plan): void {
    if (this.#layout.layers[index]!.router === undefined) this.#block(index, written, computed, to, plan);
    else this.#route(index, written, computed, to, plan);
  }

  /** Mixture-of-depths (Raposo et al. 2024): a row goes through the layer, scaled by its router, or around it. */
  #route(index: number, written: number, computed: number, to: number, plan: Plan): void {
    const { before, residual, residualBytes } = this.#layout;
    for (let row = written; row < to; row++) {
      const gateQ15 = this.#gate(index, row);
      if (gateQ15 === 0) continue;
      if (row < computed) {
        this.#rememberOnly(index, row, row + 1, plan);
        continue;
      }
      const at = residual + row * residualBytes;
      this.#bytes.copyWithin(before, at, at + residualBytes);
      this.#block(index, row, row, row + 1, plan);
      this.#kernels.blend(at, before, gateQ15, residualBytes / 2);
    }
  }

  /** What the router of a layer makes of a row: 0 around, else the share of the layer's change that is kept. */
  #gate(index: number, row: number): number {
    const { normed, normedBytes, route, layers } = this.#layout;
    const { weights } = this.#model;
    this.#normaliseForAttention(index, row, row + 1);
    this.#kernels.score(normed + row * normedBytes, layers[index]!.router!, route, 1);
    this.#charge(this.#config.hidden, routerWeightBytes(this.#config));
    const logit = this.#routeLogit[0]!;
    return this.#rings.admits(row, index, logit >= 0) ? sigmoidQ15(logit, weights.exponentTable) : 0;
  }

  #block(index: number, written: number, computed: number, to: number, plan: Plan): void {
    const kernels = this.#kernels;
    const at = this.#layout;
    const layer = at.layers[index]!;
    const { feedForwardGain } = this.#model.weights.layers[index]!;
    const count = to - computed;
    const residual = at.residual + computed * at.residualBytes;
    const normed = at.normed + computed * at.normedBytes;
    const queryKeyValue = at.queryKeyValue + computed * at.queryKeyValueBytes;

    this.#normaliseForAttention(index, written, to);
    kernels.project(normed, layer.queryKeyValue, queryKeyValue, at.queryKeyValueBytes, count);
    this.#rememberOnly(index, written, computed, plan);
    this.#rings.attend(kernels, index, computed, to, plan, this.#stats);
    kernels.addProjection(at.context + computed * at.contextBytes, layer.output, residual, count);

    this.#feedForward(layer, feedForwardGain, computed, to);
    this.#charge(count * layerMacs(this.#config), layerWeightBytes(this.#config));
  }

  #feedForward(block: FeedForwardLayout, gain: Gain, from: number, to: number): void {
    const { up, gelu, down } = block;
    const { normed, normedBytes, activated, residual, residualBytes } = this.#layout;
    this.#normalise(gain, block.gain, from, to);
    this.#kernels.activate(normed + from * normedBytes, up, gelu, activated, to - from);
    this.#kernels.addProjection(activated, down, residual + from * residualBytes, to - from);
  }

  /** What the past of each channel amounts to, beside the features. */
  #summarise(from: number, to: number, plan: Plan): void {
    if (this.#histories === undefined) return;
    const rank = historyRank(this.#config, plan);
    this.#histories.summarise(this.#kernels, from, to, rank);
    this.#charge((to - from) * componentMacs(this.#config, rank), componentWeightBytes(this.#config, rank));
  }

  /** Where that leads by itself. */
  #extrapolate(from: number, to: number, plan: Plan): void {
    if (this.#histories === undefined) return;
    const rank = historyRank(this.#config, plan);
    this.#histories.forecast(this.#kernels, from, to, rank);
    this.#charge((to - from) * forecastMacs(this.#config, rank), forecastWeightBytes(this.#config, rank));
  }

  /** Head and linear path. */
  #predict(from: number, to: number, logits: number): void {
    const { features, featureBytes, linear, logitBytes } = this.#layout;
    const out = logits + from * logitBytes;
    if (this.depths[from]! > 0) this.#head(from, to, out);
    else this.#bytes.fill(0, out, logits + to * logitBytes);
    if (linear !== undefined) {
      this.#kernels.addFeatures(features + from * featureBytes, linear, out, to - from);
    }
    this.#histories?.addTo(logits, from, to);
  }

  #head(from: number, to: number, logits: number): void {
    const { normed, normedBytes, headGain, head } = this.#layout;
    this.#normalise(this.#model.weights.headGain, headGain, from, to);
    this.#kernels.score(normed + from * normedBytes, head, logits, to - from);
    this.#charge((to - from) * headMacs(this.#config), headWeightBytes(this.#config));
  }

  #normaliseForAttention(index: number, from: number, to: number): void {
    const { attentionGain } = this.#model.weights.layers[index]!;
    this.#normalise(attentionGain, this.#layout.layers[index]!.attentionGain, from, to);
  }

  /** `gains`: where the gains of the channels lie, if each has its own. */
  #normalise(gain: Gain, gains: number, from: number, to: number): void {
    const { hidden } = this.#config;
    const residual = this.#layout.residual + from * this.#layout.residualBytes;
    const normed = this.#layout.normed + from * this.#layout.normedBytes;
    if (typeof gain === 'number') this.#kernels.normalise(residual, gain, hidden, normed, to - from);
    else this.#kernels.normaliseChannels(residual, gains, hidden, normed, to - from);
  }

  /** Rows that give a layer keys and values without going through it themselves. */
  #rememberOnly(index: number, from: number, to: number, plan: Plan): void {
    if (from === to) return;
    const at = this.#layout;
    const { width } = at.layers[index]!.attention;
    this.#kernels.project(
      at.normed + from * at.normedBytes,
      at.layers[index]!.keyValue,
      at.queryKeyValue + from * at.queryKeyValueBytes + width,
      at.queryKeyValueBytes,
      to - from,
    );
    this.#rings.remember(index, from, to, plan, this.#stats);
    this.#charge((to - from) * keyValueMacs(this.#config), keyValueWeightBytes(this.#config));
  }

  /**
   * Rows that must go through layer `index` so that the last row's output is whole, now and in later steps: each
   * layer above needs a window of keys and values more.
   */
  #coneRows(plan: Plan, index: number): number {
    return 1 + (plan.layers - 1 - index) * (this.#config.window - 1);
  }

  /** The rows `from` to `to`, all of one depth, go on through the layers of `plan` -> logits. */
  deepen(from: number, to: number, plan: Plan, logits: number): void {
    for (let index = this.depths[from]!; index < plan.layers; index++)
      this.#layer(index, from, from, to, plan);
    this.depths.fill(plan.layers, from, to);
    this.#predict(from, to, logits);
  }

  /**
   * Gives the layers of `plan` that a row has not gone through keys and values all the same, made from what it left:
   * CALM's state propagation (Schuster et al. 2022). Without it those layers have a hole at this tick, as routed layers
   * always have.
   */
  propagate(row: number, plan: Plan): void {
    for (let index = this.depths[row]!; index < plan.layers; index++) {
      if (isRouted(this.#config, index)) continue;
      this.#normaliseForAttention(index, row, row + 1);
      this.#rememberOnly(index, row, row + 1, plan);
    }
  }

  /** One more round of the refinement block on a row -> logits. */
  refine(row: number, logits: number): void {
    const block = this.#layout.refinement!;
    this.#feedForward(block, this.#model.weights.refinement!.feedForwardGain, row, row + 1);
    this.#charge(feedForwardMacs(this.#config), feedForwardWeightBytes(this.#config));
    this.#predict(row, row + 1, logits);
  }

  #charge(macs: number, weightBytes: number): void {
    this.#stats.macs += macs;
    this.#stats.weightBytes += weightBytes;
  }
}

/** The first of the rows `from` to `to` that matters if the last `needed` do. */
function firstRow(wanted: Wanted, from: number, to: number, needed: number): number {
  return wanted === 'all' ? from : Math.max(from, to - needed);
}
