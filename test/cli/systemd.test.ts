import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { ServiceManager } from '../../src/cli/systemd.ts';

const directory = mkdtempSync(join(tmpdir(), 'dormouse-notify-'));
const told: string[] = [];
const log = { info: () => {}, warning: () => {}, error: (text: string) => void told.push(text) };

afterEach(() => {
  told.length = 0;
  vi.unstubAllEnvs();
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Puts a systemd-notify on the path that writes down what it is given and ends with `code`. */
function stub(code: number): () => string[] {
  const program = join(directory, 'systemd-notify');
  const written = join(directory, 'written');
  writeFileSync(written, '');
  writeFileSync(program, `#!/bin/sh\necho "$@" >> ${written}\nexit ${code}\n`);
  chmodSync(program, 0o755);
  vi.stubEnv('PATH', `${directory}:${process.env.PATH}`);
  return () => readFileSync(written, 'utf8').trimEnd().split('\n');
}

describe('a service manager', () => {
  test('is told through systemd-notify', async () => {
    const written = stub(0);
    const manager = new ServiceManager(log, { NOTIFY_SOCKET: '/run/x' });
    await manager.tell('READY=1');
    await manager.tell('WATCHDOG=1', 'STATUS=fine');
    expect(written()).toEqual(['READY=1', 'WATCHDOG=1 STATUS=fine']);
    expect(told).toEqual([]);
  });

  test('that does not listen is told nothing', async () => {
    const written = stub(0);
    await new ServiceManager(log, {}).tell('READY=1');
    expect(written()).toEqual(['']);
  });

  test('that can not be told is complained about once, loudly', async () => {
    stub(1);
    const manager = new ServiceManager(log, { NOTIFY_SOCKET: '/run/x' });
    await manager.tell('READY=1');
    await manager.tell('WATCHDOG=1');
    expect(told).toEqual([
      'systemd waits for word from us, but systemd-notify does not carry it: it ends with code 1',
    ]);
  });

  test('without a systemd-notify is complained about too', async () => {
    vi.stubEnv('PATH', '/nowhere');
    await new ServiceManager(log, { NOTIFY_SOCKET: '/run/x' }).tell('READY=1');
    expect(told[0]).toContain('ENOENT');
  });

  test.each([
    [{ NOTIFY_SOCKET: '/run/x', WATCHDOG_USEC: '120000000' }, 120_000],
    [{ NOTIFY_SOCKET: '/run/x', WATCHDOG_USEC: '120000000', WATCHDOG_PID: '7' }, 120_000],
    [{ NOTIFY_SOCKET: '/run/x', WATCHDOG_USEC: '120000000', WATCHDOG_PID: '8' }, undefined],
    [{ NOTIFY_SOCKET: '/run/x' }, undefined],
    [{ WATCHDOG_USEC: '120000000' }, undefined],
  ])('with %o wants to hear each %s ms', (environment, watchdogMs) => {
    expect(new ServiceManager(log, environment, 7).watchdogMs).toBe(watchdogMs);
  });
});

/** Listens as systemd does, closing what comes with a message, which is what systemd-notify waits for. */
const listener = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('listening', flush=True)
while True:
    data, fds, _, _ = socket.recv_fds(s, 4096, 8)
    for fd in fds: os.close(fd)
    print(data.decode(), flush=True)
`;
const isReal = ['systemd-notify', 'python3'].every((name) => spawnSync(name, ['--version']).status === 0);
if (!isReal) console.warn('skipped without systemd-notify and python3: the real way to systemd');

test.skipIf(!isReal)('the real systemd-notify carries it to a socket', async () => {
  const { spawn } = await import('node:child_process');
  const path = join(directory, 'socket');
  const child = spawn('python3', ['-c', listener, path]);
  let heard = '';
  child.stdout.on('data', (text) => {
    heard += text;
  });
  const hears = (text: string) => vi.waitFor(() => expect(heard).toContain(text), 5000);
  await hears('listening');
  vi.stubEnv('NOTIFY_SOCKET', path);
  await new ServiceManager(log).tell('READY=1');
  await hears('READY=1');
  child.kill();
  expect(told).toEqual([]);
});
