/** Time of receipt: milliseconds since 1970 as of the start, then monotonic, so a clock that is set moves nothing. */
export interface Clock {
  nowMs(): number;
}

export const monotonicClock: Clock = {
  nowMs: () => performance.timeOrigin + performance.now(),
};
