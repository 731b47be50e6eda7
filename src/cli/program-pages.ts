/**
 * Gives back to the kernel what only starting needed of the program's own file: Node's snapshot and compilers for the
 * most part, half of all that is resident. The pages stay in the kernel's cache of files, and those that are touched
 * again come back by themselves.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { isSingleExecutable } from '../carried.ts';
import type { Log } from '../gateway/log.ts';

/** Addresses in a process. */
export interface Span {
  readonly start: bigint;
  readonly bytes: bigint;
}

/** Of Linux: forget these pages. Of a private mapping of a file, what was never written to is read from there again. */
type Forget = (span: Span) => void;

interface ForeignFunctions {
  dlopen(
    library: null,
    definitions: { madvise: { arguments: readonly string[]; return: string } },
  ): { readonly functions: { madvise(start: bigint, bytes: bigint, advice: number): number } };
}

/** By then everything has run that only a start needs. */
const startedMs = 20_000;
/** From Linux' mman-common.h. */
const MADV_DONTNEED = 4;

/** Does so a while after the start, and tells. */
export function releaseOnceStarted(log: Log): NodeJS.Timeout {
  return setTimeout(() => {
    try {
      const bytes = releaseProgramPages();
      if (bytes !== undefined) log.info(`${Math.round(bytes / 1e6)} MB that only starting needed given back`);
    } catch (error) {
      log.warning(`what only starting needed stays in memory: ${(error as Error).message}`);
    }
  }, startedMs);
}

/**
 * Gives the bytes that were resident and no longer are; undefined where it can't be done: the way there, `node:ffi`, is
 * experimental, so it is gone only in the single executable, whose Node is one and tested.
 */
export function releaseProgramPages(): number | undefined {
  const forget = isSingleExecutable() ? openForget() : undefined;
  if (forget === undefined) return undefined;
  const before = residentFileBytes();
  for (const span of cleanSpans(readFileSync('/proc/self/smaps', 'utf8'), readlinkSync('/proc/self/exe')))
    forget(span);
  return before - residentFileBytes();
}

function openForget(): Forget | undefined {
  const foreign = process.getBuiltinModule?.('node:ffi') as unknown as ForeignFunctions | undefined;
  if (foreign === undefined) return undefined;
  const madvise = { arguments: ['u64', 'u64', 'i32'], return: 'i32' };
  const { functions } = foreign.dlopen(null, { madvise });
  return ({ start, bytes }) => void functions.madvise(start, bytes, MADV_DONTNEED);
}

/**
 * The mappings of `program` in the text of /proc/PID/smaps that can't be written to and hold nothing but what the file
 * holds. Where the loader has filled in addresses (`Anonymous` is not 0), forgetting would undo that.
 */
export function cleanSpans(smaps: string, program: string): readonly Span[] {
  const mappings = smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  return mappings.flatMap((text) => {
    const [, start, end, path] = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \S+ +(.*)$/m.exec(text) ?? [];
    if (path !== program || !/^Anonymous: +0 kB$/m.test(text)) return [];
    const from = BigInt(`0x${start}`);
    return [{ start: from, bytes: BigInt(`0x${end}`) - from }];
  });
}

function residentFileBytes(): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  return 1024 * Number(/^RssFile:\s+(\d+) kB$/m.exec(status)?.[1]);
}
