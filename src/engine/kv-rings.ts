/**
 * Keys and values: one ring per stream and layer, each slot with its own position.
 *
 * Rings of one stream may differ: a token that ran only the first layers leaves a hole in the deeper ones, and ages
 * are counted from the slots' positions, so a hole is no mistake. Positions are doubles: exact for 2^53 tokens.
 */
import type { TransformerConfig } from './config.ts';
import { attentionMacs, blockBytes, keyValueBytes, slotBytes } from './cost.ts';
import type { KernelName, Kernels } from './kernels/contract.ts';
import { assert } from './limits.ts';
import { LongContext } from './long-context.ts';
import type { MemoryLayout } from './memory-layout.ts';
import type { Plan } from './plan.ts';
import type { Place } from './slot-list.ts';

/** What the rings add to the account of a call. */
interface KvStats {
  macs: number;
  positions: number;
  kvReads: number;
  kvWrites: number;
  kvReadBytes: number;
  kvWriteBytes: number;
}

/** One token, in the fixed point of the credits. */
const CREDIT_ONE = 1 << 15;
/** What a routed layer may do at once is what this many ticks may do. */
const ROUTE_BURST_TICKS = 32;

export class KvRings {
  readonly #config: TransformerConfig;
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
  /** [streams x layers] how many of the newest slots only their own tokens have seen. */
  readonly #quarantined: Int32Array;
  /** [streams x layers] Q15: tokens that may still go through a routed layer, and what each tick adds. */
  readonly #credits: Int32Array;
  readonly #creditPerTick: number;
  /** [rows] stream and position of each row of the present call. */
  readonly #rowStreams: Int32Array;
  readonly #rowPositions: Float64Array;
  readonly #rowMarks: Int32Array;
  /** What attends instead of the kernels' window, if the configuration asks for it. */
  readonly #longContext: LongContext | undefined;
  readonly #place: Place = {
    ring: 0,
    self: 0,
    newest: 0,
    older: 0,
    position: 0,
    quarantinedFrom: 0,
    window: 0,
  };
  readonly #slotBytes: number;

  constructor(
    config: TransformerConfig,
    streams: number,
    rows: number,
    memory: WebAssembly.Memory,
    layout: MemoryLayout,
    kernels: KernelName,
  ) {
    const rings = streams * config.layers;
    this.#config = config;
    this.#slotBytes = slotBytes(config);
    if (layout.longContext !== undefined)
      this.#longContext = new LongContext(config, rings, memory, layout, kernels);
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
    this.#quarantined = new Int32Array(memory.buffer, layout.ringQuarantined, rings);
    this.#creditPerTick = Math.round((config.routing?.capacity ?? 1) * CREDIT_ONE);
    const routed = config.routing === undefined ? 0 : rings;
    this.#credits = new Int32Array(memory.buffer, layout.routeCredits, routed).fill(this.#creditMax);
    this.#rowStreams = new Int32Array(memory.buffer, layout.rowStreams, rows);
    this.#rowPositions = new Float64Array(memory.buffer, layout.rowPositions, rows);
    this.#rowMarks = new Int32Array(memory.buffer, layout.rowMarks, layout.longContext?.pins ? rows : 0);
  }

  /** Makes `row` of the present call the next token of `stream`. */
  enter(row: number, stream: number, mark: number): void {
    this.#rowStreams[row] = stream;
    this.#rowMarks[row] = mark;
    this.#rowPositions[row] = this.#streamPositions[stream]!;
    this.#streamPositions[stream]!++;
  }

  /** Whether a stream has seen nothing yet. */
  isBegin(stream: number): boolean {
    return this.#streamPositions[stream] === 0;
  }

  /** Makes every slot of a stream invalid; time goes on. */
  empty(stream: number): void {
    const first = stream * this.#layers;
    this.#filled.fill(0, first, first + this.#layers);
    this.#next.fill(0, first, first + this.#layers);
    this.#quarantined.fill(0, first, first + this.#layers);
    for (let ring = first; ring < first + this.#layers; ring++) this.#longContext?.empty(ring);
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

  /** Attention of rows `from` to `to` in one layer, one after another: each writes its slot as the plan says. */
  attend(kernels: Kernels, layer: number, from: number, to: number, plan: Plan, stats: KvStats): void {
    const place = this.#place;
    const frozen = plan.kv === 'freeze';
    for (let row = from; row < to; row++) {
      const ring = this.#rowStreams[row]! * this.#layers + layer;
      const next = this.#next[ring]!;
      place.ring = ring;
      place.self = frozen ? this.#slots : next;
      this.#release(ring, plan);
      const quarantined = this.#quarantined[ring]!;
      place.newest = this.#slotBefore(next, quarantined + 1);
      // A ring that is full loses its oldest slot to this token; a frozen token has a slot of its own.
      const older = frozen ? this.#filled[ring]! : Math.min(this.#filled[ring]!, this.#slots - 1);
      place.older = Math.max(0, older - quarantined);
      place.position = this.#rowPositions[row]!;
      place.quarantinedFrom = this.#quarantinedFrom(ring);
      place.window = plan.window;
      if (this.#longContext === undefined) this.#attendToWindow(kernels, layer, row, stats);
      else this.#attendToContext(this.#longContext, layer, row, stats);
      if (!frozen) this.#advance(ring, next, plan, stats);
    }
  }

  #quarantinedFrom(ring: number): number {
    const quarantined = this.#quarantined[ring]!;
    if (quarantined === 0) return Number.POSITIVE_INFINITY;
    const first = this.#slotBefore(this.#next[ring]!, quarantined);
    return this.#slotPositions[ring * (this.#slots + 1) + first]!;
  }

  /** A token that writes is trusted, and so is what was quarantined before it. */
  #release(ring: number, { kv }: Plan): void {
    if (kv === 'write' || kv === 'flush') this.#quarantined[ring] = 0;
  }

  /** All heads of a row to the window of int8 before `#place`. */
  #attendToWindow(kernels: Kernels, layer: number, row: number, stats: KvStats): void {
    const { ring, self, newest, older, position, window } = this.#place;
    const slot0 = ring * (this.#slots + 1);
    const positions = kernels.attend(
      this.#layout.layers[layer]!.attention,
      this.#layout.queryKeyValue + row * this.#layout.queryKeyValueBytes,
      this.#layout.keys + slot0 * this.#width,
      this.#layout.values + slot0 * this.#width,
      this.#layout.slotPositions + slot0 * 8,
      self,
      newest,
      older,
      position,
      window,
      this.#layout.context + row * this.#layout.contextBytes,
    );
    this.#charge(stats, positions * this.#config.heads, 0);
  }

  /** Each head of a row to what it is to see. */
  #attendToContext(longContext: LongContext, layer: number, row: number, stats: KvStats): void {
    const { ring, self, position } = this.#place;
    const queryKeyValue = this.#layout.queryKeyValue + row * this.#layout.queryKeyValueBytes;
    longContext.store(ring, self, queryKeyValue, position, this.#rowMarks[row]!);
    longContext.attend(
      layer,
      this.#place,
      queryKeyValue,
      this.#layout.context + row * this.#layout.contextBytes,
    );
    this.#charge(stats, longContext.reads.positions, longContext.reads.blocks);
  }

  /** A token's own key and value are not read from the ring. */
  #charge(stats: KvStats, headPositions: number, headBlocks: number): void {
    const config = this.#config;
    const positions = Math.ceil(headPositions / config.heads);
    stats.positions += positions;
    stats.kvReads += positions - 1;
    stats.kvReadBytes += keyValueBytes(config, headPositions - config.heads) + blockBytes(config, headBlocks);
    stats.macs += attentionMacs(config, headPositions, headBlocks);
  }

  /** Rows `from` to `to` leave their keys and values in one layer without attending. */
  remember(layer: number, from: number, to: number, plan: Plan, stats: KvStats): void {
    if (plan.kv === 'freeze') return;
    for (let row = from; row < to; row++) {
      const ring = this.#rowStreams[row]! * this.#layers + layer;
      const next = this.#next[ring]!;
      this.#release(ring, plan);
      const queryKeyValue = this.#layout.queryKeyValue + row * this.#layout.queryKeyValueBytes;
      if (this.#longContext === undefined) this.#copy(ring, next, queryKeyValue, this.#rowPositions[row]!);
      else {
        this.#longContext.store(ring, next, queryKeyValue, this.#rowPositions[row]!, this.#rowMarks[row]!);
      }
      this.#advance(ring, next, plan, stats);
    }
  }

  #copy(ring: number, next: number, queryKeyValue: number, position: number): void {
    const slot = ring * (this.#slots + 1) + next;
    const key = queryKeyValue + this.#width;
    const value = key + this.#width;
    this.#bytes.copyWithin(this.#layout.keys + slot * this.#width, key, value);
    this.#bytes.copyWithin(this.#layout.values + slot * this.#width, value, value + this.#width);
    this.#slotPositions[slot] = position;
  }

  #advance(ring: number, next: number, { kv }: Plan, stats: KvStats): void {
    this.#next[ring] = next + 1 === this.#slots ? 0 : next + 1;
    if (this.#filled[ring]! < this.#slots) this.#filled[ring]!++;
    if (kv === 'quarantine' && this.#quarantined[ring]! < this.#slots) this.#quarantined[ring]!++;
    stats.kvWrites++;
    stats.kvWriteBytes += this.#slotBytes;
  }

  /** The slot so many steps before another; at most one round and one step. */
  #slotBefore(slot: number, steps: number): number {
    return (slot - steps + 2 * this.#slots) % this.#slots;
  }

  #newest(ring: number): number {
    return this.#slotBefore(this.#next[ring]!, 1);
  }

  #newestPosition(ring: number): number {
    return this.#slotPositions[ring * (this.#slots + 1) + this.#newest(ring)]!;
  }

  #retreat(ring: number): void {
    assert(
      this.#longContext?.isReversible ?? true,
      'sums of keys that were rounded since are not taken back',
    );
    const slot = this.#newest(ring);
    this.#next[ring] = slot;
    this.#filled[ring]!--;
    this.#longContext?.remove(ring, slot, this.#filled[ring]! > 0 ? this.#newestPosition(ring) : -1);
    if (this.#quarantined[ring]! > 0) this.#quarantined[ring]!--;
  }
}
