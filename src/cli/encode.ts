/** `dormouse encode`: a recording as tensors, to train a model on elsewhere. */
import { writeFileSync } from 'node:fs';
import { openRecording, withoutChannels } from '../recording/recording.ts';
import { loadDataset } from '../train/dataset.ts';
import { encodeDataset } from '../train/encode.ts';
import { defaultSettings } from '../train/settings.ts';
import type { Command } from './command.ts';
import { datasetOptions, datasetSettings, datasetUsage } from './dataset-options.ts';
import { requireWritable } from './files.ts';
import { namesOption, parseOptions, requireArguments, requireOption, wholeNumberOption } from './options.ts';

const { pool, seed } = defaultSettings;
const VARIANTS = 8;

export const command: Command = {
  name: 'encode',
  summary: 'write a recording as tensors, to train a model on in PyTorch',
  usage: `Usage: dormouse encode RECORDING -o FILE [options]

Writes the training rows of RECORDING (and its validation rows, or the last quarter of the training rows) as the
gateway's own encoders see them: a safetensors file of features, targets, ticks that each token counts for, and the
starts of the streams, with what 'quantize' needs to know in its metadata. Test rows are never read. The format, and
how to train on it: docs/bring-your-own-model.md.

  -o, --output FILE     where it goes (required)
  --variants N          encode the training rows N times: dense, with the thresholds, and with others (default ${VARIANTS})
${datasetUsage()}
  --seed N              (default ${seed})`,
  async run(args) {
    const { values, recordingPath, output } = readArguments(args);
    requireWritable(output);
    const recording = withoutChannels(openRecording(recordingPath), namesOption(values.without));
    const dataset = loadDataset(recording, datasetSettings(values));
    const bytes = encodeDataset(dataset, {
      ...pool,
      variants: wholeNumberOption('variants', values.variants, VARIANTS, 2, 1000),
      seed: wholeNumberOption('seed', values.seed, seed, 0, Number.MAX_SAFE_INTEGER),
    });
    writeFileSync(output, bytes);
    process.stdout.write(`${output}: ${bytes.length} bytes\n`);
    return 0;
  },
};

function readArguments(args: string[]) {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseOptions({
    args,
    options: {
      output: { type: 'string', short: 'o' },
      variants: text,
      ...datasetOptions,
      seed: text,
    },
    allowPositionals: true,
  });
  const [recordingPath] = requireArguments(positionals, 'a recording');
  return { values, recordingPath, output: requireOption('output', values.output) };
}
