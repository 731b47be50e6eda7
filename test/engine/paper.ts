/**
 * The integer rules once more, from the model's own tensors over a whole history: no memory layout, no padding, no
 * ring, no kernels. Independent of everything that it checks but the rounding.
 */
import { headSize } from '../../src/engine/config.ts';
import type { FeedForwardWeights, Gain, LayerWeights, Linear, Model } from '../../src/engine/model.ts';
import type { HeadPattern } from '../../src/engine/patterns.ts';
import type { KvMode } from '../../src/engine/plan.ts';

const roundEven = (value: number): number => {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
};
const limit = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));

function linear({ weight, bias, multiplier }: Linear, input: readonly number[]): number[] {
  return Array.from(bias, (start, row) => {
    const sum = input.reduce((total, x, column) => total + weight[row * input.length + column]! * x, start);
    return roundEven(sum * multiplier[row]!);
  });
}

function norm(x: readonly number[], gain: Gain): number[] {
  const meanSquare = Math.floor(x.reduce((sum, value) => sum + value * value, 0) / x.length);
  const root = Math.max(256, Math.floor(Math.sqrt(65536 * meanSquare)));
  const scaled = (value: number, c: number) =>
    typeof gain === 'number' ? value * ((gain * 256) / root) : value * gain[c]! * (256 / root);
  return x.map((value, c) => limit(64 + roundEven(scaled(value, c)), 0, 127));
}

interface Projected {
  readonly query: readonly number[];
  readonly key: readonly number[];
  readonly value: readonly number[];
}

/** The ticks of `seen` (newest first or not) that a head's pattern shows to the query at tick `at`. */
function shown(
  pattern: HeadPattern | undefined,
  seen: readonly number[],
  at: number,
  window: number,
  concealed: readonly number[],
  mark: (tick: number) => number,
  meets: (tick: number) => number,
): number[] {
  if (pattern === undefined) return [...seen];
  const { local, ages = [], pinned = 0, blocks = 0 } = pattern;
  const isNear = (tick: number) => at - tick < local || ages.includes(at - tick);
  const rest = seen.filter((tick) => !isNear(tick));
  const pins = rest.filter((tick) => mark(tick) > 0).sort((a, b) => mark(b) - mark(a) || b - a);
  const numbers = [...new Set(rest.map((tick) => Math.floor(tick / 32)))].filter(
    (number) =>
      at - number * 32 < window &&
      at - (number * 32 + 31) >= local &&
      concealed.every((tick) => Math.floor(tick / 32) !== number),
  );
  const members = (number: number) => seen.filter((tick) => Math.floor(tick / 32) === number);
  const score = (number: number) => members(number).reduce((sum, tick) => sum + meets(tick), 0);
  const best = numbers.sort((a, b) => score(b) - score(a) || b - a).slice(0, blocks);
  return [...seen.filter(isNear), ...pins.slice(0, pinned), ...best.flatMap(members)];
}

/** Hadamard's matrix by its definition: the sign is the parity of the common bits. */
function hadamardMatrix(size: number): number[][] {
  const parity = (bits: number) => [...bits.toString(2)].filter((bit) => bit === '1').length % 2;
  return Array.from({ length: size }, (_, row) =>
    Array.from({ length: size }, (_, column) => 1 - 2 * parity(row & column)),
  );
}
const matrices = new Map([16, 32].map((size) => [size, hadamardMatrix(size)]));

function hadamard(x: readonly number[]): number[] {
  return matrices.get(x.length)!.map((signs) => signs.reduce((sum, sign, i) => sum + sign * x[i]!, 0));
}

interface FourBits {
  readonly codes: readonly number[];
  readonly largest: number;
}

function toFourBits(x: readonly number[]): FourBits {
  const largest = Math.max(...x.map(Math.abs));
  return { codes: x.map((value) => roundEven(value * (7 / Math.max(1, largest)))), largest };
}

function attend(
  model: Model,
  index: number,
  rows: readonly Projected[],
  at: number,
  window: number,
  present: (tick: number, at: number) => boolean,
  isConcealed: (tick: number, at: number) => boolean,
  mark: (tick: number) => number,
  known: Map<readonly number[], FourBits[]>,
): number[] {
  const { heads, keyValues = 'int8', patterns } = model.config;
  const layer = model.weights.layers[index]!;
  const size = headSize(model.config);
  const inWindow = rows
    .map((_, tick) => tick)
    .filter((tick) => tick <= at && tick > at - window && present(tick, at));
  const concealed = Array.from({ length: at }, (_, tick) => tick).filter((tick) => isConcealed(tick, at));
  if (layer.spikeThreshold !== undefined) {
    return countSpikes(
      layer.spikeThreshold,
      rows[at]!,
      inWindow.map((tick) => rows[tick]!),
    );
  }
  const isRotated = keyValues === 'int4-rotated';
  const turn = (values: readonly number[]) => (isRotated ? hadamard(values) : values);
  const unit = 1 / (7 * (isRotated ? size : 1));
  // Only what is looked at, once for all queries of the layer.
  const fourBits = (values: readonly number[], head: number): FourBits => {
    if (!known.has(values)) known.set(values, []);
    const heads = known.get(values)!;
    heads[head] ??= toFourBits(turn(values.slice(head * size, (head + 1) * size)));
    return heads[head];
  };
  return Array.from({ length: heads }, (_, head) => {
    const own = (values: readonly number[]) => values.slice(head * size, (head + 1) * size);
    const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
    const { query } = rows[at]!;
    const meets = (tick: number) => dot(own(query), own(rows[tick]!.key));
    const seen = shown(patterns?.[index]?.[head], inWindow, at, window, concealed, mark, meets);
    const product = (tick: number) => {
      if (keyValues === 'int8') return meets(tick);
      const { codes, largest } = fourBits(rows[tick]!.key, head);
      return roundEven(dot(turn(own(query)), codes) * largest * unit);
    };
    const scores = seen.map(
      (tick) => product(tick) + layer.ageBias[head * model.config.window + (at - tick)]!,
    );
    const top = Math.max(layer.sink[head]!, ...scores);
    const weigh = (score: number) => {
      const u = Math.min(roundEven((top - score) * layer.exponentScale[head]!), 4095);
      return Math.floor(model.weights.exponentTable[u % 256]! / 2 ** Math.floor(u / 256));
    };
    const total = scores.reduce((sum, score) => sum + weigh(score), weigh(layer.sink[head]!));
    const scale = layer.contextScale[head]!;
    if (keyValues === 'int8') {
      const shares = scores.map((score) => roundEven(weigh(score) * (32767 / total)));
      return Array.from({ length: size }, (_, d) => {
        const sum = seen.reduce((all, tick, i) => all + shares[i]! * own(rows[tick]!.value)[d]!, 0);
        return limit(64 + roundEven(sum * scale), 0, 127);
      });
    }
    const values = seen.map((tick) => fourBits(rows[tick]!.value, head));
    const most = Math.max(1, ...values.map(({ largest }) => largest));
    const shares = scores.map((score, i) =>
      roundEven(weigh(score) * values[i]!.largest * (32767 / (total * most))),
    );
    const sums = Array.from({ length: size }, (_, d) =>
      values.reduce((all, { codes }, i) => all + shares[i]! * codes[d]!, 0),
    );
    return turn(sums).map((sum) => limit(64 + roundEven(sum * (scale * most * unit)), 0, 127));
  }).flat();
}

function countSpikes(thresholds: Int32Array, own: Projected, past: readonly Projected[]): number[] {
  return Array.from(thresholds, (threshold, d) => {
    const count = past.reduce(
      (sum, { key, value }) => sum + (key[d]! > 0 ? 1 : 0) * (value[d]! > 0 ? 1 : 0),
      0,
    );
    return 64 + (own.query[d]! > 0 && count >= threshold ? 63 : 0);
  });
}

const int16 = (value: number) => limit(value, -32767, 32767);

function feedForward(
  { feedForwardGain, up, gelu, down }: FeedForwardWeights,
  x: readonly number[],
): number[] {
  const hidden = linear(up, norm(x, feedForwardGain)).map((u) => gelu[limit(u, -128, 127) + 128]!);
  const change = linear(down, hidden);
  return x.map((value, i) => int16(value + change[i]!));
}

/** Per tick, how much of a layer's change its router keeps, in 32768ths; all of it without a router. */
function routerGates(model: Model, layer: LayerWeights, stream: readonly number[][]): number[] {
  const { router, attentionGain } = layer;
  const capacity = Math.round((model.config.routing?.capacity ?? 1) * 32768);
  const most = Math.max(32768, 32 * capacity);
  let credit = most;
  return stream.map((x) => {
    if (router === undefined) return 32768;
    const [logit] = linear(router, norm(x, attentionGain));
    credit = Math.min(most, credit + capacity);
    if (logit! < 0 || credit < 32768) return 0;
    credit -= 32768;
    const u = Math.min(roundEven((logit! * 256 * Math.LOG2E) / 65536), 4095);
    const e = Math.floor(model.weights.exponentTable[u % 256]! / 2 ** Math.floor(u / 256));
    return roundEven(2 ** 31 / (65536 + e));
  });
}

/** Which layers a tick went through, and whether it gave the others keys and values all the same. */
export interface PaperDepth {
  readonly layers: number;
  readonly propagated: boolean;
}

/** A tick's values among its features. */
function valuesOf(model: Model, features: readonly number[]): number[] {
  const { channels, stride } = model.config.history!;
  return Array.from({ length: channels }, (_, channel) => features[channel * stride]!);
}

/** With zeros up to so many. */
const filled = (length: number) => (values: readonly number[]) =>
  Array.from({ length }, (_, i) => values[i] ?? 0);

/** [channels][rank]: what the past of each channel amounts to. `past`: [ticks][channels], the present tick last. */
function paperComponents(model: Model, past: readonly (readonly number[])[], rank: number): number[][] {
  const { rows, channels } = model.config.history!;
  return Array.from({ length: channels }, (_, channel) => {
    const last = past.at(-1)![channel]!;
    const window = Array.from({ length: rows }, (_, i) => {
      const tick = Math.max(0, past.length - rows + i);
      return past[tick]![channel]! - last;
    });
    return linear(model.weights.history!.basis, window)
      .slice(0, rank)
      .map((component) => limit(component, -8191, 8191));
  });
}

/** [outputs]: where that leads by itself. */
export function paperForecast(model: Model, past: readonly (readonly number[])[], rank: number): number[] {
  const { ranks } = model.config.history!;
  const { readout } = model.weights.history!;
  const first = { ...readout, weight: readout.weight.filter((_, i) => i % ranks[0] < rank) };
  return paperComponents(model, past, rank).flatMap((components, channel) =>
    linear(first, components).map((change) => change + 64 * past.at(-1)![channel]!),
  );
}

/** Whether the token at `at` finds that of `tick` in its ring: `writes` says which tokens of the ring are trusted. */
function isSeen(
  modes: readonly KvMode[],
  writes: (tick: number) => boolean,
  tick: number,
  at: number,
): boolean {
  if (tick === at) return true;
  const later = Array.from({ length: at - tick }, (_, i) => tick + 1 + i);
  // A flush empties the rings of all layers, whichever of them its own token reaches.
  if (modes[tick] === 'freeze' || later.some((one) => modes[one] === 'flush')) return false;
  return modes[tick] !== 'quarantine' || later.some(writes);
}

/** [ticks][outputs]: the logits at every tick of a history, each of int features [features]. */
export function paperLogits(
  model: Model,
  ticks: readonly (readonly number[])[],
  layers: number,
  window: number,
  depths: readonly PaperDepth[] = ticks.map(() => ({ layers, propagated: false })),
  rounds = 0,
  tier: 0 | 1 | 2 = 0,
  marks: readonly number[] = [],
  modes: readonly KvMode[] = ticks.map(() => 'write'),
): number[][] {
  const { weights } = model;
  const mark = (tick: number) => marks[tick] ?? 0;
  const int8 = (values: readonly number[]) => values.map((value) => limit(value, -127, 127));
  const { history } = model.config;
  const rank = history?.ranks[tier] ?? 0;
  const pasts = ticks.map((_, at) =>
    history === undefined ? [] : ticks.slice(0, at + 1).map((features) => valuesOf(model, features)),
  );
  const inputs = ticks.map((features, at) =>
    history === undefined
      ? features
      : [...features, ...paperComponents(model, pasts[at]!, rank).flatMap(filled(history.ranks[0]))],
  );
  let stream = inputs.map((features) => (layers === 0 ? [] : linear(weights.embedding, features).map(int16)));
  for (const [index, layer] of weights.layers.slice(0, layers).entries()) {
    const gates = routerGates(model, layer, stream);
    const reached = (tick: number) => depths[tick]!.layers > index && gates[tick]! > 0;
    const given = (tick: number) => reached(tick) || (depths[tick]!.propagated && layer.router === undefined);
    const writes = (tick: number) => given(tick) && (modes[tick] === 'write' || modes[tick] === 'flush');
    const present = (tick: number, at: number) => given(tick) && isSeen(modes, writes, tick, at);
    const isConcealed = (tick: number, at: number) =>
      given(tick) &&
      modes[tick] === 'quarantine' &&
      !isSeen(modes, writes, tick, at) &&
      !modes.slice(tick + 1, at + 1).includes('flush');
    const rows = stream.map((x): Projected => {
      const normed = norm(x, layer.attentionGain);
      const [query, key, value] = [layer.query, layer.key, layer.value].map((part) =>
        int8(linear(part, normed)),
      );
      return { query: query!, key: key!, value: value! };
    });
    const known = new Map<readonly number[], FourBits[]>();
    stream = stream.map((x, at) => {
      if (!reached(at)) return x;
      const context = linear(
        layer.output,
        attend(model, index, rows, at, window, present, isConcealed, mark, known),
      );
      const middle = x.map((value, i) => int16(value + context[i]!));
      const through = feedForward(layer, middle);
      return through.map((y, i) => x[i]! + Math.floor((gates[at]! * (y - x[i]!)) / 32768 + 0.5));
    });
  }
  for (let round = 0; round < rounds; round++)
    stream = stream.map((x) => feedForward(weights.refinement!, x));
  return stream.map((x, at) => {
    const path =
      weights.linear === undefined
        ? paperForecast(model, pasts[at]!, rank)
        : linear(weights.linear, ticks[at]!);
    if (layers === 0) return path;
    return linear(weights.head, norm(x, weights.headGain)).map((logit, i) => logit + path[i]!);
  });
}
