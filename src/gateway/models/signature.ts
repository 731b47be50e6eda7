/** Who vouches for a model file: SHA-256 and Ed25519 (RFC 8032), by node:crypto. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';

/** A signature of something else is none of a model, whatever the key is used for besides. */
const purpose = Buffer.from('dormouse-model-1\0', 'latin1');
const signatureBytes = 64;
/** A signature as text: base64 of 64 bytes. */
const signaturePattern = /^[A-Za-z0-9+/]{86}==$/;

/** Hexadecimal, lower case. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A new pair, as PEM texts (PKCS #8 and SPKI). */
export function makeKeyPair(): { readonly privateKey: string; readonly publicKey: string } {
  return generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
}

/** Of a PEM text. Throws an Error that repeats nothing of it. */
export function readPrivateKey(pem: string): KeyObject {
  return requireEd25519('private', () => createPrivateKey(pem));
}

/** Of a PEM text. Throws an Error. */
export function readPublicKey(pem: string): KeyObject {
  return requireEd25519('public', () => createPublicKey(requireNotPrivate(pem)));
}

/** node:crypto would take the public half of it, and the private one would lie on every gateway. */
function requireNotPrivate(pem: string): string {
  if (pem.includes('PRIVATE KEY'))
    throw new Error('expected an Ed25519 public key in PEM, got a private one');
  return pem;
}

function requireEd25519(what: string, read: () => KeyObject): KeyObject {
  const expected = `expected an Ed25519 ${what} key in PEM`;
  let key: KeyObject;
  try {
    key = read();
  } catch (error) {
    if ((error as Error).message.startsWith('expected')) throw error;
    throw new Error(`${expected}, got something that is none`);
  }
  if (key.asymmetricKeyType === 'ed25519') return key;
  throw new Error(`${expected}, got one of the type ${key.asymmetricKeyType}`);
}

/** The signature of the model file with that digest, as one line of base64. */
export function signModel(sha256: string, privateKey: KeyObject): string {
  return sign(null, messageOf(sha256), privateKey).toString('base64');
}

/** Whether `signature` (base64) is that of the model file with that digest, by the owner of the key. */
export function isSignedBy(sha256: string, signature: string, publicKey: KeyObject): boolean {
  if (!signaturePattern.test(signature)) return false;
  const bytes = Buffer.from(signature, 'base64');
  return bytes.length === signatureBytes && verify(null, messageOf(sha256), publicKey, bytes);
}

function messageOf(sha256: string): Buffer {
  return Buffer.concat([purpose, Buffer.from(sha256, 'hex')]);
}
