#!/usr/bin/env node
/**
 * What a gateway writes to its card in a day: ledger and witness log with default settings, a day of simulated time in
 * some seconds, on an ext4 file system of its own whose device counts the sectors. Linux, as root (it mounts an image).
 *
 *   node scripts/card-writes.mjs [--ticks-per-second 10]
 *
 * Prints the bytes that the programs wrote, and those that reached the device: whole pages, journal and inodes too.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const { values } = parseArgs({ options: { 'ticks-per-second': { type: 'string', default: '10' } } });
const root = join(import.meta.dirname, '..');
const directory = mkdtempSync(join(tmpdir(), 'dormouse-card-'));
const [image, mount, day] = ['card.img', 'card', 'day.mjs'].map((name) => join(directory, name));
const imageBytes = 128 << 20;
const sectorBytes = 512;

const run = (program, ...args) => execFileSync(program, args, { encoding: 'utf8' }).trim();

/** Sectors written to a device since it was set up. */
const writtenBytes = (device) =>
  sectorBytes *
  Number(
    readFileSync(`/sys/block/${basename(device)}/stat`, 'utf8')
      .trim()
      .split(/\s+/)[6],
  );

function makeCard() {
  mkdirSync(mount);
  writeFileSync(image, '');
  truncateSync(image, imageBytes);
  run('mkfs.ext4', '-q', image);
  const device = run('losetup', '--find', '--show', image);
  try {
    run('mount', '-o', 'noatime', device, mount);
  } catch (error) {
    run('losetup', '-d', device);
    throw error;
  }
  return device;
}

/** The kernel initialises inode tables of a new file system in the background: that is not the gateway's. */
async function settle(device) {
  for (let before = -1; before !== writtenBytes(device); ) {
    before = writtenBytes(device);
    run('sync');
    await new Promise((resolve) => setTimeout(resolve, 3000));
  }
}

await build({
  entryPoints: [join(root, 'scripts/card-writes/day.ts')],
  bundle: true,
  platform: 'node',
  format: 'esm',
  outfile: day,
  logLevel: 'error',
  banner: {
    js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
  },
  define: { DORMOUSE_VERSION: '"card"' },
});
const device = makeCard();
try {
  await settle(device);
  const before = writtenBytes(device);
  const model = join(root, 'targets/models/occupancy.safetensors');
  const said = JSON.parse(run('nice', process.execPath, day, mount, model, values['ticks-per-second']));
  run('sync', '-f', mount);
  const deviceBytes = writtenBytes(device) - before;
  console.log(
    JSON.stringify({ ...said, programBytes: said.ledgerBytes + said.witnessBytes, deviceBytes }, null, 2),
  );
} finally {
  run('umount', mount);
  run('losetup', '-d', device);
  rmSync(directory, { recursive: true });
}
