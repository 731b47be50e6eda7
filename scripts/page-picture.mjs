#!/usr/bin/env node
/**
 * Looks at the page of a running demo with Chromium: build/page/{desktop,phone}-{light,dark}.png, and with --readme the
 * picture of the README, docs/page.png.
 *
 *   node build.mjs && node scripts/page-picture.mjs [--readme] [--seconds 30] [--chromium /usr/bin/chromium]
 */
import { spawn } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { values } = parseArgs({
  options: {
    readme: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '30' },
    chromium: { type: 'string', default: '/usr/bin/chromium' },
    program: { type: 'string', default: join(root, 'dist/dormouse.mjs') },
    recording: { type: 'string' },
    model: { type: 'string' },
  },
});
const viewports = {
  desktop: { viewport: { width: 1180, height: 900 } },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
};
const flags =
  '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';

/** Plays a demo; resolves to where its page is. */
async function startDemo() {
  const pass = ['recording', 'model'].flatMap((name) => (values[name] ? [`--${name}`, values[name]] : []));
  const args = [values.program, 'demo', '--plain', '--page', '--seconds', '600', ...pass];
  const demo = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: demo.stdout })) {
    const url = /^page: (\S+)/.exec(line)?.[1];
    if (url !== undefined) return { url, stop: () => demo.kill('SIGTERM') };
  }
  throw new Error('the demo ended without saying where its page is');
}

async function shoot(browser, url, name, device, colorScheme, path, fullPage) {
  const context = await browser.newContext({ ...device, colorScheme });
  const page = await context.newPage();
  page.on('pageerror', (error) => process.stderr.write(`${name}: ${error}\n`));
  page.on('console', (message) => process.stderr.write(`${name}: ${message.text()}\n`));
  await page.goto(url);
  await page.waitForSelector('figure canvas');
  await page.waitForTimeout(1500);
  await page.screenshot({ path, fullPage });
  process.stdout.write(`${path}  ${Math.round(statSync(path).size / 1000)} kB\n`);
  await context.close();
}

mkdirSync(join(root, 'build/page'), { recursive: true });
const demo = await startDemo();
const browser = await chromium.launch({ executablePath: values.chromium, args: flags.split(' ') });
try {
  await new Promise((resolve) => setTimeout(resolve, 1000 * Number(values.seconds)));
  for (const [name, device] of Object.entries(viewports)) {
    for (const scheme of ['light', 'dark']) {
      const path = join(root, `build/page/${name}-${scheme}.png`);
      await shoot(browser, demo.url, `${name} ${scheme}`, device, scheme, path, true);
    }
  }
  if (values.readme)
    await shoot(browser, demo.url, 'readme', viewports.desktop, 'light', join(root, 'docs/page.png'), true);
} finally {
  await browser.close();
  demo.stop();
}
