/** The file in which a person puts the next model, and `FILE.sig` beside it. */
import { readFile, stat } from 'node:fs/promises';
import { ModelRefusal, type Offered } from './vet.ts';

export interface ModelSource {
  /** Changes whenever the file or its signature do. */
  stamp(): Promise<string>;
  /** Rejects with ModelRefusal, or what the disk says. */
  read(): Promise<Offered>;
}

const signatureBytesMax = 1024;

/** `MODEL.sig`. */
export function signaturePath(path: string): string {
  return `${path}.sig`;
}

/** A file of the real disk; whoever writes it should rename it into place, since a half is refused. */
export function modelFile(path: string, bytesMax: number): ModelSource {
  return {
    async stamp() {
      return `${await stampOf(path)} ${await stampOf(signaturePath(path))}`;
    },
    async read() {
      const { size } = await stat(path);
      if (size > bytesMax)
        throw new ModelRefusal('tooLarge', `${path}: expected at most ${bytesMax} bytes, got ${size}`);
      return { bytes: await readFile(path), signature: await readSignature(signaturePath(path)) };
    },
  };
}

async function stampOf(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  return found === undefined ? 'none' : `${found.ino}:${found.size}:${found.mtimeMs}`;
}

/** Null: there is none. What is no signature is for whoever checks it to refuse. */
async function readSignature(path: string): Promise<string | null> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return null;
  if (found.size > signatureBytesMax) return '';
  return (await readFile(path, 'utf8')).trim();
}
