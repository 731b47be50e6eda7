/** `dormouse keygen`: the key that signs models, and the one that gateways check them with. */
import { writeFileSync } from 'node:fs';
import { makeKeyPair } from '../gateway/models/signature.ts';
import { fileProblem } from '../text/file-problem.ts';
import type { Command } from './command.ts';
import { parseOptions, requireArguments } from './options.ts';

const usage = `Usage: dormouse keygen NAME

Makes an Ed25519 key pair: NAME.pem signs models (dormouse sign) and stays with you; NAME.pub.pem goes to the gateways
(models.publicKeyFile). Neither file may be there already.
`;

export const command: Command = {
  name: 'keygen',
  summary: 'make the keys with which models are signed and checked',
  usage,
  async run(args) {
    const { positionals } = parseOptions({ args, options: {}, allowPositionals: true });
    const [name] = requireArguments(positionals, 'a name');
    const { privateKey, publicKey } = makeKeyPair();
    writeNew(`${name}.pem`, privateKey, 0o600);
    writeNew(`${name}.pub.pem`, publicKey, 0o644);
    process.stdout.write(`${name}.pem signs (keep it to yourself), ${name}.pub.pem is for the gateways\n`);
    return 0;
  },
};

/** A key that is lost to another can't be had again. */
function writeNew(path: string, text: string, mode: number): void {
  try {
    writeFileSync(path, text, { flag: 'wx', mode });
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST';
    const got = isThere ? 'one that is there already' : fileProblem(error);
    throw new Error(`${path}: expected a file to make, got ${got}`, { cause: error });
  }
}
