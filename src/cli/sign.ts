/** `dormouse sign`: vouch for a model, so that gateways take it on. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { loadModel } from '../engine/model-file.ts';
import { signaturePath } from '../gateway/models/model-source.ts';
import { readPrivateKey, sha256Of, signModel } from '../gateway/models/signature.ts';
import { fileProblem } from '../text/file-problem.ts';
import type { Command } from './command.ts';
import { parseOptions, requireArguments, requireOption } from './options.ts';

const usage = `Usage: dormouse sign MODEL --key FILE

Writes MODEL.sig: an Ed25519 signature of the model's SHA-256, as base64. A gateway with the public key under
models.publicKeyFile takes the model on with it, by file or by MQTT (dormouse deploy).

  --key FILE   the private key, NAME.pem of 'dormouse keygen NAME'
`;

export const command: Command = {
  name: 'sign',
  summary: 'sign a model for gateways that ask for it',
  usage,
  async run(args) {
    const { values, positionals } = parseOptions({
      args,
      options: { key: { type: 'string' } },
      allowPositionals: true,
    });
    const [path] = requireArguments(positionals, 'a model file');
    const keyPath = requireOption('key', values.key);
    const key = named(keyPath, () => readPrivateKey(readFileSync(keyPath, 'utf8')));
    const bytes = named(path, () => readFileSync(path));
    // Nobody wants to vouch for what no gateway could take.
    named(path, () => loadModel(bytes));
    const sha256 = sha256Of(bytes);
    writeSignature(signaturePath(path), signModel(sha256, key));
    process.stdout.write(`${signaturePath(path)}: signature of SHA-256 ${sha256}\n`);
    return 0;
  },
};

/** Whole, or not at all: a gateway may be looking. */
function writeSignature(path: string, signature: string): void {
  writeFileSync(`${path}.new`, `${signature}\n`);
  renameSync(`${path}.new`, path);
}

/** What goes wrong with a file names it. */
function named<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Error(`${path}: ${fileProblem(error)}`, { cause: error });
  }
}
