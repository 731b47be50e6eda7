/**
 * One of several gateways that share devices: who else is there, which devices are known, and which of them are ours.
 *
 * What it says is a proposal alone: two members may know different things for a while. That a device is served once is
 * the broker's doing, which has one connection for one client id: whoever serves a device connects under the device's.
 */

import type { GatewayConfig, ShareConfig } from '../config/config.ts';
import { sharedNamePattern } from '../config/share.ts';
import type { Log } from '../log.ts';
import { MqttConnection } from '../mqtt/mqtt.ts';
import { Outbox, type OutgoingMessage } from '../outbox.ts';
import { type Cancel, realTimers, type Timers } from '../timers.ts';
import { Members } from './members.ts';
import { ownerOf } from './rendezvous.ts';
import { ShareTopics } from './topics.ts';

export interface ShareGroupOptions {
  /** That of any device. */
  readonly config: GatewayConfig;
  readonly log: Log;
  /** These devices are ours from now on, and no others. */
  readonly onAssigned: (devices: ReadonlySet<string>) => void;
  readonly onFatal: (error: Error) => void;
  /** What the others are told of us beside our being there. */
  readonly status: () => { readonly [name: string]: number };
  readonly timers?: Timers;
}

/** After a change of members or devices: until then whoever has lost a device has let go of it. */
const settleMs = 500;
const resultTime = /"time":(-?\d+(?:\.\d+)?)/;

export class ShareGroup {
  /** Devices that came to us from another member, ever. */
  takeovers = 0;
  /** Messages of devices whose names can't be used, or that are one too many. */
  refused = 0;
  readonly topics: ShareTopics;
  readonly connection: MqttConnection;
  readonly #options: ShareGroupOptions;
  readonly #share: ShareConfig;
  readonly #timers: Timers;
  readonly #members: Members;
  readonly #devices = new Set<string>();
  /** By device: the time of its last result, whoever published it. */
  readonly #resultMs = new Map<string, number>();
  /** Since we joined, devices were shared out. */
  #isSettled = false;
  #ours: ReadonlySet<string> = new Set();
  /** Who was there when devices were last shared out. */
  #before: readonly string[] = [];
  #beatMs = 0;
  #cancels: Cancel[] = [];
  #cancelSettle: Cancel = () => {};
  #cancelLease: Cancel = () => {};
  #toldRefused = false;

  constructor(options: ShareGroupOptions) {
    this.#options = options;
    this.#share = options.config.share!;
    this.#timers = options.timers ?? realTimers;
    this.#members = new Members(this.#share.member, this.#share.leaseMs);
    this.topics = new ShareTopics(options.config);
    this.connection = this.#makeConnection();
  }

  get members(): readonly string[] {
    return this.#members.names;
  }

  /** We know who is there, and which devices are ours. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Devices that are known to the group. */
  get known(): number {
    return this.#devices.size;
  }

  /** Time of a device's last result that was published; -Infinity: none was seen. */
  lastResultMs(device: string): number {
    return this.#resultMs.get(device) ?? Number.NEGATIVE_INFINITY;
  }

  start(): void {
    this.#beatMs = this.#timers.nowMs();
    this.connection.start();
    this.#cancels.push(this.#timers.every(this.#share.heartbeatMs, () => this.#beat()));
  }

  /** Says goodbye to the others; whoever is ours must have been let go before. */
  async stop(): Promise<void> {
    for (const cancel of [...this.#cancels, this.#cancelSettle, this.#cancelLease]) cancel();
    if (this.connection.ready) this.connection.publish(this.#gone);
    await this.connection.stop(300);
  }

  get #ownTopic(): string {
    return `${this.topics.members}${this.#share.member}`;
  }

  /** Takes our presence back. */
  get #gone(): OutgoingMessage {
    return { topic: this.#ownTopic, payload: '', qos: 1, retain: true };
  }

  #makeConnection(): MqttConnection {
    const { config, log, onFatal } = this.#options;
    const { group, member } = this.#share;
    return new MqttConnection({
      // At most once is enough: who is there says so again, and so does a device.
      mqtt: { ...config.mqtt, clientId: `dormouse-share-${group}-${member}`, version: '5', qos: 0 },
      filters: this.topics.subscriptions,
      will: () => this.#gone,
      keepSession: false,
      outbox: new Outbox(1000, 16, this.#timers),
      receiveMaximum: 1000,
      packetBytes: config.limits.packetBytes,
      timers: this.#timers,
      events: {
        onMessage: (topic, payload, _retained, acknowledge) => {
          this.#hear(topic, payload);
          acknowledge();
        },
        onReady: () => this.#join(),
        onLost: (reason, retryMs) => this.#onLost(reason, retryMs),
        onFatal,
        onProblem: (text) => log.warning(text),
      },
    });
  }

  #join(): void {
    this.#cancelLease();
    this.#isSettled = false;
    const { group, member } = this.#share;
    this.#options.log.info(`joined group ${group} as ${member}`);
    this.#sayHere();
    this.#shareOutLater();
  }

  /** Others will take what is ours when the lease is over, so by then we have let go of it. */
  #onLost(reason: string, retryMs: number): void {
    this.#options.log.warning(
      `group ${this.#share.group}: ${reason}; trying again in ${Math.ceil(retryMs)} ms`,
    );
    this.#isSettled = false;
    // The next connection tells who is there, perhaps before it tells that it is subscribed.
    this.#members.clear();
    this.#cancelSettle();
    this.#cancelLease();
    this.#cancelLease = this.#timers.after(this.#share.leaseMs, () => this.#letGo('no connection'));
  }

  #letGo(why: string): void {
    if (this.#ours.size > 0)
      this.#options.log.warning(`${why} for longer than the lease: ${this.#ours.size} devices let go`);
    this.#assign(new Set());
  }

  #beat(): void {
    const nowMs = this.#timers.nowMs();
    const silentMs = nowMs - this.#beatMs;
    this.#beatMs = nowMs;
    if (silentMs > this.#share.leaseMs) {
      // This process stood still, and the others have given us up.
      this.#letGo('it stood still');
      this.connection.renew('it stood still');
      return;
    }
    if (!this.connection.ready) return;
    this.#sayHere();
    if (this.#members.expire(nowMs)) this.#onMembers();
  }

  #sayHere(): void {
    const payload = JSON.stringify({ devices: this.#ours.size, ...this.#options.status() });
    this.connection.publish({ topic: this.#ownTopic, payload, qos: 0, retain: true });
  }

  #hear(topic: string, payload: Uint8Array): void {
    const { members, devices } = this.topics;
    if (topic.startsWith(members)) this.#hearMember(topic.slice(members.length), payload);
    else if (topic.startsWith(devices)) this.#hearKnown(topic.slice(devices.length), payload);
    else if (!this.#hearResult(topic, payload)) this.#hearDevice(topic);
  }

  #hearMember(member: string, payload: Uint8Array): void {
    if (!sharedNamePattern.test(member)) return;
    const isGone = payload.length === 0;
    const hasChanged = isGone
      ? this.#members.leave(member)
      : this.#members.hear(member, this.#timers.nowMs());
    if (!hasChanged) return;
    this.#options.log.info(`${member} has ${isGone ? 'left' : 'joined'} group ${this.#share.group}`);
    this.#onMembers();
  }

  /** What the group knows: each device is told once, retained. An empty message forgets it. */
  #hearKnown(device: string, payload: Uint8Array): void {
    const isForgotten = payload.length === 0;
    if (isForgotten ? this.#devices.delete(device) : this.#learn(device)) this.#shareOutLater();
  }

  #hearResult(topic: string, payload: Uint8Array): boolean {
    const device = this.topics.resultOf(topic);
    if (device === undefined) return false;
    const time = resultTime.exec(
      Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('latin1'),
    )?.[1];
    if (time !== undefined && (this.#resultMs.has(device) || this.#resultMs.size < this.#share.maxDevices))
      this.#resultMs.set(device, Number(time));
    return true;
  }

  /** The broker gave us a message of a device. If nobody knows it yet, from now on everybody does. */
  #hearDevice(topic: string): void {
    const device = this.topics.deviceOf(topic);
    if (device === undefined || this.#devices.has(device) || !this.#learn(device)) return;
    this.connection.publish({ topic: `${this.topics.devices}${device}`, payload: '1', qos: 1, retain: true });
    this.#shareOutLater();
  }

  /** True when it is new. */
  #learn(device: string): boolean {
    if (this.#devices.has(device)) return false;
    if (sharedNamePattern.test(device) && this.#devices.size < this.#share.maxDevices) {
      this.#devices.add(device);
      return true;
    }
    this.refused++;
    if (!this.#toldRefused)
      this.#options.log.warning(
        `device ${JSON.stringify(device)} is not served: expected at most ${this.#share.maxDevices} devices, ` +
          'named with at most 64 letters, digits, _ and - (told once, then only counted)',
      );
    this.#toldRefused = true;
    return false;
  }

  /** What is not ours any more goes at once; what comes to us waits until its owner has let go. */
  #onMembers(): void {
    const stillOurs = [...this.#ours].filter((device) => this.#isOurs(device));
    if (stillOurs.length < this.#ours.size) this.#assign(new Set(stillOurs));
    this.#shareOutLater();
  }

  #isOurs(device: string): boolean {
    return ownerOf(device, this.#members.names) === this.#share.member;
  }

  #shareOutLater(): void {
    this.#cancelSettle();
    this.#cancelSettle = this.#timers.after(settleMs, () => this.#shareOut());
  }

  #shareOut(): void {
    if (!this.connection.ready) return;
    const ours = new Set([...this.#devices].filter((device) => this.#isOurs(device)));
    for (const device of ours) {
      const owner = ownerOf(device, this.#before);
      if (!this.#ours.has(device) && owner !== undefined && owner !== this.#share.member) this.takeovers++;
    }
    this.#before = this.#members.names;
    this.#isSettled = true;
    this.#assign(ours);
  }

  #assign(devices: ReadonlySet<string>): void {
    this.#ours = devices;
    this.#options.onAssigned(devices);
  }
}
