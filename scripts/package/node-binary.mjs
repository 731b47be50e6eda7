/** Node's own binaries for Linux, from npm: one pinned version, checked against the checksums below. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { extract } from 'tar';

/** A blob can only be read by the very version that wrote it, so both must be the same. */
export const nodeVersion = '26.10.0';
const integrity = {
  arm64: 'sha512-idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ==',
  x64: 'sha512-OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==',
};

/** Paths of `node` and of its licence for an architecture, below `directory`, fetched once. */
export async function nodeBinary(architecture, directory) {
  const place = join(directory, `node-${nodeVersion}-${architecture}`);
  if (!existsSync(place)) await fetchNode(architecture, directory, place);
  return { node: join(place, 'bin/node'), licence: join(place, 'LICENSE') };
}

async function fetchNode(architecture, directory, place) {
  const work = join(directory, `fetch-${process.pid}-${architecture}`);
  mkdirSync(work, { recursive: true });
  try {
    const name = `node-linux-${architecture}@${nodeVersion}`;
    const args = ['pack', name, '--json', '--pack-destination', work];
    const [{ filename }] = JSON.parse(
      execFileSync('npm', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    );
    const archive = join(work, filename);
    requireIntegrity(name, readFileSync(archive), integrity[architecture]);
    await extract({
      file: archive,
      cwd: work,
      filter: (path) => /^package\/(bin\/node|LICENSE)$/.test(path),
    });
    renameSync(join(work, 'package'), place);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function requireIntegrity(name, bytes, expected) {
  const got = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
  if (got !== expected) throw new Error(`${name}: expected the checksum ${expected}, got ${got}`);
}
