/** Small seeded models for tests. */
export { randomModel as tinyModel, type RandomModelOptions as TinyOptions, randomNumbers } from '../../src/bench/random-model.ts';
