/** Writes raw messages as NDJSON while they come, as `replay` plays them, in one file of bounded size. */

import { isUtf8 } from 'node:buffer';
import { type FileHandle, open } from 'node:fs/promises';

export class MessageWriter {
  messages = 0;
  /** Payloads that are no text, which the format can't hold. */
  binary = 0;
  /** Messages for which there was no room any more. */
  left = 0;
  readonly #file: FileHandle;
  readonly #maxBytes: number;
  #bytes = 0;
  #lines: string[] = [];
  #queuedBytes = 0;
  #flushing: Promise<void> = Promise.resolve();

  private constructor(file: FileHandle, maxBytes: number) {
    this.#file = file;
    this.#maxBytes = maxBytes;
  }

  /** Rejects when the file is there already. */
  static async create(path: string, maxBytes: number): Promise<MessageWriter> {
    return new MessageWriter(await open(path, 'wx'), maxBytes);
  }

  add(timeMs: number, topic: string, payload: Uint8Array): void {
    if (!isUtf8(payload)) {
      this.binary++;
      return;
    }
    const line = `${JSON.stringify({ t: timeMs, topic, payload: Buffer.from(payload).toString('utf8') })}\n`;
    const bytes = Buffer.byteLength(line);
    if (this.#bytes + this.#queuedBytes + bytes > this.#maxBytes) {
      this.left++;
      return;
    }
    this.#lines.push(line);
    this.#queuedBytes += bytes;
    this.messages++;
  }

  /** Writes what waits in memory, one call after another. Rejects with what the disk says; then all of it still waits. */
  flush(): Promise<void> {
    const flushed = this.#flushing.then(() => this.#flush());
    this.#flushing = flushed.catch(() => {});
    return flushed;
  }

  async #flush(): Promise<void> {
    if (this.#lines.length === 0) return;
    const count = this.#lines.length;
    const bytes = Buffer.from(this.#lines.join(''));
    await this.#file.write(bytes, 0, bytes.length, this.#bytes);
    await this.#file.datasync();
    this.#lines = this.#lines.slice(count);
    this.#bytes += bytes.length;
    this.#queuedBytes -= bytes.length;
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#file.close();
  }
}
