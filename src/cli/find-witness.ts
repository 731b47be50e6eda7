/** A tick of a witness log, and what the log does not have of the ticks around it. */
import { existsSync } from 'node:fs';
import { Witness } from '../gate/witness.ts';
import { WITNESS_BYTES } from '../gate/witness-record.ts';
import { readWitnesses } from '../gateway/disk/witness-log.ts';
import { fileProblem } from '../text/file-problem.ts';

/** The tick that is asked for: by number, by time, or the last. */
export interface Wanted {
  readonly number: number | undefined;
  readonly timeMs: number | undefined;
}

/** Sequences, both included. */
export interface TickRange {
  readonly from: number;
  readonly to: number;
}

export interface FoundWitness {
  readonly witness: Witness;
  /** Ticks between it and the one that was logged before it; null: none, or it is the first of the log or of a start. */
  readonly missingBefore: TickRange | null;
}

/** Why a log has no witness of some ticks, for a reader. */
export function notLogged({ from, to }: TickRange): string {
  const ticks = from === to ? `tick ${from} is` : `ticks ${from} to ${to} are`;
  return `${ticks} not in the log: left out where witnessLog.bytesPerDay was needed for changes of tier and trust, or lost with the power`;
}

/** The last that fits. Throws Error where there is none, or no log. */
export async function findWitness(directory: string, wanted: Wanted): Promise<FoundWitness> {
  if (!existsSync(directory)) throw new Error(`${directory}: expected a witness log, found nothing there`);
  const witness = new Witness();
  const bytes = new DataView(new ArrayBuffer(WITNESS_BYTES));
  const foreign: string[] = [];
  let count = 0;
  let matches = 0;
  let before: number | undefined;
  let missingBefore: TickRange | null = null;
  let leftOut: TickRange | null = null;
  try {
    for await (const one of readWitnesses(directory, (file, size) =>
      foreign.push(`${file} (${size} bytes)`),
    )) {
      count++;
      const gap = gapBetween(before, one.sequence);
      before = one.sequence;
      if (gap !== null && isWithin(gap, wanted.number)) leftOut = gap;
      if (wanted.number !== undefined && one.sequence !== wanted.number) continue;
      if (wanted.timeMs !== undefined && one.timeMs > wanted.timeMs) continue;
      matches++;
      missingBefore = gap;
      one.encode(bytes, 0);
      witness.decode(bytes, 0);
    }
  } catch (error) {
    throw new Error(`${directory}: expected a witness log, got ${fileProblem(error)}`, { cause: error });
  }
  if (matches > 0) return { witness, missingBefore };
  throw new Error(`${directory}: ${missing(count, foreign, wanted, leftOut)}`);
}

/** A sequence that does not rise is another start's. */
function gapBetween(before: number | undefined, sequence: number): TickRange | null {
  if (before === undefined || sequence <= before + 1) return null;
  return { from: before + 1, to: sequence - 1 };
}

function isWithin({ from, to }: TickRange, number: number | undefined): boolean {
  return number !== undefined && from <= number && number <= to;
}

function missing(
  count: number,
  foreign: readonly string[],
  wanted: Wanted,
  leftOut: TickRange | null,
): string {
  const other = `another version wrote ${foreign.join(', ')}, whose records are not ${WITNESS_BYTES} bytes long`;
  if (count === 0) return foreign.length > 0 ? other : 'expected witnesses, found none';
  const which = wanted.number === undefined ? 'at or before that time' : `with sequence ${wanted.number}`;
  const why = leftOut === null ? [] : [notLogged(leftOut)];
  return [`no tick ${which} among ${count}`, ...why, ...(foreign.length > 0 ? [other] : [])].join('; ');
}
