// What every scene needs: a browser, pages that are watched, and a way to wait for what must become true.
//
// A scene is called with the addresses of a running demo:
//   too_early.mjs --desktop http://127.0.0.1:1/desktop --chat http://127.0.0.1:2/ --shots FOLDER --browser chromium
// It exits 1 and says what did not hold.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const PATIENCE = 20_000;
const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const options = Object.fromEntries(['desktop', 'chat', 'console', 'message', 'shots', 'browser', 'scheme'].map((name) => [name, { type: 'string' }]));
export const { values: at } = parseArgs({ options });

const watched = [];
const faultsOf = new WeakMap();

// A page whose faults count: an error on its console, or a request to another host.
export async function open(browser, url, settings = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', ...settings });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const { host } = new URL(url);
  const faults = [];
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('request', (request) => new URL(request.url()).host !== host && faults.push(`a request to ${request.url()}`));
  watched.push({ url, faults });
  faultsOf.set(page, faults);
  const answer = await page.goto(url);
  const policy = answer.headers()['content-security-policy'];
  assert.match(policy, /default-src 'none'/, 'a strict policy goes with the page');
  assert.doesNotMatch(policy, /unsafe|https?:|\*/, 'it has no holes');
  return page;
}

// The browser notes a refused call on its console. A scene that wants one refused takes that one note away.
export function wasRefused(page, status) {
  const faults = faultsOf.get(page);
  assert.equal(faults.length, 1, `one call was refused: ${faults}`);
  assert.match(faults.pop(), new RegExp(`the server responded with a status of ${status} `));
}

export const shot = (page, name) => page.screenshot({ path: join(at.shots, `${name}.png`) });

// No serious fault for people who see little or use a screen reader.
export async function accessible(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const serious = violations.filter((each) => ['serious', 'critical'].includes(each.impact));
  const told = serious.flatMap((each) => each.nodes.map((node) => `${each.id}: ${node.html} ${node.failureSummary}`));
  assert.deepEqual(told, [], `axe finds nothing serious: ${what}`);
}

export async function fits(page, what) {
  const wide = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `nothing scrolls sideways: ${what} is ${wide} px too wide`);
}

// The customer writes without a page.
export async function says(customer, text) {
  const answer = await fetch(new URL(`customers/${encodeURIComponent(customer)}/say`, at.chat), {
    method: 'POST',
    body: JSON.stringify({ text }),
  });
  assert.equal(answer.status, 202);
}

export const row = (page, name) => page.locator('#list a', { has: page.locator('.row-name', { hasText: name }) });

// Opens a conversation and answers.
export async function answer(page, name, text) {
  await row(page, name).click();
  await page.locator('#thread-title', { hasText: name }).waitFor();
  await page.locator('#text').fill(text);
  await page.keyboard.press('Enter');
  const bubble = page.locator('.message.out', { hasText: text });
  await bubble.waitFor();
  return bubble;
}

export async function play(scene) {
  mkdirSync(at.shots, { recursive: true });
  const args = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
  // A name that is not this machine's, for what browsers allow only there.
  args.push('--host-resolver-rules=MAP gateway.test 127.0.0.1');
  // Chromium does not run as root inside of its own sandbox.
  if (process.getuid?.() === 0) args.push('--no-sandbox');
  const browser = await chromium.launch({ executablePath: at.browser, headless: true, args });
  try {
    await scene(browser);
    assert.deepEqual(watched.filter((page) => page.faults.length > 0), [], 'no page had an error or asked another host');
  } finally {
    await browser.close();
  }
}
