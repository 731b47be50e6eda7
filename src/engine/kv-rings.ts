/**
 * Keys and values: one ring per stream and layer, each slot with its own position.
 *
 * Rings of one stream may differ: a token that ran only the first layers leaves a hole in the deeper ones, and ages
 * are counted from the slots' positions, so a hole is no mistake. Positions are doubles: exact for 2^53 tokens.
 */
import type { TransformerConfig } from './config.ts';
import type { Kernels } from './kernels/contract.ts';
import { assert } from './limits.ts';
import type { MemoryLayout } from './memory-plan.ts';
import type { Plan } from './plan.ts';

/** What the rings add to the account of a call. */
interface KvStats {
  positions: number;
  kvReads: number;
  kvWrites: number;
}

/** One token, in the fixed point of the credits. */
const CREDIT_ONE = 1 << 15;
/** What a routed layer may do at once is what this many ticks may do. */
const ROUTE_BURST_TICKS = 32;

export class KvRings {
  readonly #layers: number;
  readonly #slots: number;
  readonly #width: number;
  readonly #layout: MemoryLayout;
  readonly #bytes: Int8Array;
  readonly #slotPositions: Float64Array;
  /** [streams] tokens seen. */
  readonly #streamPositions: Float64Array;
  /** [streams x layers] the slot to be written next, and how many are valid. */
  readonly #next: Int32Array;
  readonly #filled: Int32Array;
  /** [streams x layers] Q15: tokens that may still go through a routed layer, and what each tick adds. */
  readonly #credits: Int32Array;
  readonly #creditPerTick: number;
  /** [rows] stream and position of each row of the present call. */
  readonly #rowStreams: Int32Array;
  readonly #rowPositions: Float64Array;

  constructor(
    config: TransformerConfig,
    streams: number,
    rows: number,
    memory: WebAssembly.Memory,
    layout: MemoryLayout,
  ) {
    const rings = streams * config.layers;
    this.#layers = config.layers;
    this.#slots = config.sequence;
    this.#width = layout.layers[0]!.attention.width;
    this.#layout = layout;
    this.#bytes = new Int8Array(memory.buffer);
    this.#slotPositions = new Float64Array(
      memory.buffer,
      layout.slotPositions,
      rings * (config.sequence + 1),
    );
    this.#streamPositions = new Float64Array(memory.buffer, layout.streamPositions, streams);
    this.#next = new Int32Array(memory.buffer, layout.ringNext, rings);
    this.#filled = new Int32Array(memory.buffer, layout.ringFilled, rings);
    this.#creditPerTick = Math.round((config.routing?.capacity ?? 1) * CREDIT_ONE);
    const routed = config.routing === undefined ? 0 : rings;
    this.#credits = new Int32Array(memory.buffer, layout.routeCredits, routed).fill(this.#creditMax);
    this.#rowStreams = new Int32Array(memory.buffer, layout.rowStreams, rows);
    this.#rowPositions = new Float64Array(memory.buffer, layout.rowPositions, rows);
  }

  /** Makes `row` of the present call the next token of `stream`. */
  enter(row: number, stream: number): void {
    this.#rowStreams[row] = stream;
    this.#rowPositions[row] = this.#streamPositions[stream]!;
    this.#streamPositions[stream]!++;
  }

  /** Whether a stream has seen nothing yet. */
  isBegin(stream: number): boolean {
    return this.#streamPositions[stream] === 0;
  }

  /** Makes every slot of a stream invalid; time goes on. */
  empty(stream: number): void {
    const ring = stream * this.#layers;
    this.#filled.fill(0, ring, ring + this.#layers);
    this.#next.fill(0, ring, ring + this.#layers);
  }

  /** As if the stream had never seen a token. */
  reset(stream: number): void {
    this.#credits.fill(this.#creditMax, stream * this.#layers, (stream + 1) * this.#layers);
    this.empty(stream);
    this.#streamPositions[stream] = 0;
  }

  /** Whether a row that `wants` to go through a routed layer may: within any time only so many of a stream do. */
  admits(row: number, layer: number, wants: boolean): boolean {
    const ring = this.#rowStreams[row]! * this.#layers + layer;
    const credit = Math.min(this.#credits[ring]! + this.#creditPerTick, this.#creditMax);
    const isAdmitted = wants && credit >= CREDIT_ONE;
    this.#credits[ring] = isAdmitted ? credit - CREDIT_ONE : credit;
    return isAdmitted;
  }

  get #creditMax(): number {
    return Math.max(CREDIT_ONE, ROUTE_BURST_TICKS * this.#creditPerTick);
  }

  /** Takes a stream's newest `count` tokens back, whichever layers they reached. See Engine.rollback. */
  rollback(stream: number, count: number): void {
    const position = this.#streamPositions[stream]! - count;
    assert(count >= 0 && position >= 0, 'no more tokens than the stream has seen');
    assert(this.#creditPerTick === CREDIT_ONE, 'credits of routed layers are not taken back');
    this.#streamPositions[stream] = position;
    for (let ring = stream * this.#layers; ring < (stream + 1) * this.#layers; ring++) {
      while (this.#filled[ring]! > 0 && this.#newestPosition(ring) >= position) this.#retreat(ring);
    }
  }

  /**
   * Attention of rows `from` to `to` in one layer, one after another: each writes its slot as the plan says. Returns
   * the positions attended to.
   */
  attend(kernels: Kernels, layer: number, from: number, to: number, plan: Plan, stats: KvStats): number {
    const { attention } = this.#layout.layers[layer]!;
    const frozen = plan.kv === 'freeze';
    const before = stats.positions;
    for (let row = from; row < to; row++) {
      const ring = this.#rowStreams[row]! * this.#layers + layer;
      const slot0 = ring * (this.#slots + 1);
      const next = this.#next[ring]!;
      // A ring that is full loses its oldest slot to this token; a frozen token has a slot of its own.
      const older = frozen ? this.#filled[ring]! : Math.min(this.#filled[ring]!, this.#slots - 1);
      const positions = kernels.attend(
        attention,
        this.#layout.queryKeyValue + row * this.#layout.queryKeyValueBytes,
        this.#layout.keys + slot0 * this.#width,
        this.#layout.values + slot0 * this.#width,
        this.#layout.slotPositions + slot0 * 8,
        frozen ? this.#slots : next,
        this.#newest(ring),
        older,
        this.#rowPositions[row]!,
        plan.window,
        this.#layout.context + row * this.#layout.contextBytes,
      );
      stats.positions += positions;
      stats.kvReads += positions - 1;
      if (!frozen) this.#advance(ring, next, stats);
    }
    return stats.positions - before;
  }

  /** Rows `from` to `to` leave their keys and values in one layer without attending. */
  remember(layer: number, from: number, to: number, plan: Plan, stats: KvStats): void {
    if (plan.kv === 'freeze') return;
    for (let row = from; row < to; row++) {
      const ring = this.#rowStreams[row]! * this.#layers + layer;
      const next = this.#next[ring]!;
      const slot = ring * (this.#slots + 1) + next;
      const key = this.#layout.queryKeyValue + row * this.#layout.queryKeyValueBytes + this.#width;
      const value = key + this.#width;
      this.#bytes.copyWithin(this.#layout.keys + slot * this.#width, key, value);
      this.#bytes.copyWithin(this.#layout.values + slot * this.#width, value, value + this.#width);
      this.#slotPositions[slot] = this.#rowPositions[row]!;
      this.#advance(ring, next, stats);
    }
  }

  #advance(ring: number, next: number, stats: KvStats): void {
    this.#next[ring] = next + 1 === this.#slots ? 0 : next + 1;
    if (this.#filled[ring]! < this.#slots) this.#filled[ring]!++;
    stats.kvWrites++;
  }

  #newest(ring: number): number {
    const next = this.#next[ring]!;
    return next === 0 ? this.#slots - 1 : next - 1;
  }

  #newestPosition(ring: number): number {
    return this.#slotPositions[ring * (this.#slots + 1) + this.#newest(ring)]!;
  }

  #retreat(ring: number): void {
    this.#next[ring] = this.#newest(ring);
    this.#filled[ring]!--;
  }
}
