/**
 * A tick becomes a token only when a channel is elsewhere than expected, or has been silent for too long. Expected is
 * what the last token carried (send-on-delta: Miskowicz, Sensors 2006), or a prediction from it.
 */

import { assert } from '../engine/limits.ts';
import type { Channel, SpikeSettings } from '../engine/model.ts';
import type { StateCarrier } from './carrier.ts';
import { Decay, wholeIntervals } from './decay.ts';
import { type Age, type Expectation, expectationOf } from './expectation.ts';
import { CHANNELS_MAX, type Frame, Q15_ONE, type SpikePacket, TOP_CHANNELS_MAX } from './packets.ts';
import { validateSpikeSettings } from './spike-settings.ts';

/** Half-life, in intervals, of the moving average behind `rateQ15`. */
export const RATE_HALF_LIFE = 16;
/** A change of so many standard deviations is as novel as can be. */
export const NOVELTY_SIGMAS = 6;
/**
 * A time counts as n intervals from n - 1/2 on: a sensor that reports every 59 or 61 seconds instead of every 60
 * neither loses nor gains a tick.
 */
const INTERVAL_TOLERANCE = 0.5;
/** By then every channel waits for its whole heartbeat. */
const PATIENCE_MAX = 2 ** 40;

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

/** Decides which channels of a frame fire. */
export class SpikeEncoder {
  readonly #channels: number;
  readonly #center: Float64Array;
  readonly #noveltyScale: Float64Array;
  readonly #delta: Float64Array;
  readonly #heartbeat: Float64Array;
  readonly #refractory: Float64Array;
  readonly #expectation: Expectation;
  /** [channels] of the expectation. */
  readonly #expected: Float64Array;
  /** As `#heartbeat`, of the first one after a change. */
  readonly #firstHeartbeat: Float64Array;
  readonly #sinceFired: Float64Array;
  readonly #rateDecay = new Decay(RATE_HALF_LIFE);
  /** Since the last token. */
  readonly #age: Age = new Float64Array(1);
  /** In its one place: so many times its first heartbeat a channel waits; doubles while nothing comes. */
  readonly #patience = new Float64Array(1);
  /** Whether a channel of the present tick is new or not where it was expected. */
  #hasMoved = false;
  #rate = 0;

  /**
   * 1..64 channels; throws RangeError if the settings do not fit them. `forecast` is where the model's output holds
   * its predicted readings, [channels x horizon], channel-major, physical units; empty if it makes none.
   */
  constructor(
    channels: readonly Channel[],
    settings: SpikeSettings,
    forecast: Float64Array = new Float64Array(),
  ) {
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
    this.#expectation = expectationOf(channels.length, settings.rule, forecast);
    this.#expected = this.#expectation.values;
    this.#firstHeartbeat = Float64Array.from(settings.firstHeartbeat ?? settings.heartbeat);
    this.#sinceFired = new Float64Array(channels.length);
    this.reset();
  }

  /** Hands over what it remembers. */
  carry(state: StateCarrier): void {
    this.#expectation.carry(state);
    state.array(this.#sinceFired);
    state.array(this.#age);
    state.array(this.#patience);
    this.#rate = state.number(this.#rate);
  }

  /** Forgets everything: the next value of each channel is its first. */
  reset(): void {
    this.#expectation.reset();
    this.#sinceFired.fill(Number.POSITIVE_INFINITY);
    this.#age.fill(0);
    this.#patience[0] = 1;
    this.#rate = 0;
  }

  /**
   * Fills `packet` from `frame`.
   *
   * A channel fires if it got its first value, if it is `delta` or more from what is expected of it, or if a
   * heartbeat is due, at the latest `heartbeat` intervals after the last token; never within `refractory` intervals
   * after it last fired (a change that still stands then fires late, so none is lost), and never while its value is
   * unknown (NaN). If any channel fires, the token carries every known value, and what is expected follows them all.
   *
   * `elapsedIntervals`: time since the last frame, >= 0, 0 at the first.
   */
  encode(frame: Frame, elapsedIntervals: number, packet: SpikePacket): void {
    assert(frame.values.length === this.#channels, 'a frame has one value per channel');
    assert(packet.firedMask.length === this.#channels, 'a spike packet has one flag per channel');
    assert(elapsedIntervals >= 0, 'time never runs backwards');
    this.#age[0]! += elapsedIntervals;
    this.#expectation.advance(this.#age);
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
    this.#hasMoved = false;
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
    const expected = this.#expected[channel]!;
    const isFirst = Number.isNaN(expected);
    if (!isFirst && this.#sinceFired[channel]! < this.#refractory[channel]!) return false;
    if (isFirst || Math.abs(values[channel]! - expected) >= this.#delta[channel]!) {
      this.#hasMoved = true;
      return true;
    }
    const age = this.#age[0]!;
    if (age >= this.#heartbeat[channel]!) return true;
    return age >= this.#firstHeartbeat[channel]! * this.#patience[0]! - INTERVAL_TOLERANCE;
  }

  /** Before a channel's first value, its centre is expected. */
  #noveltyQ15(channel: number, values: Float64Array): number {
    const known = this.#expected[channel]!;
    const expected = Number.isNaN(known) ? this.#center[channel]! : known;
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
    this.#expectation.learn(values, this.#age);
    this.#age[0] = 0;
    this.#patience[0] = this.#hasMoved ? 1 : Math.min(2 * this.#patience[0]!, PATIENCE_MAX);
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
