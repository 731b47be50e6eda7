/** Publishes a playback to a broker at a steady pace, as a sensor would: one message a tick. */
import type { MqttClient } from 'mqtt';
import type { Playback, PlayedTick } from './playback.ts';

export interface PlayerOptions {
  readonly client: Pick<MqttClient, 'publishAsync'>;
  readonly topic: string;
  readonly playback: Playback;
  readonly ticksPerSecond: number;
  /** Told of each tick before it is sent. */
  readonly onTick: (tick: PlayedTick) => void;
  /** Milliseconds that never step back. */
  readonly nowMs?: () => number;
}

/** How often the player wakes; the ticks due since then go out together. */
const turnMs = 20;
/** After a stall no more than this is sent at once: the gateway's ring is bounded, and so is a sensor's haste. */
const burstMax = 256;

export class Player {
  /** Whether the playback came to its end. */
  ended = false;
  readonly #options: PlayerOptions;
  #stopped = false;
  #wake: (() => void) | undefined;

  constructor(options: PlayerOptions) {
    this.#options = options;
  }

  /** Plays until the end or `stop`. Rejects when the broker refuses a message. */
  async play(): Promise<void> {
    const nowMs = this.#options.nowMs ?? (() => performance.now());
    let lastMs = nowMs();
    let due = 1;
    while (!this.#stopped && !this.ended) {
      const whole = Math.min(burstMax, Math.floor(due));
      due = Math.min(burstMax, due) - whole;
      await this.#send(whole);
      if (!this.ended) await this.#pause();
      const now = nowMs();
      due += ((now - lastMs) / 1000) * this.#options.ticksPerSecond;
      lastMs = now;
    }
  }

  /** Lets `play` resolve soon; what was sent stays sent. */
  stop(): void {
    this.#stopped = true;
    this.#wake?.();
  }

  /** QoS 1, and the next only when these were taken: so nothing piles up in the client. */
  async #send(count: number): Promise<void> {
    const { client, topic, playback, onTick } = this.#options;
    const sent: Promise<unknown>[] = [];
    for (let i = 0; i < count && !this.ended; i++) {
      const tick = playback.next();
      if (tick === undefined) this.ended = true;
      else {
        onTick(tick);
        sent.push(client.publishAsync(topic, payload(playback.channels, tick), { qos: 1 }));
      }
    }
    await Promise.all(sent);
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, turnMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.#stopped) this.#wake();
    });
  }
}

/** A whole object, its time in milliseconds; JSON has no NaN, and null means unknown. */
function payload(channels: readonly string[], { timeMs, values }: PlayedTick): string {
  const known = channels.map((name, i) => [name, Number.isNaN(values[i]) ? null : values[i]]);
  return JSON.stringify({ time: timeMs, ...Object.fromEntries(known) });
}
