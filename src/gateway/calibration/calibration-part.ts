/** Keeps what the device has calibrated over restarts, and tells how far its channels have drifted since. */
import type { Json } from '../../engine/model.ts';
import type { Frame } from '../../gate/packets.ts';
import type { Witness } from '../../gate/witness.ts';
import type { Log } from '../log.ts';
import type { OutgoingMessage } from '../outbox.ts';
import type { Output } from '../output.ts';
import type { GatewayPart } from '../part.ts';
import type { Pipeline } from '../pipeline.ts';
import { type Calibration, parseCalibration } from './calibration.ts';
import { DRIFT_NOTABLE, Drift } from './drift.ts';

/** What the part needs of the gateway: the model at work, whatever it is by then. */
export interface CalibratedModel {
  readonly pipeline: Pick<Pipeline, 'calibration' | 'calibrationProgress' | 'useCalibration'>;
  /** Names the model file. */
  readonly modelSha256: string;
}

/** Where the calibration is kept. */
export interface CalibrationStore {
  /** What an earlier run saved; empty if nothing. */
  readonly text: string;
  save(text: string): Promise<void>;
}

export interface CalibrationPartOptions {
  readonly model: () => CalibratedModel;
  readonly topic: string;
  /** Ticks between two reports. */
  readonly reportTicks: number;
  readonly log: Log;
}

export class CalibrationPart implements GatewayPart {
  readonly #options: CalibrationPartOptions;
  #store: CalibrationStore | undefined;
  #publish: ((message: OutgoingMessage) => void) | undefined;
  #calibration: Calibration | undefined;
  #drift: Drift | undefined;
  #ticks = 0;
  /** Never rejects. */
  #saved: Promise<void> | undefined;

  constructor(options: CalibrationPartOptions) {
    this.#options = options;
  }

  /** Before the start: goes on from what an earlier run has calibrated, if it was the same model. */
  useStore(store: CalibrationStore, channels: Calibration['channels']): void {
    this.#store = store;
    if (store.text === '') return;
    const { pipeline, modelSha256 } = this.#options.model();
    const found = parseCalibration(store.text, modelSha256, channels);
    if (typeof found === 'string') {
      this.#options.log.warning(`calibration: ${found}; the device calibrates itself anew`);
      return;
    }
    pipeline.useCalibration(found);
    this.#follow(found);
    this.#options.log.info(`calibration of ${new Date(found.timeMs).toISOString()} found`);
  }

  onReady(publish: (message: OutgoingMessage) => void): void {
    this.#publish = publish;
    this.#report();
  }

  onTick(_witness: Witness, _output: Output, frame: Frame): void {
    const { calibration } = this.#options.model().pipeline;
    if (calibration !== this.#calibration) this.#change(calibration);
    this.#drift?.observe(frame.values);
    this.#ticks++;
    if (this.#ticks % this.#options.reportTicks === 0) this.#report();
  }

  counters(): { readonly calibration: Json } {
    const { wanted, ticks } = this.#options.model().pipeline.calibrationProgress;
    const drifts = this.#drift?.channels().map(({ drift }) => Math.abs(drift ?? 0)) ?? [];
    return { calibration: { ticks, wanted, largestDrift: Math.max(0, ...drifts) } };
  }

  async stop(): Promise<void> {
    await this.#saved;
  }

  #change(calibration: Calibration | undefined): void {
    this.#follow(calibration);
    this.#report();
    if (calibration !== undefined) this.#options.log.info(`calibrated by ${calibration.ticks} ticks`);
    // What was thrown away must not come back with a restart.
    const text =
      calibration === undefined
        ? ''
        : JSON.stringify({ model: this.#options.model().modelSha256, ...calibration });
    const told = (error: Error) => this.#options.log.warning(`calibration not kept: ${error.message}`);
    this.#saved = this.#store?.save(text).catch(told);
  }

  #follow(calibration: Calibration | undefined): void {
    this.#calibration = calibration;
    this.#drift = calibration && new Drift(calibration);
    this.#ticks = 0;
  }

  #report(): void {
    const payload = JSON.stringify(this.report());
    this.#publish?.({ topic: this.#options.topic, payload, qos: 1, retain: true });
  }

  /** What is published. */
  report(): { readonly [name: string]: Json } {
    const { pipeline } = this.#options.model();
    const { calibration } = pipeline;
    if (calibration === undefined || this.#drift === undefined)
      return { state: 'calibrating', ...pipeline.calibrationProgress };
    const channels = this.#drift.channels();
    return {
      state: 'calibrated',
      time: calibration.timeMs,
      ticks: calibration.ticks,
      channels: Object.fromEntries(channels.map(({ name, ...drift }) => [name, drift])),
      drifted: channels.filter(({ drift }) => Math.abs(drift ?? 0) >= DRIFT_NOTABLE).map(({ name }) => name),
    };
  }
}
