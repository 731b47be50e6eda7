/** A Debian package in JavaScript: the same input gives the same bytes on every machine. */
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { Header } from 'tar';

const blockBytes = 512;
const directoryMode = 0o755;

/**
 * The bytes of a .deb.
 *
 * `control` is an object of fields in their order, `scripts` maps postinst and the like to their text, `files` is a list
 * of `{ path, bytes, mode, isConfig }` with absolute paths, and `compress` makes zstd of a Buffer. `seconds` since 1970
 * is the time of everything; owner is root.
 */
export function buildDeb({ control, scripts, files, seconds, compress }) {
  const inOrder = [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
  const installedKib = Math.ceil(inOrder.reduce((sum, { bytes }) => sum + bytes.length, 0) / 1024);
  const about = [
    { path: 'control', bytes: controlText({ ...control, 'Installed-Size': installedKib }) },
    { path: 'md5sums', bytes: inOrder.map(md5Line).join('') },
    { path: 'conffiles', bytes: configLines(inOrder) },
    ...Object.entries(scripts).map(([path, bytes]) => ({ path, bytes, mode: 0o755 })),
  ].map(({ path, bytes, mode = 0o644 }) => ({ path: `/${path}`, bytes: Buffer.from(bytes), mode }));
  return ar(
    [
      ['debian-binary', Buffer.from('2.0\n')],
      ['control.tar.zst', compress(tar(about, seconds))],
      ['data.tar.zst', compress(tar(inOrder, seconds))],
    ],
    seconds,
  );
}

function controlText(fields) {
  return Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}\n`)
    .join('');
}

function md5Line({ path, bytes }) {
  return `${createHash('md5').update(bytes).digest('hex')}  ${path.slice(1)}\n`;
}

function configLines(files) {
  return files
    .filter(({ isConfig }) => isConfig)
    .map(({ path }) => `${path}\n`)
    .join('');
}

/** A tar of files with every folder above them. */
export function tar(files, seconds) {
  const folders = new Set(files.flatMap(({ path }) => foldersAbove(path)));
  const parts = [...folders]
    .sort()
    .map((folder) => header(`.${folder}/`, 'Directory', 0, directoryMode, seconds));
  for (const { path, bytes, mode } of files) {
    parts.push(header(`.${path}`, 'File', bytes.length, mode, seconds), bytes);
    parts.push(Buffer.alloc((blockBytes - (bytes.length % blockBytes)) % blockBytes));
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * blockBytes)]);
}

function foldersAbove(path) {
  const names = path.split('/').slice(1, -1);
  return ['', ...names.map((_, index) => `/${names.slice(0, index + 1).join('/')}`)];
}

function header(path, type, size, mode, seconds) {
  const mtime = new Date(1000 * seconds);
  const fields = { path, type, size, mode, mtime, uid: 0, gid: 0, uname: 'root', gname: 'root' };
  const block = Buffer.alloc(blockBytes);
  if (new Header(fields).encode(block))
    throw new Error(`${path}: expected a name that fits a plain tar header`);
  return block;
}

function ar(members, seconds) {
  const parts = members.flatMap(([name, bytes]) => [
    Buffer.from(
      `${name.padEnd(16)}${String(seconds).padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'100644'.padEnd(8)}` +
        `${String(bytes.length).padEnd(10)}\`\n`,
    ),
    bytes,
    Buffer.from(bytes.length % 2 === 1 ? '\n' : ''),
  ]);
  return Buffer.concat([Buffer.from('!<arch>\n'), ...parts]);
}
