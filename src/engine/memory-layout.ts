/** Where everything lies in the memory of an engine: offsets in bytes, sizes padded to whole vectors (16 bytes). */

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
