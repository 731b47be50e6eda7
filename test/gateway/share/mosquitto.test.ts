/** Three gateways that share twelve devices on a real Mosquitto: one is killed, one is frozen and wakes. */
import { writeFileSync } from 'node:fs';
import { connect, type MqttClient } from 'mqtt';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { buildProgram, Running } from '../../cli/gateway-program.ts';
import { Fixture, until } from '../fixture.ts';
import { findMosquitto, freePort, Mosquitto } from '../mosquitto.ts';

const mosquitto = findMosquitto();
const fixture = new Fixture();
const devices = Array.from({ length: 12 }, (_, index) => `press-${index}`);
const members = ['one', 'two', 'three'];
/** Another half a minute. */
const isLong = process.env.DORMOUSE_SHARE === 'all';
const patienceMs = 60_000;
const startMs = Date.UTC(2026, 0, 1);

/** Sends to all devices, and counts each result. */
class Plant {
  /** By device and round: how often its result came. */
  readonly counts = new Map<string, number>();
  readonly online = new Map<string, boolean>();
  /** What each member says of itself. */
  readonly members = new Map<string, { devices: number; takeovers: number; fenced: number }>();
  round = 0;
  readonly #client: MqttClient;

  constructor(url: string) {
    this.#client = connect(url, { clientId: 'plant', protocolVersion: 5 });
    this.#client.on('message', (topic, payload) => this.#hear(topic, payload.toString()));
  }

  async ready(): Promise<void> {
    const topics = ['dormouse/+/state', 'dormouse/+/status', 'dormouse/share/plant/member/+'];
    await this.#client.subscribeAsync(topics, { qos: 1 });
  }

  #hear(topic: string, payload: string): void {
    const [, name = '', kind, , member = ''] = topic.split('/');
    const device = name.replace('plant-', '');
    if (name === 'share') {
      if (payload === '') this.members.delete(member);
      else this.members.set(member, JSON.parse(payload));
    } else if (kind === 'status') this.online.set(device, payload === 'online');
    else {
      const key = `${device} ${(JSON.parse(payload).time - startMs) / 1000}`;
      this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
    }
  }

  /** One message of each device; resolves when the broker has them. */
  async say(): Promise<void> {
    const round = this.round++;
    const payload = { time: startMs + round * 1000, temperature: 20 + (round % 7), humidity: 50 };
    const text = JSON.stringify(payload);
    await Promise.all(
      devices.map((device) => this.#client.publishAsync(`plant/${device}/climate`, text, { qos: 1 })),
    );
  }

  /** Devices whose result of a round has not come. */
  missing(from: number): string[] {
    const rounds = Array.from({ length: this.round - from }, (_, index) => from + index);
    const keys = devices.flatMap((device) => rounds.map((round) => `${device} ${round}`));
    return keys.filter((key) => !this.counts.has(key));
  }

  repeated(): string[] {
    return [...this.counts].filter(([, count]) => count > 1).map(([key]) => key);
  }

  served(): number {
    return [...this.members.values()].reduce((sum, member) => sum + member.devices, 0);
  }

  get onlineCount(): number {
    return [...this.online.values()].filter((isOnline) => isOnline).length;
  }

  close(): Promise<void> {
    return this.#client.endAsync(true);
  }
}

describe.skipIf(mosquitto === undefined)('three gateways on a real Mosquitto', () => {
  let program: string;
  let broker: Mosquitto;
  let plant: Plant;
  let gateways: Map<string, Running>;

  beforeAll(async () => {
    program = await buildProgram(fixture.directory);
  }, 60_000);
  beforeEach(async () => {
    broker = await Mosquitto.start(mosquitto!);
    plant = new Plant(broker.url);
    await plant.ready();
    gateways = new Map();
  });
  afterEach(async () => {
    for (const { child } of gateways.values()) child.kill('SIGKILL');
    await plant.close();
    await broker.remove();
  });
  afterAll(() => fixture.remove());

  function begin(member: string, leaseS: number, more: object = {}): void {
    const config = {
      gateway: 'plant-{device}',
      model: 'model.safetensors',
      mqtt: { url: broker.url, reconnectMinMs: 20, reconnectMaxMs: 500 },
      source: { topic: 'plant/{device}/climate', object: true },
      frame: { timestamp: '$.time' },
      output: { publish: 'all' },
      countersIntervalS: 0,
      share: { group: 'plant', member, heartbeatS: 0.5, leaseS },
      ...more,
    };
    const path = fixture.path(`${member}.yaml`);
    writeFileSync(path, stringify(config));
    gateways.set(member, new Running(program, ['run', path]));
  }

  const logs = () =>
    [...gateways]
      .map(([name, { stdout, stderr }]) => `${name}: ${stdout.slice(-1500)}${stderr.slice(-500)}`)
      .join('\n');
  const wait = (condition: () => boolean, what: string) =>
    until(condition, what, patienceMs).catch((error) => {
      throw new Error(`${error.message}\n${logs()}`);
    });

  /** The devices make themselves known by speaking, and each gets its gateway. */
  async function beginAll(leaseS: number, pagePort?: number): Promise<void> {
    for (const member of members)
      begin(member, leaseS, member === 'one' && pagePort !== undefined ? { page: { port: pagePort } } : {});
    await wait(() => plant.members.size === 3, 'all members are there');
    await plant.say();
    await wait(() => plant.onlineCount === 12 && plant.served() === 12, 'each device is served');
  }

  test('one is killed: no device unserved after that, none served twice', { timeout: 120_000 }, async () => {
    const port = await freePort();
    await beginAll(20, port);
    const shares = [...plant.members.values()].map((member) => member.devices);
    for (const share of shares) expect(share).toBeGreaterThan(0);
    const from = plant.round;
    for (let round = 0; round < 10; round++) await plant.say();
    await wait(() => plant.missing(from).length === 0, 'all results have come');
    const victim = plant.members.get('two')!.devices;

    const saying = (async () => {
      for (let round = 0; round < 30; round++) await plant.say();
    })();
    gateways.get('two')!.child.kill('SIGKILL');
    await saying;
    await wait(() => plant.missing(from).length === 0, 'the results of all devices have come');
    await wait(() => plant.served() === 12 && plant.members.size === 2, 'the two others serve all devices');
    expect(plant.repeated()).toEqual([]);
    const takeovers = () => [...plant.members.values()].reduce((sum, member) => sum + member.takeovers, 0);
    await wait(() => takeovers() >= victim, 'the takeovers are told');
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    expect(metrics).toContain('dormouse_share_members{group="plant",member="one"} 2\n');
    expect(metrics).toContain(
      `dormouse_share_devices_served{group="plant",member="one"} ${plant.members.get('one')!.devices}\n`,
    );
    expect(await (await fetch(`http://127.0.0.1:${port}/healthz`)).text()).toBe('ok\n');
  });

  test.runIf(isLong)(
    'one that was killed comes back and has its devices again',
    { timeout: 120_000 },
    async () => {
      await beginAll(20);
      const victim = plant.members.get('two')!.devices;
      gateways.get('two')!.child.kill('SIGKILL');
      await wait(() => plant.members.size === 2 && plant.served() === 12, 'the others have its devices');

      // It comes back, and gets its share again.
      begin('two', 20);
      await wait(() => plant.members.size === 3 && plant.served() === 12, 'it has come back');
      await wait(() => plant.members.get('two')!.devices === victim, 'it has its devices again');
      const again = plant.round;
      for (let round = 0; round < 10; round++) await plant.say();
      await wait(() => plant.missing(again).length === 0, 'all results have come once more');
      expect(plant.repeated()).toEqual([]);
    },
  );

  test.runIf(isLong)(
    'one is frozen and wakes: what it lost it does not serve',
    { timeout: 120_000 },
    async () => {
      await beginAll(4);
      const from = plant.round;
      await plant.say();
      await wait(() => plant.missing(from).length === 0, 'all results have come');
      gateways.get('one')!.child.kill('SIGSTOP');
      for (let round = 0; round < 5; round++) await plant.say();
      await wait(() => plant.missing(from).length === 0, 'the others serve what the frozen one had');
      gateways.get('one')!.child.kill('SIGCONT');
      for (let round = 0; round < 5; round++) await plant.say();
      await wait(() => plant.missing(from).length === 0, 'all results have come after it woke');
      await wait(() => plant.served() === 12 && plant.onlineCount === 12, 'each device is served again');
      expect(plant.repeated()).toEqual([]);
    },
  );
});
