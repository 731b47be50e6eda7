import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { variants } from '../../src/bench/techniques.ts';
import { workloadNames } from '../../src/workloads/physics.ts';
import { isBuilt, runScript } from './built-script.ts';

interface Recipes {
  readonly workloads: readonly string[];
  readonly workloadRecipe: readonly string[];
  readonly techniqueRecipes: Readonly<Record<string, readonly string[]>>;
  readonly recordingRecipes: Readonly<Record<string, readonly string[]>>;
  ablationModels(name: string, recipe: readonly string[], plain: boolean): [string, readonly string[]][];
}

const recipes: Recipes = await import(new URL('../../scripts/recipes.mjs', import.meta.url).href);
const folder = mkdtempSync(join(tmpdir(), 'dormouse-ablation-models-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a model is trained for every technique that the bench looks for, and for no other', () => {
  const endings = variants.flatMap(({ ending }) => ending ?? []);
  expect(Object.keys(recipes.techniqueRecipes).sort()).toEqual([...new Set(endings)].sort());
  expect(recipes.workloads).toEqual(workloadNames);
});

test('a recording wants a plain one where none is shipped, and a line alone no technique', () => {
  const files = (name: string, plain: boolean) =>
    recipes.ablationModels(name, recipes.recordingRecipes[name]!, plain).map(([file]) => file);
  expect(files('skab', true)).toContain('skab.safetensors');
  expect(files('occupancy', false)).not.toContain('occupancy.safetensors');
  expect(files('occupancy', false)).toContain('occupancy-routing.safetensors');
  expect(files('etth1', true)).toEqual(['etth1.safetensors']);
});

test.skipIf(!isBuilt())('models that are there already are left as they are', () => {
  for (const name of recipes.workloads)
    for (const [file] of recipes.ablationModels(name, recipes.workloadRecipe, false))
      writeFileSync(join(folder, file), 'trained before');
  mkdirSync(join(folder, 'recordings'));
  const before = readdirSync(folder);
  expect(runScript('ablation-models', folder, join(folder, 'recordings'))).toMatchObject({ status: 0 });
  expect(readdirSync(folder)).toEqual(before);
  for (const name of before.filter((one) => one.endsWith('.safetensors')))
    expect(statSync(join(folder, name)).size).toBe('trained before'.length);
});

test('asks for a folder', () => {
  expect(runScript('ablation-models')).toMatchObject({ status: 2, stdout: '' });
});
