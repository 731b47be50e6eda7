/** Learns from Zigbee2MQTT what its devices tell: units, ranges and words, for the channels that come from there. */
import type { Channel } from '../engine/model.ts';
import { didYouMean } from '../text/nearest.ts';
import type { Decoder, Refinement } from './decode.ts';
import type { Log } from './log.ts';
import type { GatewayPart } from './part.ts';
import { jsonDepth } from './payloads/json-depth.ts';
import type { PathRule, Route } from './payloads/rule.ts';
import { conversionBetween } from './payloads/units.ts';
import { type Exposed, type ExposedDevice, readDevices } from './payloads/zigbee2mqtt.ts';

/** A channel whose device has a definition. */
interface Defined {
  readonly channel: number;
  readonly name: string;
  readonly property: string;
  readonly definition: NonNullable<PathRule['definition']>;
}

const payloadBytesMax = 8 << 20;
const depthMax = 32;

export class ZigbeeDefinitions implements GatewayPart {
  readonly filters: readonly string[];
  readonly #defined: readonly Defined[];
  readonly #channels: readonly Channel[];
  readonly #decoder: () => Pick<Decoder, 'refine'>;
  readonly #log: Log;
  readonly #told = new Set<string>();

  constructor(
    routes: readonly Route[],
    channels: readonly Channel[],
    decoder: () => Pick<Decoder, 'refine'>,
    log: Log,
  ) {
    this.#defined = routes.flatMap(definedChannels);
    this.#channels = channels;
    this.#decoder = decoder;
    this.#log = log;
    this.filters = [...new Set(this.#defined.map(({ definition }) => definition.topic))];
  }

  onMessage(topic: string, payload: Uint8Array): void {
    const wanted = this.#defined.filter(({ definition }) => definition.topic === topic);
    if (wanted.length === 0) return;
    const devices = new Map(readDevices(parse(payload)).map((device) => [device.name, device]));
    if (devices.size === 0) this.#tell(`${topic}: expected a list of devices, got none`);
    else for (const each of wanted) this.#learn(each, devices);
  }

  #learn(defined: Defined, devices: ReadonlyMap<string, ExposedDevice>): void {
    const { definition, name, property } = defined;
    const device = devices.get(definition.device);
    if (device === undefined) {
      const near = didYouMean(definition.device, [...devices.keys()]);
      this.#tell(`channel ${name}: Zigbee2MQTT has no device ${JSON.stringify(definition.device)}${near}`);
      return;
    }
    const exposed = device.exposes.find((each) => each.property === property);
    if (exposed !== undefined) this.#refine(defined, exposed);
    else if (device.exposes.length > 0) {
      const near = didYouMean(
        property,
        device.exposes.map((each) => each.property),
      );
      this.#tell(`channel ${name}: ${definition.device} (${device.model}) does not tell ${property}${near}`);
    }
  }

  #refine({ channel, name }: Defined, exposed: Exposed): void {
    const { unit: wanted } = this.#channels[channel]!;
    const { unit, states, min, max } = exposed;
    const conversion = unit === undefined || wanted === '' ? undefined : conversionBetween(unit, wanted);
    if (unit !== undefined && wanted !== '' && conversion === undefined)
      this.#tell(`channel ${name}: the model wants ${wanted}, Zigbee2MQTT tells ${unit}`);
    const refinement: Refinement = {
      ...(conversion === undefined ? {} : { conversion }),
      ...(states === undefined ? {} : { states }),
      ...(min === undefined ? {} : { min }),
      ...(max === undefined ? {} : { max }),
    };
    this.#decoder().refine(channel, refinement);
  }

  /** Definitions come again at each change. */
  #tell(text: string): void {
    if (this.#told.has(text)) return;
    this.#told.add(text);
    this.#log.warning(text);
  }
}

function definedChannels({ channels }: Route): Defined[] {
  return channels.flatMap(({ channel, name, rule }) =>
    rule.kind === 'path' && rule.definition !== undefined
      ? [{ channel, name, property: rule.path.join('.'), definition: rule.definition }]
      : [],
  );
}

function parse(payload: Uint8Array): unknown {
  if (payload.length > payloadBytesMax || jsonDepth(payload) > depthMax) return undefined;
  try {
    return JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('utf8'));
  } catch {
    return undefined;
  }
}
