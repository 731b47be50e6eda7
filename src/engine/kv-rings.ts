/**
 * Keys and values: one ring per stream and layer, each slot with its own position.
 *
 * Rings of one stream may differ: a token that ran only the first layers leaves a hole in the deeper ones, and ages
 * are counted from the slots' positions, so a hole is no mistake. Positions are doubles: exact for 2^53 tokens.
 */
import type { TransformerConfig } from './config.ts';
import type { Kernels } from './kernels/contract.ts';
import type { MemoryLayout } from './memory-plan.ts';
import type { Plan } from './plan.ts';

export class KvRings {
  readonly #layers: number;
  readonly #slots: number;
  readonly #width: number;
  readonly #layout: MemoryLayout;
  /** [streams] tokens seen. */
  readonly #positions: Float64Array;
  /** [streams x layers] the slot to be written next, and how many are valid. */
  readonly #next: Int32Array;
  readonly #filled: Int32Array;

  constructor(config: TransformerConfig, streams: number, memory: WebAssembly.Memory, layout: MemoryLayout) {
    this.#layers = config.layers;
    this.#slots = config.sequence;
    this.#width = layout.layers[0]!.attention.width;
    this.#layout = layout;
    this.#positions = new Float64Array(memory.buffer, layout.streamPositions, streams);
    this.#next = new Int32Array(memory.buffer, layout.ringNext, streams * config.layers);
    this.#filled = new Int32Array(memory.buffer, layout.ringFilled, streams * config.layers);
  }

  /** Takes `rows` positions of a stream; returns the first. */
  advance(stream: number, rows: number): number {
    const first = this.#positions[stream]!;
    this.#positions[stream] = first + rows;
    return first;
  }

  /** Makes every slot of a stream invalid; time goes on. */
  empty(stream: number): void {
    const ring = stream * this.#layers;
    this.#filled.fill(0, ring, ring + this.#layers);
    this.#next.fill(0, ring, ring + this.#layers);
  }

  /** As if the stream had never seen a token. */
  reset(stream: number): void {
    this.empty(stream);
    this.#positions[stream] = 0;
  }

  /** Attention of `rows` tokens of one stream in one layer, one after another; returns the positions attended to. */
  attend(kernels: Kernels, stream: number, layer: number, first: number, rows: number, plan: Plan): number {
    const { attention } = this.#layout.layers[layer]!;
    const ring = stream * this.#layers + layer;
    const slot0 = ring * (this.#slots + 1);
    const keys = this.#layout.keys + slot0 * this.#width;
    const values = this.#layout.values + slot0 * this.#width;
    const slotPositions = this.#layout.slotPositions + slot0 * 8;
    let positions = 0;
    for (let row = 0; row < rows; row++) {
      const next = this.#next[ring]!;
      const newest = next === 0 ? this.#slots - 1 : next - 1;
      // A ring that is full loses its oldest slot to this token; a frozen token has a slot of its own.
      const frozen = plan.kv === 'freeze';
      const self = frozen ? this.#slots : next;
      const older = frozen ? this.#filled[ring]! : Math.min(this.#filled[ring]!, this.#slots - 1);
      positions += kernels.attend(
        attention,
        this.#layout.queryKeyValue + row * 3 * this.#width,
        keys,
        values,
        slotPositions,
        self,
        newest,
        older,
        first + row,
        plan.window,
        this.#layout.context + row * this.#width,
      );
      if (!frozen) this.#advanceRing(ring, next);
    }
    return positions;
  }

  #advanceRing(ring: number, next: number): void {
    this.#next[ring] = next + 1 === this.#slots ? 0 : next + 1;
    if (this.#filled[ring]! < this.#slots) this.#filled[ring] = this.#filled[ring]! + 1;
  }
}
