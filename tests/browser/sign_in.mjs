// A user signs in, over plain HTTP and at a name that is not this machine's, and signs out.

import assert from 'node:assert/strict';
import { accessible, at, fits, open, play, shot } from './stage.mjs';

const heading = (page, text) => page.getByRole('heading', { level: 1, name: text });

async function signIn(page, password) {
  await page.getByLabel('Name').fill('ops');
  await page.getByLabel('Password').fill(password);
  await page.keyboard.press('Enter');
}

await play(async (browser) => {
  for (const colorScheme of ['light', 'dark']) {
    const page = await open(browser, `${at.console}/search?id=nothing`, { colorScheme });
    await heading(page, 'Sign in to Tidegate').waitFor();
    await accessible(page, `the form, ${colorScheme}`);
    await fits(page, 'the form');
    await shot(page, `console-sign-in-${colorScheme}`);
    await page.context().close();
  }
  const page = await open(browser, at.console);
  await signIn(page, 'open sesame');
  await heading(page, 'No trouble is known').waitFor();
  await page.getByText('ops', { exact: true }).waitFor();

  // A live page whose session has ended leads to the form by itself.
  const cookies = await page.context().cookies();
  assert.deepEqual(cookies.map(({ name, httpOnly, sameSite }) => [name, httpOnly, sameSite]), [['tidegate_session', true, 'Lax']]);
  await page.context().clearCookies();
  await heading(page, 'Sign in to Tidegate').waitFor();
  await signIn(page, 'open sesame');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await heading(page, 'Sign in to Tidegate').waitFor();
});
