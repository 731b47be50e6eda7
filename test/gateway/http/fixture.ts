/** A gateway that is connected to nothing, with its page on a free port of loopback. */

import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import type { Task } from '../../../src/engine/model.ts';
import { saveModel } from '../../../src/engine/model-file.ts';
import type { PageConfig } from '../../../src/gateway/config/config.ts';
import { type PageOptions, PagePart } from '../../../src/gateway/http/page-part.ts';
import type { Gateway } from '../../../src/gateway/service.ts';
import { tinyModel } from '../../engine/tiny-model.ts';
import { Fixture, noteLog } from '../fixture.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export class PageFixture {
  readonly fixture = new Fixture();
  readonly log = noteLog();
  readonly gateway: Gateway;
  readonly #parts: PagePart[] = [];
  #timeMs = 0;

  /** With a model of that task; default: it tells classes apart. */
  constructor(task?: Task) {
    if (task !== undefined) {
      const model = tinyModel({ config: { outputs: 4 }, seed: 2 });
      const bytes = saveModel({ ...model, meaning: { ...model.meaning, task } });
      writeFileSync(this.fixture.path('model.safetensors'), bytes);
    }
    this.gateway = this.fixture.gateway('mqtt://127.0.0.1:1');
  }

  writeToken(text: string): string {
    writeFileSync(this.fixture.path('token'), text);
    return this.fixture.path('token');
  }

  make(config: Partial<PageConfig> = {}, options: Partial<PageOptions> = {}): PagePart {
    const settings = { port: 0, host: '127.0.0.1', names: [], historyTicks: 100, tickWithinMs: 0, ...config };
    const part = new PagePart(settings, { gateway: this.gateway, log: this.log, ...options });
    this.#parts.push(part);
    return part;
  }

  async start(config: Partial<PageConfig> = {}, options: Partial<PageOptions> = {}): Promise<PagePart> {
    const part = this.make(config, options);
    part.start();
    await part.server.listening();
    return part;
  }

  /** A tick of the gateway's pipeline, told to the page. */
  tick(part: PagePart, values: readonly number[]): void {
    const frame = { timeMs: (this.#timeMs += 1000), values: Float64Array.from(values) };
    const witness = this.gateway.pipeline.tick(frame);
    part.onTick(witness, this.gateway.pipeline.output, frame);
  }

  async remove(): Promise<void> {
    await Promise.all(this.#parts.map((part) => part.stop()));
    this.fixture.remove();
  }
}

/** Not fetch, which lets nobody set a Host header or a path with dots. */
export function ask(
  part: PagePart,
  path: string,
  options: { readonly method?: string; readonly headers?: Record<string, string> } = {},
): Promise<Answer> {
  const { hostname, port } = new URL(part.server.url!);
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, path, agent: false, ...options }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      );
    });
    asked.on('error', reject);
    asked.end();
  });
}
