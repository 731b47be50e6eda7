/** Time that passes, and what is to be done later; a simulation has its own. */
export interface Timers {
  /** Monotonic, milliseconds; only differences mean something. */
  nowMs(): number;
  after(delayMs: number, call: () => void): Cancel;
  every(intervalMs: number, call: () => void): Cancel;
  /** Once what has already come in was dealt with. */
  soon(call: () => void): Cancel;
}

/** May be called at any time, also twice. */
export type Cancel = () => void;

export const realTimers: Timers = {
  nowMs: () => performance.now(),
  after(delayMs, call) {
    const timer = setTimeout(call, delayMs);
    return () => clearTimeout(timer);
  },
  every(intervalMs, call) {
    const timer = setInterval(call, intervalMs);
    return () => clearInterval(timer);
  },
  soon(call) {
    const immediate = setImmediate(call);
    return () => clearImmediate(immediate);
  },
};
