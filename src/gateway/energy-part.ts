/** The ledger beside the ticks: counts each, tells Home Assistant, and hears the smart plug where that is the meter. */
import type { Ledger, TickWitness } from '../energy/ledger.ts';
import type { LedgerRecord } from '../energy/ledger-record.ts';
import type { EnergySnapshot } from '../energy/metrics.ts';
import type { PlugMeter } from '../energy/plug.ts';
import type { TierCosts } from '../energy/tier-cost.ts';
import type { Engine } from '../engine/engine.ts';
import type { Json } from '../engine/model.ts';
import type { OutgoingMessage } from './outbox.ts';
import type { GatewayPart } from './part.ts';

/** Hears the plug. A retained message tells of a time that nobody knows, so it is passed over. */
export class PlugPart implements GatewayPart {
  readonly filters: readonly string[];
  readonly #meter: PlugMeter;

  constructor(meter: PlugMeter) {
    this.#meter = meter;
    this.filters = [meter.topic];
  }

  onMessage(topic: string, payload: Uint8Array, retained: boolean): void {
    if (retained || topic !== this.#meter.topic) return;
    this.#meter.onMessage(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString());
  }
}

/** Publishes `{"powerW", "energyWh", "source"}` after each interval whose joules are known. */
export class EnergyPart implements GatewayPart {
  /** Told of each interval, whether its joules are known or not. */
  onInterval: (record: LedgerRecord) => void = () => {};
  readonly #ledger: Ledger;
  readonly #topic: string;
  readonly #costsOf: (engine: Engine) => TierCosts | undefined;
  #publish: ((message: OutgoingMessage) => void) | undefined;
  #powerWatts = Number.NaN;
  #energyJ = 0;

  /** The ledger's `onRecord` must be this part's. `costsOf`: what steps of another engine's model cost. */
  constructor(
    makeLedger: (onRecord: (record: LedgerRecord) => void) => Ledger,
    topic: string,
    costsOf: (engine: Engine) => TierCosts | undefined = () => undefined,
  ) {
    this.#topic = topic;
    this.#costsOf = costsOf;
    this.#ledger = makeLedger((record) => this.#onRecord(record));
  }

  start(): void {
    this.#ledger.start();
  }

  onReady(publish: (message: OutgoingMessage) => void): void {
    this.#publish = publish;
  }

  onTick(witness: TickWitness): void {
    this.#ledger.onTick(witness);
  }

  onModel(engine: Engine): void {
    this.#ledger.useCosts(this.#costsOf(engine));
  }

  counters(): { readonly ledger: { readonly [name: string]: Json } } {
    const ledger = this.#ledger;
    return {
      ledger: {
        source: ledger.meter.source,
        powerW: Number.isNaN(this.#powerWatts) ? null : this.#powerWatts,
        meterFailures: ledger.meter.failures,
        records: ledger.written,
        waiting: ledger.pending,
        writeFailures: ledger.writeFailures,
        writtenBytes: ledger.writtenBytes,
      },
    };
  }

  /** For the metrics of whoever asks. */
  snapshot(): EnergySnapshot {
    const { meter, writeFailures, writtenBytes } = this.#ledger;
    const { source, scope, failures } = meter;
    const totals = this.#ledger.totals();
    return {
      source,
      scope,
      totals,
      powerWatts: this.#powerWatts,
      meterFailures: failures,
      writeFailures,
      writtenBytes,
    };
  }

  stop(): Promise<void> {
    return this.#ledger.stop();
  }

  #onRecord(record: LedgerRecord): void {
    const { energyJ, wallMs, source } = record;
    this.onInterval(record);
    this.#powerWatts = energyJ === null || wallMs === 0 ? Number.NaN : rounded((1000 * energyJ) / wallMs);
    if (Number.isNaN(this.#powerWatts)) return;
    this.#energyJ += energyJ!;
    const payload = { powerW: this.#powerWatts, energyWh: rounded(this.#energyJ / 3600), source };
    this.#publish?.({ topic: this.#topic, payload: JSON.stringify(payload), qos: 0, retain: false });
  }
}

function rounded(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}
