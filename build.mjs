#!/usr/bin/env node
/**
 * The only build program: AssemblyScript kernels -> WebAssembly -> TypeScript modules that hold them
 * -> esbuild bundles with the WebAssembly inside -> type declarations.
 *
 *   node build.mjs             everything
 *   node build.mjs --kernels   only the generated modules, of kernels and page (what tests from source need)
 *   node build.mjs --target T  what a device needs, into dist/T/: the bundle, a single executable with Node inside, a
 *                              Debian package, checksums. T is a folder of targets/, or several with commas between
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { compress } from './scripts/package/compress.mjs';
import { bundledPackages } from './scripts/package/licences.mjs';
import { packageTarget } from './scripts/package/package-target.mjs';
import { aliases, withoutUnused } from './scripts/package/unused.mjs';

const root = dirname(fileURLToPath(import.meta.url));
const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;

/** Each AssemblyScript program and the module that carries its bytes. */
const kernels = [
  {
    name: 'exact',
    source: 'src/engine/kernels/assembly/exact.ts',
    into: 'src/engine/kernels/generated/exact.ts',
  },
  {
    name: 'relaxed',
    source: 'src/engine/kernels/assembly/relaxed.ts',
    into: 'src/engine/kernels/generated/relaxed.ts',
    enable: 'relaxed-simd',
  },
  {
    name: 'long-context',
    source: 'src/engine/kernels/assembly/long-context.ts',
    into: 'src/engine/kernels/generated/long-context.ts',
  },
  {
    name: 'checksum',
    source: 'src/engine/kernels/assembly/checksum.ts',
    into: 'src/engine/kernels/generated/checksum.ts',
  },
  {
    name: 'training',
    source: 'src/train/kernels/assembly/training.ts',
    into: 'src/train/kernels/generated/training.ts',
  },
];

function compileKernel({ name, source, into, enable }) {
  if (!existsSync(join(root, source))) return;
  const wasmPath = join(root, 'build', `${name}.wasm`);
  mkdirSync(dirname(wasmPath), { recursive: true });
  const asc = join(root, 'node_modules/assemblyscript/bin/asc.js');
  const flags = [
    '--runtime',
    'stub',
    '--use',
    'abort=',
    '--importMemory',
    '--enable',
    'simd',
    '--noAssert',
    '--optimizeLevel',
    '3',
    '--shrinkLevel',
    '0',
    '--converge',
  ];
  if (enable) flags.push('--enable', enable);
  // Its remarks on how well it optimised are of no use; if it fails, the error holds what it said.
  execFileSync(process.execPath, [asc, source, '-o', wasmPath, ...flags], { cwd: root, stdio: 'pipe' });
  writeModule(join(root, into), readFileSync(wasmPath));
}

function writeModule(path, bytes) {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const text =
    `// Written by build.mjs from AssemblyScript; do not edit. sha256 ${sha256}\n` +
    `export const wasmBase64 =\n  '${Buffer.from(compress(bytes)).toString('base64')}';\n`;
  mkdirSync(dirname(path), { recursive: true });
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return;
  writeFileSync(path, text);
}

/** The gateway's page: its files, minified and packed, as a module that the gateway imports. Gives what went into it. */
async function packPage() {
  const { outputFiles, metafile } = await build({
    metafile: true,
    entryPoints: [join(root, 'src/page/page.ts'), join(root, 'src/page/page.css')],
    outdir: join(root, 'build/page'),
    absWorkingDir: root,
    write: false,
    bundle: true,
    platform: 'browser',
    target: ['es2022', 'chrome100', 'firefox100', 'safari15.4'],
    format: 'iife',
    minify: true,
    legalComments: 'none',
  });
  const file = (name) => outputFiles.find(({ path }) => path.endsWith(name)).contents;
  const assets = [
    ['/', 'text/html; charset=utf-8', readFileSync(join(root, 'src/page/page.html'))],
    ['/page.js', 'text/javascript; charset=utf-8', file('page.js')],
    ['/page.css', 'text/css; charset=utf-8', file('page.css')],
    ['/icon.svg', 'image/svg+xml', readFileSync(join(root, 'src/page/icon.svg'))],
  ];
  const entries = assets.map(([path, type, bytes]) => {
    const gzipBase64 = gzipSync(bytes, { level: 9 }).toString('base64');
    return `  { path: '${path}', type: '${type}', gzipBase64:\n    '${gzipBase64}' },\n`;
  });
  const into = join(root, 'src/page/generated/assets.ts');
  const text =
    '// Written by build.mjs from src/page; do not edit.\n' +
    `export const assets: readonly { path: string; type: string; gzipBase64: string }[] = [\n${entries.join('')}];\n`;
  mkdirSync(dirname(into), { recursive: true });
  if (!existsSync(into) || readFileSync(into, 'utf8') !== text) writeFileSync(into, text);
  return Object.keys(metafile.inputs);
}

/** Gives the paths of the files that went into it. */
async function bundle(entry, outfile, options = {}) {
  const { metafile } = await build({
    entryPoints: [join(root, entry)],
    outfile: join(root, outfile),
    // Paths in what is said of the bundle are relative to it.
    absWorkingDir: root,
    metafile: true,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    minify: true,
    keepNames: false,
    legalComments: 'none',
    alias: aliases,
    plugins: [withoutUnused],
    define: { DORMOUSE_VERSION: JSON.stringify(version) },
    banner: { js: requireBanner },
    ...options,
  });
  return Object.keys(metafile.inputs);
}

/** Some dependencies are CommonJS and call require('node:...'). */
const requireBanner =
  "import { createRequire as createRequire_ } from 'node:module'; const require = createRequire_(import.meta.url);";

function bundleProgram(entry, outfile) {
  return bundle(entry, outfile, { banner: { js: `#!/usr/bin/env node\n${requireBanner}` } });
}

async function buildLibraryAndProgram() {
  for (const name of ['dormouse.mjs', 'gateway.mjs', 'index.mjs', 'engine.mjs', 'types']) {
    rmSync(join(root, 'dist', name), { recursive: true, force: true });
  }
  await bundleProgram('src/cli/main.ts', 'dist/dormouse.mjs');
  await bundleProgram('src/cli/gateway-main.ts', 'dist/gateway.mjs');
  await bundle('src/index.ts', 'dist/index.mjs');
  await bundle('src/engine/index.ts', 'dist/engine.mjs', { platform: 'neutral', banner: {} });
  for (const name of ['dormouse.mjs', 'gateway.mjs']) chmodSync(join(root, 'dist', name), 0o755);
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', 'tsconfig.types.json'], { cwd: root, stdio: 'inherit' });
}

async function buildTargets(names) {
  const known = readdirSync(join(root, 'targets')).filter((name) =>
    existsSync(join(root, 'targets', name, 'target.json')),
  );
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new Error(
      `--target: expected ${known.join(', ')}, got ${unknown.map((name) => `'${name}'`).join(', ')}`,
    );
  }
  const main = join(root, 'build/package/dormouse.mjs');
  const inputs = await bundleProgram('src/cli/main.ts', 'build/package/dormouse.mjs');
  const gateway = join(root, 'build/package/gateway.mjs');
  await bundleProgram('src/cli/gateway-main.ts', 'build/package/gateway.mjs');
  const packages = bundledPackages([...inputs, ...pageInputs]);
  for (const name of names) {
    for (const path of await packageTarget({ root, name, version, main, gateway, packages })) {
      process.stdout.write(`${relative(root, path)}  ${(statSync(path).size / 1e6).toFixed(1)} MB\n`);
    }
  }
}

const { values } = parseArgs({ options: { kernels: { type: 'boolean' }, target: { type: 'string' } } });
for (const kernel of kernels) compileKernel(kernel);
const pageInputs = await packPage();
if (values.target !== undefined) await buildTargets(values.target.split(','));
else if (!values.kernels) await buildLibraryAndProgram();
