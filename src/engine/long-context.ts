/**
 * Attention over long histories: rings of int4, and heads that look at chosen positions only. For configurations that
 * ask for either; all others attend to their whole window of int8 at once (KvRings).
 */
import { BlockKeys } from './block-keys.ts';
import { headSize, isInt4, type TransformerConfig } from './config.ts';
import type { KernelName } from './kernels/contract.ts';
import type { HeadAttention, LongContextKernels, LongContextShape } from './kernels/long-context-contract.ts';
import { TruthLongContextKernels } from './kernels/long-context-truth.ts';
import { WasmLongContextKernels } from './kernels/long-context-wasm.ts';
import { assert } from './limits.ts';
import type { AttentionLayout, LongContextLayout, MemoryLayout } from './memory-layout.ts';
import type { HeadPattern } from './patterns.ts';
import { type Place, SlotList } from './slot-list.ts';

export class LongContext {
  /** What the last attention looked at: positions of each head, and blocks scored for each. */
  readonly reads = { positions: 0, blocks: 0 };
  readonly #layout: MemoryLayout;
  readonly #at: LongContextLayout;
  readonly #kernels: LongContextKernels;
  readonly #list: SlotList;
  readonly #blocks: BlockKeys | undefined;
  readonly #patterns: readonly (readonly HeadPattern[])[];
  readonly #bytes: Int8Array;
  readonly #positions: Float64Array;
  readonly #marks: Int32Array;
  readonly #isInt4: boolean;
  readonly #slots: number;
  readonly #width: number;
  readonly #head: HeadAttention;

  constructor(
    config: TransformerConfig,
    rings: number,
    memory: WebAssembly.Memory,
    layout: MemoryLayout,
    kernels: KernelName,
  ) {
    const at = layout.longContext;
    assert(at !== undefined, 'a configuration with a long context');
    const { attention } = layout.layers[0]!;
    const slots = rings * (config.sequence + 1);
    this.#layout = layout;
    this.#at = at;
    this.#isInt4 = isInt4(config.keyValues);
    this.#slots = config.sequence;
    this.#width = attention.width;
    this.#patterns = config.patterns ?? wholeWindow(config);
    this.#bytes = new Int8Array(memory.buffer);
    this.#positions = new Float64Array(memory.buffer, layout.slotPositions, slots);
    this.#marks = new Int32Array(memory.buffer, at.marks, at.pins ? slots : 0);
    this.#list = new SlotList(config, memory, layout, this.#positions, this.#marks);
    this.#blocks = at.blocks > 0 ? new BlockKeys(rings, memory, at, attention.width) : undefined;
    const shape = shapeOf(config, attention, at);
    const Made = kernels === 'truth' ? TruthLongContextKernels : WasmLongContextKernels;
    this.#kernels = new Made(memory, shape);
    this.#head = { attention, head: 0, keys: 0, values: 0, count: 0, context: 0 };
  }

  /** Whether a token can be taken back: not where blocks have summed keys that the ring then rounded to four bits. */
  get isReversible(): boolean {
    return this.#blocks === undefined || !this.#isInt4;
  }

  /** Takes the newest token of a ring back from its slot. `newestLeft`: the position of the one before it, or -1. */
  remove(ring: number, slot: number, newestLeft: number): void {
    const place = ring * (this.#slots + 1) + slot;
    const key = this.#layout.keys + place * this.#layout.slotBytes;
    this.#blocks?.remove(ring, this.#positions[place]!, key, newestLeft);
  }

  /** The slots of a ring hold nothing any more. */
  empty(ring: number): void {
    this.#blocks?.empty(ring);
  }

  /** Puts a row's key and value into a slot of a ring. */
  store(ring: number, slot: number, queryKeyValue: number, position: number, mark: number): void {
    const { keys, values, slotBytes } = this.#layout;
    const place = ring * (this.#slots + 1) + slot;
    const key = queryKeyValue + this.#width;
    const value = key + this.#width;
    if (this.#isInt4) {
      this.#kernels.packInt4(key, keys + place * slotBytes);
      this.#kernels.packInt4(value, values + place * slotBytes);
    } else {
      this.#bytes.copyWithin(keys + place * slotBytes, key, value);
      this.#bytes.copyWithin(values + place * slotBytes, value, value + this.#width);
    }
    this.#positions[place] = position;
    this.#marks[place] = mark;
    if (slot < this.#slots) this.#blocks?.add(ring, position, key);
  }

  /** Attention of one token that has been stored, to itself and to what its heads' patterns show of its ring. */
  attend(layer: number, place: Place, queryKeyValue: number, context: number): void {
    const { keys, values, slotBytes, layers } = this.#layout;
    const head = this.#head;
    const patterns = this.#patterns[layer]!;
    const first = place.ring * (this.#slots + 1) * slotBytes;
    this.reads.positions = this.reads.blocks = 0;
    this.#kernels.takeQuery(queryKeyValue);
    head.attention = layers[layer]!.attention;
    head.keys = keys + first;
    head.values = values + first;
    head.context = context;
    for (let index = 0; index < patterns.length; index++) {
      const pattern = patterns[index]!;
      head.head = index;
      // Heads of one pattern see the same, unless each asks its own query for blocks.
      if (index === 0 || pattern !== patterns[index - 1] || pattern.blocks !== undefined) {
        head.count = this.#look(pattern, index, place, queryKeyValue);
      }
      this.#kernels.attendHead(head);
      this.reads.positions += head.count;
    }
  }

  /** Lists what a head sees; returns how many positions. */
  #look(pattern: HeadPattern, head: number, place: Place, queryKeyValue: number): number {
    const list = this.#list;
    list.begin(place, pattern.local);
    if (pattern.ages !== undefined) list.addAges(pattern.ages);
    if (pattern.pinned !== undefined) list.addPinned(pattern.pinned, pattern.ages);
    if (pattern.blocks !== undefined) {
      const blocks = this.#blocks!;
      const { blockScores, blockKeys } = this.#at;
      const { headStride } = this.#head.attention;
      const sums = blockKeys + 2 * (blocks.firstOf(place.ring) * this.#width + head * headStride);
      this.#kernels.scoreBlocks(queryKeyValue + head * headStride, sums, blocks.count, blockScores);
      this.reads.blocks += blocks.count;
      const chosen = blocks.choose(place, pattern.local, pattern.blocks);
      for (let i = 0; i < chosen; i++) list.addBlock(blocks.chosen[i]!);
    }
    return list.count;
  }
}

function wholeWindow({ layers, heads, window }: TransformerConfig): HeadPattern[][] {
  const whole = { local: window };
  return Array.from({ length: layers }, () => Array(heads).fill(whole));
}

function shapeOf(
  config: TransformerConfig,
  { heads, headStride, width, scratch }: AttentionLayout,
  { rotation }: LongContextLayout,
): LongContextShape {
  const offsets = scratch + 2 * width;
  const list = 4 * config.window;
  const rotates = config.keyValues === 'int4-rotated';
  assert(!rotates || headStride === headSize(config), 'heads that are rotated have no padding');
  return {
    heads,
    headStride,
    isInt4: isInt4(config.keyValues),
    rotates,
    scratch: {
      query: scratch,
      offsets,
      ages: offsets + list,
      scores: offsets + 2 * list,
      probabilities: offsets + 3 * list,
      rotation,
    },
  };
}
