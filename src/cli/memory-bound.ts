/** A bound on what the process keeps to itself: an orderly end before the kernel's disorderly one. */
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Log } from '../gateway/log.ts';
import { UsageError } from './command.ts';

const warnShare = 0.9;
const units = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 } as const;

/** Bytes from text such as `128M`. Throws UsageError. */
export function parseBytes(option: string, text: string): number {
  const match = /^(\d+)([KMG])?$/.exec(text);
  const unit = match?.[2] as keyof typeof units | undefined;
  const bytes = Number(match?.[1]) * (unit === undefined ? 1 : units[unit]);
  if (bytes >= units.M) return bytes;
  throw new UsageError(`--${option}: expected a size of at least 1M, such as 128M or 1G, got '${text}'`);
}

/**
 * Bytes that nobody else has and the kernel can't take back: heap, stacks, the engine's memory; not the pages of the
 * program's file. Where the kernel does not tell them apart, everything resident.
 */
export function privateBytes(): number {
  try {
    return privateBytesOf(readFileSync('/proc/self/status', 'utf8'));
  } catch {
    return process.memoryUsage.rss();
  }
}

/** How many bytes may still be taken before anyone is warned. */
export function memoryLeftOf(maxBytes: number): () => number {
  return () => Math.floor(warnShare * maxBytes) - privateBytes();
}

/** Of the text of /proc/PID/status. Throws Error when it does not tell. */
export function privateBytesOf(status: string): number {
  const kibibytes = ['RssAnon', 'RssShmem'].map(
    (name) => new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1],
  );
  if (kibibytes.includes(undefined)) throw new Error('no RssAnon and RssShmem in it');
  return kibibytes.reduce((sum, value) => sum + 1024 * Number(value), 0);
}

export interface MemoryBoundOptions {
  readonly maxBytes: number;
  readonly log: Log;
  /** Called once: the bound is passed, and collecting garbage did not help. */
  readonly onExceeded: () => void;
  readonly measure?: () => number;
  readonly collect?: () => void;
}

/** Warns near the bound, once until it has been well below it; beyond it, collects garbage, then gives up. */
export class MemoryBound {
  readonly #options: MemoryBoundOptions;
  #warned = false;
  #exceeded = false;

  constructor(options: MemoryBoundOptions) {
    this.#options = options;
  }

  check(): void {
    const { maxBytes, log, measure = privateBytes, collect = collectGarbage, onExceeded } = this.#options;
    if (this.#exceeded || measure() < warnShare * maxBytes) return;
    collect();
    const bytes = measure();
    const found = `${mebibytes(bytes)} MiB in use, of ${mebibytes(maxBytes)} allowed (--max-memory)`;
    if (bytes > maxBytes) {
      this.#exceeded = true;
      log.error(`${found}: stopping, to be started anew`);
      onExceeded();
    } else this.#warn(bytes, found);
  }

  #warn(bytes: number, found: string): void {
    const isNear = bytes >= warnShare * this.#options.maxBytes;
    if (isNear && !this.#warned) this.#options.log.warning(found);
    this.#warned = isNear;
  }
}

/** V8 lets garbage lie while it may grow, so a bound must ask for it. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / units.M);
}

/** EX_TEMPFAIL: nothing is wrong that a new start would not cure. */
const exitStartAnew = 75;
const checkMs = 10_000;

/** Looks now and then, and comes to the end with an exit code when there is too much; undefined: without a bound. */
export function watchMemory(
  maxBytes: number | undefined,
  log: Log,
  end: (code: number) => void,
): NodeJS.Timeout | undefined {
  if (maxBytes === undefined) return undefined;
  const bound = new MemoryBound({ maxBytes, log, onExceeded: () => end(exitStartAnew) });
  bound.check();
  return setInterval(() => bound.check(), checkMs);
}
