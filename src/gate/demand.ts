/** What is typical of the recent tokens: novelty and rate differ tenfold between plants, so that they are compared with themselves. */
import type { StateCarrier } from './carrier.ts';
import { type DemandPacket, Q15_ONE, type SpikePacket } from './packets.ts';
import { RunningMedian } from './running-median.ts';

/** Tokens that the medians are taken of. */
const TYPICAL_TOKENS = 64;
/** A median of fewer tokens says nothing. */
const TYPICAL_TOKENS_MIN = 16;

/** Nothing is known: full compute. */
export function makeDemandPacket(): DemandPacket {
  return { noveltyTypicalQ15: 0, rateTypicalQ15: 0, regretQ15: Q15_ONE, doubtQ15: Q15_ONE };
}

export class TypicalActivity {
  readonly #novelty = new RunningMedian(TYPICAL_TOKENS);
  readonly #rate = new RunningMedian(TYPICAL_TOKENS);

  /** Hands over what it remembers. */
  carry(state: StateCarrier): void {
    this.#novelty.carry(state);
    this.#rate.carry(state);
  }

  reset(): void {
    this.#novelty.reset();
    this.#rate.reset();
  }

  /** Fills `demand` from the tokens before this one, then remembers this one. */
  measure(spike: SpikePacket, demand: DemandPacket): void {
    const known = this.#novelty.count >= TYPICAL_TOKENS_MIN;
    demand.noveltyTypicalQ15 = known ? this.#novelty.median : 0;
    demand.rateTypicalQ15 = known ? this.#rate.median : 0;
    this.#novelty.push(spike.noveltyQ15);
    this.#rate.push(spike.rateQ15);
  }
}
