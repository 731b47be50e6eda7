/** A recording as a model would see it, if the two belong together. */
import type { Model } from '../engine/model.ts';
import { type Recording, selectChannels } from '../recording/recording.ts';

/** A model and a recording that do not belong together. The message says what was expected and what was got. */
export class EvaluationError extends Error {
  override readonly name = 'EvaluationError';
}

/** The recording with the model's channels in the model's order. Throws EvaluationError where they do not fit. */
export function matchRecording({ meaning }: Pick<Model, 'meaning'>, recording: Recording): Recording {
  const { task, channels, intervalMs } = meaning;
  const same = (what: string, expected: unknown, got: unknown) => {
    if (expected === got) return;
    throw new EvaluationError(
      `${recording.name}: expected ${what} ${expected}, as the model has it, got ${got}`,
    );
  };
  same('the task', task.kind, recording.task);
  same('an interval in ms of', intervalMs, recording.intervalMs);
  if (task.kind === 'classify') same('the classes', task.classes.join(', '), recording.classes!.join(', '));
  if (task.kind === 'forecast') same('a horizon of', task.horizon, recording.horizon);
  const matched = selectChannels(
    recording,
    channels.map(({ name }) => name),
  );
  for (const [index, { name, unit }] of channels.entries()) {
    same(`channel '${name}' in`, unit || 'no unit', matched.channels[index]!.unit || 'no unit');
  }
  return matched;
}
