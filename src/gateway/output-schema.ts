/** The JSON schema of what the gateway publishes of a tick, for one model. */
import type { Json, ModelMeaning, Task } from '../engine/model.ts';
import { candidateNames } from '../gate/candidates.ts';
import { reasons, trusts } from '../gate/witness-codes.ts';
import { type GatewayConfig, ownTopics } from './config/config.ts';
import type { GatewayPart } from './part.ts';

/** Publishes the schema, retained, whenever there is a connection. */
export function schemaPart(config: GatewayConfig, meaning: ModelMeaning): GatewayPart {
  const schema = resultSchema(meaning, `gateway ${config.gateway}`, config.models !== undefined);
  const payload = JSON.stringify(schema);
  const topic = ownTopics(config).schema;
  return { onReady: (publish) => publish({ topic, payload, qos: 1, retain: true }) };
}

type Schema = { readonly [key: string]: Json };

const number: Schema = { type: 'number' };
const wholeNumber: Schema = { type: 'integer', minimum: 0 };
const share: Schema = { type: 'number', minimum: 0, maximum: 1 };
const flag: Schema = { type: 'boolean' };

/**
 * A schema (JSON Schema 2020-12) that every result of a model with this meaning fulfils; `id` names the model. With
 * `tellsModel` results say which model answered.
 */
export function resultSchema(meaning: ModelMeaning, id: string, tellsModel = false): Schema {
  const names = meaning.channels.map(({ name }) => name);
  const properties: Schema = {
    time: { ...number, description: 'of the tick, milliseconds since 1970' },
    sequence: { ...wholeNumber, description: 'ticks since start' },
    task: { const: meaning.task.kind },
    ...outputProperties(meaning, names),
    held: { ...flag, description: 'the tick was skipped: the output is that of an earlier one' },
    ageIntervals: { type: 'number', minimum: 0, description: 'model intervals since the tick of the output' },
    tier: { enum: [0, 1, 2, 3], description: '0 full, 1 reduced, 2 safe, 3 skipped' },
    reason: { enum: [...reasons] },
    trust: { enum: [...trusts] },
    fired: { type: 'array', items: { enum: names }, uniqueItems: true },
    novelty: share,
    lambda: { anyOf: [share, { type: 'null' }], description: 'null until it means something' },
    layers: wholeNumber,
    macs: wholeNumber,
    macsDense: wholeNumber,
    logitsHash: { type: 'string', pattern: '^[0-9a-f]{8}$' },
    ...(tellsModel ? { model } : {}),
  };
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: `results of ${id}`,
    type: 'object',
    properties: { ...properties, late },
    required: Object.keys(properties),
    additionalProperties: false,
  };
}

const model: Schema = {
  type: 'string',
  pattern: '^[0-9a-f]{6}$',
  description: "how the SHA-256 of the model's file begins",
};
const late: Schema = { const: true, description: 'it waited on disk while there was no broker' };

function outputProperties({ task, channels, candidates }: ModelMeaning, names: readonly string[]): Schema {
  if (task.kind === 'classify') {
    const classes = [...task.classes];
    return { class: { enum: [...classes, null] }, probabilities: recordOf(classes, () => share) };
  }
  const unitOf = (index: number) => channels[index]!.unit;
  if (task.kind === 'anomaly') {
    return {
      anomaly: flag,
      score: { type: ['number', 'null'], description: scoreMeaning(task) },
      channel: { enum: [...names, null], description: 'the most surprising' },
      predicted: recordOf(names, (index) => ({ ...number, description: unitOf(index) })),
      predictedWithin: recordOf(names, (index) => ({ ...number, minimum: 0, description: unitOf(index) })),
      ...(candidates && { predictedBy: predictedBy(names) }),
    };
  }
  const { horizon } = task;
  const ahead = (index: number): Schema => ({
    type: 'array',
    items: number,
    minItems: horizon,
    maxItems: horizon,
    description: unitOf(index),
  });
  return {
    forecast: recordOf(names, ahead),
    ...(candidates && { predictedBy: predictedBy(names) }),
  };
}

function predictedBy(names: readonly string[]): Schema {
  return {
    ...recordOf(names, () => ({ enum: [...candidateNames] })),
    description: 'what made the prediction of the tick after the token',
  };
}

function scoreMeaning({ chart }: Extract<Task, { kind: 'anomaly' }>): string {
  if (chart === undefined) return 'mean negative log-likelihood, nats';
  const unit =
    chart.unit === 'average' ? 'as a tick is on average' : 'as the strangest tick of the calibration';
  return `how many times as strange ${unit}; null until the calibration is over`;
}

/** An object with just these keys. */
function recordOf(keys: readonly string[], schemaOf: (index: number) => Schema): Schema {
  return {
    type: 'object',
    properties: Object.fromEntries(keys.map((key, index) => [key, schemaOf(index)])),
    required: [...keys],
    additionalProperties: false,
  };
}
