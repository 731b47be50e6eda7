/** Small seeded models for tests. */
export {
  type RandomModelOptions as TinyOptions,
  randomModel as tinyModel,
  randomNumbers,
} from '../../src/bench/random-model.ts';
