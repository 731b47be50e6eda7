/**
 * Send-on-delta: a tick becomes a token only when a channel has moved, or has been silent for too long.
 *
 * Rate of events and choice of delta: Miskowicz, "Send-On-Delta Concept" (Sensors 2006).
 */
import { assert } from '../engine/limits.ts';
import type { Channel, SpikeSettings } from '../engine/model.ts';
import { Decay, wholeIntervals } from './decay.ts';
import { CHANNELS_MAX, type Frame, Q15_ONE, type SpikePacket, TOP_CHANNELS_MAX } from './packets.ts';

/** Half-life, in intervals, of the moving average behind `rateQ15`. */
export const RATE_HALF_LIFE = 16;
/** A change of so many standard deviations is as novel as can be. */
export const NOVELTY_SIGMAS = 6;
/**
 * A time counts as n intervals from n - 1/2 on: a sensor that reports every 59 or 61 seconds instead of every 60
 * neither loses nor gains a tick.
 */
const INTERVAL_TOLERANCE = 0.5;

/** An empty spike packet for so many channels, to be refilled by `SpikeEncoder.encode`. */
export function makeSpikePacket(channels: number): SpikePacket {
  return {
    fired: false,
    firedCount: 0,
    firedMask: new Uint8Array(channels),
    rateQ15: 0,
    noveltyQ15: 0,
    topChannels: new Uint8Array(TOP_CHANNELS_MAX),
    topWeightsQ15: new Uint16Array(TOP_CHANNELS_MAX),
    topCount: 0,
  };
}

/** Checks that every list has one number >= 0 per channel. Throws RangeError naming the field. */
export function validateSpikeSettings(settings: SpikeSettings, channels: number): void {
  for (const field of ['delta', 'heartbeat', 'refractory'] as const) {
    const list = settings[field];
    if (list.length !== channels) {
      throw new RangeError(
        `spikes.${field}: expected ${channels} numbers, one per channel, got ${list.length}`,
      );
    }
    const wrong = list.findIndex((value) => !(value >= 0));
    if (wrong >= 0)
      throw new RangeError(`spikes.${field}[${wrong}]: expected a number >= 0, got ${list[wrong]}`);
  }
}

/** Decides which channels of a frame fire. Owns the reference: the values that the last token carried. */
export class SpikeEncoder {
  readonly #channels: number;
  readonly #center: Float64Array;
  readonly #noveltyScale: Float64Array;
  readonly #delta: Float64Array;
  readonly #heartbeat: Float64Array;
  readonly #refractory: Float64Array;
  /** What the model last saw of each channel, NaN before its first value. */
  readonly #reference: Float64Array;
  readonly #sinceFired: Float64Array;
  readonly #rateDecay = new Decay(RATE_HALF_LIFE);
  #sinceToken = 0;
  #rate = 0;

  /** 1..64 channels; throws RangeError if the settings do not fit them. */
  constructor(channels: readonly Channel[], settings: SpikeSettings) {
    if (channels.length < 1 || channels.length > CHANNELS_MAX) {
      throw new RangeError(`channels: expected 1 to ${CHANNELS_MAX}, got ${channels.length}`);
    }
    validateSpikeSettings(settings, channels.length);
    this.#channels = channels.length;
    this.#center = Float64Array.from(channels, (channel) => channel.center);
    this.#noveltyScale = Float64Array.from(channels, (channel) => Q15_ONE / (NOVELTY_SIGMAS * channel.scale));
    this.#delta = Float64Array.from(settings.delta);
    this.#heartbeat = Float64Array.from(settings.heartbeat, (intervals) => intervals - INTERVAL_TOLERANCE);
    this.#refractory = Float64Array.from(settings.refractory, (intervals) => intervals - INTERVAL_TOLERANCE);
    this.#reference = new Float64Array(channels.length);
    this.#sinceFired = new Float64Array(channels.length);
    this.reset();
  }

  /** Forgets everything: the next value of each channel is its first. */
  reset(): void {
    this.#reference.fill(Number.NaN);
    this.#sinceFired.fill(Number.POSITIVE_INFINITY);
    this.#sinceToken = 0;
    this.#rate = 0;
  }

  /**
   * Fills `packet` from `frame`.
   *
   * A channel fires if it got its first value, if it moved by `delta` or more since the last token, or if
   * `heartbeat` intervals passed since the last token; never within `refractory` intervals after it last fired (a
   * change that still stands then fires late, so none is lost), and never while its value is unknown (NaN).
   * If any channel fires, the token carries every known value, so every reference moves.
   *
   * `elapsedIntervals`: time since the last frame, >= 0, 0 at the first.
   */
  encode(frame: Frame, elapsedIntervals: number, packet: SpikePacket): void {
    assert(frame.values.length === this.#channels, 'a frame has one value per channel');
    assert(packet.firedMask.length === this.#channels, 'a spike packet has one flag per channel');
    assert(elapsedIntervals >= 0, 'time never runs backwards');
    this.#sinceToken += elapsedIntervals;
    packet.firedCount = 0;
    packet.noveltyQ15 = 0;
    packet.topCount = 0;
    for (let channel = 0; channel < this.#channels; channel++) {
      this.#sinceFired[channel]! += elapsedIntervals;
      this.#encodeChannel(channel, frame.values, packet);
    }
    packet.fired = packet.firedCount > 0;
    this.#updateRate(elapsedIntervals, packet);
    if (packet.fired) this.#remember(frame.values);
  }

  // Values are passed in their array: a double that is passed by itself is allocated.
  #encodeChannel(channel: number, values: Float64Array, packet: SpikePacket): void {
    packet.firedMask[channel] = 0;
    if (!Number.isFinite(values[channel]!)) return;
    const novelty = this.#noveltyQ15(channel, values);
    if (novelty > packet.noveltyQ15) packet.noveltyQ15 = novelty;
    if (!this.#fires(channel, values)) return;
    packet.firedMask[channel] = 1;
    packet.firedCount++;
    this.#sinceFired[channel] = 0;
    insertTop(packet, channel, novelty);
  }

  #fires(channel: number, values: Float64Array): boolean {
    const reference = this.#reference[channel]!;
    if (Number.isNaN(reference)) return true;
    if (this.#sinceFired[channel]! < this.#refractory[channel]!) return false;
    const hasMoved = Math.abs(values[channel]! - reference) >= this.#delta[channel]!;
    return hasMoved || this.#sinceToken >= this.#heartbeat[channel]!;
  }

  /** What was expected is the reference; before a channel's first value, its centre. */
  #noveltyQ15(channel: number, values: Float64Array): number {
    const reference = this.#reference[channel]!;
    const expected = Number.isNaN(reference) ? this.#center[channel]! : reference;
    const distance = Math.abs(values[channel]! - expected);
    return Math.min(Math.round(distance * this.#noveltyScale[channel]!), Q15_ONE);
  }

  #updateRate(elapsedIntervals: number, packet: SpikePacket): void {
    this.#rateDecay.forget(Math.max(1, wholeIntervals(elapsedIntervals)));
    const keep = this.#rateDecay.left[0]!;
    this.#rate = this.#rate * keep + (packet.firedCount / this.#channels) * (1 - keep);
    packet.rateQ15 = Math.round(this.#rate * Q15_ONE);
  }

  #remember(values: Float64Array): void {
    this.#sinceToken = 0;
    for (let channel = 0; channel < this.#channels; channel++) {
      if (Number.isFinite(values[channel]!)) this.#reference[channel] = values[channel]!;
    }
  }
}

/** Keeps the list sorted, most novel first; of equals, the lower channel (which came earlier) first. */
function insertTop(packet: SpikePacket, channel: number, weightQ15: number): void {
  const { topChannels, topWeightsQ15 } = packet;
  let slot = packet.topCount;
  if (slot === TOP_CHANNELS_MAX) {
    if (weightQ15 <= topWeightsQ15[TOP_CHANNELS_MAX - 1]!) return;
    slot--;
  } else {
    packet.topCount++;
  }
  for (; slot > 0 && topWeightsQ15[slot - 1]! < weightQ15; slot--) {
    topChannels[slot] = topChannels[slot - 1]!;
    topWeightsQ15[slot] = topWeightsQ15[slot - 1]!;
  }
  topChannels[slot] = channel;
  topWeightsQ15[slot] = weightQ15;
}
