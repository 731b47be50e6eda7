/** The gateway as a Sparkplug B edge node: a connection of its own, since its last will is another. */
import type { Json, ModelMeaning } from '../../engine/model.ts';
import type { Witness } from '../../gate/witness.ts';
import type { GatewayConfig, SparkplugConfig } from '../config/config.ts';
import type { Log } from '../log.ts';
import { MqttConnection } from '../mqtt/mqtt.ts';
import { Outbox } from '../outbox.ts';
import type { Output } from '../output.ts';
import type { GatewayPart } from '../part.ts';
import { PublishRule } from '../results.ts';
import { SparkplugSession } from './session.ts';

const outboxMessages = 256;
const inFlight = 32;
const commandsMax = 64;
const goodbyeMs = 300;

export class SparkplugNode implements GatewayPart {
  readonly #session: SparkplugSession;
  readonly #connection: MqttConnection;
  readonly #outbox = new Outbox(outboxMessages, inFlight);
  readonly #rule: PublishRule;
  #births = 0;

  constructor(settings: SparkplugConfig, config: GatewayConfig, meaning: ModelMeaning, log: Log) {
    this.#session = new SparkplugSession(settings, meaning);
    this.#rule = new PublishRule(config.output.publish);
    this.#connection = new MqttConnection({
      // With 3.1.1 a death that is said is a death; with 5 the way of leaving would have to be another.
      mqtt: { ...config.mqtt, version: '3.1.1', qos: 1, clientId: `${config.mqtt.clientId}-sparkplug` },
      filters: [this.#session.commandTopic],
      will: () => this.#session.will(),
      keepSession: false,
      outbox: this.#outbox,
      receiveMaximum: commandsMax,
      packetBytes: config.limits.packetBytes,
      events: {
        onMessage: (_topic, payload, _retained, proceed) => {
          if (this.#session.asksForBirth(payload)) this.#beBorn();
          proceed();
        },
        onReady: () => this.#beBorn(),
        // What was for the last life means nothing in the next.
        onLost: () => this.#outbox.clear(),
        onFatal: (error) => log.error(`sparkplug: ${error.message}`),
        onProblem: (text) => log.warning(`sparkplug: ${text}`),
      },
    });
  }

  /** Connects, and again and again until it is stopped. */
  start(): void {
    this.#connection.start();
  }

  onTick(witness: Witness, output: Output): void {
    if (!this.#rule.wants(witness, output)) return;
    const message = this.#session.data(witness, output);
    if (message !== undefined && this.#connection.ready) this.#connection.publish(message);
  }

  counters(): { readonly [name: string]: Json } {
    const { acknowledged, dropped } = this.#outbox;
    const { connects } = this.#connection;
    return { sparkplug: { connects, births: this.#births, published: acknowledged, dropped } };
  }

  async stop(): Promise<void> {
    if (this.#connection.ready) this.#connection.publish(this.#session.death());
    await this.#connection.stop(goodbyeMs);
  }

  #beBorn(): void {
    this.#births++;
    this.#connection.publish(this.#session.birth());
  }
}
