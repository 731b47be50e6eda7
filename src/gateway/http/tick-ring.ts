/** The last ticks, in memory that is all taken at the start. */

import { type Frame, Q15_ONE } from '../../gate/packets.ts';
import type { Witness } from '../../gate/witness.ts';
import { reasons, trusts } from '../../gate/witness-codes.ts';
import type { TickColumns } from '../../page/protocol.ts';

export class TickRing {
  /** Ticks ever added. */
  total = 0;
  readonly capacity: number;
  readonly #channels: number;
  readonly #timeMs: Float64Array;
  readonly #values: Float32Array;
  readonly #fired: Uint8Array;
  readonly #tier: Uint8Array;
  readonly #trust: Uint8Array;
  readonly #reason: Uint8Array;
  readonly #lambda: Float32Array;
  readonly #lambdaFloor: Float32Array;
  readonly #reference: Float32Array;
  readonly #top: Int16Array;
  readonly #score: Float32Array;

  /** Of `channels` channels, `capacity` >= 1 ticks. */
  constructor(capacity: number, channels: number) {
    this.capacity = capacity;
    this.#channels = channels;
    this.#timeMs = new Float64Array(capacity);
    this.#values = new Float32Array(capacity * channels);
    this.#fired = new Uint8Array(capacity * channels);
    this.#tier = new Uint8Array(capacity);
    this.#trust = new Uint8Array(capacity);
    this.#reason = new Uint8Array(capacity);
    this.#lambda = new Float32Array(capacity);
    this.#lambdaFloor = new Float32Array(capacity);
    this.#reference = new Float32Array(capacity);
    this.#top = new Int16Array(capacity);
    this.#score = new Float32Array(capacity);
  }

  /** Copies what it is given. */
  add(witness: Witness, hasValue: boolean, frame: Frame): void {
    const at = this.total++ % this.capacity;
    this.#timeMs[at] = frame.timeMs;
    this.#tier[at] = witness.tier;
    this.#trust[at] = trusts.indexOf(witness.trust);
    this.#reason[at] = reasons.indexOf(witness.reason);
    this.#lambda[at] = witness.ready ? witness.lambdaQ15 / Q15_ONE : Number.NaN;
    this.#lambdaFloor[at] = witness.ready ? witness.lambdaFloorQ15 / Q15_ONE : Number.NaN;
    this.#reference[at] = witness.ready ? witness.lambdaReferenceQ15 / Q15_ONE : Number.NaN;
    this.#top[at] = witness.topIndex;
    this.#score[at] = hasValue ? witness.score : Number.NaN;
    for (let channel = 0; channel < this.#channels; channel++) {
      this.#values[at * this.#channels + channel] = frame.values[channel]!;
      this.#fired[at * this.#channels + channel] = witness.fired(channel) ? 1 : 0;
    }
  }

  /** Those from number `from` on that are still there, at most `most`, the oldest left out first. */
  columns(from: number, most: number = this.capacity): TickColumns {
    const first = Math.max(0, from, this.total - Math.min(most, this.capacity));
    const places = Array.from(
      { length: Math.max(0, this.total - first) },
      (_, i) => (first + i) % this.capacity,
    );
    const plain = (column: ArrayLike<number>) => places.map((at) => column[at]!);
    const known = (column: ArrayLike<number>) => places.map((at) => rounded(column[at]!));
    const channels = Array.from({ length: this.#channels }, (_, channel) => channel);
    const place = (channel: number) => (at: number) => at * this.#channels + channel;
    return {
      first,
      timeMs: plain(this.#timeMs),
      tier: plain(this.#tier),
      trust: plain(this.#trust),
      reason: plain(this.#reason),
      lambda: known(this.#lambda),
      lambdaFloor: known(this.#lambdaFloor),
      reference: known(this.#reference),
      top: plain(this.#top),
      score: known(this.#score),
      values: channels.map((channel) =>
        places.map(place(channel)).map((index) => rounded(this.#values[index]!)),
      ),
      fired: channels.map((channel) => places.map(place(channel)).map((index) => this.#fired[index]!)),
    };
  }
}

/** As many digits as a float32 has; null for what is not known. */
function rounded(value: number): number | null {
  return Number.isFinite(value) ? Number(value.toPrecision(6)) : null;
}
