/**
 * Every limit of the engine, in one place, with the reason for it.
 *
 * The relations between them are asserted at the bottom: they hold or nothing starts.
 */

/** Features are Q10 numbers: 1024 is 1.0 (one standard deviation, a raised flag). */
export const FEATURE_ONE = 1024;
/** Features are clamped to +-8 units, so that 256 of them times an int8 weight stay below ACCUMULATOR_MAX. */
export const FEATURE_MAX = 8191;
/** Weights are symmetric int8: -128 is never used. */
export const WEIGHT_MAX = 127;
/** Activations are unsigned 7 bit, so that relaxed SIMD dot products are exact. */
export const ACTIVATION_MAX = 127;
/** The activation that means zero where activations are signed. */
export const ACTIVATION_ZERO = 64;
/** The residual stream saturates here (symmetric int16). */
export const RESIDUAL_MAX = 32767;
/** No accumulator may reach this, whatever the input: a 24-bit multiplier times it is exact in a double. */
export const ACCUMULATOR_MAX = 2 ** 28;
/** No requantised value may reach this before it is clamped, so that it fits an int32. */
export const REQUANTISED_MAX = 2 ** 30;
/** Logits are Q16 numbers: 65536 is 1.0. */
export const LOGIT_ONE = 65536;
/** Attention weights are Q15 numbers that sum to at most this. */
export const PROBABILITY_ONE = 32767;
/** Entries of one octave in the exp2 table, and of the GELU table. */
export const TABLE_SIZE = 256;
/** exp2(-x) is zero from 16 octaves on. */
export const EXPONENT_MAX = 16 * TABLE_SIZE - 1;
/** The first entry of the exp2 table: 1.0 in Q16. */
export const EXPONENT_ONE = 65536;

export const FEATURES_MAX = 4096;
export const OUTPUTS_MAX = 8192;
export const HIDDEN_MAX = 4096;
export const HEADS_MAX = 64;
export const LAYERS_MAX = 64;
export const SEQUENCE_MAX = 131072;
/** So many exponentials of EXPONENT_ONE still fit an int32. */
export const WINDOW_MAX = 16384;
export const FEED_FORWARD_MAX = 16384;
export const REFINEMENT_ROUNDS_MAX = 8;
export const HISTORY_ROWS_MAX = 8192;
export const HISTORY_RANK_MAX = 64;
export const STREAMS_MAX = 4096;
/** Ticks of one prefill or batch. */
export const ROWS_MAX = 4096;
/** A wasm32 memory holds at most 4 GiB; the engine asks for at most half of it. */
export const MEMORY_BYTES_MAX = 2 ** 31;
export const WASM_PAGE_BYTES = 65536;
/** Every matrix row and activation row is padded with zeros to whole vectors of this many bytes. */
export const VECTOR_BYTES = 16;

/** A model file's header and whole size; larger files are refused before they are parsed. */
export const MODEL_HEADER_BYTES_MAX = 1 << 20;
export const MODEL_FILE_BYTES_MAX = 1 << 30;

/** Throws if `condition` is false: a bug of ours, never bad input. Stays on in production. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}

assert(FEATURE_MAX * WEIGHT_MAX * 256 < ACCUMULATOR_MAX, 'any 256 features fit an accumulator');
assert(
  ACTIVATION_MAX * WEIGHT_MAX * FEED_FORWARD_MAX < ACCUMULATOR_MAX,
  'the widest product fits an accumulator',
);
assert(HISTORY_RANK_MAX <= 256, 'any components, which are as large as features, fit an accumulator');
assert(ACCUMULATOR_MAX * 2 ** 24 <= 2 ** 53, 'accumulator times multiplier is exact in a double');
assert((WINDOW_MAX + 1) * EXPONENT_ONE < 2 ** 31, 'the sum of exponentials fits an int32');
assert(ACTIVATION_ZERO * 2 <= ACTIVATION_MAX + 1, 'zero lies in the middle of the activations');
