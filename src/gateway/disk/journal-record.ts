/** A message as it is kept on disk: flags, when it came or was made, length of the topic, topic, payload. */

export interface JournalMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retained: boolean;
  /** When it came or was made, milliseconds since 1970. */
  readonly receivedMs: number;
}

const headerBytes = 11;
const retainedFlag = 1;

export function encodeMessage({ topic, payload, retained, receivedMs }: JournalMessage): Buffer {
  const topicBytes = Buffer.byteLength(topic);
  const bytes = Buffer.allocUnsafe(headerBytes + topicBytes + payload.length);
  bytes[0] = retained ? retainedFlag : 0;
  bytes.writeDoubleLE(receivedMs, 1);
  bytes.writeUInt16LE(topicBytes, 9);
  bytes.write(topic, headerBytes);
  bytes.set(payload, headerBytes + topicBytes);
  return bytes;
}

/** `bytes` are such as `encodeMessage` made; the payload is a view. */
export function decodeMessage(bytes: Buffer): JournalMessage & { readonly payload: Buffer } {
  const topicEnd = headerBytes + bytes.readUInt16LE(9);
  return {
    topic: bytes.toString('utf8', headerBytes, topicEnd),
    payload: bytes.subarray(topicEnd),
    retained: (bytes[0]! & retainedFlag) !== 0,
    receivedMs: bytes.readDoubleLE(1),
  };
}
