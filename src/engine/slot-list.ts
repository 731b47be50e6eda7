/** The slots of a ring that one head sees, listed in the engine's memory for its kernels. */
import type { TransformerConfig } from './config.ts';
import { assert } from './limits.ts';
import type { MemoryLayout } from './memory-layout.ts';
import { BLOCK_POSITIONS, PINNED_MAX } from './patterns.ts';

/** A token's place in its ring. */
export interface Place {
  ring: number;
  /** The slot of the token itself. */
  self: number;
  newest: number;
  /** Valid slots from `newest` backwards. */
  older: number;
  position: number;
  /** From this position on nothing is seen but the token itself. */
  quarantinedFrom: number;
  /** How far back the plan lets it look. */
  window: number;
}

export class SlotList {
  /** Slots listed. */
  count = 0;
  readonly #slots: number;
  readonly #slotBytes: number;
  readonly #window: number;
  /** [window] bytes from the ring's first slot, and ages. */
  readonly #offsets: Int32Array;
  readonly #ages: Int32Array;
  /** [rings x (slots + 1)] */
  readonly #positions: Float64Array;
  readonly #marks: Int32Array;
  /** The best so far: marks falling, and steps back from the newest slot. */
  readonly #pinMarks = new Int32Array(PINNED_MAX);
  readonly #pinSteps = new Int32Array(PINNED_MAX);
  #place: Place | undefined;
  /** The ring's first slot. */
  #first = 0;
  /** The first step back from the newest slot that is beyond the local part. */
  #beyond = 0;

  constructor(
    config: TransformerConfig,
    memory: WebAssembly.Memory,
    layout: MemoryLayout,
    positions: Float64Array,
    marks: Int32Array,
  ) {
    const { scratch, width } = layout.layers[0]!.attention;
    this.#slots = config.sequence;
    this.#slotBytes = layout.slotBytes;
    this.#window = config.window;
    this.#offsets = new Int32Array(memory.buffer, scratch + 2 * width, config.window);
    this.#ages = new Int32Array(memory.buffer, scratch + 2 * width + 4 * config.window, config.window);
    this.#positions = positions;
    this.#marks = marks;
  }

  /** The token itself, and what is younger than `local`. */
  begin(place: Place, local: number): void {
    this.#place = place;
    this.#first = place.ring * (this.#slots + 1);
    this.count = 0;
    this.#add(place.self, 0);
    const limit = Math.min(local, place.window);
    let step = 0;
    while (step < place.older && this.#ageOf(step) < limit) this.#addStep(step++);
    this.#beyond = step;
  }

  /** Positions of these ages, as far as they are there and in the window. */
  addAges(ages: readonly number[]): void {
    const { older, window } = this.#place!;
    let from = this.#beyond;
    for (let i = 0; i < ages.length; i++) {
      const age = ages[i]!;
      if (age >= window) return;
      from = this.#stepOf(age, from);
      if (from === older) return;
      if (this.#ageOf(from) === age) this.#addStep(from);
    }
  }

  /** Of the others in the window the `most` with the largest marks above 0, of equal ones the newest. */
  addPinned(most: number, ages: readonly number[] = []): void {
    const { older, window } = this.#place!;
    let found = 0;
    let next = 0;
    for (let step = this.#beyond; step < older; step++) {
      const mark = this.#marks[this.#first + this.#slotOf(step)]!;
      if (mark <= (found < most ? 0 : this.#pinMarks[most - 1]!)) continue;
      const age = this.#ageOf(step);
      if (age >= window) break;
      while (next < ages.length && ages[next]! < age) next++;
      if (ages[next] === age) continue;
      found = Math.min(found + 1, most);
      this.#pin(step, mark, found);
    }
    for (let i = 0; i < found; i++) this.#addStep(this.#pinSteps[i]!);
  }

  /** Positions of block `number`. */
  addBlock(number: number): void {
    const { older, position } = this.#place!;
    const oldest = position - number * BLOCK_POSITIONS;
    let step = this.#stepOf(oldest - BLOCK_POSITIONS + 1, this.#beyond);
    while (step < older && this.#ageOf(step) <= oldest) this.#addStep(step++);
  }

  /** Puts a slot among the `found` best: behind all that are at least as good. */
  #pin(step: number, mark: number, found: number): void {
    let at = found - 1;
    for (; at > 0 && this.#pinMarks[at - 1]! < mark; at--) {
      this.#pinMarks[at] = this.#pinMarks[at - 1]!;
      this.#pinSteps[at] = this.#pinSteps[at - 1]!;
    }
    this.#pinMarks[at] = mark;
    this.#pinSteps[at] = step;
  }

  /** The first step at or after `from` that is at least so old; `older` if none is. Ages rise with the steps. */
  #stepOf(age: number, from: number): number {
    let low = from;
    let high = this.#place!.older;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ageOf(middle) < age) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #slotOf(step: number): number {
    const slot = this.#place!.newest - step;
    return slot < 0 ? slot + this.#slots : slot;
  }

  #ageOf(step: number): number {
    return this.#place!.position - this.#positions[this.#first + this.#slotOf(step)]!;
  }

  #addStep(step: number): void {
    this.#add(this.#slotOf(step), this.#ageOf(step));
  }

  #add(slot: number, age: number): void {
    assert(this.count < this.#window, 'a list has room for the window');
    this.#offsets[this.count] = slot * this.#slotBytes;
    this.#ages[this.count] = age;
    this.count++;
  }
}
