/** A Python that has PyTorch, if there is one on this machine, and what docs/bring-your-own-model.md shows for it. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const page = join(import.meta.dirname, '../../docs/bring-your-own-model.md');

/** The first on the path, and Debian's own. */
const interpreters = ['python3', '/usr/bin/python3'];

/** The interpreter to call; undefined: none has PyTorch, which is said once. */
export function pythonWithTorch(): string | undefined {
  const python = interpreters.find(hasTorch);
  if (python === undefined) {
    console.warn('PyTorch is not installed (Debian: apt install python3-torch); its tests are skipped');
  }
  return python;
}

function hasTorch(python: string): boolean {
  try {
    execFileSync(python, ['-c', 'import torch'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** All blocks of Python on the page that hold `text`, as they stand there. */
export function pythonBlock(text: string): string {
  const blocks = [...readFileSync(page, 'utf8').matchAll(/^```python\n(.*?)^```$/gms)];
  const block = blocks.map(([, code]) => code!).find((code) => code.includes(text));
  if (block === undefined) throw new Error(`${page}: expected a block of Python with '${text}'`);
  return block;
}
