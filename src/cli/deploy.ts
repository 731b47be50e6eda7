/** `dormouse deploy`: bring a model to a gateway that runs, over MQTT. */
import { existsSync, readFileSync } from 'node:fs';
import { loadModel } from '../engine/model-file.ts';
import { deployModel } from '../gateway/models/deploy.ts';
import { signaturePath } from '../gateway/models/model-source.ts';
import { topicNameProblem } from '../gateway/mqtt/topics.ts';
import { fileProblem } from '../text/file-problem.ts';
import { credentialOptions, readBroker } from './broker-options.ts';
import { type Command, UsageError } from './command.ts';
import { numberOption, parseOptions, requireArguments, requireOption, wholeNumberOption } from './options.ts';

const usage = `Usage: dormouse deploy MODEL --broker URL --to PREFIX [options]

Sends MODEL and its signature (MODEL.sig, see 'dormouse sign') to the gateway whose topicPrefix is PREFIX and whose
config has models.upload. Ends when the model computes beside the one at work, or is refused: then with exit code 1.

  --broker URL        mqtt://host:1883, mqtts://, ws:// or wss://
  --to PREFIX         such as dormouse/office
  --promoted          wait until it has taken over, or is refused
  --part-bytes N      of each message (default 32768)
  --answer SECONDS    fail without an answer for so long (default 30)
  --username NAME     with --password-file FILE or --password-env VARIABLE
`;

const options = {
  broker: { type: 'string' },
  to: { type: 'string' },
  promoted: { type: 'boolean', default: false },
  'part-bytes': { type: 'string' },
  answer: { type: 'string' },
  ...credentialOptions,
} as const;

export const command: Command = {
  name: 'deploy',
  summary: 'bring a model to a gateway that runs, over MQTT',
  usage,
  async run(args) {
    const { values, positionals } = parseOptions({ args, options, allowPositionals: true });
    const [path] = requireArguments(positionals, 'a model file');
    const broker = requireOption('broker', values.broker, 'URL');
    const topicPrefix = readPrefix(requireOption('to', values.to, 'PREFIX'));
    const text = await deployModel(readOffered(path), {
      mqtt: readBroker(broker, values, 'deploy'),
      topicPrefix,
      partBytes: wholeNumberOption('part-bytes', values['part-bytes'], 32_768, 64, 1 << 24),
      until: values.promoted ? 'promoted' : 'canary',
      answerMs: 1000 * numberOption('answer', values.answer, 30, 0.1, 86_400),
      ...(process.stderr.isTTY ? { onProgress: showProgress } : {}),
    });
    process.stdout.write(`${positionals[0]}: ${text}\n`);
    return 0;
  },
};

function readPrefix(prefix: string): string {
  const problem = topicNameProblem(prefix);
  if (problem === undefined) return prefix;
  throw new UsageError(`--to: expected a topic without wildcards, got one with ${problem}`);
}

function readOffered(path: string): { bytes: Buffer; signature: string | null } {
  try {
    const bytes = readFileSync(path);
    loadModel(bytes);
    const signature = signaturePath(path);
    return { bytes, signature: existsSync(signature) ? readFileSync(signature, 'utf8').trim() : null };
  } catch (error) {
    throw new Error(`${path}: ${fileProblem(error)}`, { cause: error });
  }
}

function showProgress(text: string): void {
  process.stderr.write(`\r\x1b[K${text}`);
}
