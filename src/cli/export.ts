/** `dormouse export`: a model for other runtimes. */
import { writeFileSync } from 'node:fs';
import { exportOnnx } from '../export/onnx.ts';
import type { Command } from './command.ts';
import { readModel } from './files.ts';
import { parseOptions, requireArguments, requireOption, wholeNumberOption } from './options.ts';

const ROWS_MAX = 4096;

export const command: Command = {
  name: 'export',
  summary: 'write a model as ONNX, in float32, for other runtimes',
  usage: `Usage: dormouse export MODEL --onnx FILE [--rows N]

Writes the function that the model computes, without its roundings, as an ONNX graph (opset 17, float32):
features [N, features], 1.0 where the engine's integers say 1024, to logits [N, outputs], a whole window of N ticks
from an empty past.

  --onnx FILE   where to write it
  --rows N      ticks that the graph takes at once (default: the model's sequence)`,
  async run(args) {
    const { values, positionals } = parseOptions({
      args,
      options: { onnx: { type: 'string' }, rows: { type: 'string' } },
      allowPositionals: true,
    });
    const [path] = requireArguments(positionals, 'a model file');
    const output = requireOption('onnx', values.onnx);
    const model = readModel(path);
    const rows = wholeNumberOption('rows', values.rows, model.config.sequence, 1, ROWS_MAX);
    const bytes = exportOnnx(model, { rows });
    writeFileSync(output, bytes);
    process.stdout.write(`${output}: ${bytes.length} bytes, ${rows} ticks at once\n`);
    return 0;
  },
};
