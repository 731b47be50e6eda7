/** What a frame is seen with: which channels fired, what goes together, and what the model is shown of a token. */
import type { Channel, FeatureSet, SpikeSettings } from '../engine/model.ts';
import { Coherence, type CoherenceSettings, type LambdaWatch } from './coherence.ts';
import { FeatureEncoder } from './features.ts';
import type { Frame, SpikePacket } from './packets.ts';
import { makeSpikePacket, SpikeEncoder } from './spike-encoder.ts';

export interface SensesSettings {
  /** As the model was shipped. */
  readonly channels: readonly Channel[];
  readonly features: FeatureSet | undefined;
  /** In the units of the shipped channels; undefined: every known channel fires at every tick. */
  readonly spikes: SpikeSettings | undefined;
  readonly coherence: CoherenceSettings | undefined;
  /** Whether there is a gate, which coherence is for. */
  readonly isGated: boolean;
}

export class Senses {
  /** Refilled at each frame. */
  readonly spike: SpikePacket;
  spikes: SpikeEncoder;
  coherence: Coherence;
  features: FeatureEncoder;
  readonly #settings: SensesSettings;
  /** What the output predicts of each channel. */
  readonly #predicted: Float64Array;

  /** Throws RangeError if the settings make no sense. */
  constructor(settings: SensesSettings, predicted: Float64Array, watch: LambdaWatch) {
    const { channels, features, coherence } = settings;
    this.#settings = settings;
    this.#predicted = predicted;
    this.spike = makeSpikePacket(channels.length);
    this.spikes = this.#makeSpikes(channels);
    this.coherence = new Coherence(channels, coherence, watch);
    this.features = new FeatureEncoder(channels, features);
  }

  /** Everything that normalises is made anew; this is not the hot path. */
  useChannels(channels: readonly Channel[], watch: LambdaWatch): void {
    this.spikes = this.#makeSpikes(channels);
    this.coherence = new Coherence(channels, this.#settings.coherence, watch);
    this.features = new FeatureEncoder(channels, this.#settings.features);
  }

  /** `elapsed`: intervals since the frame before. */
  observe(frame: Frame, elapsed: number): void {
    this.spikes.encode(frame, elapsed, this.spike);
    this.features.observe(frame, elapsed);
    if (this.#settings.isGated) this.coherence.observe(frame, elapsed);
  }

  reset(): void {
    this.spikes.reset();
    this.coherence.reset();
    this.features.reset();
  }

  /** A delta is so many scales, whatever the scale. */
  #makeSpikes(channels: readonly Channel[]): SpikeEncoder {
    const { channels: shipped, spikes } = this.#settings;
    const rules = spikes ?? alwaysFire(channels.length);
    if (channels === shipped) return new SpikeEncoder(channels, rules, this.#predicted);
    const delta = rules.delta.map((delta, i) => delta * (channels[i]!.scale / shipped[i]!.scale));
    return new SpikeEncoder(channels, { ...rules, delta }, this.#predicted);
  }
}

/** Fires whenever a value is known: delta 0 is reached by any value. */
function alwaysFire(channels: number): SpikeSettings {
  const zeros: number[] = Array(channels).fill(0);
  return { delta: zeros, heartbeat: zeros, refractory: zeros };
}
