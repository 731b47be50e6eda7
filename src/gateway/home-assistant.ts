/** What Home Assistant needs to show the gateway as a device: one retained discovery message. */
import type { Channel, Json, ModelMeaning } from '../engine/model.ts';
import { version } from '../version.ts';
import { type GatewayConfig, type HomeAssistantConfig, ownTopics } from './config/config.ts';
import type { OutgoingMessage } from './outbox.ts';
import type { GatewayPart } from './part.ts';

type Component = { readonly [key: string]: Json };
type Components = { readonly [key: string]: Component };

/** Every component that some gateway may have had under its name, with its platform, so that it can be taken back. */
const platforms: Readonly<Record<string, string>> = {
  class: 'sensor',
  anomaly: 'binary_sensor',
  score: 'sensor',
  tier: 'sensor',
  skip_share: 'sensor',
  power: 'sensor',
  energy: 'sensor',
};

/** Publishes the discovery at each connection, and when Home Assistant has started. */
export class HomeAssistant implements GatewayPart {
  readonly filters: readonly string[];
  readonly #describe: (gone: readonly string[]) => OutgoingMessage;
  readonly #birth: string;
  /** Forecasts that an earlier discovery had and this gateway has not. */
  #gone: readonly string[] = [];
  #discovery: OutgoingMessage;
  #publish: (message: OutgoingMessage) => void = () => {};

  constructor(settings: HomeAssistantConfig, config: GatewayConfig, meaning: ModelMeaning) {
    this.#describe = (gone) => discoveryMessage(settings, config, meaning, gone);
    this.#discovery = this.#describe([]);
    this.#birth = birthTopic(settings);
    this.filters = [this.#birth, this.#discovery.topic];
  }

  onReady(publish: (message: OutgoingMessage) => void): void {
    this.#publish = publish;
    publish(this.#discovery);
  }

  /** A retained birth is from before our connection, which has just told everything. */
  onMessage(topic: string, payload: Uint8Array, retained: boolean): void {
    if (topic === this.#discovery.topic && retained) this.#takeBack(payload);
    if (retained || topic !== this.#birth) return;
    if (payload.length === 6 && Buffer.from(payload).toString() === 'online') this.#publish(this.#discovery);
  }

  /** What an earlier run has left at the broker names what Home Assistant may still have. */
  #takeBack(payload: Uint8Array): void {
    const gone = forecastsIn(payload).filter(
      (key) => !this.#gone.includes(key) && !forecastsIn(Buffer.from(this.#discovery.payload)).includes(key),
    );
    if (gone.length === 0) return;
    this.#gone = [...this.#gone, ...gone].slice(-goneMax);
    this.#discovery = this.#describe(this.#gone);
    this.#publish(this.#discovery);
  }
}

const goneMax = 256;
const forecastKey = /^forecast_\d+_[A-Za-z0-9_-]{0,64}$/;

/** Keys of the forecasts that a discovery declares, removed ones too. */
function forecastsIn(payload: Uint8Array): string[] {
  try {
    const { components } = JSON.parse(Buffer.from(payload).toString()) as { components?: object };
    return Object.keys(components ?? {}).filter((key) => forecastKey.test(key));
  } catch {
    return [];
  }
}

/** Home Assistant says `online` here when it starts, and then needs the discoveries again. */
export function birthTopic({ discoveryPrefix }: HomeAssistantConfig): string {
  return `${discoveryPrefix}/status`;
}

/** The discovery message of a gateway. Components that it does not have, and those that are gone, are declared as removed. */
export function discoveryMessage(
  settings: HomeAssistantConfig,
  config: GatewayConfig,
  meaning: ModelMeaning,
  gone: readonly string[] = [],
): OutgoingMessage {
  const id = `dormouse_${config.gateway}`;
  const own = componentsOf(config, meaning);
  const components: [string, Component][] = Object.entries(own).map(([key, component]) => [
    key,
    { ...component, unique_id: `${id}_${key}` },
  ]);
  const removed = Object.keys(platforms).filter((key) => !Object.hasOwn(own, key));
  const payload = {
    device: {
      identifiers: [id],
      name: settings.name,
      manufacturer: 'Dormouse',
      model: `${meaning.task.kind} of ${meaning.channels.map(({ name }) => name).join(', ')}`,
      sw_version: version,
    },
    origin: { name: 'dormouse', sw_version: version },
    availability: [{ topic: ownTopics(config).status }],
    state_topic: ownTopics(config).output,
    qos: 1,
    components: {
      ...Object.fromEntries(components),
      ...Object.fromEntries(removed.map((key) => [key, { platform: platforms[key]! }])),
      ...Object.fromEntries(gone.map((key) => [key, { platform: 'sensor' }])),
    },
  };
  const topic = `${settings.discoveryPrefix}/device/${id}/config`;
  return { topic, payload: JSON.stringify(payload), qos: 1, retain: true };
}

function componentsOf(config: GatewayConfig, meaning: ModelMeaning): Components {
  return {
    ...taskComponents(meaning),
    tier: diagnostic({ name: 'Tier', value_template: '{{ value_json.tier }}', icon: 'mdi:sleep' }),
    ...(config.countersIntervalS > 0 ? { skip_share: skipShare(config) } : {}),
    ...(config.ledger === undefined ? {} : energyComponents(config)),
  };
}

/** Results come when something happens, so none of these expires; whether they hold is told by the availability. */
function taskComponents({ task, channels }: ModelMeaning): Components {
  if (task.kind === 'classify') {
    const component = {
      platform: 'sensor',
      name: 'Class',
      device_class: 'enum',
      options: [...task.classes],
      value_template: '{{ value_json.class }}',
    };
    return { class: component };
  }
  if (task.kind === 'forecast') return Object.fromEntries(channels.map(forecastComponent));
  return {
    anomaly: {
      platform: 'binary_sensor',
      name: 'Anomaly',
      device_class: 'problem',
      value_template: "{{ 'ON' if value_json.anomaly else 'OFF' }}",
    },
    score: {
      platform: 'sensor',
      name: 'Anomaly score',
      state_class: 'measurement',
      value_template: '{{ value_json.score if value_json.score is not none else None }}',
    },
  };
}

function forecastComponent({ name, unit }: Channel, index: number): [string, Component] {
  const values = `value_json.forecast[${JSON.stringify(name)}]`;
  const component = {
    platform: 'sensor',
    name: `Forecast of ${name}`,
    state_class: 'measurement',
    ...unitOf(unit),
    value_template: `{{ ${values} | first }}`,
  };
  return [`forecast_${index}_${name.replaceAll(/[^A-Za-z0-9_-]/g, '_')}`.slice(0, 64), component];
}

function skipShare(config: GatewayConfig): Component {
  const { frames, skips } = { frames: 'value_json.pipeline.frames', skips: 'value_json.pipeline.skips' };
  return diagnostic({
    name: 'Ticks skipped',
    state_topic: ownTopics(config).counters,
    state_class: 'measurement',
    unit_of_measurement: '%',
    value_template: `{{ (100 * ${skips} / ${frames}) | round(1) if ${frames} else 0 }}`,
  });
}

/** The ledger's part publishes both. */
function energyComponents(config: GatewayConfig): Components {
  const state_topic = ownTopics(config).energy;
  return {
    power: {
      platform: 'sensor',
      name: 'Power',
      state_topic,
      device_class: 'power',
      state_class: 'measurement',
      unit_of_measurement: 'W',
      value_template: '{{ value_json.powerW }}',
    },
    energy: diagnostic({
      name: 'Energy',
      state_topic,
      device_class: 'energy',
      state_class: 'total_increasing',
      unit_of_measurement: 'Wh',
      value_template: '{{ value_json.energyWh }}',
    }),
  };
}

function diagnostic(component: Component): Component {
  return { platform: 'sensor', entity_category: 'diagnostic', ...component };
}

/** As Home Assistant spells units; it refuses a device class whose unit it does not know. */
const spelling: Readonly<Record<string, Component>> = {
  Celsius: { unit_of_measurement: '°C', device_class: 'temperature' },
  '°C': { unit_of_measurement: '°C', device_class: 'temperature' },
  C: { unit_of_measurement: '°C', device_class: 'temperature' },
  Fahrenheit: { unit_of_measurement: '°F', device_class: 'temperature' },
  W: { unit_of_measurement: 'W', device_class: 'power' },
  kW: { unit_of_measurement: 'kW', device_class: 'power' },
  Pa: { unit_of_measurement: 'Pa', device_class: 'pressure' },
  hPa: { unit_of_measurement: 'hPa', device_class: 'pressure' },
  V: { unit_of_measurement: 'V', device_class: 'voltage' },
  A: { unit_of_measurement: 'A', device_class: 'current' },
  lx: { unit_of_measurement: 'lx', device_class: 'illuminance' },
  Lux: { unit_of_measurement: 'lx', device_class: 'illuminance' },
};

function unitOf(unit: string): Component {
  if (Object.hasOwn(spelling, unit)) return spelling[unit]!;
  return unit === '' || unit === '1' ? {} : { unit_of_measurement: unit };
}
