/** The gateway's HTTP server: reads only, from whom it knows, and never in the way of the ticks. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { PageConfig } from '../config/config.ts';
import type { Log } from '../log.ts';
import { carriesToken, isOurHost, readToken, securityHeaders } from './access.ts';
import { WrongTokens } from './wrong-tokens.ts';

/** Answers a request of a path; a promise that rejects is answered with 500. */
export type Route = (request: IncomingMessage, response: ServerResponse, url: URL) => void | Promise<void>;
type FindRoute = (path: string) => Route | undefined;

const connectionsMax = 32;
const headerBytesMax = 8192;
const requestMs = 10_000;
const keepAliveMs = 5000;
const listenAgainMs = 30_000;

export class GatewayServer {
  readonly counts = { served: 0, notFound: 0, refused: 0, unauthorised: 0, failed: 0 };
  readonly #config: PageConfig;
  readonly #findRoute: FindRoute;
  readonly #log: Log;
  readonly #server: Server;
  readonly #wrongTokens = new WrongTokens();
  #token: string | undefined;
  #again: NodeJS.Timeout | undefined;
  #isClosing = false;
  #onListening: (() => void)[] = [];

  constructor(config: PageConfig, findRoute: FindRoute, log: Log) {
    this.#config = config;
    this.#findRoute = findRoute;
    this.#log = log;
    const limits = { maxHeaderSize: headerBytesMax, requestTimeout: requestMs, headersTimeout: requestMs };
    this.#server = createServer({ ...limits, keepAliveTimeout: keepAliveMs }, (request, response) =>
      this.#answer(request, response),
    );
    this.#server.maxConnections = connectionsMax;
    this.#server.on('error', (error) => this.#onError(error));
    this.#server.on('listening', () => this.#onListen());
  }

  /** Where it listens; undefined while it does not. */
  get url(): string | undefined {
    const address = this.#server.address() as AddressInfo | null;
    if (address === null) return undefined;
    return `http://${this.#config.host.includes(':') ? `[${this.#config.host}]` : this.#config.host}:${address.port}/`;
  }

  /** Returns at once. A gateway whose page can't be served does its work all the same; it is tried again. */
  start(): void {
    const { host, port, tokenFile } = this.#config;
    try {
      if (tokenFile !== undefined) this.#token = readToken(tokenFile);
    } catch (error) {
      this.#log.error(`page: ${(error as Error).message}; it is not served`);
      return;
    }
    this.#server.listen({ host, port });
  }

  /** Resolves when it listens. */
  listening(): Promise<void> {
    return this.#server.listening
      ? Promise.resolve()
      : new Promise((resolve) => void this.#onListening.push(resolve));
  }

  /** Ends every connection. */
  close(): Promise<void> {
    this.#isClosing = true;
    clearTimeout(this.#again);
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #onListen(): void {
    this.#log.info(`page: ${this.url}${this.#token === undefined ? '' : ' (with a token)'}`);
    for (const told of this.#onListening.splice(0)) told();
  }

  #onError(error: NodeJS.ErrnoException): void {
    if (this.#isClosing) return;
    this.#log.error(`page: ${error.message}; trying again in ${listenAgainMs / 1000} s`);
    this.#again = setTimeout(() => this.start(), listenAgainMs);
    this.#again.unref();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value);
    // A body is of no use to us, and is not waited for.
    request.resume();
    const refusal = this.#refusalOf(request);
    if (refusal !== undefined) {
      this.counts[refusal.status === 401 ? 'unauthorised' : 'refused']++;
      sendText(response, refusal.status, refusal.text, refusal.headers);
      return;
    }
    const url = urlOf(request);
    const route = url === undefined ? undefined : this.#findRoute(url.pathname);
    if (url === undefined || route === undefined) {
      this.counts.notFound++;
      sendText(response, 404, 'there is nothing here');
    } else void this.#serve(route, request, response, url);
  }

  #refusalOf(request: IncomingMessage): Refusal | undefined {
    if (!isOurHost(request.headers.host, this.#config.names))
      return { status: 421, text: 'this is not a name of this gateway; page.names in its config adds one' };
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return { status: 405, text: 'only GET', headers: { Allow: 'GET, HEAD' } };
    if (this.#token === undefined) return undefined;
    const address = request.socket.remoteAddress ?? '';
    const waitS = this.#wrongTokens.waitS(address);
    if (waitS > 0)
      return { status: 429, text: 'too many wrong tokens', headers: { 'Retry-After': String(waitS) } };
    if (carriesToken(request.headers, this.#token)) return undefined;
    // A browser asks without one first.
    if (request.headers.authorization !== undefined) this.#wrongTokens.add(address);
    const headers = { 'WWW-Authenticate': 'Basic realm="dormouse", charset="UTF-8"' };
    return { status: 401, text: 'a token is needed, as Bearer or as the password', headers };
  }

  async #serve(route: Route, request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    try {
      this.counts.served++;
      await route(request, response, url);
    } catch (error) {
      this.counts.failed++;
      this.#log.error(`page: ${url.pathname}: ${(error as Error).message}`);
      if (response.headersSent) response.destroy();
      else sendText(response, 500, 'failed; the log says why');
    }
  }
}

interface Refusal {
  readonly status: number;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export function sendText(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  send(response, status, 'text/plain; charset=utf-8', `${text}\n`, headers);
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  send(response, status, 'application/json', JSON.stringify(value));
}

/** Node leaves the body out where HEAD asked. */
export function send(
  response: ServerResponse,
  status: number,
  type: string,
  body: string | Buffer,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body), ...headers });
  response.end(body);
}

/** Paths are looked up in tables alone, so none of them reaches a file. */
function urlOf({ url = '' }: IncomingMessage): URL | undefined {
  return url.startsWith('/') && URL.canParse(`http://gateway${url}`)
    ? new URL(`http://gateway${url}`)
    : undefined;
}
