/** A model exchanged under traffic through a real Mosquitto, by real processes. */
import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { saveModel } from '../../../src/engine/model-file.ts';
import { sha256Of } from '../../../src/gateway/models/signature.ts';
import { buildProgram, Running } from '../../cli/gateway-program.ts';
import { tinyModel } from '../../engine/tiny-model.ts';
import { Collector, Fixture, until } from '../fixture.ts';
import { findMosquitto, Mosquitto } from '../mosquitto.ts';
import { stranger, twin } from './stage.ts';

const mosquitto = findMosquitto();
const first = sha256Of(saveModel(tinyModel()));
const next = sha256Of(twin());

describe.skipIf(mosquitto === undefined)('against a real Mosquitto', () => {
  const fixture = new Fixture();
  let program: string;
  let broker: Mosquitto;
  let collector: Collector;
  let running: Running | undefined;
  let sent = 0;

  beforeAll(async () => {
    program = await buildProgram(fixture.directory);
    dormouse('keygen', fixture.path('key'));
    dormouse('sign', fixture.path('model.safetensors'), '--key', fixture.path('key.pem'));
    writeFileSync(fixture.path('next.safetensors'), twin());
    writeFileSync(fixture.path('other.safetensors'), stranger());
    for (const name of ['next', 'other'])
      dormouse('sign', fixture.path(`${name}.safetensors`), '--key', fixture.path('key.pem'));
  });
  afterAll(() => fixture.remove());
  beforeEach(async () => {
    sent = 0;
    broker = await Mosquitto.start(mosquitto!);
    collector = new Collector(broker.url, [
      'dormouse/test/state',
      'dormouse/test/models',
      'dormouse/test/reply',
    ]);
    await collector.ready();
  });
  afterEach(async () => {
    running?.child.kill('SIGKILL');
    await collector.close();
    await broker.remove();
  });

  function dormouse(...args: string[]): string {
    return execFileSync(process.execPath, [program, ...args], { encoding: 'utf8', stdio: 'pipe' });
  }

  async function begin(directory: string): Promise<Running> {
    const trial = { ticks: 60, tokens: 5, answers: 0 };
    const models = {
      directory,
      publicKeyFile: 'key.pub.pem',
      upload: true,
      pollS: 0.1,
      canary: trial,
      watch: trial,
      // Nothing may depend on how busy this machine is.
      slowerMax: 1_000_000,
    };
    running = new Running(program, ['run', fixture.writeConfig(broker.url, { models, commands: true })]);
    await running.prints('connected to');
    return running;
  }

  /** Sends ticks until something holds; the outbox is bounded, so never far ahead of what has come back. */
  async function sendUntil(condition: () => boolean, what: string): Promise<void> {
    const endMs = performance.now() + 30_000;
    while (!condition()) {
      if (performance.now() > endMs) throw new Error(`timed out waiting until ${what}: ${running!.stdout}`);
      const wave = Math.sin(sent / 3) * 3;
      const message = { time: ++sent * 1000, temperature: 20 + wave, humidity: 20 - wave };
      await collector.client.publishAsync('room/climate', JSON.stringify(message), { qos: 1 });
      if (sent - collector.results.size > 200) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await until(() => collector.results.size === sent, 'every tick was answered');
  }

  const status = () => JSON.parse(collector.texts('dormouse/test/models').at(-1) ?? '{}');

  /** Each tick once, its number and its time going up by one. */
  function expectAllAnswered(): void {
    const results = collector.sorted();
    expect(results.map(({ sequence }) => sequence)).toEqual(Array.from({ length: sent }, (_, i) => i));
    expect(results.map(({ time }) => time)).toEqual(Array.from({ length: sent }, (_, i) => (i + 1) * 1000));
    const states = collector.messages.filter(({ topic }) => topic === 'dormouse/test/state');
    expect(states).toHaveLength(sent);
  }

  test('by `deploy`, under traffic: taken on, watched, confirmed; every tick is answered once', async () => {
    const gateway = await begin('by-mqtt');
    await sendUntil(() => sent >= 50, 'fifty were sent');
    const said = dormouse(
      'deploy',
      fixture.path('next.safetensors'),
      '--broker',
      broker.url,
      '--to',
      'dormouse/test',
    );
    expect(said).toContain('accepted: it computes beside the model at work');
    await sendUntil(() => status().last?.outcome === 'confirmed', 'it is confirmed');
    expect(status()).toMatchObject({ current: next, previous: first, phase: 'idle' });
    await collector.client.publishAsync('dormouse/test/command/rollback', '', { qos: 1 });
    await sendUntil(() => status().last?.outcome === 'rolledBack', 'it is rolled back');
    expect(status()).toMatchObject({ current: first, previous: next });
    expectAllAnswered();
    const models = collector.sorted().map(({ model }) => model as string);
    expect(models.join('')).toMatch(
      new RegExp(`^(${first.slice(0, 6)})+(${next.slice(0, 6)})+(${first.slice(0, 6)})+$`),
    );
    // A new process goes on with what was settled.
    expect((await gateway.end('SIGTERM')).code).toBe(0);
    await begin('by-mqtt');
    await until(() => status().phase === 'idle' && status().last === null, 'it runs again');
    expect(status()).toMatchObject({ current: first, previous: next });
  });

  test('by file, then killed outright: the new one goes on', async () => {
    const gateway = await begin('by-file');
    await sendUntil(() => sent >= 20, 'twenty were sent');
    const path = fixture.path('model.safetensors');
    const before = [readFileSync(path), readFileSync(`${path}.sig`)] as const;
    const put = (suffix: string, bytes: Uint8Array) => {
      writeFileSync(`${path}${suffix}.new`, bytes);
      renameSync(`${path}${suffix}.new`, `${path}${suffix}`);
    };
    put('.sig', readFileSync(fixture.path('next.safetensors.sig')));
    put('', twin());
    await sendUntil(() => status().last?.outcome === 'confirmed', 'it is confirmed');
    expectAllAnswered();
    await gateway.end('SIGKILL');
    await begin('by-file');
    await until(() => status().last === null, 'it runs again');
    expect(status()).toMatchObject({ current: next, previous: first, phase: 'idle' });
    put('.sig', before[1]);
    put('', before[0]);
  });

  test('one that answers otherwise, and one that is not signed, are refused', async () => {
    await begin('refused');
    await sendUntil(() => sent >= 20, 'twenty were sent');
    const deploy = (name: string) =>
      dormouse('deploy', fixture.path(name), '--broker', broker.url, '--to', 'dormouse/test');
    writeFileSync(fixture.path('unsigned.safetensors'), twin('unsigned'));
    expect(() => deploy('unsigned.safetensors')).toThrow('refused: model');
    deploy('other.safetensors');
    await sendUntil(() => status().last?.outcome === 'refused', 'it is refused');
    expect(status()).toMatchObject({ current: first, last: { code: 'canary' } });
    expectAllAnswered();
  });
});
