/** Models that come while the gateway runs, by file or by MQTT, and what is told of them. */
import { readFileSync } from 'node:fs';
import type { Json } from '../../engine/model.ts';
import type { Frame } from '../../gate/packets.ts';
import type { Witness } from '../../gate/witness.ts';
import { type ModelsConfig, ownTopics } from '../config/config.ts';
import type { LoadedConfig } from '../config/load-config.ts';
import { type Disk, realDisk } from '../disk/disk.ts';
import { FolderHeldError, FolderLock } from '../disk/folder-lock.ts';
import type { Log } from '../log.ts';
import type { OutgoingMessage } from '../outbox.ts';
import type { Output } from '../output.ts';
import type { GatewayPart } from '../part.ts';
import type { Gateway } from '../service.ts';
import { type Cancel, realTimers, type Timers } from '../timers.ts';
import type { Origin, Outcome } from './candidacy.ts';
import { type ModelSource, modelFile } from './model-source.ts';
import { RecentTicks } from './recent-ticks.ts';
import { readPublicKey } from './signature.ts';
import { Succession } from './succession.ts';
import { readOffer, Upload } from './upload.ts';
import { ModelRefusal, type RefusalCode, refusalCodes, requireSignature, type Trust } from './vet.ts';

export interface ModelsPartOptions {
  readonly loaded: LoadedConfig;
  /** The gateway, which does not exist yet when its parts are made. */
  readonly gateway: () => Gateway;
  readonly log: Log;
  readonly timers?: Timers;
  /** Bytes that the process may still take; default: nobody set a bound. */
  readonly memoryLeft?: (() => number) | undefined;
  /** What a simulation has of its own; default: what the config names. */
  readonly disk?: Disk;
  readonly source?: ModelSource;
}

/** An upload whose parts come once more after its end is told of nothing. */
const lateMs = 60_000;
const tendMs = 10_000;

export class ModelsPart implements GatewayPart {
  readonly filters: readonly string[];
  readonly #config: ModelsConfig;
  readonly #log: Log;
  readonly #timers: Timers;
  readonly #trust: Trust;
  readonly #source: ModelSource;
  readonly #memoryLeft: (() => number) | undefined;
  readonly #succession: Succession;
  readonly #topics: { readonly models: string; readonly reply: string };
  readonly #recent: RecentTicks;
  readonly #modelProblem: string | undefined;
  /** On the real disk. */
  readonly #hasOwnFolder: boolean;
  #lock: FolderLock | undefined;
  readonly #counts = { promoted: 0, confirmed: 0, rolledBack: 0, uploads: 0, ignored: 0 };
  readonly #refused = Object.fromEntries(refusalCodes.map((code) => [code, 0])) as Record<
    RefusalCode,
    number
  >;
  #publish: (message: OutgoingMessage) => void = () => {};
  #last: (Outcome & { readonly from: Origin['from'] }) | undefined;
  #stamp = '';
  #isLooking = false;
  #upload: Upload | undefined;
  #uploadMs = Number.NEGATIVE_INFINITY;
  #cancels: Cancel[] = [];

  /** `loaded` has a section of models. Throws what the disk says of the public key. */
  constructor(options: ModelsPartOptions) {
    const { config } = options.loaded;
    this.#config = config.models!;
    this.#log = options.log;
    this.#timers = options.timers ?? realTimers;
    this.#memoryLeft = options.memoryLeft;
    this.#topics = ownTopics(config);
    this.#modelProblem = options.loaded.modelProblem;
    this.#hasOwnFolder = options.disk === undefined;
    this.#trust = trustOf(this.#config);
    this.#source = options.source ?? modelFile(config.modelPath, this.#config.bytesMax);
    this.filters =
      this.#config.upload === undefined
        ? []
        : [`${this.#topics.models}/offer`, `${this.#topics.models}/part/+`];
    this.#recent = new RecentTicks(options.loaded.model.meaning.channels.length);
    this.#succession = new Succession({
      config: this.#config,
      gateway: options.gateway,
      trust: this.#trust,
      log: this.#log,
      timers: this.#timers,
      recent: this.#recent,
      disk: options.disk ?? realDisk(this.#config.directory),
      memoryLeft: options.memoryLeft,
      onChange: () => this.#publishStatus(),
      onOutcome: (outcome, origin) => this.#onOutcome(outcome, origin),
    });
  }

  /**
   * Before the gateway starts: puts to work what worked before. Rejects with ModelRefusal where no model may be run, as
   * without a signature that is required, and with FolderHeldError.
   */
  async open(): Promise<void> {
    if (this.#hasOwnFolder) this.#lock = takeLock(this.#config.directory, this.#log);
    this.#stamp = await this.#source.stamp();
    if (this.#modelProblem === undefined) await this.#succession.open(await this.#source.read());
    else {
      this.#log.warning(`${this.#modelProblem}; the model that worked last stands in`);
      await this.#succession.open(undefined);
    }
  }

  start(): void {
    const { pollMs, upload } = this.#config;
    this.#succession.start();
    this.#cancels.push(this.#timers.every(tendMs, () => void this.#succession.tend()));
    if (pollMs > 0) this.#cancels.push(this.#timers.every(pollMs, () => void this.#look()));
    if (upload !== undefined)
      this.#cancels.push(this.#timers.every(upload.idleMs, () => this.#giveUp(upload.idleMs)));
  }

  onReady(publish: (message: OutgoingMessage) => void): void {
    this.#publish = publish;
    this.#publishStatus();
  }

  onMessage(topic: string, payload: Uint8Array, retained: boolean): void {
    const { models } = this.#topics;
    if (!topic.startsWith(`${models}/`)) return;
    // Retained, it would come again at each start.
    if (retained) this.#counts.ignored++;
    else if (topic === `${models}/offer`) this.#takeOffer(payload);
    else this.#takePart(topic.slice(`${models}/part/`.length), payload);
  }

  onTick(_witness: Witness, _output: Output, frame: Frame): void {
    this.#recent.note(frame);
  }

  onRestart(): void {
    this.#recent.forget();
    this.#succession.restartTime();
  }

  /** As the command says. Throws RangeError where there is nothing to go back to. */
  rollback(): void {
    this.#succession.rollback();
  }

  counters(): { readonly models: { readonly [name: string]: Json } } {
    const byCode = Object.entries(this.#refused).filter(([, count]) => count > 0);
    const refused = byCode.reduce((sum, [, count]) => sum + count, 0);
    return { models: { ...this.#counts, refused, refusals: Object.fromEntries(byCode) } };
  }

  async stop(): Promise<void> {
    for (const cancel of this.#cancels) cancel();
    await this.#succession.stop();
    this.#lock?.release();
  }

  status(): { readonly [key: string]: Json } {
    const { selfTest, trial, ...status } = this.#succession.status();
    const text = (value: unknown) => JSON.parse(JSON.stringify(value)) as Json;
    return { ...status, selfTest: text(selfTest), trial: text(trial), last: text(this.#last ?? null) };
  }

  /** Whether the file has changed. While another model is on trial it waits. */
  async #look(): Promise<void> {
    if (this.#isLooking || this.#succession.isBusy) return;
    this.#isLooking = true;
    try {
      const stamp = await this.#source.stamp();
      if (stamp === this.#stamp) return;
      const offered = await this.#source.read();
      // In the meantime another may have come by MQTT.
      if (this.#succession.isBusy) return;
      this.#stamp = stamp;
      this.#succession.consider(offered, { from: 'file' });
    } catch (error) {
      this.#noteRefusal(error instanceof ModelRefusal ? error.code : 'disk', (error as Error).message);
      this.#stamp = await this.#source.stamp().catch(() => '');
    } finally {
      this.#isLooking = false;
    }
  }

  #takeOffer(payload: Uint8Array): void {
    let id: string | null = null;
    try {
      const { bytesMax, upload } = this.#config;
      const offer = readOffer(payload, { bytesMax, idleMs: upload!.idleMs });
      id = offer.id;
      this.#requireWelcome(offer.sha256, offer.signature, offer.size);
      // The same once more goes on where it was.
      if (this.#upload?.offer.sha256 !== offer.sha256 || this.#upload.offer.parts !== offer.parts)
        this.#upload = new Upload(offer);
      this.#uploadMs = this.#timers.nowMs();
      this.#reply({ id, ok: true, sha256: offer.sha256, partBytes: this.#upload.partBytes });
    } catch (error) {
      this.#refuse(error, id);
    }
  }

  /** What is refused at once costs nothing. */
  #requireWelcome(sha256: string, signature: string | null, size: number): void {
    requireSignature(sha256, signature, this.#trust);
    if (this.#succession.isBusy)
      throw new ModelRefusal('busy', 'expected no other model on trial, got one: offer it again later');
    const left = this.#memoryLeft?.() ?? Number.POSITIVE_INFINITY;
    if (size > left) throw new ModelRefusal('memory', `expected at most ${left} bytes, got ${size}`);
  }

  #takePart(name: string, payload: Uint8Array): void {
    const upload = this.#upload;
    try {
      if (upload === undefined) {
        const isLate = this.#timers.nowMs() - this.#uploadMs < lateMs;
        if (isLate) this.#counts.ignored++;
        else throw new ModelRefusal('unsolicited', 'expected an offer before its parts, got none');
        return;
      }
      upload.take(name, payload);
      this.#uploadMs = this.#timers.nowMs();
      if (upload.missing === 0) this.#finish(upload);
    } catch (error) {
      this.#refuse(error, upload?.offer.id ?? null);
    }
  }

  #finish(upload: Upload): void {
    const { offer } = upload;
    this.#upload = undefined;
    this.#counts.uploads++;
    const offered = upload.offered();
    if (this.#succession.isBusy)
      throw new ModelRefusal('busy', 'another model has come in the meantime: offer it again later');
    this.#succession.consider(offered, { from: 'upload', id: offer.id }, offer.sha256);
  }

  #giveUp(idleMs: number): void {
    const upload = this.#upload;
    if (upload === undefined || this.#timers.nowMs() - this.#uploadMs < idleMs) return;
    this.#upload = undefined;
    this.#refuse(
      new ModelRefusal(
        'abandoned',
        `expected ${upload.missing} parts more within ${idleMs / 1000} s, got none`,
      ),
      upload.offer.id,
    );
  }

  #onOutcome(outcome: Outcome, { from, id = null }: Origin): void {
    const { sha256, outcome: what, code, reason } = outcome;
    if (what === 'refused') this.#refused[code!]++;
    else if (what !== 'alreadyAtWork') this.#counts[what]++;
    this.#last = { ...outcome, from };
    if (from === 'upload')
      this.#reply({
        id,
        ok: what !== 'refused' && what !== 'rolledBack',
        sha256,
        outcome: what,
        ...(reason === undefined ? {} : { error: reason }),
      });
  }

  #refuse(error: unknown, id: string | null): void {
    if (!(error instanceof ModelRefusal)) throw error;
    const isFirst = this.#noteRefusal(error.code, error.message);
    // Who floods us with parts is answered once.
    if (isFirst || error.code !== 'unsolicited') this.#reply({ id, ok: false, error: error.message });
  }

  /** Whether it is the first of its kind. Told a few times only. */
  #noteRefusal(code: RefusalCode, text: string): boolean {
    const before = this.#refused[code]++;
    if (before < 10) this.#log.warning(`models: refused: ${text}`);
    return before === 0;
  }

  #reply(fields: { readonly [key: string]: Json }): void {
    const payload = JSON.stringify({ command: 'model', ...fields });
    this.#publish({ topic: this.#topics.reply, payload, qos: 1, retain: false });
  }

  #publishStatus(): void {
    const payload = JSON.stringify(this.status());
    this.#publish({ topic: this.#topics.models, payload, qos: 1, retain: true });
  }
}

/** A disk that refuses is told when something is to be written. */
function takeLock(directory: string, log: Log): FolderLock | undefined {
  try {
    return FolderLock.take(directory);
  } catch (error) {
    if (error instanceof FolderHeldError) throw error;
    log.warning(`models: ${(error as Error).message}`);
    return undefined;
  }
}

function trustOf({ publicKeyFile, requireSignature: isRequired }: ModelsConfig): Trust {
  const publicKey =
    publicKeyFile === undefined ? undefined : readPublicKey(readFileSync(publicKeyFile, 'utf8'));
  return { publicKey, requireSignature: isRequired };
}
