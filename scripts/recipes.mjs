/** What is given to `dormouse train`, for whatever trains more than one model. */

/** What `dormouse generate` knows. */
export const workloads = ['streaming', 'interactive', 'continuous', 'safety-critical'];

/** These plants are the same next week: levels, flags and gaps can be believed. */
export const workloadRecipe = [
  ...['--level-jitter', '0', '--channel-dropout', '0', '--event-shuffle', '0.1'],
  ...['--steps', '200', '--learning-rate', '0.002'],
];

/** As docs/training.md has them; a forecast by the line over the past alone has nothing to route, tie or replace. */
export const recordingRecipes = {
  occupancy: ['--validation-share', '0', '--delta', '0.4', '--finest', '0.08333', '--widest', '0.75'],
  skab: ['--delta', '3.2', '--heartbeat', '3'],
  etth1: ['--history', '96,168,336,504,672', '--ranks', '16,8,5', '--line-alone'],
};

/** What is added for a model NAME-ENDING that a technique of the ablation table is measured with. */
export const techniqueRecipes = {
  'one-layer': ['--layers', '1'],
  routing: ['--routing', '0.25'],
  'fixed-router': ['--routing', '0.25', '--router', 'fixed'],
  'spike-attention': ['--attention', 'spike'],
  // The same ring without what is pinned, since longer sequences alone change what is learned.
  newest: ['--window', '32', '--pattern', 'a-shape:8'],
  pinned: ['--window', '32', '--pattern', 'vertical-slash:8,4'],
  refinement: ['--refinement', '3'],
};

/**
 * The models that the ablation table wants of NAME: [file, what is added to the recipe]. `plain`: one without any
 * technique, too.
 */
export function ablationModels(name, recipe, plain) {
  const techniques = recipe.includes('--line-alone') ? {} : techniqueRecipes;
  return [
    ...(plain ? [[`${name}.safetensors`, []]] : []),
    ...Object.entries(techniques).map(([ending, added]) => [`${name}-${ending}.safetensors`, added]),
  ];
}
