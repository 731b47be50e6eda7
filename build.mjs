#!/usr/bin/env node
/**
 * The only build program: AssemblyScript kernels -> WebAssembly -> TypeScript modules that hold them
 * -> esbuild bundles with the WebAssembly inside -> type declarations.
 *
 *   node build.mjs             everything
 *   node build.mjs --kernels   only the kernels and their generated modules (what tests from source need)
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

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
    `export const wasmBase64 =\n  '${bytes.toString('base64')}';\n`;
  mkdirSync(dirname(path), { recursive: true });
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return;
  writeFileSync(path, text);
}

async function bundle(entry, outfile, options = {}) {
  await build({
    entryPoints: [join(root, entry)],
    outfile: join(root, 'dist', outfile),
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    minify: true,
    keepNames: false,
    legalComments: 'none',
    define: { DORMOUSE_VERSION: JSON.stringify(version) },
    // Some dependencies are CommonJS and call require('node:...').
    banner: {
      js: "import { createRequire as createRequire_ } from 'node:module'; const require = createRequire_(import.meta.url);",
    },
    ...options,
  });
}

for (const kernel of kernels) compileKernel(kernel);
if (!process.argv.includes('--kernels')) {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  await bundle('src/cli/main.ts', 'dormouse.mjs', {
    banner: {
      js: "#!/usr/bin/env node\nimport { createRequire as createRequire_ } from 'node:module'; const require = createRequire_(import.meta.url);",
    },
  });
  await bundle('src/index.ts', 'index.mjs');
  await bundle('src/engine/index.ts', 'engine.mjs', { platform: 'neutral', banner: {} });
  chmodSync(join(root, 'dist/dormouse.mjs'), 0o755);
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', 'tsconfig.types.json'], { cwd: root, stdio: 'inherit' });
}
