/** `dormouse calibrate attention`: find what each head needs to look at, and how its history may be held. */
import { writeFileSync } from 'node:fs';
import type { KeyValueFormat } from '../engine/config.ts';
import type { Model } from '../engine/model.ts';
import { saveModel } from '../engine/model-file.ts';
import {
  type AttentionSample,
  collectTokens,
  denseOf,
  sampleAttention,
  type Token,
} from '../eval/attention-samples.ts';
import { type ContextError, contextError } from '../eval/context-error.ts';
import { matchRecording } from '../eval/match-recording.ts';
import { type HeadChoice, judgePattern, searchPatterns } from '../eval/pattern-search.ts';
import { openRecording } from '../recording/recording.ts';
import { loadDataset } from '../train/dataset.ts';
import { defaultSettings } from '../train/settings.ts';
import type { Command } from './command.ts';
import { readModel, requireWritable } from './files.ts';
import { numberOption, parseOptions, requireArguments, requireChoice, requireOption } from './options.ts';
import { alignColumns } from './terminal/columns.ts';

const defaultMass = 0.95;
const formats: readonly KeyValueFormat[] = ['int8', 'int4', 'int4-rotated'];
/** Each holds a window's shares for every head. */
const SAMPLES = 96;

export const command: Command = {
  name: 'calibrate attention',
  summary: 'find what each head of a long window needs to look at, and hold its history in four bits',
  usage: `Usage: dormouse calibrate attention MODEL RECORDING -o FILE [--mass X] [--key-values NAME] [--every-tick] [--json]

Looks at what the heads of MODEL attend to on the training rows of RECORDING, chooses for each the cheapest pattern that
keeps a share of it (a-shape: the newest; vertical-slash: also certain ages, and tokens that the gate found novel;
block-sparse: also the blocks of 32 that meet the query best; else all), and writes MODEL with them to FILE. Validation
rows, which nothing was chosen on, show what each keeps, how far the answers move, and what it saves.

  -o, --output FILE    where the model goes (required)
  --mass X             least share of a head's attention (default ${defaultMass}); 0: no patterns
  --key-values NAME    how the rings hold keys and values: ${formats.join(', ')} (default int8)
  --every-tick         every tick is a token; default: as the gate decides
  --json               one JSON object instead of text`,
  async run(args) {
    const { values, positionals } = parseOptions({
      args,
      options: {
        output: { type: 'string', short: 'o' },
        mass: { type: 'string' },
        'key-values': { type: 'string' },
        'every-tick': { type: 'boolean' },
        json: { type: 'boolean' },
      },
      allowPositionals: true,
    });
    const [modelPath, recordingPath] = requireArguments(positionals, 'a model file', 'a recording');
    const output = requireOption('output', values.output);
    requireWritable(output);
    const report = calibrate(modelPath, recordingPath, {
      mass: numberOption('mass', values.mass, defaultMass, 0, 1),
      keyValues: requireChoice('--key-values', values['key-values'] ?? 'int8', formats),
      everyTick: values['every-tick'] === true,
    });
    writeFileSync(output, saveModel(report.model));
    const { model: _, ...rest } = report;
    process.stdout.write(
      values.json
        ? `${JSON.stringify({ output, ...rest })}\n`
        : `${[`${output}:`, ...describe(report)].join('\n')}\n`,
    );
    return 0;
  },
};

interface Demands {
  readonly mass: number;
  readonly keyValues: KeyValueFormat;
  readonly everyTick: boolean;
}

interface Report {
  readonly model: Model;
  readonly samples: { readonly train: number; readonly validation: number };
  /** [layers][heads]; empty without patterns. */
  readonly heads: readonly (readonly (HeadChoice & { readonly validationRecall: number })[])[];
  /** On the validation rows, against dense int8. */
  readonly variants: readonly (ContextError & { readonly name: string })[];
}

function calibrate(modelPath: string, recordingPath: string, demands: Demands): Report {
  const given = readModel(modelPath);
  if (given.config.attention === 'spike') {
    throw new Error(`${modelPath}: expected softmax attention, got spike`);
  }
  const model = denseOf(given);
  const dataset = loadDataset(matchRecording(model, openRecording(recordingPath)), defaultSettings.dataset);
  const [train, validation] = [dataset.train, dataset.validation].map((series) =>
    collectTokens(model, series, demands.everyTick),
  );
  const chosenBy = sampleOf(model, train!, 'training');
  const shownBy = sampleOf(model, validation!, 'validation');
  const heads = demands.mass === 0 ? [] : searchPatterns(chosenBy, demands.mass);
  return {
    model: withAttention(model, heads, demands.keyValues),
    samples: { train: chosenBy.length, validation: shownBy.length },
    heads: heads.map((layer, index) =>
      layer.map((choice, head) => ({
        ...choice,
        validationRecall: judgePattern(choice.pattern, shownBy, index, head).recall,
      })),
    ),
    variants: variantsOf(model, heads, validation!),
  };
}

function sampleOf(model: Model, streams: readonly Token[][], rows: string): AttentionSample[] {
  const samples = sampleAttention(model, streams, SAMPLES);
  if (samples.length > 0) return samples;
  const longest = Math.max(0, ...streams.map(({ length }) => length));
  throw new Error(
    `${rows} rows: expected more tokens in a run than the window of ${model.config.window}, got ${longest}`,
  );
}

function withAttention(
  model: Model,
  heads: readonly (readonly HeadChoice[])[],
  keyValues: KeyValueFormat,
): Model {
  const patterns = heads.map((layer) => layer.map(({ pattern }) => pattern));
  const config = {
    ...model.config,
    ...(heads.length === 0 ? {} : { patterns }),
    ...(keyValues === 'int8' ? {} : { keyValues }),
  };
  return { ...model, config };
}

/** Each alone, and both, so that it shows which of them moves the answers. */
function variantsOf(model: Model, heads: readonly (readonly HeadChoice[])[], streams: readonly Token[][]) {
  const size = model.config.hidden / model.config.heads;
  const possible = formats.filter(
    (format) => format !== 'int4-rotated' || [16, 32, 64, 128, 256].includes(size),
  );
  const all = possible.flatMap((format) => [
    { name: `dense ${format}`, model: withAttention(model, [], format) },
    ...(heads.length === 0
      ? []
      : [{ name: `patterns ${format}`, model: withAttention(model, heads, format) }]),
  ]);
  return all.map(({ name, model: variant }) => ({ name, ...contextError(model, variant, streams) }));
}

function describe({ samples, heads, variants }: Report): string[] {
  const rows = heads.flatMap((layer, index) =>
    layer.map(({ kind, pattern, positions, recall, validationRecall }, head) => [
      `  layer ${index + 1}, head ${head + 1}`,
      kind,
      describePattern(pattern),
      positions.toFixed(0),
      recall.toFixed(3),
      validationRecall.toFixed(3),
    ]),
  );
  return [
    ...(rows.length === 0
      ? []
      : [
          `share of attention kept, mean of ${samples.train} and ${samples.validation} tokens`,
          ...alignColumns([
            ['  head', 'pattern', '', 'positions', 'training rows', 'validation rows'],
            ...rows,
          ]),
          '',
        ]),
    'validation rows, against dense attention of int8',
    ...alignColumns([
      ['  attention', 'cosine', 'relative error', 'logits (rms)', 'MACs', 'KV bytes read', 'ring bytes'],
      ...variants.map((one) => [
        `  ${one.name}`,
        one.cosine.toFixed(4),
        one.relativeError.toFixed(4),
        one.logitError.toFixed(4),
        one.macs.toFixed(0),
        one.kvReadBytes.toFixed(0),
        String(one.ringBytes),
      ]),
    ]),
  ];
}

function describePattern({ local, pinned, ages, blocks }: HeadChoice['pattern']): string {
  return [
    `newest ${local}`,
    ...(pinned === undefined ? [] : [`${pinned} novel`]),
    ...(ages === undefined ? [] : [`${ages.length} ages`]),
    ...(blocks === undefined ? [] : [`${blocks} blocks`]),
  ].join(', ');
}
