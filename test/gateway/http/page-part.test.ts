import { get } from 'node:http';
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readersMax } from '../../../src/gateway/http/event-stream.ts';
import type { History, TickColumns } from '../../../src/page/protocol.ts';
import { until } from '../fixture.ts';
import { ask, PageFixture } from './fixture.ts';

let fixture: PageFixture;
beforeEach(() => {
  fixture = new PageFixture();
});
afterEach(() => fixture.remove());

const token = 'a-token-of-more-than-16-characters';

describe('the page', () => {
  it.each([
    ['/', 'text/html', '<!doctype html>'],
    ['/page.js', 'text/javascript', 'EventSource'],
    ['/page.css', 'text/css', '--ground'],
    ['/icon.svg', 'image/svg+xml', '<svg'],
  ])('serves %s, plain to whoever takes no gzip', async (path, type, text) => {
    const part = await fixture.start();
    const answer = await ask(part, path);
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toContain(type);
    expect(answer.body).toContain(text);
    const packed = await ask(part, path, { headers: { 'Accept-Encoding': 'gzip' } });
    expect(packed.headers['content-encoding']).toBe('gzip');
  });

  it('needs nothing from elsewhere and has no inline script, as its policy says', async () => {
    const { headers, body } = await ask(await fixture.start(), '/');
    expect(headers['content-security-policy']).toContain("default-src 'none'; script-src 'self'");
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(body).not.toMatch(/https?:|<script>|style=| on\w+=/);
  });

  it.each([
    '/../../etc/passwd',
    '/..%2f..%2fetc/passwd',
    '/page.js/',
    '/%00',
    '//evil/',
    '/constructor',
    '/__proto__',
  ])('has nothing at %s', async (path) => {
    const answer = await ask(await fixture.start(), path);
    expect([answer.status, answer.headers['x-content-type-options']]).toEqual([404, 'nosniff']);
  });

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('refuses %s', async (method) => {
    expect((await ask(await fixture.start(), '/healthz', { method })).status).toBe(405);
  });

  it('answers HEAD without a body', async () => {
    const part = await fixture.start();
    for (const path of ['/', '/metrics', '/history', '/events'])
      expect(await ask(part, path, { method: 'HEAD' })).toMatchObject({ status: 200, body: '' });
  });

  it('answers only to its own names and to addresses, against DNS rebinding', async () => {
    const part = await fixture.start({ names: ['gateway.example'] });
    const status = async (host: string) => (await ask(part, '/healthz', { headers: { Host: host } })).status;
    for (const host of ['localhost:8420', '127.0.0.1', '[::1]:9', 'gateway.example', 'GATEWAY.example:80'])
      expect(await status(host), host).not.toBe(421);
    for (const host of ['evil.example', 'evil.example:8420', 'localhost.evil.example', 'a b'])
      expect(await status(host), host).toBe(421);
    expect(part.counters().page.refused).toBe(4);
  });
});

describe('the token', () => {
  it('is demanded of every path, as Bearer or as a password', async () => {
    const part = await fixture.start({ tokenFile: fixture.writeToken(`${token}\n`) });
    const basic = (password: string) => `Basic ${Buffer.from(`me:${password}`).toString('base64')}`;
    const status = async (path: string, authorization?: string) =>
      (
        await ask(
          part,
          path,
          authorization === undefined ? {} : { headers: { Authorization: authorization } },
        )
      ).status;
    for (const path of ['/', '/metrics', '/history', '/events', '/healthz', '/nowhere'])
      expect(await status(path), path).toBe(401);
    for (const wrong of [
      `Bearer ${token}x`,
      `Bearer ${token.slice(1)}`,
      'Bearer',
      basic(''),
      token,
      basic('x'),
    ])
      expect(await status('/', wrong), wrong).toBe(401);
    expect(await status('/', `Bearer ${token}`)).toBe(200);
    expect(await status('/', basic(token))).toBe(200);
    expect(fixture.log.lines.join('\n')).not.toContain(token);
  });

  it('is not looked at any more after ten wrong ones; a browser that asks without one first does no harm', async () => {
    const part = await fixture.start({ tokenFile: fixture.writeToken(token) });
    const status = async (authorization?: string) =>
      (await ask(part, '/', authorization === undefined ? {} : { headers: { Authorization: authorization } }))
        .status;
    for (let times = 0; times < 15; times++) expect(await status()).toBe(401);
    for (let wrong = 0; wrong < 10; wrong++) expect(await status(`Bearer wrong${wrong}`)).toBe(401);
    expect(await status('Bearer wrong')).toBe(429);
    expect(await status(`Bearer ${token}`)).toBe(429);
    expect(part.counters().page.refused).toBe(2);
  });

  it.each(['short', 'with spaces in it, and long enough', ''])(
    'must be one: %j is not served',
    async (text) => {
      const part = fixture.make({ tokenFile: fixture.writeToken(text) });
      part.start();
      await until(() => fixture.log.lines.length > 0, 'the log says why');
      expect(fixture.log.lines[0]).toMatch(/^error: page: .*token: expected a token of 16 to 256/);
      expect(part.server.url).toBeUndefined();
      if (text !== '') expect(fixture.log.lines[0]).not.toContain(text);
    },
  );
});

it('goes on without a page where the port is taken', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const { port } = other.address() as { port: number };
  const part = fixture.make({ port });
  part.start();
  await until(() => fixture.log.lines.length > 0, 'the log says so');
  expect(fixture.log.lines[0]).toMatch(/^error: page: .*EADDRINUSE.*trying again in 30 s/);
  await part.stop();
  other.close();
});

describe('/history', () => {
  it('tells what runs, and the ticks as they were seen', async () => {
    const part = await fixture.start();
    fixture.tick(part, [20, 40]);
    fixture.tick(part, [20, Number.NaN]);
    fixture.tick(part, [90, 10]);
    const { description, state, ticks } = JSON.parse((await ask(part, '/history')).body) as History;
    expect(description).toMatchObject({ gateway: 'test', task: { kind: 'classify' }, historyTicks: 100 });
    expect(description.channels.map(({ name }) => name)).toEqual(['temperature', 'humidity']);
    expect(state).toMatchObject({ connected: false, ticks: 3, override: 'none', policy: { name: 'events' } });
    expect(ticks).toMatchObject({
      first: 0,
      timeMs: [1000, 2000, 3000],
      tier: [0, 3, 0],
      values: [
        [20, 20, 90],
        [40, null, 10],
      ],
    });
    expect(ticks.fired[0]).toEqual([1, 0, 1]);
    expect(ticks.score.every((score) => score !== null)).toBe(true);
  });

  it('is a ring: the oldest go, and their numbers are kept', async () => {
    const part = await fixture.start({ historyTicks: 60 });
    for (let tick = 0; tick < 150; tick++) fixture.tick(part, [tick, 40]);
    const { ticks } = JSON.parse((await ask(part, '/history')).body) as History;
    expect([ticks.first, ticks.timeMs.length, ticks.values[0]![0], ticks.values[0]!.at(-1)]).toEqual([
      90, 60, 90, 149,
    ]);
  });
});

describe('/events', () => {
  it('sends ticks as they come, and the state', async () => {
    const part = await fixture.start();
    fixture.tick(part, [20, 40]);
    const events: { event: string; data: unknown }[] = [];
    let text = '';
    const asked = get(new URL('/events', part.server.url), (response) =>
      response.on('data', (chunk) => {
        text += chunk;
        for (const [, event, data] of text.matchAll(/event: (\w+)\ndata: (.*)\n\n/g))
          events.push({ event: event!, data: JSON.parse(data!) });
        text = text.slice(text.lastIndexOf('\n\n') + 2);
      }),
    );
    await until(() => part.counters().page.readers === 1, 'somebody reads');
    await until(() => events.some(({ event }) => event === 'state'), 'the state comes');
    fixture.tick(part, [90, 10]);
    const ticks = () =>
      events.filter(({ event, data }) => event === 'ticks' && (data as TickColumns).timeMs.includes(2000));
    await until(() => ticks().length === 1, 'the tick comes, once');
    asked.destroy();
    await until(() => part.counters().page.readers === 0, 'nobody reads');
  });

  it('has room for a few readers only', async () => {
    const part = await fixture.start();
    const open = Array.from({ length: readersMax }, () => get(new URL('/events', part.server.url), () => {}));
    await until(() => part.counters().page.readers === readersMax, 'all read');
    expect((await ask(part, '/events')).status).toBe(503);
    for (const asked of open) asked.destroy();
  });
});

describe('/healthz', () => {
  it('says why it is not well: no broker', async () => {
    const { status, body } = await ask(await fixture.start(), '/healthz');
    expect(status).toBe(503);
    expect(JSON.parse(body)).toMatchObject({
      ok: false,
      checks: { mqtt: { ok: false, why: 'not connected to the broker' }, ticks: { ok: true } },
    });
  });
});

describe('/metrics', () => {
  it('is text that Prometheus reads: each metric once, with help and type', async () => {
    const part = await fixture.start();
    fixture.tick(part, [20, 40]);
    fixture.tick(part, [20, 40]);
    const { headers, body } = await ask(part, '/metrics');
    expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(body).toContain('dormouse_ticks_total 2\n');
    expect(body).toContain('dormouse_inferences_total{tier="0"} 1\n');
    expect(body).toContain('dormouse_inferences_skipped_total 1\n');
    expect(body).toContain('dormouse_skip_ratio 0.5\n');
    expect(body).toContain('dormouse_mqtt_connected 0\n');
    const names = [...body.matchAll(/^# TYPE (\S+) (counter|gauge)$/gm)].map(([, name]) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const line of body.trimEnd().split('\n')) {
      expect(line).toMatch(
        /^(# (HELP|TYPE) dormouse_\w+ .+|dormouse_\w+(\{(\w+="[^"]*",?)+\})? -?[\d.e+-]+)$/,
      );
      const name = /^dormouse_\w+/.exec(line)?.[0];
      if (name !== undefined) expect(names).toContain(name);
    }
  });
});
