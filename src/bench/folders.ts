/** Recordings and models of the user's own, for suites that can play them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Model } from '../engine/model.ts';
import { loadModel } from '../engine/model-file.ts';
import { matchRecording } from '../eval/match-recording.ts';
import { openRecording, type Recording } from '../recording/recording.ts';
import { shippedModel } from './workload-subject.ts';

/** Folders to look into beside what is shipped. */
export interface Folders {
  /** Of recordings, each in a folder of its own; those that have a model of their name are played too. */
  readonly recordings?: string;
  /** Of models: NAME.safetensors for a recording, NAME-ENDING.safetensors for a technique that needs training. */
  readonly models?: string;
}

/** The model of that name; undefined if there is none. */
export function modelIn(folder: string | undefined, name: string): Model | undefined {
  const path = folder === undefined ? undefined : join(folder, `${name}.safetensors`);
  return path !== undefined && existsSync(path) ? loadModel(readFileSync(path)) : undefined;
}

/** Each recording that has a model, in the folder or shipped, matched to it. */
export function* recordingsWithModels({
  recordings,
  models,
}: Folders): Generator<{ readonly recording: Recording; readonly model: Model }> {
  if (recordings === undefined) return;
  const folders = readdirSync(recordings).map((name) => join(recordings, name));
  for (const folder of folders.filter((one) => existsSync(join(one, 'recording.json'))).sort()) {
    const recording = openRecording(folder);
    const model = modelIn(models, recording.name) ?? shippedModel(`${recording.name}.safetensors`);
    if (model !== undefined) yield { recording: matchRecording(model, recording), model };
  }
}
