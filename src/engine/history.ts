/**
 * The linear path over the past: per stream and channel a ring of its last values, and at each tick the first
 * components of one reduced-rank map, the same for every channel. Formulas: docs/integer-rules.md, 11.
 *
 * A ring lies in memory twice, one copy after the other, so that the last `rows` values are always side by side and
 * the kernels read them where they are. NLinear's subtraction of the present value is a bias, one for each channel.
 */
import type { HistoryConfig } from './config.ts';
import { historyHorizon } from './cost.ts';
import type { Kernels } from './kernels/contract.ts';
import { assert, FEATURE_MAX, FEATURE_ONE, LOGIT_ONE } from './limits.ts';
import type { HistoryLayout, MemoryLayout } from './memory-layout.ts';
import type { Model } from './model.ts';
import type { Plan } from './plan.ts';

const LOGITS_PER_FEATURE = LOGIT_ONE / FEATURE_ONE;

export class Histories {
  readonly #config: HistoryConfig;
  readonly #layout: MemoryLayout;
  readonly #at: HistoryLayout;
  readonly #outputs: number;
  readonly #int16: Int16Array;
  readonly #int32: Int32Array;
  /** [rank]: sums of the basis' weights, and its biases. */
  readonly #sums: Int32Array;
  readonly #biases: Int32Array;
  /** [streams] the slot of the newest tick, 1 once there is one, and the ticks that may be taken back. */
  readonly #newest: Int32Array;
  readonly #known: Int32Array;
  readonly #recent: Int32Array;
  /** [rows] of the present call: stream, slot, and whether later ticks are not to see it. */
  readonly #rowStreams: Int32Array;
  readonly #rowSlots: Int32Array;
  readonly #rowFrozen: Uint8Array;

  /** `model` has a history. */
  constructor(model: Model, streams: number, rows: number, memory: WebAssembly.Memory, layout: MemoryLayout) {
    const { config, weights } = model;
    assert(config.history !== undefined && layout.history !== undefined, 'a model with a history');
    this.#config = config.history;
    this.#layout = layout;
    this.#at = layout.history;
    this.#outputs = historyHorizon(config);
    this.#int16 = new Int16Array(memory.buffer);
    this.#int32 = new Int32Array(memory.buffer);
    const { weight, bias } = weights.history!.basis;
    this.#biases = bias;
    this.#sums = Int32Array.from(bias, (_, k) =>
      weight.subarray(k * this.#config.rows, (k + 1) * this.#config.rows).reduce((sum, one) => sum + one, 0),
    );
    this.#newest = new Int32Array(memory.buffer, this.#at.newest, streams);
    this.#known = new Int32Array(memory.buffer, this.#at.known, streams);
    this.#recent = new Int32Array(memory.buffer, this.#at.recent, streams);
    this.#rowStreams = new Int32Array(rows);
    this.#rowSlots = new Int32Array(rows);
    this.#rowFrozen = new Uint8Array(rows);
  }

  /** The next tick of a stream has no past. */
  empty(stream: number): void {
    this.#known[stream] = 0;
  }

  /**
   * Makes `row` of the present call, whose features are in place, the next tick of `stream`. Before a stream's first
   * tick there was always its value. A frozen or quarantined tick leaves the value before it to later ticks.
   */
  enter(row: number, stream: number, plan: Plan): void {
    if (this.#known[stream] === 0) this.#begin(stream, row);
    const slot = this.#advance(stream);
    const isFrozen = plan.kv === 'freeze' || plan.kv === 'quarantine';
    for (let channel = 0; channel < this.#config.channels; channel++) {
      const ring = this.#ring(stream, channel);
      this.#put(ring, slot, isFrozen ? this.#int16[ring + this.#before(slot)]! : this.#value(row, channel));
    }
    this.#rowStreams[row] = stream;
    this.#rowSlots[row] = slot;
    this.#rowFrozen[row] = isFrozen ? 1 : 0;
  }

  /** `ticks` passed that were not appended: each channel kept its last value. Nothing can be taken back beyond. */
  hold(stream: number, ticks: number): void {
    if (this.#known[stream] === 0) return;
    for (let tick = Math.min(ticks, this.#at.slots); tick > 0; tick--) {
      const slot = this.#advance(stream);
      for (let channel = 0; channel < this.#config.channels; channel++) {
        const ring = this.#ring(stream, channel);
        this.#put(ring, slot, this.#int16[ring + this.#before(slot)]!);
      }
    }
    this.#recent[stream] = 0;
  }

  /** Takes the newest `count` ticks back. `isBegin`: there are none before them. */
  rollback(stream: number, count: number, isBegin: boolean): void {
    assert(count <= this.#recent[stream]!, 'ticks that a history still has');
    const slot = this.#newest[stream]! - count;
    this.#newest[stream] = slot < 0 ? slot + this.#at.slots : slot;
    this.#recent[stream]! -= count;
    if (isBegin) this.empty(stream);
  }

  /**
   * Rows `from` to `to` -> the components of each channel's past, beside the features of the row: [channels,
   * componentsStride] int16.
   */
  summarise(kernels: Kernels, from: number, to: number, rank: number): void {
    const bases = this.#basesOf(rank);
    for (let row = from; row < to; row++) {
      if (this.#rowFrozen[row] === 1) this.#show(row, true);
      for (let channel = 0; channel < this.#config.channels; channel++) {
        const basis = bases[channel]!;
        this.#centre(basis.bias / 4, this.#value(row, channel), rank);
        const components = this.#components(row, channel);
        kernels.embed(2 * this.#window(row, channel), basis, components, 1);
        this.#clamp(components / 2, rank);
      }
      if (this.#rowFrozen[row] === 1) this.#show(row, false);
    }
  }

  /** Rows `from` to `to`, summarised before -> forecast, [rows, channels, padded outputs of a channel] Q16. */
  forecast(kernels: Kernels, from: number, to: number, rank: number): void {
    const { forecast, forecastBytes } = this.#at;
    const { channels } = this.#config;
    const readout = this.#at.readouts[this.#config.ranks.indexOf(rank)]!;
    for (let row = from; row < to; row++) {
      const out = forecast + row * forecastBytes;
      for (let channel = 0; channel < channels; channel++) {
        const own = out + channel * readout.outputs * 4;
        const last = this.#value(row, channel) * LOGITS_PER_FEATURE;
        this.#int32.fill(last, own / 4, own / 4 + readout.outputs);
        kernels.addFeatures(this.#components(row, channel), readout, own, 1);
      }
    }
  }

  /** Adds the forecasts of rows `from` to `to` to their logits. */
  addTo(logits: number, from: number, to: number): void {
    const { forecast, forecastBytes, readouts } = this.#at;
    const stride = readouts[0]!.outputs;
    for (let row = from; row < to; row++) {
      let out = (logits + row * this.#layout.logitBytes) / 4;
      for (let channel = 0; channel < this.#config.channels; channel++) {
        const start = (forecast + row * forecastBytes) / 4 + channel * stride;
        for (let i = start; i < start + this.#outputs; i++) this.#int32[out++]! += this.#int32[i]!;
      }
    }
  }

  #basesOf(rank: number): HistoryLayout['bases'][number] {
    return this.#at.bases[this.#config.ranks.indexOf(rank)]!;
  }

  /** Of every component bias - (sum of the weights) x (present value). */
  #centre(bias: number, last: number, rank: number): void {
    for (let k = 0; k < rank; k++) this.#int32[bias + k] = this.#biases[k]! - this.#sums[k]! * last;
  }

  /** As large as features; what a tier leaves out is zero. */
  #clamp(at: number, rank: number): void {
    for (let i = at; i < at + rank; i++) {
      const value = this.#int16[i]!;
      if (value > FEATURE_MAX) this.#int16[i] = FEATURE_MAX;
      else if (value < -FEATURE_MAX) this.#int16[i] = -FEATURE_MAX;
    }
    this.#int16.fill(0, at + rank, at + this.#at.componentsStride);
  }

  /** Address of the components of a channel. */
  #components(row: number, channel: number): number {
    const { features, featureBytes } = this.#layout;
    const { componentsOffset, componentsStride } = this.#at;
    return features + row * featureBytes + componentsOffset + channel * componentsStride * 2;
  }

  /** A frozen tick sees its own values while it is computed, later ticks those before it. */
  #show(row: number, isOwn: boolean): void {
    const slot = this.#rowSlots[row]!;
    for (let channel = 0; channel < this.#config.channels; channel++) {
      const ring = this.#ring(this.#rowStreams[row]!, channel);
      const held = this.#int16[ring + this.#before(slot)]!;
      this.#put(ring, slot, isOwn ? this.#value(row, channel) : held);
    }
  }

  #begin(stream: number, row: number): void {
    for (let channel = 0; channel < this.#config.channels; channel++) {
      const ring = this.#ring(stream, channel);
      this.#int16.fill(this.#value(row, channel), ring, ring + 2 * this.#at.slots);
    }
    this.#known[stream] = 1;
  }

  /** Returns the next slot of a stream, its newest from now on. */
  #advance(stream: number): number {
    const slot = this.#newest[stream]! + 1;
    this.#newest[stream] = slot === this.#at.slots ? 0 : slot;
    if (this.#recent[stream]! < this.#at.slots - this.#config.rows) this.#recent[stream]!++;
    return this.#newest[stream]!;
  }

  #before(slot: number): number {
    return slot === 0 ? this.#at.slots - 1 : slot - 1;
  }

  /** Both copies. */
  #put(ring: number, slot: number, value: number): void {
    this.#int16[ring + slot] = value;
    this.#int16[ring + this.#at.slots + slot] = value;
  }

  /** Index of a ring's first slot in int16. */
  #ring(stream: number, channel: number): number {
    return this.#at.values / 2 + (stream * this.#config.channels + channel) * this.#at.ringLength;
  }

  /** Index of the oldest of the values that a row's tick sees, in int16. */
  #window(row: number, channel: number): number {
    const newest = this.#rowSlots[row]! + this.#at.slots;
    return this.#ring(this.#rowStreams[row]!, channel) + newest + 1 - this.#config.rows;
  }

  /** Q10: a channel's value in the features of a row. */
  #value(row: number, channel: number): number {
    const { features, featureBytes } = this.#layout;
    return this.#int16[(features + row * featureBytes) / 2 + channel * this.#config.stride]!;
  }
}
