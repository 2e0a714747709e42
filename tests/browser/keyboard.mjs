// Everything by the keyboard alone, with the focus always in sight.

import assert from 'node:assert/strict';
import { at, open, play, row, says } from './stage.mjs';

const focused = (page) =>
  page.evaluate(() => {
    const { activeElement: element } = document;
    const style = getComputedStyle(element);
    const box = element.closest('.box');
    const ring = (of) => of.outlineStyle !== 'none' && parseFloat(of.outlineWidth) > 0;
    const place = element.getBoundingClientRect();
    return {
      name: element.getAttribute('aria-label') ?? element.labels?.[0]?.textContent ?? element.textContent.trim(),
      id: element.id,
      body: element === document.body,
      visible: ring(style) || (box !== null && getComputedStyle(box).boxShadow !== 'none'),
      within: place.width > 0 && place.bottom > 0 && place.top < innerHeight,
    };
  });

// Goes on with Tab until `reached`; every stop has a name and a visible focus.
async function tabTo(page, reached, key = 'Tab') {
  for (let stop = 0; stop < 40; stop += 1) {
    await page.keyboard.press(key);
    const now = await focused(page);
    if (now.body) continue;
    assert.ok(now.name !== '' || now.id !== '', 'what has the focus has a name');
    assert.ok(now.visible && now.within, `the focus is visible on “${now.name}” (${now.id})`);
    if (reached(now)) return now;
  }
  throw new Error(`${reached} is not reached by the keyboard`);
}

await play(async (browser) => {
  const desk = await open(browser, at.desktop);
  await says('noor', 'Where is my parcel?');
  await row(desk, 'Noor').waitFor();
  await says('emil', 'Hello');
  await row(desk, 'Emil').waitFor();

  // From row to row, and into the conversation.
  await tabTo(desk, ({ name }) => name.startsWith('Skip'));
  await tabTo(desk, ({ name }) => name.includes('Emil'));
  await desk.keyboard.press('ArrowDown');
  assert.match((await focused(desk)).name, /Noor/);
  await desk.keyboard.press('Enter');
  await desk.waitForFunction(() => document.activeElement.id === 'text');
  await desk.keyboard.type('Good morning,');
  await desk.keyboard.press('Shift+Enter');
  await desk.keyboard.type('Noor.');
  await desk.keyboard.press('Enter');
  const message = desk.locator('.message.out');
  await message.waitFor();
  assert.equal(await message.locator('.text').textContent(), 'Good morning,\nNoor.');

  // To the tick and what stands behind it; it stays unfolded, and keeps the focus, when the tick turns.
  await tabTo(desk, ({ name }) => name === 'Sent', 'Shift+Tab');
  await desk.keyboard.press('Enter');
  await message.locator('.behind').waitFor();
  await message.getByRole('button', { name: 'Delivered', exact: true }).waitFor();
  assert.equal((await focused(desk)).name, 'Delivered');
  assert.equal(await message.locator('.behind').isVisible(), true);
  await desk.keyboard.press('Space');
  assert.equal(await message.locator('.behind').isVisible(), false);

  // A dialog can be left without doing anything, and the focus goes back.
  await tabTo(desk, ({ name }) => name === 'End', 'Shift+Tab');
  await desk.keyboard.press('Enter');
  await desk.locator('#dialog-end').waitFor();
  await desk.keyboard.press('Escape');
  assert.equal((await focused(desk)).id, 'end');
  await desk.keyboard.press('Enter');
  await tabTo(desk, ({ name }) => name === 'End conversation');
  await desk.keyboard.press('Enter');
  await desk.getByText('Agent One ended the conversation').waitFor();

  // What a screen reader is told.
  await says('noor', 'Are you there?');
  await desk.locator('#news', { hasText: 'Noor: Are you there?' }).waitFor({ state: 'attached' });

  // The customer's page.
  const chat = await open(browser, `${at.chat}#emil`);
  await chat.locator('.me', { hasText: 'Hello' }).waitFor();
  await tabTo(chat, ({ name }) => name === 'Mei', 'Shift+Tab');
  await chat.keyboard.press('Enter');
  await chat.waitForFunction(() => document.activeElement.id === 'text');
  await chat.keyboard.type('By keyboard');
  await chat.keyboard.press('Enter');
  await row(desk, 'Mei').waitFor();
});
