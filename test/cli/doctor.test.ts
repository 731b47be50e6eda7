import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'mqtt';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Finding } from '../../src/cli/doctor/finding.ts';
import { command } from '../../src/cli/doctor.ts';
import { Fixture } from '../gateway/fixture.ts';
import { findMosquitto, freePort, Mosquitto } from '../gateway/mosquitto.ts';

const fixture = new Fixture();
afterAll(() => fixture.remove());
afterEach(() => void vi.restoreAllMocks());

const secret = 'hunter2-is-the-password';
const program = findMosquitto();

/** Runs the command; gives its exit code and what it printed. */
async function run(...args: string[]) {
  let text = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((more) => {
    text += more;
    return true;
  });
  return { code: await command.run(args), text };
}

async function findings(
  ...args: string[]
): Promise<{ code: number; of: (check: string) => Finding | undefined }> {
  const { code, text } = await run(...args, '--json');
  const report = JSON.parse(text) as { ok: boolean; findings: Finding[] };
  expect(report.ok).toBe(code === 0);
  expect(text).not.toContain('hunter2');
  return { code, of: (check) => report.findings.find((finding) => finding.check === check) };
}

test('without a config: the machine alone, for people and for programs', async () => {
  const { code, text } = await run();
  expect(code).toBe(0);
  expect(text).toMatch(/^ok {7}node {3,}Node \d+/m);
  expect(text).toMatch(/^0 failures, \d warnings$/m);
  const { of } = await findings();
  for (const check of ['node', 'clock', 'kernel', 'meters']) expect(of(check), check).toBeDefined();
});

test('a broken config: each problem is a failure, and the machine is looked at all the same', async () => {
  writeFileSync(fixture.path('broken.yaml'), 'gateway: x\nmodel: nowhere\n');
  const { code, of } = await findings(fixture.path('broken.yaml'));
  expect([code, of('config')?.level, of('node')?.level]).toEqual([1, 'failure', 'ok']);
  expect(of('broker')).toBeUndefined();
});

test('nobody there: what to do about it', async () => {
  const { code, of } = await findings(fixture.writeConfig(`mqtt://127.0.0.1:${await freePort()}`));
  expect(code).toBe(1);
  expect(of('broker')).toMatchObject({
    level: 'failure',
    text: expect.stringContaining('ECONNREFUSED'),
    advice: expect.stringContaining('start the broker'),
  });
});

test('--offline asks nobody', async () => {
  const { code, of } = await findings(fixture.writeConfig('mqtt://127.0.0.1:1'), '--offline');
  expect([code, of('broker'), of('memory')?.level]).toEqual([0, undefined, 'ok']);
});

test('a password file that is not there fails the login too', async () => {
  const mqtt = { username: 'me', passwordFile: 'absent' };
  const { code, of } = await findings(fixture.writeConfig('mqtt://127.0.0.1:1', { mqtt }));
  expect([code, of('secret mqtt.passwordFile')?.level, of('broker')?.level]).toEqual([
    1,
    'failure',
    'failure',
  ]);
});

describe.skipIf(program === undefined)('against a real Mosquitto', () => {
  let broker: Mosquitto | undefined;
  beforeEach(() => {
    broker = undefined;
  });
  afterEach(() => broker?.remove());

  /** A Mosquitto that lets everybody do what the lines say. */
  async function start(acl: string[]): Promise<Mosquitto> {
    broker = await Mosquitto.start(program!, {
      access: (directory) => {
        const path = join(directory, 'acl');
        writeFileSync(path, `${acl.join('\n')}\n`);
        chmodSync(path, 0o600);
        return ['allow_anonymous true', `acl_file ${path}`];
      },
    });
    return broker;
  }

  test('everything is allowed, and a sensor speaks', async () => {
    const { url } = await start(['topic readwrite #']);
    const sensor = connect(url);
    await sensor.publishAsync('room/climate', '{}', { retain: true });
    const { code, of } = await findings(fixture.writeConfig(url), '--seconds', '0.3');
    await sensor.endAsync();
    expect(code).toBe(0);
    for (const check of ['broker', 'subscribe', 'topics', 'publish'])
      expect(of(check), check).toMatchObject({ level: 'ok' });
    expect(of('broker')!.text).toContain('MQTT 5');
  });

  test('no right to publish: the broker says so (MQTT 5), or drops it silently (3.1.1)', async () => {
    const { url } = await start(['topic read #']);
    for (const version of ['5', '3.1.1']) {
      const config = fixture.writeConfig(url, { mqtt: { version, url } });
      const { code, of } = await findings(config, '--seconds', '0.3');
      expect([code, of('subscribe')?.level], version).toEqual([1, 'ok']);
      expect(of('publish'), version).toMatchObject({
        level: 'failure',
        advice: 'give this user the right to write dormouse/test/# in the ACL of the broker',
      });
      expect(of('topics')).toMatchObject({ level: 'warning', text: expect.stringContaining('room/climate') });
    }
  });

  test('no right to come in: the advice, and never the password', async () => {
    broker = await Mosquitto.start(program!, { access: () => ['allow_anonymous false'] });
    writeFileSync(fixture.path('password'), secret, { mode: 0o600 });
    const mqtt = { username: 'me', passwordFile: 'password' };
    const { code, of } = await findings(fixture.writeConfig(broker.url, { mqtt }));
    expect(code).toBe(1);
    expect(of('broker')).toMatchObject({
      level: 'failure',
      advice: expect.stringContaining('mqtt.username'),
    });
    expect(of('secret mqtt.passwordFile')).toMatchObject({ level: 'ok' });
  });
});
