/** Installs a Debian package into an empty folder instead of a system, looks at it, removes it, purges it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const needed = ['dpkg', 'systemd-sysusers', 'systemd-tmpfiles'];
const force = ['--force-script-chrootless', '--force-depends', '--force-architecture', '--force-not-root'];
const installed = [
  // path, mode, group
  ['usr/bin/dormouse', 0o755, 'root'],
  ['usr/lib/systemd/system/dormouse.service', 0o644, 'root'],
  ['usr/share/dormouse/models/occupancy.safetensors', 0o644, 'root'],
  ['usr/share/doc/dormouse/copyright', 0o644, 'root'],
  ['etc/dormouse', 0o750, 'dormouse'],
  ['etc/dormouse/gateway.yaml', 0o644, 'root'],
  ['etc/default/dormouse', 0o640, 'root'],
  ['var/lib/dormouse', 0o750, 'dormouse'],
];

/** Why it can't be tried here; undefined: it can. */
export function installationObstacle() {
  const missing = needed.filter((name) => spawnSync(name, ['--version']).error !== undefined);
  if (missing.length > 0) return `${missing.join(', ')} missing`;
  return process.getuid?.() === 0 ? undefined : 'it needs root (or fakeroot) to give files to a user';
}

/** Throws Error for whatever is not as it should be; gives a list of what was checked. */
export function proveInstallation(deb) {
  const root = mkdtempSync(join(tmpdir(), 'dormouse-root-'));
  try {
    for (const folder of ['info', 'updates'])
      mkdirSync(join(root, 'var/lib/dpkg', folder), { recursive: true });
    for (const file of ['status', 'available']) writeFileSync(join(root, 'var/lib/dpkg', file), '');
    mkdirSync(join(root, 'etc'));
    return [...install(root, deb), ...verifyUnit(root), ...upgrade(root, deb), ...remove(root)];
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function dpkg(root, ...args) {
  execFileSync('dpkg', [`--root=${root}`, ...force, ...args], { stdio: 'pipe' });
}

function install(root, deb) {
  dpkg(root, '--install', deb);
  const ids = Object.fromEntries(
    readFileSync(join(root, 'etc/group'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => [line.split(':')[0], Number(line.split(':')[2])]),
  );
  for (const [path, mode, group] of installed) {
    const { mode: got, gid } = lstatSync(join(root, path));
    require((got & 0o7777) ===
      mode, `${path}: expected mode ${mode.toString(8)}, got ${(got & 0o7777).toString(8)}`);
    require(gid ===
      (group === 'root' ? 0 : ids[group]), `${path}: expected group ${group}, got number ${gid}`);
  }
  const passwd = readFileSync(join(root, 'etc/passwd'), 'utf8');
  require(/^dormouse:.*:\/usr\/sbin\/nologin$/m.test(
    passwd,
  ), `expected a user dormouse without a shell, got ${passwd}`);
  requireGroup(root);
  return ['files, modes and user'];
}

/** The groups that the unit gives the service are the user's own, so that it can be tried out by hand. */
function requireGroup(root) {
  const unit = readFileSync(join(root, 'usr/lib/systemd/system/dormouse.service'), 'utf8');
  const group = /^SupplementaryGroups=(.+)$/m.exec(unit)?.[1];
  if (group === undefined) return;
  const line = new RegExp(`^${group}:.*:dormouse$`, 'm');
  const groups = readFileSync(join(root, 'etc/group'), 'utf8');
  require(line.test(groups), `expected the user dormouse in the group ${group}, got ${groups}`);
}

/** systemd-analyze wants the units and programs that a unit names, so those of this machine stand in. */
function verifyUnit(root) {
  if (spawnSync('systemd-analyze', ['--version']).error !== undefined)
    return ['unit NOT verified (no systemd-analyze)'];
  const unit = 'usr/lib/systemd/system';
  for (const name of [
    'sysinit.target',
    'basic.target',
    'shutdown.target',
    'network-online.target',
    'time-sync.target',
  ]) {
    writeFileSync(join(root, unit, name), '[Unit]\nDescription=stands in\n');
  }
  mkdirSync(join(root, 'bin'));
  writeFileSync(join(root, 'bin/kill'), '', { mode: 0o755 });
  const args = ['verify', `--root=${root}`, '/usr/lib/systemd/system/dormouse.service'];
  const { status, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
  require(status === 0 && stderr === '', `systemd-analyze verify: ${stderr}`);
  return ['unit verified'];
}

/** A config that was changed stays as it is; what the ledger wrote stays too. */
function upgrade(root, deb) {
  writeFileSync(join(root, 'etc/dormouse/gateway.yaml'), 'gateway: mine\n');
  mkdirSync(join(root, 'var/lib/dormouse/ledger'));
  dpkg(root, '--force-confdef', '--force-confold', '--install', deb);
  require(readFileSync(join(root, 'etc/dormouse/gateway.yaml'), 'utf8') ===
    'gateway: mine\n', 'the config was overwritten');
  return ['config and state survive an upgrade'];
}

function remove(root) {
  dpkg(root, '--remove', 'dormouse');
  const gone = installed.map(([path]) => path).filter((path) => path.startsWith('usr/'));
  for (const path of gone) require(!existsSync(join(root, path)), `${path}: still there after removal`);
  for (const path of ['etc/dormouse/gateway.yaml', 'var/lib/dormouse/ledger']) {
    require(existsSync(join(root, path)), `${path}: gone after removal, which a purge alone may do`);
  }
  dpkg(root, '--purge', 'dormouse');
  for (const path of ['etc/dormouse', 'var/lib/dormouse', 'etc/default/dormouse']) {
    require(!existsSync(join(root, path)), `${path}: still there after a purge`);
  }
  require(existsSync(dirname(join(root, 'etc/dormouse'))), 'etc itself is gone');
  return ['removed, then purged'];
}

function require(condition, problem) {
  if (!condition) throw new Error(`package: ${problem}`);
}
