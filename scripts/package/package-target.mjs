/** Everything that a device needs, below dist/<target>/. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildDeb } from './deb.mjs';
import { buildExecutable } from './executable.mjs';
import { licenceTexts } from './licences.mjs';
import { nodeBinary } from './node-binary.mjs';
import { configText, unitText, userText } from './service.mjs';

/** The time of every file in a package, unless SOURCE_DATE_EPOCH says another: equal sources, equal bytes. */
const sourceSeconds = Number(process.env.SOURCE_DATE_EPOCH ?? Date.UTC(2026, 0, 1) / 1000);
const debianArchitectures = { arm64: 'arm64', x64: 'amd64' };
const programMode = 0o755;
const fileMode = 0o644;
/** May hold the name of a broker's user. */
const configMode = 0o640;

/**
 * `main` is the path of the bundle with every command, `gateway` of the one for devices, `packages` the folders of the
 * npm packages in them. Gives the paths of what was made.
 */
export async function packageTarget({ root, name, version, main, gateway, packages }) {
  const target = JSON.parse(readFileSync(join(root, 'targets', name, 'target.json'), 'utf8'));
  const { architecture } = target.cpu;
  const directory = join(root, 'build', 'package');
  const folder = join(root, 'dist', name);
  mkdirSync(folder, { recursive: true });
  const models = join(root, 'targets/models');
  const model = join(models, 'occupancy.safetensors');
  const assets = modelsBelow(models);
  const executable = await buildExecutable({ architecture, main, assets, directory });
  const { licence } = await nodeBinary(architecture, directory);
  const deb = buildDeb({
    control: control(version, target),
    scripts: maintainerScripts(root),
    files: installedFiles({ root, target, executable, model, licence, packages }),
    seconds: sourceSeconds,
    compress: await zstd(directory),
  });
  return writeAll(folder, {
    'gateway.mjs': readFileSync(gateway),
    dormouse: executable,
    [`dormouse_${version}_${name}_${debianArchitectures[architecture]}.deb`]: deb,
  });
}

/** Every model by the name under which the program asks for it, in their order: demo and bench play them. */
function modelsBelow(models) {
  const names = readdirSync(models, { recursive: true }).filter((name) => name.endsWith('.safetensors'));
  return Object.fromEntries(names.sort().map((name) => [`models/${name}`, join(models, name)]));
}

function control(version, { name, title, cpu }) {
  return {
    Package: 'dormouse',
    Version: version,
    Architecture: debianArchitectures[cpu.architecture],
    Maintainer: 'The Dormouse authors <dormouse@localhost>',
    // What the Node inside was linked against.
    Depends: 'libc6 (>= 2.28), libstdc++6 (>= 8), libgcc-s1, libatomic1, systemd',
    Section: 'net',
    Priority: 'optional',
    Description: `transformer runtime for MQTT sensor gateways, set up for ${title}
 Sleeps until a sensor says something new, then runs as much of a small int8
 transformer as the moment asks for. Node is inside; nothing is compiled.
 Target: ${name}.`,
  };
}

function maintainerScripts(root) {
  const text = (script) => readFileSync(join(root, 'scripts/package/debian', script), 'utf8');
  return { postinst: text('postinst'), prerm: text('prerm'), postrm: text('postrm') };
}

function installedFiles({ root, target, executable, model, licence, packages }) {
  const file = (path, bytes, more = {}) => ({ path, bytes: Buffer.from(bytes), mode: fileMode, ...more });
  const copy = (path, from) => file(path, readFileSync(join(root, from)));
  const template = (name) => readFileSync(join(root, 'targets', name), 'utf8');
  const script = (name) => readFileSync(join(root, 'scripts/package/debian', name), 'utf8');
  // All of them: they refer to each other.
  const documents = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
  return [
    file('/usr/bin/dormouse', executable, { mode: programMode }),
    file('/usr/share/dormouse/models/occupancy.safetensors', readFileSync(model)),
    file('/usr/lib/systemd/system/dormouse.service', unitText(template('dormouse.service'), target)),
    file('/usr/lib/sysusers.d/dormouse.conf', userText(script('sysusers.conf'), target)),
    copy('/usr/lib/tmpfiles.d/dormouse.conf', 'scripts/package/debian/tmpfiles.conf'),
    { ...copy('/etc/default/dormouse', 'scripts/package/debian/default'), isConfig: true, mode: configMode },
    file('/etc/dormouse/gateway.yaml', configText(template('gateway.yaml'), target), { isConfig: true }),
    copy('/usr/share/doc/dormouse/examples/example.yaml', 'targets/example.yaml'),
    ...documents.map((name) => copy(`/usr/share/doc/dormouse/${name}`, `docs/${name}`)),
    copy('/usr/share/doc/dormouse/changelog', 'CHANGELOG.md'),
    file('/usr/share/doc/dormouse/copyright', licenceTexts({ root, nodeLicence: licence, packages })),
  ];
}

/** The pinned Node compresses, since another's zstd may give other bytes, and Node 20 has none. */
async function zstd(directory) {
  const { node } = await nodeBinary(process.arch, directory);
  const program = `
    const { constants, zstdCompressSync } = require('node:zlib');
    const params = { [constants.ZSTD_c_compressionLevel]: 9 };
    process.stdout.write(zstdCompressSync(require('node:fs').readFileSync(0), { params }));`;
  return (bytes) => execFileSync(node, ['-e', program], { input: bytes, maxBuffer: 2 ** 30 });
}

/** Writes each file and SHA256SUMS for `sha256sum -c`. */
function writeAll(folder, files) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const sums = Object.entries(files).map(([name, bytes]) => {
    writeFileSync(join(folder, name), bytes, { mode: name.endsWith('.deb') ? fileMode : programMode });
    return `${createHash('sha256').update(bytes).digest('hex')}  ${name}\n`;
  });
  writeFileSync(join(folder, 'SHA256SUMS'), sums.join(''));
  return [...Object.keys(files), 'SHA256SUMS'].map((name) => join(folder, name));
}
