/** The engine alone: no dependency, no Node API; runs in a browser too. */
export * from './config.ts';
export type { Cost } from './cost.ts';
export { Engine, type EngineOptions } from './engine.ts';
export { makeExponentTable } from './integer.ts';
export type { KernelName } from './kernels/contract.ts';
export type { MemoryPlan, Region } from './memory-plan.ts';
export * from './model.ts';
export { loadModel, saveModel, tensorList } from './model-file.ts';
export * from './plan.ts';
export { ModelError, type ModelErrorCode } from './safetensors.ts';
export {
  type Feedback,
  Speculation,
  type SpeculationCounters,
  type SpeculationOptions,
} from './speculation.ts';
export type { StepStats } from './step-stats.ts';
