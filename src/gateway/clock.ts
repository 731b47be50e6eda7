/** Time of receipt: milliseconds since 1970 as of the start, then monotonic, so a clock that is set moves nothing. */
export interface Clock {
  nowMs(): number;
}

/** A clock that is right from now on if the system's is right now. */
export function startClock(): Clock {
  const startedMs = Date.now() - performance.now();
  return { nowMs: () => startedMs + performance.now() };
}
