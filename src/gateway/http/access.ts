/** Who may ask the gateway's HTTP server, and what a browser may do with its answers. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';

const tokenLengthMin = 16;
const tokenLengthMax = 256;

/** Whether only this machine itself can reach a server that listens there. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** The token in a file. Throws Error that says what is wrong, never the token. */
export function readToken(path: string): string {
  const token = readFileSync(path, 'utf8').trim();
  if (token.length < tokenLengthMin || token.length > tokenLengthMax || !/^[\x21-\x7e]+$/.test(token)) {
    throw new Error(
      `${path}: expected a token of ${tokenLengthMin} to ${tokenLengthMax} printable characters without spaces, got ${token.length} characters`,
    );
  }
  return token;
}

/**
 * Whether the name that a browser was told is one of ours. A page of somebody else's can have its own name point to
 * our address and then read our answers (DNS rebinding), but the browser still tells that name. Addresses are no names.
 */
export function isOurHost(header: string | undefined, names: readonly string[]): boolean {
  const host = hostOf(header ?? '');
  if (host === undefined) return false;
  const own = hostname().toLowerCase();
  return isIP(host) !== 0 || ['localhost', own, `${own}.local`, ...names].includes(host);
}

/** Without the port and brackets; undefined when it is no host. */
function hostOf(header: string): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(header);
  return (match?.[1] ?? match?.[2])?.toLowerCase();
}

/** Whether a request carries the token: as `Bearer`, or as the password of `Basic`, which browsers ask people for. */
export function carriesToken({ authorization = '' }: IncomingHttpHeaders, token: string): boolean {
  const [scheme = '', credentials = ''] = authorization.split(' ', 2);
  if (scheme.toLowerCase() === 'bearer') return isEqual(credentials, token);
  if (scheme.toLowerCase() !== 'basic') return false;
  const pair = Buffer.from(credentials, 'base64').toString();
  return isEqual(pair.slice(pair.indexOf(':') + 1), token);
}

/** Takes the same time wherever the two differ; hashes have one length. */
function isEqual(given: string, expected: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(given), hash(expected));
}

/** Of every answer: nothing from elsewhere, no inline script, no frame around us, nothing kept. */
export const securityHeaders: Readonly<Record<string, string>> = Object.freeze({
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cache-Control': 'no-store',
});
