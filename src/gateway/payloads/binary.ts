/** Numbers in raw bytes: `int16le@4` is a signed little-endian 16-bit integer from byte 4 on. */
import { didYouMean } from '../../text/nearest.ts';
import { describe } from '../config/checker.ts';
import { type Preset, topicOf } from './preset.ts';
import type { BinaryRule } from './rule.ts';

const readers = {
  int8: [1, (view, at) => view.getInt8(at)],
  uint8: [1, (view, at) => view.getUint8(at)],
  int16le: [2, (view, at) => view.getInt16(at, true)],
  int16be: [2, (view, at) => view.getInt16(at, false)],
  uint16le: [2, (view, at) => view.getUint16(at, true)],
  uint16be: [2, (view, at) => view.getUint16(at, false)],
  int32le: [4, (view, at) => view.getInt32(at, true)],
  int32be: [4, (view, at) => view.getInt32(at, false)],
  uint32le: [4, (view, at) => view.getUint32(at, true)],
  uint32be: [4, (view, at) => view.getUint32(at, false)],
  int64le: [8, (view, at) => Number(view.getBigInt64(at, true))],
  int64be: [8, (view, at) => Number(view.getBigInt64(at, false))],
  uint64le: [8, (view, at) => Number(view.getBigUint64(at, true))],
  uint64be: [8, (view, at) => Number(view.getBigUint64(at, false))],
  float32le: [4, (view, at) => view.getFloat32(at, true)],
  float32be: [4, (view, at) => view.getFloat32(at, false)],
  float64le: [8, (view, at) => view.getFloat64(at, true)],
  float64be: [8, (view, at) => view.getFloat64(at, false)],
} as const satisfies Record<string, readonly [bytes: number, read: (view: DataView, at: number) => number]>;

export type BinaryType = keyof typeof readers;
export const binaryTypes = Object.keys(readers) as BinaryType[];

const expected = 'a type and where it begins, such as int16le@0';

export const binary: Preset = {
  keys: [],
  bind(request) {
    const rule = readRule(request.value);
    if (typeof rule === 'string') request.section.add('value', expected, rule);
    return [{ filter: topicOf(request), rule: typeof rule === 'string' ? { kind: 'plain' } : rule }];
  },
};

/** The rule, or what was got instead of one. */
function readRule(text: string | undefined): BinaryRule | string {
  const match = /^(\w+)@(\d{1,8})$/.exec(text ?? '');
  if (match === null) return describe(text);
  const [, type = '', offset] = match;
  if (!binaryTypes.includes(type as BinaryType)) return `${describe(text)}${didYouMean(type, binaryTypes)}`;
  return { kind: 'binary', type: type as BinaryType, offset: Number(offset) };
}

/** Bytes that a payload must have at least. */
export function bytesNeeded({ type, offset }: BinaryRule): number {
  return offset + readers[type][0];
}

/** The number, undefined when the payload is too short. */
export function readBinary(rule: BinaryRule, payload: Uint8Array): number | undefined {
  if (payload.length < bytesNeeded(rule)) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  return readers[rule.type][1](view, rule.offset);
}
