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
import { blockSlots } from './patterns.ts';

export interface Region {
  readonly name: string;
  readonly owner: 'reserved' | 'weights' | 'tables' | 'kv' | 'scratch' | 'unused';
  /** Bytes from the start of the memory; a multiple of 16. */
  readonly offset: number;
  readonly bytes: number;
}

/** A linear layer in memory: byte offsets, and sizes padded to multiples of 16. */
export interface Matrix {
  readonly weight: number;
  readonly bias: number;
  readonly multiplier: number;
  readonly inputs: number;
  readonly outputs: number;
}

/** One layer's attention in memory. `width` is heads x headStride: the padded width of queries, keys and values. */
export interface AttentionLayout {
  readonly heads: number;
  readonly headStride: number;
  readonly width: number;
  /** [width] int32; 0: softmax, with the tables that follow. */
  readonly spikeThreshold: number;
  /** Entries of one head in `ageBias`. */
  readonly biasStride: number;
  readonly ageBias: number;
  readonly sink: number;
  readonly exponentScale: number;
  readonly contextScale: number;
  readonly exponentTable: number;
  /** Slots in a ring; slot `slots` is the scratch slot of frozen tokens. */
  readonly slots: number;
  readonly scratch: number;
}

/** A feed-forward block in memory. */
export interface FeedForwardLayout {
  /** [hidden] float32: the norm's gain per channel. 0: it has one for all, as the following ones. */
  readonly gain: number;
  readonly up: Matrix;
  readonly gelu: number;
  readonly down: Matrix;
}

/** The linear path over the past in memory. */
export interface HistoryLayout {
  /** [tiers][channels]: a tier's components; a channel's matrix differs in its bias alone. */
  readonly bases: readonly (readonly Matrix[])[];
  /** [tiers]: from a tier's components to a channel's outputs. */
  readonly readouts: readonly Matrix[];
  /** [streams, channels, ringLength] int16: each ring twice. */
  readonly values: number;
  readonly ringLength: number;
  /** Ticks in a ring. */
  readonly slots: number;
  /** [streams] int32 each: see Histories. */
  readonly newest: number;
  readonly known: number;
  readonly recent: number;
  /** Bytes from a row's features to the components of the channels' pasts: [channels, components] int16. */
  readonly componentsOffset: number;
  /** int16 values from one channel's components to the next's. */
  readonly componentsStride: number;
  /** [rows, channels, outputs of a channel] int32. */
  readonly forecast: number;
  /** Bytes from one row to the next. */
  readonly forecastBytes: number;
}

export interface LayerLayout extends FeedForwardLayout {
  /** Only in routed layers. */
  readonly router?: Matrix;
  readonly attentionGain: number;
  readonly queryKeyValue: Matrix;
  /** The part of `queryKeyValue` that makes keys and values. */
  readonly keyValue: Matrix;
  readonly attention: AttentionLayout;
  readonly output: Matrix;
}

/** What rings of int4 or heads with patterns need beside keys and values. */
export interface LongContextLayout {
  /** [headSize] int32: a head on its way through a Hadamard transform. */
  readonly rotation: number;
  /** [streams x layers, slots + 1] int32: each slot's mark, if a head looks at pinned positions. */
  readonly marks: number;
  readonly pins: boolean;
  /** Positions that `blockKeys` has room for, in blocks; 0: no head asks for blocks. */
  readonly blocks: number;
  /** [streams x layers, blocks, width] int16: the sum of the keys of a block. */
  readonly blockKeys: number;
  /** [streams x layers, blocks] float64: the number of the block that lies there, or -1. */
  readonly blockNumbers: number;
  /** [blocks] int32: how well each meets a query. */
  readonly blockScores: number;
}

/** Where everything lies. Offsets in bytes. */
export interface MemoryLayout {
  readonly embedding: Matrix;
  readonly layers: readonly LayerLayout[];
  /** Only with a refinement. */
  readonly refinement?: FeedForwardLayout;
  readonly headGain: number;
  readonly head: Matrix;
  /** Without a history. */
  readonly linear?: Matrix;
  /** Only with one. */
  readonly history?: HistoryLayout;
  readonly exponentTable: number;
  /** [streams x layers, slots + 1, slotBytes]: int8[width], or int4[width] and int16[heads] each. */
  readonly keys: number;
  readonly values: number;
  readonly slotBytes: number;
  /** [streams x layers, slots + 1] float64: each slot's position. */
  readonly slotPositions: number;
  /** [streams] float64: tokens seen. */
  readonly streamPositions: number;
  /** [streams x layers] int32: the slot to be written next, and how many slots are valid. */
  readonly ringNext: number;
  readonly ringFilled: number;
  /** [streams x layers] int32: how many of the newest slots are quarantined. */
  readonly ringQuarantined: number;
  /** [streams x layers] int32 Q15: tokens that may still go through a routed layer. */
  readonly routeCredits: number;
  /** [rows, ...]: the rows of one forward pass. */
  readonly features: number;
  readonly residual: number;
  readonly normed: number;
  readonly queryKeyValue: number;
  readonly context: number;
  readonly activated: number;
  readonly widened: number;
  /** [rows, outputs] int32, and the last row once more. */
  readonly rowLogits: number;
  readonly logits: number;
  /** [16] int32: a router's logit; [hidden] int16: a row of the residual stream before a routed layer. */
  readonly route: number;
  readonly before: number;
  /** Bytes from one row to the next. */
  readonly featureBytes: number;
  readonly residualBytes: number;
  readonly normedBytes: number;
  readonly queryKeyValueBytes: number;
  readonly contextBytes: number;
  readonly logitBytes: number;
  /** [rows] int32 and float64: each row's stream and position. */
  readonly rowStreams: number;
  readonly rowPositions: number;
  /** [rows] int32: what makes each row's token worth to stay visible. */
  readonly rowMarks: number;
  /** Only with int4 or patterns. */
  readonly longContext?: LongContextLayout;
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
export function componentsWidth({ history }: TransformerConfig): number {
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
