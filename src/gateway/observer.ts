/** Whoever wants to know of every tick: the witness log, the ledger. */
import type { Witness } from '../gate/witness.ts';

export interface TickObserver {
  /** Called once per tick with a reused witness; must not keep it, wait or throw. */
  onTick(witness: Witness): void;
  /** Writes what is still in memory. */
  flush(): Promise<void>;
}
