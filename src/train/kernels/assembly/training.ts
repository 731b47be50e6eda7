/** The trainer's WebAssembly program: float32 SIMD without relaxed instructions, so the same bits everywhere. */
export { gemm } from './gemm';
export { add, addBias, addResidual, gelu, geluBackward, maskClipped, maskColumns, scaleSequences, sumColumns } from './elementwise';
export { rmsNorm, rmsNormBackward } from './norm';
export { attention, attentionBackward } from './attention';
export { adamW, sumOfSquares } from './optimiser';
export {
  integerAttention, integerEmbedding, integerGelu, integerLogits, integerNorm, integerQkv, integerResidual,
  splitFeatures,
} from './integer';
export { int4Attention, int4Codes } from './int4';
