// The pages as they look by `--scheme light` or `dark`: wide, at 400 px, at 200 %; and whether axe finds anything
// serious.

import assert from 'node:assert/strict';
import { accessible, answer, at, fits, open, play, row, says, shot } from './stage.mjs';

const LONG = `https://example.org/${'a-very-long-address-'.repeat(12)}`;

await play(async (browser) => {
  const first = await open(browser, at.desktop, { colorScheme: at.scheme });
  await accessible(first, 'an empty desktop');
  await says('never-ready', 'Hello?');
  await says('noor', `Where is my parcel? ${LONG}`);
  const failing = await answer(first, 'Never ready', 'How can I help?');
  const message = await answer(first, 'Noor', `It is here: ${LONG}`);
  await first.getByRole('button', { name: 'Send a card' }).click();
  await accessible(first, 'a dialog');
  await first.locator('#dialog-card').getByRole('button', { name: 'Send' }).click();
  await message.getByRole('button', { name: 'Delivered', exact: true }).waitFor();
  await first.locator('.message.out .card').waitFor();
  await row(first, 'Never ready').click();
  await failing.getByRole('button', { name: /Not delivered/ }).click();
  await failing.locator('.behind').waitFor();

  const colorScheme = at.scheme;
  for (const [name, viewport, deviceScaleFactor] of [
    ['wide', { width: 1280, height: 800 }, 1],
    ['400', { width: 400, height: 800 }, 1],
    // A window of 1280 by 800 at 200 %.
    ['200-percent', { width: 640, height: 400 }, 2],
  ]) {
    const what = `${name}-${colorScheme}`;
    const desk = await open(browser, at.desktop, { colorScheme, viewport, deviceScaleFactor });
    await row(desk, 'Noor').waitFor();
    await fits(desk, `the list, ${what}`);
    await row(desk, 'Never ready').click();
    await desk.getByRole('button', { name: /Not delivered/ }).click();
    await fits(desk, `a failure, ${what}`);
    if (name === 'wide') await accessible(desk, `a failure, ${what}`);
    await shot(desk, `desktop-failure-${what}`);
    if (name !== 'wide') await desk.getByRole('link', { name: 'Back to the conversations' }).click();
    await row(desk, 'Noor').click();
    await desk.locator('.message.out .card').waitFor();
    assert.equal(await desk.locator('#text').isVisible(), true, `there is room to write, ${what}`);
    if (name !== 'wide') {
      await desk.getByRole('button', { name: 'About the customer' }).click();
      await fits(desk, `the customer, ${what}`);
      await desk.keyboard.press('Escape');
    }
    await desk.locator('#details').waitFor({ state: name === 'wide' ? 'visible' : 'hidden' });
    await fits(desk, `a conversation, ${what}`);
    if (name !== '200-percent') await accessible(desk, `a conversation, ${what}`);
    await shot(desk, `desktop-${what}`);

    const chat = await open(browser, `${at.chat}#never-ready`, { colorScheme, viewport, deviceScaleFactor });
    await chat.locator('.me').waitFor();
    await fits(chat, `the handshake, ${what}`);
    if (name === 'wide') await accessible(chat, `the handshake, ${what}`);
    await chat.getByRole('button', { name: 'Noor' }).click();
    await chat.locator('.card').waitFor();
    await fits(chat, `the customer's chat, ${what}`);
    if (name !== '200-percent') await accessible(chat, `the customer's chat, ${what}`);
    await shot(chat, `chat-${what}`);
    await desk.context().close();
    await chat.context().close();
  }
});
