/** An edge node's life as a host sees it, with payloads by sparkplug-payload. */
import { get } from 'sparkplug-payload';
import { describe, expect, test } from 'vitest';
import { rebirthRequest } from '../../../src/gateway/payloads/sparkplug.ts';
import { Ears } from './helpers.ts';

const oracle = get('spBv1.0')!;
const channels = {
  speed: { preset: 'sparkplug', device: 'plant/line1', value: 'Motor/Speed' },
  pressure: { preset: 'sparkplug', device: 'plant/line1/pump', value: 'Inlet/Pressure', unit: 'bar' },
  open: { preset: 'sparkplug', device: 'plant/line1/pump', value: 'Valve Open' },
};

type Metric = Record<string, unknown>;

function payload(seq: number | undefined, metrics: Metric[]): Uint8Array {
  return oracle.encodePayload({
    timestamp: 1_700_000_000_000,
    ...(seq === undefined ? {} : { seq }),
    metrics,
  } as never);
}

class Plant {
  readonly ears = new Ears({ channels }, { speed: '1', pressure: 'Pa', open: '1' });
  births = 0;

  constructor() {
    this.ears.decoder.edgeOf(this.ears.routes[0]!).onBirthWanted = () => this.births++;
  }

  nodeBirth(seq = 0, bdSeq = 3, alias = 1): boolean {
    return this.ears.hear(
      'spBv1.0/plant/NBIRTH/line1',
      payload(seq, [
        { name: 'bdSeq', type: 'Int64', value: bdSeq },
        { name: 'Node Control/Rebirth', type: 'Boolean', value: false },
        { name: 'Motor/Speed', alias, type: 'Int16', value: -3 },
        { name: 'Other', alias: 50, type: 'Int16', value: 9 },
      ]),
    );
  }

  deviceBirth(seq: number): boolean {
    return this.ears.hear(
      'spBv1.0/plant/DBIRTH/line1/pump',
      payload(seq, [
        { name: 'Inlet/Pressure', alias: 2, type: 'Float', value: 1.5 },
        { name: 'Valve Open', alias: 3, type: 'Boolean', value: true },
      ]),
    );
  }

  data(seq: number, metrics: Metric[], device?: string): boolean {
    const topic = device === undefined ? 'spBv1.0/plant/NDATA/line1' : `spBv1.0/plant/DDATA/line1/${device}`;
    return this.ears.hear(topic, payload(seq, metrics));
  }

  get last() {
    return this.ears.last;
  }
}

test('one subscription for an edge node and its devices', () => {
  expect(new Plant().ears.routes.map(({ filter }) => filter)).toEqual(['spBv1.0/plant/+/line1/#']);
});

test('births fill the state, data by alias changes it, with the type and sign of the birth', () => {
  const plant = new Plant();
  plant.nodeBirth();
  plant.deviceBirth(1);
  expect(plant.last).toEqual({ speed: -3, pressure: 150_000, open: 1 });
  plant.data(2, [{ alias: 1, type: 'Int16', value: -250 }]);
  plant.data(3, [{ alias: 2, type: 'Float', value: 2 }], 'pump');
  plant.data(4, [{ alias: 3, type: 'Boolean', value: false }], 'pump');
  expect(plant.last).toEqual({ speed: -250, pressure: 200_000, open: 0 });
  expect(plant.ears.counts).toEqual({});
  expect(plant.births).toBe(0);
});

test('data without its type, as the rules want it', () => {
  const plant = new Plant();
  plant.nodeBirth();
  // alias 1, no data type, int_value 65286: -250 in 16 bits.
  plant.ears.hear('spBv1.0/plant/NDATA/line1', Buffer.from('12061001508' + '6fe0318' + '01', 'hex'));
  expect(plant.ears.counts).toEqual({});
  expect(plant.last.speed).toBe(-250);
});

test('what nobody wants makes no tick', () => {
  const plant = new Plant();
  plant.nodeBirth();
  expect(plant.data(1, [{ alias: 50, type: 'Int16', value: 1 }])).toBe(false);
  expect(plant.ears.counts).toEqual({});
});

test('a metric that is null is unknown', () => {
  const plant = new Plant();
  plant.nodeBirth();
  plant.data(1, [{ alias: 1, type: 'Int16', isNull: true, value: null }]);
  expect(plant.last.speed).toBeNaN();
  expect(plant.ears.counts).toEqual({ null: 1 });
});

test('a metric that is no reading is refused', () => {
  const plant = new Plant();
  plant.nodeBirth();
  expect(plant.data(1, [{ alias: 1, type: 'Bytes', value: Uint8Array.of(1) }])).toBe(false);
  expect(plant.ears.counts).toEqual({ wrongType: 1 });
});

test('a historical value says nothing about now', () => {
  const plant = new Plant();
  plant.nodeBirth();
  expect(plant.data(1, [{ alias: 1, type: 'Int16', value: 7, isHistorical: true }])).toBe(false);
  expect(plant.last.speed).toBe(-3);
  expect(plant.ears.counts).toEqual({ historical: 1 });
});

describe('death', () => {
  test("of the node makes all of it unknown, if it is this life's", () => {
    const plant = new Plant();
    plant.nodeBirth(0, 3);
    plant.deviceBirth(1);
    const die = (bdSeq: number) =>
      plant.ears.hear(
        'spBv1.0/plant/NDEATH/line1',
        payload(undefined, [{ name: 'bdSeq', type: 'Int64', value: bdSeq }]),
      );
    expect(die(2)).toBe(false);
    expect(plant.last.speed).toBe(-3);
    expect(die(3)).toBe(true);
    expect(Object.values(plant.last)).toEqual([Number.NaN, Number.NaN, Number.NaN]);
    expect(plant.ears.counts).toEqual({ offline: 1 });
    plant.nodeBirth(0, 4);
    expect(plant.last.speed).toBe(-3);
  });

  test('of the node makes its aliases void', () => {
    const plant = new Plant();
    plant.nodeBirth(0, 3);
    plant.ears.hear(
      'spBv1.0/plant/NDEATH/line1',
      payload(undefined, [{ name: 'bdSeq', type: 'Int64', value: 3 }]),
    );
    expect(plant.data(1, [{ alias: 1, type: 'Int16', value: 8 }])).toBe(false);
    expect(plant.last.speed).toBeNaN();
    expect(plant.ears.counts).toEqual({ offline: 1, noBirth: 1 });
    expect(plant.births).toBe(1);
  });

  test("of a device makes its channels unknown, and nobody else's", () => {
    const plant = new Plant();
    plant.nodeBirth();
    plant.deviceBirth(1);
    plant.ears.hear('spBv1.0/plant/DDEATH/line1/pump', payload(2, []));
    expect(plant.last).toEqual({ speed: -3, pressure: Number.NaN, open: Number.NaN });
    expect(plant.births).toBe(0);
  });
});

describe('sequence numbers', () => {
  test('wrap from 255 to 0, through node and devices', () => {
    const plant = new Plant();
    plant.nodeBirth(254);
    plant.deviceBirth(255);
    plant.data(0, [{ alias: 1, type: 'Int16', value: 8 }]);
    expect(plant.last.speed).toBe(8);
    expect(plant.ears.counts).toEqual({});
  });

  test('a gap makes aliases void, and asks for a birth until there is one', () => {
    const plant = new Plant();
    plant.nodeBirth();
    expect(plant.data(2, [{ alias: 1, type: 'Int16', value: 8 }])).toBe(false);
    expect(plant.last.speed).toBe(-3);
    expect(plant.data(3, [{ name: 'Motor/Speed', type: 'Int16', value: 9 }])).toBe(true);
    expect(plant.last.speed).toBe(9);
    expect(plant.births).toBe(2);
    expect(plant.ears.counts).toEqual({ sequenceGap: 1, noBirth: 1 });
    plant.nodeBirth(0, 3, 77);
    plant.data(1, [{ alias: 77, type: 'Int16', value: 10 }]);
    expect(plant.last.speed).toBe(10);
    expect(plant.births).toBe(2);
  });

  test('data before any birth asks for one', () => {
    const plant = new Plant();
    expect(plant.data(5, [{ alias: 1, type: 'Int16', value: 8 }])).toBe(false);
    expect([plant.births, plant.ears.counts]).toEqual([1, { noBirth: 1 }]);
  });
});

test('commands, states and what is no payload change nothing', () => {
  const plant = new Plant();
  plant.nodeBirth();
  const request = rebirthRequest({ group: 'plant', edge: 'line1' }, 5);
  expect(plant.ears.hear(request.topic, request.payload)).toBe(false);
  expect(plant.ears.hear('spBv1.0/plant/NDATA/line1', 'no payload')).toBe(false);
  expect(plant.ears.hear('spBv1.0/plant/NDATA/line1/pump', payload(1, []))).toBe(false);
  expect(plant.ears.hear('spBv1.0/plant/DDATA/line1', payload(1, []))).toBe(false);
  plant.data(1, []);
  expect(plant.ears.counts).toEqual({ notSparkplug: 1 });
  expect(plant.last.speed).toBe(-3);
});

test('a rebirth is requested as the rules say', () => {
  const {
    topic,
    payload: bytes,
    qos,
    retain,
  } = rebirthRequest({ group: 'plant', edge: 'line1' }, 1_700_000_000_000);
  expect([topic, qos, retain]).toEqual(['spBv1.0/plant/NCMD/line1', 0, false]);
  const decoded = oracle.decodePayload(bytes);
  expect(Number(decoded.timestamp)).toBe(1_700_000_000_000);
  expect(decoded.seq).toBeUndefined();
  expect(decoded.metrics).toMatchObject([{ name: 'Node Control/Rebirth', type: 'Boolean', value: true }]);
});
