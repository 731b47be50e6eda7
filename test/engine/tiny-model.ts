/** Small seeded models for tests. */
export {
  type RandomModelOptions as TinyOptions,
  randomModel as tinyModel,
} from '../../src/bench/random-model.ts';
export { randomNumbers } from '../../src/statistics/random.ts';
