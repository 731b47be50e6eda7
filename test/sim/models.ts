/** Models in a simulated life: good ones, bad ones and no models at all come by file and by MQTT, on a disk of their own. */
import type { Linear, Model } from '../../src/engine/model.ts';
import { saveModel } from '../../src/engine/model-file.ts';
import type { LoadedConfig } from '../../src/gateway/config/load-config.ts';
import type { ModelSource } from '../../src/gateway/models/model-source.ts';
import { ModelsPart } from '../../src/gateway/models/models-part.ts';
import { makeKeyPair, readPrivateKey, sha256Of, signModel } from '../../src/gateway/models/signature.ts';
import { uploadMessages } from '../../src/gateway/models/upload.ts';
import type { Offered } from '../../src/gateway/models/vet.ts';
import type { Gateway } from '../../src/gateway/service.ts';
import type { Timers } from '../../src/gateway/timers.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { silentLog } from '../gateway/fixture.ts';
import { mortalDisk, SimulatedDisk } from './disk.ts';

/** The same for all seeds: signatures are the same then too. */
export const modelKeys = makeKeyPair();
const privateKey = readPrivateKey(modelKeys.privateKey);

/** All of them answer alike. */
const good = ['first', 'second', 'third'].map((made) =>
  signed(saveModel(tinyModel(made === 'first' ? {} : { meaning: { provenance: { made } } }))),
);
/** Nobody wants any of these to answer a tick. */
const bad: readonly Offered[] = [
  signed(saveModel(opposite(tinyModel()))),
  signed(saveModel(tinyModel({ channels: ['temperature', 'co2'] }))),
  signed(Buffer.from('no model')),
  { bytes: saveModel(tinyModel({ seed: 3 })), signature: null },
  { bytes: saveModel(tinyModel({ seed: 4 })), signature: good[0]!.signature },
];

/** Says one of two classes always when the other says the other; one drawn at random may agree for a while. */
function opposite(model: Model): Model {
  const { head, linear } = model.weights;
  const swapped = { head: swapRows(head), ...(linear === undefined ? {} : { linear: swapRows(linear) }) };
  return { ...model, weights: { ...model.weights, ...swapped } };
}

function swapRows({ weight, bias, multiplier }: Linear): Linear {
  const half = weight.length / 2;
  return {
    weight: Int8Array.from([...weight.subarray(half), ...weight.subarray(0, half)]),
    bias: bias.slice().reverse(),
    multiplier: multiplier.slice().reverse(),
  };
}

function signed(bytes: Uint8Array): Offered {
  return { bytes, signature: signModel(sha256Of(bytes), privateKey) };
}

const goodNames = good.map(({ bytes }) => sha256Of(bytes));
const goodTags = goodNames.map((name) => name.slice(0, 6));

type Publish = (topic: string, payload: Buffer) => void;

export class SimulatedModels implements ModelSource {
  readonly disk: SimulatedDisk;
  readonly problems: string[] = [];
  promotions = 0;
  readonly #random: () => number;
  readonly #publish: Publish;
  #content: Offered = good[0]!;
  #changes = 0;
  /** What must be at work after the next start; '': either of two may be. */
  #settled = goodNames[0]!;
  /** Until then the disk was ill, or what it had refused may not have been written again. */
  #illUntilMs = 0;

  constructor(random: () => number, publish: Publish) {
    this.#random = random;
    this.#publish = publish;
    this.disk = new SimulatedDisk({ random });
  }

  async stamp(): Promise<string> {
    return String(this.#changes);
  }

  async read(): Promise<Offered> {
    return this.#content;
  }

  /** A part for one life of the gateway; what that life had begun on the disk ends with it. */
  partFor(loaded: LoadedConfig, gateway: () => Gateway, timers: Timers, isAlive: () => boolean): ModelsPart {
    const disk = mortalDisk(this.disk, isAlive);
    return new ModelsPart({ loaded, gateway, log: silentLog, timers, disk, source: this });
  }

  /** By name, what may happen to models. */
  faults(): { readonly [name: string]: () => void } {
    return {
      modelByFile: () => this.#putFile(this.#oneOf(good)),
      badModelByFile: () => this.#putFile(this.#oneOf(bad)),
      modelByMqtt: () => this.#upload(this.#oneOf(good)),
      badModelByMqtt: () => this.#upload(this.#oneOf(bad)),
      strayPart: () => this.#publish('dormouse/test/models/part/0', Buffer.alloc(100)),
      rollback: () => this.#publish('dormouse/test/command/rollback', Buffer.alloc(0)),
    };
  }

  /** The gateway tells what has become of a model. */
  noteStatus(text: string): void {
    const { last, current, previous } = JSON.parse(text);
    if (!goodNames.includes(current)) this.problems.push(`model ${current} is at work`);
    if (previous !== null && !goodNames.includes(previous))
      this.problems.push(`model ${previous} has been at work`);
    if (last?.outcome === 'promoted') this.promotions++;
  }

  /** The moment before the gateway is killed. */
  noteEnd(part: ModelsPart, nowMs: number): void {
    const { phase, current } = part.status();
    const isSettled = phase !== 'settling' && nowMs >= this.#illUntilMs;
    this.#settled = isSettled ? String(current) : '';
  }

  /** Something was done to the disk. */
  noteDisk(nowMs: number): void {
    const { failure, failsToSync, capacityBytes } = this.disk;
    const isIll = failure !== undefined || failsToSync || capacityBytes !== Number.POSITIVE_INFINITY;
    this.#illUntilMs = isIll ? Number.POSITIVE_INFINITY : nowMs + 30_000;
  }

  /** After a start. */
  noteStart(current: string): void {
    if (!goodNames.includes(current)) this.problems.push(`model ${current} is at work after the start`);
    if (this.#settled !== '' && current !== this.#settled)
      this.problems.push(`started with ${current}, but ${this.#settled} was settled`);
  }

  noteResult(model: string | undefined): void {
    if (model === undefined || !goodTags.includes(model))
      this.problems.push(`a tick was answered by ${model}`);
  }

  #putFile(model: Offered): void {
    this.#content = model;
    this.#changes++;
  }

  #upload(model: Offered): void {
    for (const { topic, payload } of uploadMessages('dormouse/test', model, sha256Of(model.bytes), {
      partBytes: 3000,
    }))
      this.#publish(topic, payload);
  }

  #oneOf<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)]!;
  }
}
