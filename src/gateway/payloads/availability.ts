/** What devices, or the broker in their name, say about being there. */

const gone = new Set(['offline', 'false', 'disconnected', 'lost', 'unavailable']);
const payloadBytesMax = 256;

/** Whether the payload says that the device is gone: `offline`, `Offline`, `false`, `{"state":"offline"}`. */
export function saysOffline(payload: Uint8Array): boolean {
  if (payload.length > payloadBytesMax) return false;
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('utf8').trim();
  const state = /^\{\s*"state"\s*:\s*"(\w+)"\s*\}$/.exec(text);
  return gone.has((state?.[1] ?? text).toLowerCase());
}
