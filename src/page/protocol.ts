/** What the gateway tells its page; the same shapes on both sides. */

/** Ticks in a row, a column per field: the n-th entries of all columns are of one tick. */
export interface TickColumns {
  /** How manieth tick since the gateway's start the first one is, from 0. */
  readonly first: number;
  readonly timeMs: readonly number[];
  /** 0 full, 1 reduced, 2 safe, 3 skipped. */
  readonly tier: readonly number[];
  /** Places in `trusts` and `reasons` of the description. */
  readonly trust: readonly number[];
  readonly reason: readonly number[];
  /** From 0 to 1; null until it means something. Lambda lies from the floor to this; the same where it is exact. */
  readonly lambda: readonly (number | null)[];
  readonly lambdaFloor: readonly (number | null)[];
  readonly reference: readonly (number | null)[];
  /** classify: the class; anomaly: the most surprising channel; forecast: -1. */
  readonly top: readonly number[];
  /** classify: probability of the class; anomaly: the score; null where there is none yet. */
  readonly score: readonly (number | null)[];
  /** [channels][ticks], physical units; null where unknown. */
  readonly values: readonly (readonly (number | null)[])[];
  /** [channels][ticks]: 1 where the channel fired. */
  readonly fired: readonly (readonly number[])[];
}

/** What stays the same while a gateway runs. */
export interface Description {
  readonly gateway: string;
  readonly version: string;
  readonly startedMs: number;
  readonly kernel: string;
  readonly intervalMs: number;
  readonly historyTicks: number;
  readonly channels: readonly { readonly name: string; readonly unit: string }[];
  readonly task:
    | { readonly kind: 'classify'; readonly classes: readonly string[] }
    | { readonly kind: 'anomaly'; readonly threshold: number }
    | { readonly kind: 'forecast'; readonly horizon: number };
  readonly trusts: readonly string[];
  readonly reasons: readonly string[];
}

/** An interval of the ledger. */
export interface EnergyInterval {
  readonly startMs: number;
  readonly wallMs: number;
  /** Null where it could not be read. */
  readonly energyJ: number | null;
}

export interface EnergyState {
  readonly source: string;
  readonly scope: string;
  /** Null where not known yet. */
  readonly energyJ: number | null;
  readonly aboveIdleJ: number | null;
  readonly savedEstimateJ: number | null;
  readonly powerW: number | null;
}

/** What changes now and then; sent each second. */
export interface State {
  readonly uptimeS: number;
  readonly connected: boolean;
  /** What is wrong; empty if nothing. */
  readonly problems: readonly string[];
  readonly ticks: number;
  /** By tier; the last are the skips. */
  readonly perTier: readonly number[];
  readonly macs: number;
  readonly macsDense: number;
  readonly policy: PolicyState;
  /** `safe` or `skip` while a command forces it. */
  readonly override: string;
  readonly energy: EnergyState | null;
  /** For forecasts: the values to come by channel. */
  readonly forecast: readonly (readonly number[])[] | null;
}

export interface PolicyState {
  readonly name: string;
  /** Shares of the reference below which lambda freezes writes, and quarantines; 0: never. */
  readonly freezeShare: number;
  readonly quarantineShare: number;
}

/** The answer of `/history`. */
export interface History {
  readonly description: Description;
  readonly state: State;
  readonly ticks: TickColumns;
  readonly energy: readonly EnergyInterval[];
}
