/**
 * Home Assistant's rules for device-based discovery (its documentation "MQTT device discovery payload", and the schemas
 * of its MQTT integration), one by one.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { ModelMeaning, Task } from '../../src/engine/model.ts';
import { type GatewayConfigError, parseGatewayConfig } from '../../src/gateway/config/load-config.ts';
import { birthTopic, discoveryMessage, HomeAssistant } from '../../src/gateway/home-assistant.ts';
import { Fixture } from './fixture.ts';

const fixture = new Fixture();
afterAll(() => fixture.remove());

const base = {
  gateway: 'office',
  model: 'model.safetensors',
  mqtt: { url: 'mqtt://127.0.0.1' },
  source: { topic: 'room' },
};

function configOf(changes: object) {
  return parseGatewayConfig(stringify({ ...base, ...changes }), fixture.path('gateway.yaml')).config;
}

const tasks: Task[] = [
  { kind: 'classify', classes: ['empty', 'occupied'] },
  { kind: 'anomaly', threshold: 1 },
  { kind: 'forecast', horizon: 3 },
];

type Fields = Record<string, unknown>;
interface Discovery extends Fields {
  device: Fields;
  origin: Fields;
  availability: Fields[];
  components: Record<string, Fields>;
}

function discover(task: Task, changes: object = { ledger: { directory: 'x', target: 'pi5' } }) {
  const config = configOf({ homeAssistant: true, ...changes });
  const meaning: ModelMeaning = { ...fixture.model.meaning, task };
  const message = discoveryMessage(config.homeAssistant!, config, meaning);
  return { message, config, payload: JSON.parse(message.payload as string) as Discovery };
}

/** Components that are there; one with nothing but its platform is declared as removed. */
function present({ components }: Discovery): [string, Fields][] {
  return Object.entries(components).filter(([, component]) => Object.keys(component).length > 1);
}

const platforms = new Set(['sensor', 'binary_sensor']);
/** Keys that a sensor or binary sensor of the MQTT integration takes, as far as we use them. */
const known = {
  sensor: [
    'platform',
    'unique_id',
    'name',
    'icon',
    'state_topic',
    'value_template',
    'device_class',
    'state_class',
    'unit_of_measurement',
    'entity_category',
    'options',
  ],
  binary_sensor: [
    'platform',
    'unique_id',
    'name',
    'icon',
    'state_topic',
    'value_template',
    'device_class',
    'entity_category',
  ],
};
/** Units that a device class of a sensor takes. */
const units: Record<string, string[]> = {
  power: ['mW', 'W', 'kW', 'MW', 'GW', 'TW', 'BTU/h'],
  energy: ['J', 'kJ', 'MJ', 'GJ', 'mWh', 'Wh', 'kWh', 'MWh', 'GWh', 'TWh', 'cal', 'kcal', 'Mcal', 'Gcal'],
  temperature: ['°C', '°F', 'K'],
};

describe.each(tasks)('the discovery of a gateway with $kind', (task) => {
  const { message, config, payload } = discover(task);

  test('comes retained on <prefix>/device/<object id>/config', () => {
    expect(message).toMatchObject({ qos: 1, retain: true });
    expect(message.topic).toMatch(/^homeassistant\/device\/[a-zA-Z0-9_-]+\/config$/);
  });

  test('names a device with identifiers', () => {
    expect(payload.device.identifiers).toEqual(['dormouse_office']);
    for (const value of Object.values(payload.device))
      expect([typeof value, Array.isArray(value)]).toSatisfy(([type, list]) => type === 'string' || list);
  });

  test('names its origin', () => {
    expect(payload.origin.name).toBe('dormouse');
  });

  test('has a map of components, each with a supported platform', () => {
    expect(present(payload).length).toBeGreaterThan(1);
    for (const { platform } of Object.values(payload.components)) expect(platforms).toContain(platform);
  });

  test('gives each component a unique id of letters, digits, _ and -, and a state topic', () => {
    const ids = present(payload).map(([, { unique_id }]) => unique_id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^dormouse_office_[a-zA-Z0-9_-]+$/);
    expect(payload.state_topic).toBe(config.output.topic);
    for (const [, { state_topic }] of present(payload)) {
      expect([undefined, 'dormouse/office/counters', 'dormouse/office/energy']).toContain(state_topic);
    }
  });

  test('uses keys that the platforms know', () => {
    for (const [, component] of present(payload)) {
      const keys = known[component.platform as keyof typeof known];
      expect(keys).toEqual(expect.arrayContaining(Object.keys(component)));
    }
    const shared = ['device', 'origin', 'availability', 'state_topic', 'qos', 'components'];
    expect(Object.keys(payload).sort()).toEqual(shared.sort());
  });

  test('is available while the status topic says online, the default payload', () => {
    expect(payload.availability).toEqual([{ topic: 'dormouse/office/status' }]);
  });

  test('pairs device classes with state classes and units as sensors must', () => {
    for (const [, component] of present(payload)) {
      const { device_class, state_class, unit_of_measurement, options } = component;
      if (device_class === 'energy') expect(['total', 'total_increasing']).toContain(state_class);
      if (device_class === 'power') expect(state_class).toBe('measurement');
      if (device_class === 'enum')
        expect([Array.isArray(options), state_class, unit_of_measurement]).toEqual([
          true,
          undefined,
          undefined,
        ]);
      else expect(options).toBeUndefined();
      if (units[device_class as string] !== undefined)
        expect(units[device_class as string]).toContain(unit_of_measurement);
      if (unit_of_measurement !== undefined) expect(typeof unit_of_measurement).toBe('string');
    }
  });

  test('shows results, tier, skip share, power and energy', () => {
    const keys = present(payload).map(([key]) => key);
    expect(keys).toEqual(expect.arrayContaining(['tier', 'skip_share', 'power', 'energy']));
    const own = {
      classify: ['class'],
      anomaly: ['anomaly', 'score'],
      forecast: ['forecast_0_temperature', 'forecast_1_humidity'],
    };
    expect(keys).toEqual(expect.arrayContaining(own[task.kind]));
    const others = ['class', 'anomaly', 'score'].filter((key) => !(own[task.kind] as string[]).includes(key));
    for (const key of others) expect(Object.keys(payload.components[key]!)).toEqual(['platform']);
  });
});

test('power and energy are there only where a ledger publishes them, skips where counters are', () => {
  const keys = present(discover(tasks[1]!, { countersIntervalS: 0 }).payload).map(([key]) => key);
  expect(keys).toEqual(['anomaly', 'score', 'tier']);
});

test('fields of the energy message are those that the templates read', () => {
  const { components } = discover(tasks[1]!).payload;
  expect(components.power!.value_template).toBe('{{ value_json.powerW }}');
  expect(components.energy!.value_template).toBe('{{ value_json.energyWh }}');
});

describe('in the config', () => {
  test('it is off unless asked for', () => {
    expect(configOf({}).homeAssistant).toBeUndefined();
    expect(configOf({ homeAssistant: false }).homeAssistant).toBeUndefined();
  });

  test('an empty section, true and a mapping switch it on', () => {
    const defaults = { discoveryPrefix: 'homeassistant', name: 'Dormouse office' };
    expect(configOf({ homeAssistant: null }).homeAssistant).toEqual(defaults);
    expect(configOf({ homeAssistant: true }).homeAssistant).toEqual(defaults);
    const own = configOf({ homeAssistant: { discoveryPrefix: 'ha', name: 'Cellar' } }).homeAssistant!;
    expect(own).toEqual({ discoveryPrefix: 'ha', name: 'Cellar' });
    expect(birthTopic(own)).toBe('ha/status');
  });

  test.each([
    [{ homeAssistant: 'yes' }, /^homeAssistant \(line \d+\): expected a mapping/],
    [{ homeAssistant: { nam: 'x' } }, /^homeAssistant\.nam .*did you mean "name"/],
    [{ homeAssistant: { discoveryPrefix: 'a/#' } }, /^homeAssistant\.discoveryPrefix .*with a wildcard/],
    [{ sparkplug: {} }, /^sparkplug\.group .*got nothing/],
    [{ sparkplug: { group: 'a/b' } }, /^sparkplug\.group .*got "a\/b"/],
  ])('%j is refused', (changes, expected) => {
    try {
      configOf(changes);
      expect.unreachable();
    } catch (error) {
      expect(
        (error as GatewayConfigError).message
          .split('\n')
          .map((line) => line.trim())
          .at(1),
      ).toMatch(expected);
    }
  });
});

test('forecasts that an earlier gateway of that name has left at the broker are taken back, and others left alone', () => {
  const config = configOf({ homeAssistant: true });
  const forecast: Task = { kind: 'forecast', horizon: 3 };
  const part = new HomeAssistant(config.homeAssistant!, config, { ...fixture.model.meaning, task: forecast });
  const published: Discovery[] = [];
  part.onReady(({ payload }) => void published.push(JSON.parse(payload as string)));
  const [birth, topic] = part.filters as [string, string];
  const old = { components: { forecast_0_temperature: {}, forecast_1_power: {}, mine: {}, forecast_x: {} } };
  const hear = (value: unknown, retained = true) =>
    part.onMessage(topic, Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)), retained);
  for (const nonsense of ['', 'null', '{"components":3}', '[']) hear(nonsense);
  hear({ components: { forecast_7_z: {} } }, false);
  expect(published).toHaveLength(1);
  hear(old);
  expect(published).toHaveLength(2);
  expect(published[1]!.components.forecast_1_power).toEqual({ platform: 'sensor' });
  expect(Object.keys(published[1]!.components.forecast_0_temperature!).length).toBeGreaterThan(1);
  expect(published[1]!.components).not.toHaveProperty('mine');
  // What it has published itself tells it nothing new; whoever starts later is told all the same.
  hear(published[1]);
  expect(published).toHaveLength(2);
  part.onMessage(birth, Buffer.from('online'), false);
  expect(published[2]).toEqual(published[1]);
});
