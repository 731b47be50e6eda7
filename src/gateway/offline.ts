/**
 * A config's gateway without a broker and without waiting: messages go through the same intake and pipeline, and time
 * is what they say, so that the same messages give the same witnesses, byte for byte, as fast as the machine can.
 */
import type { RawMessage } from '../recording/messages.ts';
import type { FrameConfig } from './config/config.ts';
import { Intake } from './intake.ts';
import type { Log } from './log.ts';
import { PublishRule, resultOf } from './results.ts';
import type { Gateway } from './service.ts';
import type { Timers } from './timers.ts';

const nothing = () => {};

export class OfflineGateway {
  /** What it would have published. */
  results = 0;
  readonly intake: Intake;
  readonly #gateway: Gateway;
  readonly #frame: FrameConfig;
  #nowMs = 0;
  /** Of a grid whose ticks come by the clock; NaN before the first message. */
  #nextTickMs = Number.NaN;

  /**
   * `gateway` must not be started; its model, pipeline and parts do the work. `onResult` gets what it would publish of a
   * tick, in order.
   */
  constructor(gateway: Gateway, log: Log, onResult: (result: object) => void) {
    const { config, pipeline, parts, engine } = gateway;
    // Nothing waits for its time: messages that are there are worked on.
    const never = () => nothing;
    const timers: Timers = { nowMs: () => this.#nowMs, after: never, every: never, soon: never };
    const rule = new PublishRule(config.output.publish);
    const { meaning } = engine.model;
    this.#gateway = gateway;
    this.#frame = config.frame;
    this.intake = new Intake({
      config,
      channels: meaning.channels.length,
      clock: { nowMs: () => this.#nowMs },
      timers,
      onFrame: (frame) => {
        const witness = pipeline.tick(frame);
        parts.onTick(witness, pipeline.output, frame);
        if (!rule.wants(witness, pipeline.output)) return;
        this.results++;
        onResult(resultOf(witness, pipeline.output, meaning));
      },
      onRestart: () => {
        pipeline.restartTime();
        parts.onRestart();
      },
      onProblem: (text) => log.warning(text),
      onUnrouted: (topic) => log.warning(`${topic}: no channel wants it`),
    });
  }

  get pipeline() {
    return this.#gateway.pipeline;
  }

  /** Works on a message at once; its time is that of receipt, and never decreases. */
  accept({ timeMs, topic, payload }: RawMessage): void {
    if (this.#frame.mode === 'grid' && this.#frame.timestamp === undefined) this.#passGrid(timeMs);
    this.#nowMs = timeMs;
    this.intake.receive(topic, Buffer.from(payload), false, nothing);
    this.intake.drain(Number.POSITIVE_INFINITY);
  }

  #passGrid(untilMs: number): void {
    const { intervalMs } = this.#frame;
    if (Number.isNaN(this.#nextTickMs)) this.#nextTickMs = Math.ceil(untilMs / intervalMs) * intervalMs;
    for (; this.#nextTickMs < untilMs; this.#nextTickMs += intervalMs) {
      this.#nowMs = this.#nextTickMs;
      this.intake.frames.advance(this.#nextTickMs);
    }
  }
}
