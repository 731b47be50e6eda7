/** Payloads through a config and the decoder, as the gateway takes them. */
import { readFileSync } from 'node:fs';
import type { Channel } from '../../../src/engine/model.ts';
import { readRoutes } from '../../../src/gateway/config/channels.ts';
import { formatProblem, Problems, Section } from '../../../src/gateway/config/checker.ts';
import { Decoder, makeDecoded } from '../../../src/gateway/decode.ts';
import { decodeProblems } from '../../../src/gateway/decode-problems.ts';
import { topicMatches } from '../../../src/gateway/mqtt/topics.ts';
import type { Route } from '../../../src/gateway/payloads/rule.ts';

export interface Sample {
  readonly topic: string;
  readonly payload: unknown;
}

/** Messages as devices send them: text as it is, anything else as JSON. */
export function samplesOf(name: string): Sample[] {
  return JSON.parse(readFileSync(new URL(`fixtures/${name}.json`, import.meta.url), 'utf8')) as Sample[];
}

export function bytesOf(payload: unknown): Buffer {
  if (payload instanceof Uint8Array) return Buffer.from(payload);
  return Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload));
}

/** Channels of a model by name and unit. */
export function channelsOf(units: Readonly<Record<string, string>>): Channel[] {
  return Object.entries(units).map(([name, unit]) => ({ name, unit, center: 0, scale: 1 }));
}

/** The routes of a config's `channels` and `source`, and its problems. */
export function routesOf(
  config: { readonly channels?: object; readonly source?: object },
  units: Readonly<Record<string, string>>,
  hasTimestamp = false,
): { readonly routes: Route[]; readonly problems: string[] } {
  const problems = new Problems();
  const routes = readRoutes(new Section(problems, [], config), channelsOf(units), {
    topicPrefix: 'dormouse/test',
    hasTimestamp,
  });
  return { routes, problems: problems.list.map(formatProblem) };
}

/** A gateway's ears: routes and decoder. */
export class Ears {
  readonly routes: readonly Route[];
  readonly decoder: Decoder;
  /** By channel: what was last said; NaN for unknown, undefined for nothing yet. */
  readonly last: Record<string, number | undefined>;
  readonly #names: readonly string[];

  constructor(
    config: { readonly channels?: object; readonly source?: object },
    units: Readonly<Record<string, string>>,
    limits = { payloadBytes: 65_536, jsonDepth: 16 },
  ) {
    const { routes, problems } = routesOf(config, units);
    if (problems.length > 0) throw new Error(problems.join('\n'));
    this.routes = routes;
    this.decoder = new Decoder({ frame: { timestampUnit: 'ms' }, limits });
    this.#names = Object.keys(units);
    this.last = Object.fromEntries(this.#names.map((name) => [name, undefined]));
  }

  /** Takes a message; true when any route found something in it. */
  hear(topic: string, payload: unknown): boolean {
    let any = false;
    for (const route of this.routes) {
      if (!topicMatches(route.filter, topic)) continue;
      const decoded = makeDecoded(this.#names.length);
      if (!this.decoder.decode(route, bytesOf(payload), decoded, topic)) continue;
      any = true;
      for (const [index, name] of this.#names.entries()) {
        if (decoded.present[index] === 1) this.last[name] = decoded.values[index]!;
      }
    }
    return any;
  }

  hearAll(samples: readonly Sample[]): this {
    for (const { topic, payload } of samples) this.hear(topic, payload);
    return this;
  }

  /** What was counted, without zeros. */
  get counts(): Record<string, number> {
    const { counts } = this.decoder;
    return Object.fromEntries(
      decodeProblems.filter((kind) => counts[kind] > 0).map((kind) => [kind, counts[kind]]),
    );
  }
}
