/** CBOR documents (RFC 8949): as JSON, in fewer bytes. */
import { decode, Tokenizer, Type } from 'cborg';
import { type Preset, pathOf, topicOf } from './preset.ts';

export const cbor: Preset = {
  keys: [],
  bind(request) {
    const path = pathOf(request, 'temperature');
    const text = request.value ?? `the key ${request.channel}`;
    return [{ filter: topicOf(request), rule: { kind: 'path', path, text, encoding: 'cbor' } }];
  },
};

/** Times and the mark "this is CBOR" are what they hold; other tags are refused. */
const content = (decodeContent: () => unknown) => decodeContent();
const tags = { 0: content, 1: content, 55799: content };

/** The document, or why there is none: nested deeper than `depthMax`, or no CBOR. Never throws. */
export function parseCbor(
  payload: Uint8Array,
  depthMax: number,
): { document: unknown } | 'tooDeep' | 'notCbor' {
  try {
    if (isDeeper(payload, depthMax)) return 'tooDeep';
    return { document: decode(payload, { tags }) };
  } catch {
    return 'notCbor';
  }
}

/** Walks the tokens, remembering how many items each open list, map or tag still expects. */
function isDeeper(payload: Uint8Array, depthMax: number): boolean {
  const tokens = new Tokenizer(payload, { allowBigInt: true, allowIndefinite: true, allowUndefined: true });
  const open: number[] = [];
  while (!tokens.done()) {
    const { type, value } = tokens.next();
    if (type === Type.break) open.pop();
    else if (!type.terminal) {
      open.push(type === Type.map ? 2 * value : type === Type.tag ? 1 : value);
      if (open.length > depthMax) return true;
      if (open.at(-1)! > 0) continue;
      open.pop();
    }
    while (open.length > 0 && --open[open.length - 1]! <= 0) open.pop();
  }
  return false;
}
