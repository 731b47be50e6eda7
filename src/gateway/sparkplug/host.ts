/** Asks Sparkplug edge nodes for a birth where theirs is not known, or messages are missing since. */
import type { Decoder } from '../decode.ts';
import type { OutgoingMessage } from '../outbox.ts';
import type { GatewayPart } from '../part.ts';
import type { Route, SparkplugRule } from '../payloads/rule.ts';
import { rebirthRequest } from '../payloads/sparkplug.ts';

/** A node that does not answer is asked again at most so often. */
const againMs = 10_000;

interface Node {
  readonly route: Route;
  readonly rule: SparkplugRule;
  askedMs: number;
}

export class SparkplugHost implements GatewayPart {
  readonly #nodes: readonly Node[];
  readonly #decoder: () => Pick<Decoder, 'edgeOf'>;
  readonly #nowMs: () => number;
  #publish: (message: OutgoingMessage) => void = () => {};
  #requests = 0;

  /** `nowMs`: milliseconds since 1970. */
  constructor(
    routes: readonly Route[],
    decoder: () => Pick<Decoder, 'edgeOf'>,
    nowMs: () => number = Date.now,
  ) {
    this.#nodes = routes.flatMap((route) => {
      const rule = route.channels[0]?.rule;
      return rule?.kind === 'sparkplug' ? [{ route, rule, askedMs: Number.NEGATIVE_INFINITY }] : [];
    });
    this.#decoder = decoder;
    this.#nowMs = nowMs;
  }

  onReady(publish: (message: OutgoingMessage) => void): void {
    this.#publish = publish;
    for (const node of this.#nodes) {
      const edge = this.#decoder().edgeOf(node.route);
      edge.onBirthWanted = () => this.#ask(node);
      if (!edge.isBorn) this.#ask(node);
    }
  }

  counters(): { readonly rebirthRequests: number } {
    return { rebirthRequests: this.#requests };
  }

  #ask(node: Node): void {
    const nowMs = this.#nowMs();
    // A clock that was set back must not silence us.
    if (Math.abs(nowMs - node.askedMs) < againMs) return;
    node.askedMs = nowMs;
    this.#requests++;
    this.#publish(rebirthRequest(node.rule, nowMs));
  }
}
