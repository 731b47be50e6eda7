/** The engine alone: no dependency, no Node API; runs in a browser too. */
export * from './config.ts';
export * from './model.ts';
export * from './plan.ts';
