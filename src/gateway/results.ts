/** What is published of a tick; docs/gateway.md is its reference. */
import type { Json, ModelMeaning } from '../engine/model.ts';
import { candidateNames } from '../gate/candidates.ts';
import { Q15_ONE } from '../gate/packets.ts';
import type { Witness } from '../gate/witness.ts';
import type { OutputConfig } from './config/config.ts';
import type { Output } from './output.ts';

type JsonObject = { [key: string]: Json };

/** Says of each tick whether it is published, and remembers what was. */
export class PublishRule {
  readonly #publish: OutputConfig['publish'];
  #last = '';

  constructor(publish: OutputConfig['publish']) {
    this.#publish = publish;
  }

  /** What was published last, as far as that matters. */
  get memory(): string {
    return this.#last;
  }

  resume(memory: string): void {
    this.#last = memory;
  }

  wants(witness: Witness, output: Output): boolean {
    if (this.#publish === 'all') return true;
    if (this.#publish === 'tokens') return !witness.held;
    const state = `${output.classIndex} ${output.anomaly} ${witness.trust}`;
    // A forecast has no state but its values, so each new one is a change.
    const isNew = state !== this.#last || (output.kind === 'forecast' && !witness.held);
    this.#last = state;
    return isNew;
  }
}

/** The result of a tick as a JSON object: time, output, then how it came about. */
export function resultOf(witness: Witness, output: Output, meaning: ModelMeaning): JsonObject {
  const names = meaning.channels.map(({ name }) => name);
  return {
    time: witness.timeMs,
    sequence: witness.sequence,
    task: output.kind,
    ...outputOf(output, meaning),
    held: witness.held,
    ageIntervals: output.ageIntervals,
    tier: witness.tier,
    reason: witness.reason,
    trust: witness.trust,
    fired: names.filter((_, channel) => witness.fired(channel)),
    novelty: share(witness.noveltyQ15),
    lambda: witness.ready ? share(witness.lambdaQ15) : null,
    layers: witness.layers,
    macs: witness.macs,
    macsDense: witness.macsDense,
    logitsHash: witness.logitsHash.toString(16).padStart(8, '0'),
  };
}

function outputOf(output: Output, { task, channels }: ModelMeaning): JsonObject {
  const names = channels.map(({ name }) => name);
  if (task.kind === 'classify') {
    return {
      class: task.classes[output.classIndex] ?? null,
      probabilities: Object.fromEntries(task.classes.map((name, i) => [name, output.probabilities[i]!])),
    };
  }
  if (task.kind === 'anomaly') {
    return {
      anomaly: output.anomaly,
      score: Number.isFinite(output.score) ? output.score : null,
      channel: channels[output.topIndex]?.name ?? null,
      predicted: Object.fromEntries(channels.map(({ name }, i) => [name, output.values[i]!])),
      predictedWithin: Object.fromEntries(channels.map(({ name }, i) => [name, output.within(i)])),
      ...predictedBy(output, names),
    };
  }
  const { horizon } = task;
  const ahead = (channel: number) => [...output.values.subarray(channel * horizon, (channel + 1) * horizon)];
  const forecast = Object.fromEntries(channels.map(({ name }, i) => [name, ahead(i)]));
  return { forecast, ...predictedBy(output, names) };
}

/** Of models with candidates. */
function predictedBy({ candidates }: Output, names: readonly string[]): JsonObject {
  if (candidates === undefined) return {};
  const { chosen } = candidates;
  return { predictedBy: Object.fromEntries(names.map((name, i) => [name, candidateNames[chosen[i]!]!])) };
}

function share(q15: number): number {
  return Math.round((q15 / Q15_ONE) * 1e4) / 1e4;
}
