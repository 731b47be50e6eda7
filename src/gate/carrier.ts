/** State on its way out of its owners, or back into them: each hands over what it remembers, in one order. */

/** What whole arrays are handed over as. */
export type StateArray = Float64Array | Int32Array | Int16Array | Uint8Array;

/**
 * Outwards `number` notes what it is given and gives it back, and `array` notes what is in it. Back, `number` gives
 * what was noted, and `array` fills. So one method of each owner does both.
 */
export interface StateCarrier {
  number(value: number): number;
  array(values: StateArray): void;
}

/** The same for what is either so or not. */
export function carryFlag(state: StateCarrier, value: boolean): boolean {
  return state.number(Number(value)) === 1;
}

/** The same for fields that are numbers or flags, by their names. */
export function carryFields<T extends object>(
  state: StateCarrier,
  owner: T,
  names: readonly (keyof T)[],
): void {
  for (const name of names) {
    const value = owner[name];
    if (typeof value === 'boolean') owner[name] = carryFlag(state, value) as T[keyof T];
    else owner[name] = state.number(value as number) as T[keyof T];
  }
}
