/** Keys and signatures on the command line; `deploy` is tested against a real broker, in test/gateway/models. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { command as deploy } from '../../src/cli/deploy.ts';
import { command as keygen } from '../../src/cli/keygen.ts';
import { command as sign } from '../../src/cli/sign.ts';
import { saveModel } from '../../src/engine/model-file.ts';
import { isSignedBy, readPublicKey, sha256Of } from '../../src/gateway/models/signature.ts';
import { tinyModel } from '../engine/tiny-model.ts';

const bytes = saveModel(tinyModel());
let directory: string;
let printed: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-sign-'));
  writeFileSync(path('model.safetensors'), bytes);
  printed = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += text;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true });
});

function path(name: string): string {
  return join(directory, name);
}

test('a new key signs, and its other half tells that it did', async () => {
  await keygen.run([path('key')]);
  expect(await sign.run([path('model.safetensors'), '--key', path('key.pem')])).toBe(0);
  expect(printed).toContain(`model.safetensors.sig: signature of SHA-256 ${sha256Of(bytes)}`);
  const signature = readFileSync(path('model.safetensors.sig'), 'utf8').trim();
  const key = readPublicKey(readFileSync(path('key.pub.pem'), 'utf8'));
  expect(isSignedBy(sha256Of(bytes), signature, key)).toBe(true);
  expect(isSignedBy(sha256Of(Buffer.from('another')), signature, key)).toBe(false);
});

test('the private key is for its owner, is not overwritten, and not shown', async () => {
  await keygen.run([path('key')]);
  expect(statSync(path('key.pem')).mode & 0o777).toBe(0o600);
  const pem = readFileSync(path('key.pem'), 'utf8');
  await expect(keygen.run([path('key')])).rejects.toThrow(
    'key.pem: expected a file to make, got one that is there',
  );
  expect(readFileSync(path('key.pem'), 'utf8')).toBe(pem);
  await sign.run([path('model.safetensors'), '--key', path('key.pem')]);
  const errors = await Promise.all([
    sign.run([path('key.pem'), '--key', path('key.pem')]).catch(String),
    sign.run([path('model.safetensors'), '--key', path('model.safetensors')]).catch(String),
  ]);
  for (const text of [printed, ...errors.map(String)]) expect(text).not.toContain(pem.split('\n')[1]);
});

test.each([
  ['a public key', 'key.pub.pem', 'expected an Ed25519 private key in PEM, got something that is none'],
  ['no file', 'nowhere.pem', 'nowhere.pem: no such file'],
])('%s does not sign', async (_, key, expected) => {
  await keygen.run([path('key')]);
  await expect(sign.run([path('model.safetensors'), '--key', path(key)])).rejects.toThrow(expected);
});

test('a private key is none to check with: it would lie on every gateway', async () => {
  await keygen.run([path('key')]);
  expect(() => readPublicKey(readFileSync(path('key.pem'), 'utf8'))).toThrow('got a private one');
});

test('what is no model is not signed', async () => {
  await keygen.run([path('key')]);
  writeFileSync(path('text'), 'not a model');
  await expect(sign.run([path('text'), '--key', path('key.pem')])).rejects.toThrow(path('text'));
});

test.each([
  [[], 'expected a model file'],
  [['model', '--to', 'a'], 'expected --broker URL'],
  [['model', '--broker', 'mqtt://127.0.0.1'], 'expected --to PREFIX'],
  [['model', '--broker', 'mqtt://127.0.0.1', '--to', 'a/#'], '--to: expected a topic without wildcards'],
])('deploy %j: called wrongly', async (args, expected) => {
  await expect(deploy.run(args)).rejects.toThrow(expected);
});
