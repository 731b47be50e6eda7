/** Everything that the next tick rests on, as bytes: a line of JSON that says what they are of, then the state. */
import { crc32 } from '../../engine/crc32.ts';
import type { Engine } from '../../engine/engine.ts';
import type { StateCarrier } from '../../gate/carrier.ts';
import type { FrameAssembler } from '../frame.ts';
import type { Pipeline } from '../pipeline.ts';
import { StateMeasure, StateReader, StateWriter } from './state-bytes.ts';

export interface StateOwners {
  readonly engine: Pick<Engine, 'states'>;
  readonly pipeline: Pipeline;
  readonly frames: FrameAssembler;
}

export interface SnapshotHead {
  /** Of what the state is: anything else can't go on from it. */
  readonly identity: string;
  /** Number of the log that follows it. */
  readonly log: number;
  /** What the rule of publishing remembers. */
  readonly published: string;
}

const headBytesMax = 4096;

function carryAll({ engine, pipeline, frames }: StateOwners, state: StateCarrier): void {
  pipeline.carry(state);
  frames.carry(state);
  for (const region of engine.states()) state.array(region);
}

export function takeSnapshot(owners: StateOwners, head: SnapshotHead): Buffer {
  const measure = new StateMeasure();
  carryAll(owners, measure);
  const body = Buffer.alloc(measure.bytes);
  carryAll(owners, new StateWriter(body));
  return Buffer.concat([
    Buffer.from(`${JSON.stringify({ ...head, bytes: body.length, crc32: crc32(body) })}\n`),
    body,
  ]);
}

/** The head, and what puts the state back; undefined for bytes that are no whole snapshot. */
export function readSnapshot(
  bytes: Buffer,
): { readonly head: SnapshotHead; readonly restore: (owners: StateOwners) => boolean } | undefined {
  const end = bytes.subarray(0, headBytesMax).indexOf('\n');
  const body = bytes.subarray(end + 1);
  const head = parseHead(bytes.subarray(0, Math.max(0, end)).toString());
  if (head === undefined || head.bytes !== body.length || head.crc32 !== crc32(body)) return undefined;
  return { head, restore: (owners) => restore(owners, body) };
}

function restore(owners: StateOwners, body: Buffer): boolean {
  const measure = new StateMeasure();
  carryAll(owners, measure);
  if (measure.bytes !== body.length) return false;
  carryAll(owners, new StateReader(body));
  return true;
}

function parseHead(text: string): (SnapshotHead & { bytes: number; crc32: number }) | undefined {
  try {
    const { identity, log, published, bytes, crc32: sum } = JSON.parse(text);
    const isWhole = typeof identity === 'string' && Number.isInteger(log) && typeof published === 'string';
    return isWhole ? { identity, log, published, bytes, crc32: sum } : undefined;
  } catch {
    return undefined;
  }
}
