/**
 * The memory of an engine as a sum: every region has a name, an owner, an offset and a size.
 *
 * Sizes are padded to whole vectors (16 bytes); padding holds zeros and never changes a result.
 */
import {
  type HistoryConfig,
  hasBlocks,
  hasLongContext,
  hasPins,
  headSize,
  isInt4,
  isRouted,
  type TransformerConfig,
} from './config.ts';
import { historyHorizon } from './cost.ts';
import {
  assert,
  MEMORY_BYTES_MAX,
  ROWS_MAX,
  STREAMS_MAX,
  TABLE_SIZE,
  VECTOR_BYTES,
  WASM_PAGE_BYTES,
} from './limits.ts';
import type {
  FeedForwardLayout,
  HistoryLayout,
  LayerLayout,
  LongContextLayout,
  Matrix,
  MemoryLayout,
} from './memory-layout.ts';
import { blockSlots } from './patterns.ts';

export interface Region {
  readonly name: string;
  readonly owner: 'reserved' | 'weights' | 'tables' | 'kv' | 'scratch' | 'unused';
  /** Bytes from the start of the memory; a multiple of 16. */
  readonly offset: number;
  readonly bytes: number;
}

export interface MemoryPlan {
  readonly regions: readonly Region[];
  /** Whole WebAssembly pages; equal to `memory.buffer.byteLength`. */
  readonly totalBytes: number;
  readonly layout: MemoryLayout;
}

/** `size` rounded up to whole vectors. */
export function padded(size: number): number {
  return Math.ceil(size / VECTOR_BYTES) * VECTOR_BYTES;
}

class Planner {
  readonly regions: Region[] = [];
  end = 0;

  take(owner: Region['owner'], name: string, bytes: number): number {
    const offset = this.end;
    this.regions.push({ name, owner, offset, bytes: padded(bytes) });
    this.end += padded(bytes);
    return offset;
  }

  matrix(name: string, outputs: number, inputs: number): Matrix {
    return Object.freeze({
      weight: this.take('weights', `${name}.weight`, outputs * inputs),
      bias: this.take('weights', `${name}.bias`, outputs * 4),
      multiplier: this.take('weights', `${name}.multiplier`, outputs * 4),
      inputs,
      outputs,
    });
  }
}

/** Rows `first` to `first + outputs` of a matrix: a matrix in itself, since weights lie in blocks of whole rows. */
function rowsOf(matrix: Matrix, first: number, outputs: number): Matrix {
  const { weight, bias, multiplier, inputs } = matrix;
  return Object.freeze({
    weight: weight + first * inputs,
    bias: bias + first * 4,
    multiplier: multiplier + first * 4,
    inputs,
    outputs,
  });
}

/** Plans all memory of an engine. `rows`: ticks that one prefill or batch may hold. Throws RangeError if it can't be had. */
export function planMemory(config: TransformerConfig, streams: number, rows: number): MemoryPlan {
  requireCount('streams', streams, STREAMS_MAX);
  requireCount('rows', rows, ROWS_MAX);
  const planner = new Planner();
  planner.take('reserved', 'null page', VECTOR_BYTES);
  const layout = planLayout(planner, config, streams, rows);
  const totalBytes = Math.ceil(planner.end / WASM_PAGE_BYTES) * WASM_PAGE_BYTES;
  if (totalBytes > MEMORY_BYTES_MAX) {
    throw new RangeError(
      `memory: expected at most ${MEMORY_BYTES_MAX} bytes, this configuration needs ${totalBytes}`,
    );
  }
  if (planner.end < totalBytes) planner.take('unused', 'rest of the last page', totalBytes - planner.end);
  assert(planner.end === totalBytes, 'the plan fills its pages');
  return Object.freeze({ regions: Object.freeze(planner.regions), totalBytes, layout });
}

function requireCount(name: string, count: number, max: number): void {
  if (!Number.isInteger(count) || count < 1 || count > max) {
    throw new RangeError(`${name}: expected a whole number from 1 to ${max}, got ${count}`);
  }
}

function planLayout(
  planner: Planner,
  config: TransformerConfig,
  streams: number,
  rows: number,
): MemoryLayout {
  const features = padded(config.features);
  const embedded = features + componentsWidth(config);
  const hidden = padded(config.hidden);
  const outputs = padded(config.outputs);
  const feedForward = padded(config.feedForward);
  const width = config.heads * padded(headSize(config));
  const rings = streams * config.layers;
  const slots = config.sequence + 1;
  const slotBytes = keyBytes(config, width);
  const exponentTable = planner.take('tables', 'exponent table', TABLE_SIZE * 4);
  const attentionScratch = planner.take('scratch', 'attention', width * 2 + config.window * 16);
  return Object.freeze({
    exponentTable,
    embedding: planner.matrix('embedding', hidden, embedded),
    layers: Object.freeze(
      Array.from({ length: config.layers }, (_, layer) =>
        planLayer(planner, layer, config, exponentTable, attentionScratch),
      ),
    ),
    ...(config.refinement === undefined
      ? {}
      : { refinement: planFeedForward(planner, 'refinement', config) }),
    headGain: planGain(planner, 'norm', config),
    head: planner.matrix('head', outputs, hidden),
    ...(config.history === undefined
      ? { linear: planner.matrix('linear', outputs, features) }
      : { history: planHistory(planner, config, config.history, streams, rows) }),
    keys: planner.take('kv', 'keys', rings * slots * slotBytes),
    values: planner.take('kv', 'values', rings * slots * slotBytes),
    slotBytes,
    slotPositions: planner.take('kv', 'slot positions', rings * slots * 8),
    streamPositions: planner.take('kv', 'stream positions', streams * 8),
    ringNext: planner.take('kv', 'ring next', rings * 4),
    ringFilled: planner.take('kv', 'ring filled', rings * 4),
    ringQuarantined: planner.take('kv', 'ring quarantined', rings * 4),
    routeCredits: planner.take('kv', 'route credits', config.routing === undefined ? 0 : rings * 4),
    features: planner.take('scratch', 'features', rows * embedded * 2),
    residual: planner.take('scratch', 'residual', rows * hidden * 2),
    normed: planner.take('scratch', 'normed', rows * hidden),
    queryKeyValue: planner.take('scratch', 'query, key, value', rows * width * 3),
    context: planner.take('scratch', 'context', rows * width),
    activated: planner.take('scratch', 'activated', rows * feedForward),
    widened: planner.take('scratch', 'widened activations', rows * Math.max(hidden, width, feedForward) * 2),
    rowLogits: planner.take('scratch', 'row logits', rows * outputs * 4),
    logits: planner.take('scratch', 'logits', outputs * 4),
    rowStreams: planner.take('scratch', 'row streams', rows * 4),
    rowPositions: planner.take('scratch', 'row positions', rows * 8),
    rowMarks: planner.take('scratch', 'row marks', hasPins(config) ? rows * 4 : 0),
    ...(hasLongContext(config) ? { longContext: planLongContext(planner, config, rings, width) } : {}),
    route: planner.take('scratch', 'route', config.routing === undefined ? 0 : 16 * 4),
    before: planner.take('scratch', 'residual before', config.routing === undefined ? 0 : hidden * 2),
    featureBytes: embedded * 2,
    residualBytes: hidden * 2,
    normedBytes: hidden,
    queryKeyValueBytes: width * 3,
    contextBytes: width,
    logitBytes: outputs * 4,
  });
}

/** Bytes of one slot's keys, or values: `width` components, and with int4 a scale per head. */
function keyBytes({ keyValues, heads }: TransformerConfig, width: number): number {
  return isInt4(keyValues) ? width / 2 + 2 * heads : width;
}

function planLongContext(
  planner: Planner,
  config: TransformerConfig,
  rings: number,
  width: number,
): LongContextLayout {
  const slots = config.sequence + 1;
  const blocks = hasBlocks(config) ? blockSlots(config.sequence) : 0;
  return Object.freeze({
    rotation: planner.take('scratch', 'rotation', (width / config.heads) * 4),
    pins: hasPins(config),
    marks: planner.take('kv', 'marks', hasPins(config) ? rings * slots * 4 : 0),
    blocks,
    blockKeys: planner.take('kv', 'block keys', rings * blocks * width * 2),
    blockNumbers: planner.take('kv', 'block numbers', rings * blocks * 8),
    blockScores: planner.take('scratch', 'block scores', blocks * 4),
  });
}

function planLayer(
  planner: Planner,
  index: number,
  config: TransformerConfig,
  exponentTable: number,
  scratch: number,
): LayerLayout {
  const name = `layers.${index}`;
  const isSpiking = config.attention === 'spike';
  const hidden = padded(config.hidden);
  const headStride = padded(headSize(config));
  const width = config.heads * headStride;
  const tables = (table: string, entries: number) => planner.take('tables', `${name}.${table}`, entries * 4);
  const queryKeyValue = planner.matrix(`${name}.query_key_value`, 3 * width, hidden);
  return Object.freeze({
    ...(isRouted(config, index) ? { router: planner.matrix(`${name}.router`, padded(1), hidden) } : {}),
    attentionGain: planGain(planner, `${name}.attention_norm`, config),
    queryKeyValue,
    keyValue: rowsOf(queryKeyValue, width, 2 * width),
    output: planner.matrix(`${name}.output`, hidden, width),
    ...planFeedForward(planner, name, config),
    attention: Object.freeze({
      heads: config.heads,
      headStride,
      width,
      biasStride: config.window,
      spikeThreshold: isSpiking ? tables('spike_threshold', width) : 0,
      ageBias: tables('age_bias', isSpiking ? 0 : config.heads * config.window),
      sink: tables('sink', isSpiking ? 0 : config.heads),
      exponentScale: tables('exponent_scale', isSpiking ? 0 : config.heads),
      contextScale: tables('context_scale', isSpiking ? 0 : config.heads),
      exponentTable,
      slots: config.sequence,
      scratch,
    }),
  });
}

/** No region at all for a gain that is one number. */
function planGain(planner: Planner, name: string, { hidden, normGains }: TransformerConfig): number {
  return normGains === 'channel' ? planner.take('weights', `${name}.gain`, padded(hidden) * 4) : 0;
}

function planFeedForward(planner: Planner, name: string, config: TransformerConfig): FeedForwardLayout {
  const hidden = padded(config.hidden);
  const feedForward = padded(config.feedForward);
  return {
    gain: planGain(planner, `${name}.feed_forward_norm`, config),
    up: planner.matrix(`${name}.up`, feedForward, hidden),
    gelu: planner.take('tables', `${name}.gelu`, TABLE_SIZE),
    down: planner.matrix(`${name}.down`, hidden, feedForward),
  };
}

/** int16 values beside the features of a row: the components of each channel's past, padded. */
function componentsWidth({ history }: TransformerConfig): number {
  return history === undefined ? 0 : history.channels * padded(history.ranks[0]);
}

function planHistory(
  planner: Planner,
  config: TransformerConfig,
  { rows: ticks, channels, ranks }: HistoryConfig,
  streams: number,
  rows: number,
): HistoryLayout {
  const horizon = padded(historyHorizon(config));
  const basis = planner.matrix('history.basis', padded(ranks[0]), padded(ticks));
  const biases = Array.from({ length: channels }, (_, channel) =>
    channel === 0 ? basis.bias : planner.take('scratch', `history.bias ${channel}`, basis.outputs * 4),
  );
  const bases = ranks.map((rank) =>
    Object.freeze(biases.map((bias) => Object.freeze({ ...rowsOf(basis, 0, padded(rank)), bias }))),
  );
  const readouts = ranks.map((rank, tier) =>
    planner.matrix(`history.readout ${tier}`, horizon, padded(rank)),
  );
  // A whole batch may be appended, or taken back, with all that each of its ticks sees still there.
  const slots = ticks + rows;
  // What is beside the values that a tick sees meets weights of zero.
  const ringLength = 2 * slots + VECTOR_BYTES;
  return Object.freeze({
    bases: Object.freeze(bases),
    readouts: Object.freeze(readouts),
    values: planner.take('kv', 'history', streams * channels * ringLength * 2),
    ringLength,
    slots,
    newest: planner.take('kv', 'history newest', streams * 4),
    known: planner.take('kv', 'history known', streams * 4),
    recent: planner.take('kv', 'history recent', streams * 4),
    componentsOffset: padded(config.features) * 2,
    componentsStride: padded(ranks[0]),
    forecast: planner.take('scratch', 'history forecast', rows * channels * horizon * 4),
    forecastBytes: channels * horizon * 4,
  });
}
