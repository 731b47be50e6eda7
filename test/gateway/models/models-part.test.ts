/** On a real disk: the folder, its lock, and a file that a person has spoiled. */
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { saveModel } from '../../../src/engine/model-file.ts';
import { loadGatewayConfig } from '../../../src/gateway/config/load-config.ts';
import { ModelsPart } from '../../../src/gateway/models/models-part.ts';
import { makeKeyPair, sha256Of } from '../../../src/gateway/models/signature.ts';
import { Gateway } from '../../../src/gateway/service.ts';
import { tinyModel } from '../../engine/tiny-model.ts';
import { Fixture, noteLog } from '../fixture.ts';
import { keys, offered } from './stage.ts';

const bytes = saveModel(tinyModel());
let fixture: Fixture;
let opened: ModelsPart[];

beforeEach(() => {
  fixture = new Fixture();
  opened = [];
  writeFileSync(fixture.path('key.pem'), keys.publicKey);
  writeFileSync(fixture.path('model.safetensors.sig'), `${offered(bytes).signature}\n`);
});
afterEach(async () => {
  for (const part of opened) await part.stop();
  fixture.remove();
});

async function open() {
  const models = { directory: 'kept/models', publicKeyFile: 'key.pem' };
  const loaded = loadGatewayConfig(fixture.writeConfig('mqtt://127.0.0.1:1', { models }));
  const log = noteLog();
  const part = new ModelsPart({ loaded, gateway: () => gateway, log });
  const gateway: Gateway = new Gateway(loaded, { log, parts: [part] });
  opened.push(part);
  await part.open();
  return { part, gateway, log };
}

test('the model and its signature are kept', async () => {
  const { part } = await open();
  expect(part.status()).toMatchObject({ current: sha256Of(bytes), phase: 'idle' });
  const names = readdirSync(fixture.path('kept/models')).sort();
  expect(names).toEqual([`${sha256Of(bytes)}.safetensors`, 'lock', 'state-00000001.json']);
  await part.stop();
  expect(readdirSync(fixture.path('kept/models'))).not.toContain('lock');
});

test('nobody else may work in the folder', async () => {
  await open();
  await expect(open()).rejects.toThrow('expected a folder of its own');
});

test.each([
  ['gone', () => rmSync(fixture.path('model.safetensors')), 'no such file'],
  ['cut off', () => writeFileSync(fixture.path('model.safetensors'), bytes.subarray(0, 3000)), ''],
])('a file that is %s: the model that worked last stands in', async (_, spoil, reason) => {
  await (await open()).part.stop();
  spoil();
  const { part, log } = await open();
  expect(part.status()).toMatchObject({ current: sha256Of(bytes) });
  const told = log.lines.find((line) => line.includes('the model that worked last stands in'));
  expect(told).toContain('model (line 2): expected a model file, got');
  expect(told).toContain(reason);
});

test('a stored model that nobody vouches for does not stand in', async () => {
  await (await open()).part.stop();
  writeFileSync(fixture.path('key.pem'), makeKeyPair().publicKey);
  rmSync(fixture.path('model.safetensors'));
  await expect(open()).rejects.toThrow('expected a stored model that may be run, got none');
});

test('a stored model that is damaged is passed over for the file', async () => {
  await (await open()).part.stop();
  const kept = fixture.path(`kept/models/${sha256Of(bytes)}.safetensors`);
  writeFileSync(kept, bytes.subarray(0, 100));
  const { part, log } = await open();
  expect(part.status()).toMatchObject({ current: sha256Of(bytes) });
  expect(log.lines.join()).toContain('is not whole any more');
});
