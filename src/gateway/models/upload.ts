/** A model in MQTT messages: an offer that says what is to come, then its parts, in any order, as often as they like. */
import { ModelRefusal, type Offered } from './vet.ts';

/** What an offer says. */
export interface Offer {
  /** Comes back in each reply. */
  readonly id: string | null;
  readonly sha256: string;
  readonly size: number;
  /** Each but the last has `ceil(size / parts)` bytes. */
  readonly parts: number;
  /** Base64; null: none. */
  readonly signature: string | null;
}

export interface UploadLimits {
  readonly bytesMax: number;
  /** An upload whose next part does not come within so long is given up. */
  readonly idleMs: number;
}

const offerBytesMax = 1024;
const partsMax = 65_536;
const digestPattern = /^[0-9a-f]{64}$/;
const idPattern = /^[A-Za-z0-9._:-]{1,64}$/;
const offerKeys = ['id', 'sha256', 'size', 'parts', 'signature'];

/** Checks the payload of an offer. Throws ModelRefusal. */
export function readOffer(payload: Uint8Array, { bytesMax }: UploadLimits): Offer {
  const fields = parseObject(payload);
  const unknown = Object.keys(fields).find((key) => !offerKeys.includes(key));
  if (unknown !== undefined)
    throw malformed(`expected the keys ${offerKeys.join(', ')}, got also ${quoted(unknown)}`);
  const { id = null, sha256, size, parts, signature = null } = fields;
  if (id !== null && !(typeof id === 'string' && idPattern.test(id)))
    throw malformed('id: expected 1 to 64 letters, digits, . _ : and -');
  if (typeof sha256 !== 'string' || !digestPattern.test(sha256))
    throw malformed('sha256: expected 64 hexadecimal digits in lower case');
  const bytes = whole('size', size, 1, Number.MAX_SAFE_INTEGER);
  if (bytes > bytesMax)
    throw new ModelRefusal('tooLarge', `size: expected at most ${bytesMax} bytes, got ${bytes}`);
  if (signature !== null && typeof signature !== 'string') throw malformed('signature: expected base64');
  return { id, sha256, size: bytes, parts: whole('parts', parts, 1, Math.min(partsMax, bytes)), signature };
}

/** Where an offer is being fulfilled: one buffer of its size. */
export class Upload {
  readonly offer: Offer;
  readonly partBytes: number;
  readonly #bytes: Uint8Array;
  readonly #has: Uint8Array;
  #missing: number;

  constructor(offer: Offer) {
    this.offer = offer;
    this.partBytes = Math.ceil(offer.size / offer.parts);
    const last = offer.size - (offer.parts - 1) * this.partBytes;
    if (last < 1)
      throw malformed(`parts: ${offer.parts} of ${this.partBytes} bytes are more than ${offer.size}`);
    this.#bytes = new Uint8Array(offer.size);
    this.#has = new Uint8Array(offer.parts);
    this.#missing = offer.parts;
  }

  get missing(): number {
    return this.#missing;
  }

  /** Takes a copy of part `name`, a number from 0. Throws ModelRefusal for what is no part of this offer. */
  take(name: string, payload: Uint8Array): void {
    const part = /^(0|[1-9]\d{0,5})$/.test(name) ? Number(name) : this.offer.parts;
    if (part >= this.offer.parts)
      throw malformed(`expected a part from 0 to ${this.offer.parts - 1}, got ${quoted(name)}`);
    const at = part * this.partBytes;
    const expected = Math.min(this.partBytes, this.offer.size - at);
    if (payload.length !== expected)
      throw malformed(`part ${part}: expected ${expected} bytes, got ${payload.length}`);
    this.#bytes.set(payload, at);
    if (this.#has[part] === 0) this.#missing--;
    this.#has[part] = 1;
  }

  /** Once nothing is missing. */
  offered(): Offered {
    return { bytes: this.#bytes, signature: this.offer.signature };
  }
}

/** The messages that bring a model: its offer and its parts, as `Upload` takes them. */
export function uploadMessages(
  topicPrefix: string,
  { bytes, signature }: Offered,
  sha256: string,
  options: { readonly id?: string; readonly partBytes?: number } = {},
): { readonly topic: string; readonly payload: Buffer }[] {
  const { partBytes: wanted = 32_768, id } = options;
  const parts = Math.ceil(bytes.length / wanted);
  const partBytes = Math.ceil(bytes.length / parts);
  const offer = {
    ...(id === undefined ? {} : { id }),
    sha256,
    size: bytes.length,
    parts: Math.ceil(bytes.length / partBytes),
    ...(signature === null ? {} : { signature }),
  };
  return [
    { topic: `${topicPrefix}/models/offer`, payload: Buffer.from(JSON.stringify(offer)) },
    ...Array.from({ length: offer.parts }, (_, part) => ({
      topic: `${topicPrefix}/models/part/${part}`,
      payload: Buffer.from(bytes.subarray(part * partBytes, (part + 1) * partBytes)),
    })),
  ];
}

function parseObject(payload: Uint8Array): Record<string, unknown> {
  if (payload.length > offerBytesMax)
    throw malformed(`expected an offer of at most ${offerBytesMax} bytes, got ${payload.length}`);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(payload).toString());
  } catch {
    throw malformed('expected a JSON object, got something that is not JSON');
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw malformed('expected a JSON object, got JSON that is none');
}

function whole(name: string, value: unknown, min: number, max: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw malformed(`${name}: expected a whole number from ${min} to ${max}`);
}

function malformed(message: string): ModelRefusal {
  return new ModelRefusal('malformed', message);
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 64));
}
