/** As much of the protocol buffers wire format as reading foreign messages needs. Bounded by the bytes that are there. */

/** A varint (as 64 unsigned bits), or the bytes of a fixed-size or length-delimited field. */
export type WireValue = bigint | Uint8Array;

/** Bytes that are no protocol buffers message. */
export class ProtobufError extends Error {
  override readonly name = 'ProtobufError';
}

const varintBytesMax = 10;

/**
 * Calls `visit` for each field of one message, in order; nested messages come as their bytes and are not looked into.
 * Throws ProtobufError for a field that is cut, a group (obsolete) or an unknown wire type.
 */
export function readFields(bytes: Uint8Array, visit: (field: number, value: WireValue) => void): void {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let index = 0; index < varintBytesMax; index++) {
      const byte = bytes[at++];
      if (byte === undefined) throw new ProtobufError('expected a varint, got the end');
      value |= BigInt(byte & 127) << BigInt(7 * index);
      if (byte < 128) return BigInt.asUintN(64, value);
    }
    throw new ProtobufError('expected a varint of at most 10 bytes, got a longer one');
  };
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - at)
      throw new ProtobufError(`expected ${length} bytes, got ${bytes.length - at}`);
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const key = Number(varint());
    visit(Math.floor(key / 8), readValue(key % 8, varint, take));
  }
}

function readValue(wireType: number, varint: () => bigint, take: (length: number) => Uint8Array): WireValue {
  if (wireType === 0) return varint();
  if (wireType === 1) return take(8);
  if (wireType === 2) return take(Number(varint()));
  if (wireType === 5) return take(4);
  throw new ProtobufError(`expected wire type 0, 1, 2 or 5, got ${wireType}`);
}
