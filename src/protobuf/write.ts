/** As much of the protocol buffers wire format as writing needs. */

const encoder = new TextEncoder();

/** One message: fields in the order in which they are added. */
export class ProtobufMessage {
  readonly #parts: Uint8Array[] = [];

  /** A whole number from 0 to 2^53, or a negative one (ten bytes, two's complement). */
  integer(field: number, value: number | bigint): this {
    this.#parts.push(varint(field << 3), varint(value));
    return this;
  }

  /** A 32 bit float. */
  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    this.#parts.push(varint((field << 3) | 5), bytes);
    return this;
  }

  /** A 64 bit float. */
  double(field: number, value: number): this {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, value, true);
    this.#parts.push(varint((field << 3) | 1), bytes);
    return this;
  }

  /** Text, raw bytes or another message. */
  bytes(field: number, value: string | Uint8Array | ProtobufMessage): this {
    const bytes =
      typeof value === 'string'
        ? encoder.encode(value)
        : value instanceof ProtobufMessage
          ? value.finish()
          : value;
    this.#parts.push(varint((field << 3) | 2), varint(bytes.length), bytes);
    return this;
  }

  finish(): Uint8Array {
    const whole = new Uint8Array(this.#parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.#parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }
}

function varint(value: number | bigint): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}
