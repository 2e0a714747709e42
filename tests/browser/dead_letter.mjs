// An operator signs in, looks at a dead letter and at the list of them, and discards it: without
// JavaScript, by the keyboard.

import assert from 'node:assert/strict';
import { accessible, at, fits, open, play, shot, wasRefused } from './stage.mjs';

const heading = (page) => page.getByRole('heading', { level: 1 });

// Opens the page of the message as the operator.
async function signedIn(browser, settings) {
  const page = await open(browser, `${at.console}/messages/${at.message}`, settings);
  await page.getByLabel('Name').fill('ops');
  await page.getByLabel('Password').fill('open sesame');
  await page.keyboard.press('Enter');
  await heading(page).getByText('dead letter').waitFor();
  return page;
}

await play(async (browser) => {
  for (const colorScheme of ['light', 'dark']) {
    for (const [name, viewport] of [
      ['wide', { width: 1280, height: 800 }],
      ['400', { width: 400, height: 800 }],
    ]) {
      const page = await signedIn(browser, { colorScheme, viewport });
      await page.getByText('Discard it…').click();
      await page.getByRole('button', { name: 'Discard it for good' }).waitFor();
      const what = `${name}-${colorScheme}`;
      if (what === 'wide-light') {
        // The page updates itself, but not under the reader's eyes. Nothing has the focus.
        await heading(page).click();
        await page.getByText('Not updated since').waitFor();
        assert.ok(await page.getByRole('button', { name: 'Discard it for good' }).isVisible());
      }
      await accessible(page, `a dead letter, ${what}`);
      await fits(page, `a dead letter, ${what}`);
      await shot(page, `console-dead-letter-${what}`);
      await page.goto(`${at.console}/integrations/acme/dead-letters`);
      await page.locator(`a[href="/console/messages/${at.message}"]`).waitFor();
      await accessible(page, `the list, ${what}`);
      await fits(page, `the list, ${what}`);
      await shot(page, `console-list-${what}`);
      await page.context().close();
    }
  }

  const old = await signedIn(browser, {});
  const page = await signedIn(browser, { javaScriptEnabled: false });
  const button = page.getByRole('button', { name: 'Discard it for good' });
  assert.equal(await button.isVisible(), false, 'it takes two steps');
  await page.getByText('Discard it…').focus();
  await page.keyboard.press('Enter');
  await button.focus();
  await page.keyboard.press('Enter');
  await heading(page).waitFor();
  const end = Date.now() + 20_000;
  while (!(await heading(page).innerText()).includes('discarded')) {
    assert.ok(Date.now() < end, await page.locator('main').innerText());
    await page.reload();
  }
  assert.equal(await page.getByText('What you can do').count(), 0);

  // A page that was opened before says that its form had no effect.
  await old.getByRole('button', { name: 'Post it to Genesys again' }).click();
  await heading(old).getByText('The message is no dead letter').waitFor();
  wasRefused(old, 409);
  await accessible(old, 'the page about a form without effect');
  await shot(old, 'console-not-done');
  await old.getByRole('link', { name: 'Open the message' }).click();
  await heading(old).getByText('discarded').waitFor();
});
