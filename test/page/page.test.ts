/** The page in a real browser: what people see, on a desk and on a phone, by day and by night. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PagePart } from '../../src/gateway/http/page-part.ts';
import { PageFixture } from '../gateway/http/fixture.ts';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (path) => existsSync(path),
);
if (executablePath === undefined)
  console.warn(
    'chromium is not installed (Debian: apt install chromium); tests of the page in a browser are skipped',
  );
/** The short form looks by day on a desk and by night on a phone; DORMOUSE_BROWSER=all at everything. */
const isLong = process.env.DORMOUSE_BROWSER === 'all';
const flags =
  '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking ' +
  '--disable-component-update --disable-sync';
const artefacts = join(import.meta.dirname, '../../build/page');

const desktop = { viewport: { width: 1180, height: 900 } };
const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

describe.skipIf(executablePath === undefined)('the page in Chromium', () => {
  let fixture: PageFixture;
  let part: PagePart;
  let browser: Browser;

  beforeAll(async () => {
    mkdirSync(artefacts, { recursive: true });
    fixture = new PageFixture();
    part = await fixture.start({ historyTicks: 500 });
    for (let tick = 0; tick < 400; tick++) {
      const moves = tick % 50 < 15;
      fixture.tick(part, [
        20 + (moves ? Math.sin(tick) * 3 : 0),
        tick === 100 ? Number.NaN : 40 + (moves ? tick % 7 : 0),
      ]);
    }
    browser = await chromium.launch({ executablePath: executablePath!, args: flags.split(' ') });
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await fixture?.remove();
  });

  /** Opens the page, gives what the browser complained about, and closes it again. */
  async function look(
    options: BrowserContextOptions,
    see: (page: Page) => Promise<void>,
    url = part.server.url!,
  ) {
    const context = await browser.newContext(options);
    const complaints: string[] = [];
    try {
      const page = await context.newPage();
      page.on('pageerror', (error) => complaints.push(String(error)));
      page.on('console', (message) => {
        if (message.type() === 'error') complaints.push(message.text());
      });
      page.on('request', (request) => {
        if (!request.url().startsWith(url.replace(/[^/]*@/, ''))) complaints.push(`asks ${request.url()}`);
      });
      await page.goto(url);
      await page.waitForSelector('figure:last-child canvas');
      await see(page);
    } finally {
      await context.close();
    }
    expect(complaints).toEqual([]);
  }

  /** Pixels of a canvas that have a colour of the style sheet. */
  const pixelsOf = (page: Page, figure: string, name: string) =>
    page.evaluate(
      ({ figure, name }) => {
        const canvas = [...document.querySelectorAll('figure')]
          .find((each) => each.querySelector('h2')!.textContent!.startsWith(figure))!
          .querySelector('canvas')!;
        const probe = document.createElement('canvas').getContext('2d')!;
        probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
        probe.fillRect(0, 0, 1, 1);
        const wanted = probe.getImageData(0, 0, 1, 1).data;
        const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
        let count = 0;
        for (let at = 0; at < data.length; at += 4)
          if ([0, 1, 2].every((channel) => Math.abs(data[at + channel]! - wanted[channel]!) < 3)) count++;
        return count;
      },
      { figure, name },
    );

  for (const [device, options] of Object.entries({ desktop, phone })) {
    for (const colorScheme of ['light', 'dark'] as const) {
      const isShort = (device === 'desktop') === (colorScheme === 'light');
      test.skipIf(!isLong && !isShort)(
        `${device}, ${colorScheme}: tiles, ribbons and spikes are there, and nothing is wider than the screen`,
        async () => {
          await look({ ...options, colorScheme }, async (page) => {
            await page.screenshot({
              path: join(artefacts, `test-${device}-${colorScheme}.png`),
              fullPage: true,
            });
            const { skips, frames } = fixture.gateway.pipeline.counters;
            expect(await page.textContent('h1')).toBe('test');
            expect(await page.textContent('#tiles')).toContain(`${((100 * skips) / frames).toFixed(1)} %`);
            expect(await page.locator('figure').count()).toBe(5);
            expect(await pixelsOf(page, 'Compute', 'full')).toBeGreaterThan(50);
            expect(await pixelsOf(page, 'Compute', 'skipped')).toBeGreaterThan(500);
            expect(await pixelsOf(page, 'temperature', 'spike')).toBeGreaterThan(20);
            expect(await pixelsOf(page, 'temperature', 'trace')).toBeGreaterThan(100);
            const width = await page.evaluate(() => document.documentElement.scrollWidth);
            expect(width).toBeLessThanOrEqual(options.viewport.width);
            const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
            const brightness = /rgb\((\d+)/.exec(ground)![1];
            expect(Number(brightness) > 128).toBe(colorScheme === 'light');
          });
        },
      );
    }
  }

  test('is live: a tick shows without loading again, a command too, and colours follow the light', async () => {
    await look({ ...desktop, colorScheme: 'light' }, async (page) => {
      const { frames } = fixture.gateway.pipeline.counters;
      fixture.tick(part, [70, 90]);
      fixture.gateway.pipeline.override = 'safe';
      await page.locator('#tiles', { hasText: `of ${frames + 1} ticks` }).waitFor();
      await page.locator('#banner', { hasText: 'a command forces safe' }).waitFor();
      fixture.gateway.pipeline.override = 'none';
      const reading = () =>
        page.locator('figure', { hasText: 'temperature' }).locator('.reading').textContent();
      expect(await reading()).toContain('70');
      await page.emulateMedia({ colorScheme: 'dark' });
      await page.waitForTimeout(300);
      expect(await pixelsOf(page, 'Compute', 'skipped')).toBeGreaterThan(500);
    });
  });

  test.skipIf(!isLong)(
    'zooms by dragging, stays zoomed while ticks come, and returns by a double-click',
    async () => {
      await look(desktop, async (page) => {
        const area = page.locator('figure', { hasText: 'temperature' }).locator('.u-over');
        const before = await area.screenshot();
        const box = (await area.boundingBox())!;
        await page.mouse.move(box.x + box.width * 0.4, box.y + 20);
        await page.mouse.down();
        await page.mouse.move(box.x + box.width * 0.6, box.y + 20, { steps: 4 });
        await page.mouse.up();
        await page.mouse.move(0, 0);
        await page.waitForTimeout(1300);
        const zoomed = await area.screenshot();
        expect(zoomed.equals(before)).toBe(false);
        await page.mouse.dblclick(box.x + 30, box.y + 20);
        await page.mouse.move(0, 0);
        await page.waitForTimeout(300);
        expect((await area.screenshot()).equals(zoomed)).toBe(false);
      });
    },
  );

  test.each([
    ...(isLong ? [[{ kind: 'anomaly', threshold: 1 }, 'Anomaly score', 'trace'] as const] : []),
    [{ kind: 'forecast', horizon: 2 }, 'temperature', 'quarantine'] as const,
  ])('shows a model of task $kind', async (task, figure, name) => {
    const other = new PageFixture(task);
    try {
      const served = await other.start();
      for (let tick = 0; tick < 40; tick++) other.tick(served, [20 + (tick % 5), 40 - (tick % 3)]);
      await look(
        { ...desktop, colorScheme: 'light' },
        async (page) => {
          await page.screenshot({ path: join(artefacts, `test-${task.kind}.png`), fullPage: true });
          expect(await pixelsOf(page, figure, name)).toBeGreaterThan(5);
          const temperature = page.locator('figure', { hasText: 'temperature' }).last();
          expect(await temperature.locator('.reading').textContent()).toContain('24');
          expect(await page.textContent('#tiles')).not.toContain('nothing yet');
        },
        served.server.url!,
      );
    } finally {
      await other.remove();
    }
  });

  test('behind a token: the browser asks for it, and then everything works', async () => {
    const password = 'a-token-of-more-than-16-characters';
    const guarded = await fixture.start({ tokenFile: fixture.writeToken(password) });
    const context = await browser.newContext();
    const refused = (await context.newPage()).goto(guarded.server.url!);
    await expect(refused).rejects.toThrow('ERR_INVALID_AUTH_CREDENTIALS');
    await context.close();
    fixture.tick(guarded, [25, 45]);
    await look(
      { ...desktop, httpCredentials: { username: 'me', password } },
      async (page) => expect(await page.textContent('#tiles')).toContain('Asleep'),
      guarded.server.url!,
    );
  });
});
