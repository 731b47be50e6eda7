/** Server-sent events to a bounded number of readers; one that does not keep up is let go, and may come again. */
import type { ServerResponse } from 'node:http';

export const readersMax = 8;
/** What a reader may have waiting. */
const waitingBytesMax = 512 * 1024;
/** The browser tries again so long after it was let go. */
const retryMs = 3000;

export class EventStream {
  /** Readers that were let go because they did not keep up. */
  dropped = 0;
  readonly #readers = new Set<ServerResponse>();
  readonly #waitingBytesMax: number;

  constructor(bytesMax: number = waitingBytesMax) {
    this.#waitingBytesMax = bytesMax;
  }

  get readers(): number {
    return this.#readers.size;
  }

  /** Takes over a response, or says that there is no room. */
  add(response: ServerResponse): boolean {
    if (this.#readers.size >= readersMax) return false;
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' });
    response.write(`retry: ${retryMs}\n\n`);
    this.#readers.add(response);
    response.on('close', () => this.#readers.delete(response));
    return true;
  }

  /** To all; nobody is waited for. */
  send(event: string, data: unknown): void {
    if (this.#readers.size === 0) return;
    const text = `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
    for (const reader of this.#readers) {
      if (reader.writableLength + text.length > this.#waitingBytesMax) this.#drop(reader);
      else reader.write(text);
    }
  }

  close(): void {
    for (const reader of this.#readers) reader.destroy();
    this.#readers.clear();
  }

  #drop(reader: ServerResponse): void {
    this.dropped++;
    this.#readers.delete(reader);
    reader.destroy();
  }
}
