// A stranger has one id, and finds in the console what became of the message. By `--scheme light` or `dark`.

import assert from 'node:assert/strict';
import { accessible, at, fits, open, play, says, shot } from './stage.mjs';

const CAUSE = "the customer's session was never opened";

const pagesOf = (message) => ({
  '': 'overview',
  '/integrations/demo': 'integration',
  [`/messages/${message}`]: 'message',
  '/conversations/noor': 'conversation',
});

async function agentWrites(customer, text) {
  const answer = await fetch(new URL('/sandbox/agent/send', at.desktop), {
    method: 'POST',
    body: JSON.stringify({ integration: 'demo', customer, text }),
  });
  assert.equal(answer.status, 200);
  return (await answer.json()).id;
}

// The customer's message is at Genesys before the agent answers.
async function begins(customer, question, answer) {
  await says(customer, question);
  for (const end = Date.now() + 20_000; Date.now() < end; ) {
    try {
      return await agentWrites(customer, answer);
    } catch {
      await new Promise((done) => setTimeout(done, 100));
    }
  }
  throw new Error(`Genesys has no conversation of ${customer}`);
}

const heading = (page) => page.getByRole('heading', { level: 1 });

async function seek(page, id) {
  await page.getByRole('searchbox').fill(id);
  await page.keyboard.press('Enter');
}

await play(async (browser) => {
  const colorScheme = at.scheme;
  const lost = await begins('never-ready', 'Hello?', 'A word that is in no page');

  // Live: the page of a message that waits says by itself when it was delivered.
  const early = await begins('noor', 'Where is my parcel?', 'I am looking.');
  const live = await open(browser, `${at.console}/messages/${early}`, { colorScheme });
  await heading(live).getByText('waiting').waitFor();
  await live.getByText('This page updates itself.').waitFor();
  await heading(live).getByText('delivered').waitFor();
  // What is final needs no more updates.
  await live.getByText('This page updates itself.').waitFor({ state: 'detached' });
  await live.context().close();

  // By the message's id: the cause is on the first page.
  const page = await open(browser, at.console, { colorScheme });
  await accessible(page, 'the overview');
  await fits(page, 'the overview');
  await page.getByRole('row', { name: /demo/ }).waitFor();
  await shot(page, `console-overview-${colorScheme}`);
  await seek(page, lost);
  await heading(page).getByText('failed').waitFor();
  await page.locator('.summary', { hasText: CAUSE }).waitFor();

  // Without any id: the integration lists it.
  await page.goto(at.console);
  await page.getByRole('link', { name: 'demo' }).click();
  await page.locator(`a[href="/console/messages/${lost}"]`).click();
  await page.locator('.summary', { hasText: CAUSE }).waitFor();

  // By the customer's id: the conversation, and then the failed message.
  await seek(page, 'never-ready');
  await heading(page).getByText('Conversation').waitFor();
  await accessible(page, 'a conversation');
  await page.locator('.messages .failed a').click();
  await page.locator('.summary', { hasText: CAUSE }).waitFor();
  assert.doesNotMatch(await page.content(), /A word that is in no page/, 'no page has the words of a message');

  // Nothing found, and hostile ids.
  const hostile = '<img src=x onerror="document.title=1">/../?#%00';
  const nothing = await browser.newContext({ colorScheme });
  const sought = await nothing.newPage();
  const answer = await sought.goto(`${at.console}/search?id=${encodeURIComponent(hostile)}`);
  assert.equal(answer.status(), 404);
  await heading(sought).getByText('Nothing has this id').waitFor();
  assert.equal(await sought.getByRole('searchbox').inputValue(), hostile);
  assert.equal(await sought.locator('main img').count(), 0);
  await shot(sought, `console-nothing-${colorScheme}`);

  // Without JavaScript, and by the keyboard alone.
  const plain = await open(browser, at.console, { colorScheme, javaScriptEnabled: false });
  await plain.keyboard.press('Tab');
  await plain.keyboard.press('Tab');
  await plain.keyboard.press('Tab');
  await plain.keyboard.type('never-ready');
  await plain.keyboard.press('Enter');
  await heading(plain).getByText('Conversation').waitFor();

  for (const [name, viewport, deviceScaleFactor] of [
    ['wide', { width: 1280, height: 800 }, 1],
    ['400', { width: 400, height: 800 }, 1],
    // A window of 1280 by 800 at 200 %.
    ['200-percent', { width: 640, height: 400 }, 2],
  ]) {
    const what = `${name}-${colorScheme}`;
    for (const [path, page] of Object.entries(pagesOf(lost))) {
      const one = await open(browser, `${at.console}${path}`, { colorScheme, viewport, deviceScaleFactor });
      await fits(one, `the ${page}, ${what}`);
      if (name !== '200-percent') await accessible(one, `the ${page}, ${what}`);
      await one.screenshot({ path: `${at.shots}/console-${page}-${what}.png`, fullPage: true });
      await one.context().close();
    }
  }
});
