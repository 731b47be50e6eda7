/** Units as payloads and models write them, and how to get from one to another. */

/** target = value * scale + offset. */
export interface Conversion {
  readonly scale: number;
  readonly offset: number;
}

/** One quantity: the spellings of each unit, and what takes a value to the first unit of the quantity. */
type Quantity = readonly (readonly [spellings: string, scale: number, offset?: number])[];

const quantities: readonly Quantity[] = [
  [
    ['celsius °c c degc', 1],
    ['fahrenheit °f f degf', 5 / 9, -160 / 9],
    ['kelvin k', 1, -273.15],
  ],
  [
    ['w watt', 1],
    ['kw', 1000],
    ['mw milliwatt', 0.001],
  ],
  [
    ['wh', 1],
    ['kwh', 1000],
    ['mwh milliwatthour', 0.001],
    ['j joule', 1 / 3600],
    ['kj', 1 / 3.6],
  ],
  [
    ['pa', 1],
    ['hpa mbar', 100],
    ['kpa', 1000],
    ['bar', 100_000],
    ['psi', 6894.757293168361],
    ['mmhg', 133.322387415],
    ['inhg', 3386.389],
  ],
  [
    ['v volt', 1],
    ['mv millivolt', 0.001],
    ['kv', 1000],
  ],
  [
    ['a ampere', 1],
    ['ma milliampere', 0.001],
  ],
  [
    ['% percent %rh', 1],
    ['share fraction 1', 100],
  ],
  [
    ['ppm', 1],
    ['ppb', 0.001],
  ],
  [['lx lux', 1]],
  [
    ['s second seconds', 1],
    ['ms', 0.001],
    ['min minute minutes', 60],
    ['h hour hours', 3600],
    ['d day days', 86_400],
  ],
  [
    ['m metre meter', 1],
    ['mm', 0.001],
    ['cm', 0.01],
    ['km', 1000],
    ['ft', 0.3048],
    ['in inch', 0.0254],
  ],
  [
    ['m/s', 1],
    ['km/h', 1 / 3.6],
    ['mph', 0.44704],
    ['kn', 0.514444],
  ],
  [
    ['kg', 1],
    ['g', 0.001],
  ],
  [
    ['m3 m³', 1],
    ['l litre liter', 0.001],
    ['ml', 0.000001],
  ],
  [
    ['µg/m³ ug/m3 μg/m³', 1],
    ['mg/m³ mg/m3', 1000],
  ],
  [
    ['hz', 1],
    ['khz', 1000],
    ['rpm', 1 / 60],
  ],
];

interface Unit {
  readonly quantity: number;
  readonly scale: number;
  readonly offset: number;
}

/** Mega is not milli: only these differ by case in what sensors send. */
const caseSensitive: Readonly<Record<string, readonly [name: string, factor: number]>> = {
  MW: ['w', 1e6],
  MWh: ['wh', 1e6],
  MHz: ['hz', 1e6],
};

const units = new Map<string, Unit>();
for (const [quantity, members] of quantities.entries()) {
  for (const [spellings, scale, offset = 0] of members) {
    for (const name of spellings.split(' ')) units.set(name, { quantity, scale, offset });
  }
}

function unitOf(text: string): Unit | undefined {
  const name = text.trim();
  const mega = Object.hasOwn(caseSensitive, name) ? caseSensitive[name] : undefined;
  if (mega === undefined) return units.get(name.toLowerCase());
  const base = units.get(mega[0])!;
  return { ...base, scale: base.scale * mega[1] };
}

/** Whether the name of a unit is known here. */
export function isKnownUnit(text: string): boolean {
  return unitOf(text) !== undefined;
}

/** From one unit to another; undefined when either is unknown or they measure different things. */
export function conversionBetween(from: string, to: string): Conversion | undefined {
  if (from === to) return { scale: 1, offset: 0 };
  const [source, target] = [unitOf(from), unitOf(to)];
  if (source === undefined || target === undefined || source.quantity !== target.quantity) return undefined;
  return { scale: source.scale / target.scale, offset: (source.offset - target.offset) / target.scale };
}
