/** A real Mosquitto on loopback for tests, which may be killed, frozen and started again. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const candidates = [
  'mosquitto',
  '/usr/sbin/mosquitto',
  '/usr/local/sbin/mosquitto',
  '/opt/homebrew/sbin/mosquitto',
];

/** The program, or undefined after saying that the tests which need it are skipped. */
export function findMosquitto(): string | undefined {
  const found = candidates.find((path) => spawnSync(path, ['-h']).error === undefined);
  if (found === undefined) {
    console.warn(
      'mosquitto is not installed (Debian: apt install mosquitto); tests against a real broker are skipped',
    );
  }
  return found;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/**
 * true: it comes back with its sessions and messages after it was killed, but saves after every change.
 * eachSecond: it comes back as it was up to a second before.
 */
export type Persistence = boolean | 'eachSecond';

export interface MosquittoOptions {
  readonly persistent?: Persistence;
  /** Lines of its config about who may come in, and how. Default: everyone. */
  readonly access?: (directory: string) => string[];
}

export class Mosquitto {
  readonly port: number;
  readonly directory: string;
  readonly #program: string;
  readonly #config: string;
  #process: ChildProcess | undefined;

  private constructor(program: string, port: number, options: MosquittoOptions) {
    this.#program = program;
    this.port = port;
    this.directory = mkdtempSync(join(tmpdir(), 'dormouse-mosquitto-'));
    this.#config = join(this.directory, 'mosquitto.conf');
    const lines = [
      `listener ${port} 127.0.0.1`,
      ...(options.access?.(this.directory) ?? ['allow_anonymous true']),
      ...persistence(this.directory, options.persistent ?? false),
      'max_queued_messages 0',
      'log_dest none',
      // Started as root it would become another user, who may not write here.
      ...(process.getuid?.() === 0 ? ['user root'] : []),
    ];
    writeFileSync(this.#config, `${lines.join('\n')}\n`);
  }

  static async start(program: string, options: MosquittoOptions = {}): Promise<Mosquitto> {
    const broker = new Mosquitto(program, await freePort(), options);
    await broker.start();
    return broker;
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`;
  }

  /** Starts it, again if it was killed, and waits until it listens. */
  async start(): Promise<void> {
    this.#process = spawn(this.#program, ['-c', this.#config], { stdio: 'ignore' });
    for (let tries = 0; tries < 200; tries++) {
      if (await this.#listens()) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error(`mosquitto does not listen on port ${this.port}`);
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  }

  /** Lets it save what it has now; it goes on meanwhile. */
  async save(): Promise<void> {
    const path = join(this.directory, 'mosquitto.db');
    const savedMs = () => statSync(path, { throwIfNoEntry: false })?.mtimeMs;
    const before = savedMs();
    this.#process?.kill('SIGUSR1');
    for (let tries = 0; tries < 200 && savedMs() === before; tries++)
      await new Promise((resolve) => setTimeout(resolve, 5));
  }

  /** Stops it from running without closing anything. */
  freeze(): void {
    this.#process?.kill('SIGSTOP');
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #listens(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connectTcp(this.port, '127.0.0.1');
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
  }
}

function persistence(directory: string, persistent: Persistence): string[] {
  if (persistent === false) return ['persistence false'];
  return [
    'persistence true',
    `persistence_location ${directory}/`,
    `autosave_on_changes ${persistent === true}`,
    'autosave_interval 1',
  ];
}
