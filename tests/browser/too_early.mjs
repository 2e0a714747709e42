// A customer writes; the agent answers while the handshake goes on, and sees one tick, then two. Then files, quick
// replies and typing go from one to the other.

import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { answer, at, open, play, row, shot, wasRefused } from './stage.mjs';

// The smallest picture.
const PICTURE = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

await play(async (browser) => {
  const desk = await open(browser, at.desktop);
  const chat = await open(browser, `${at.chat}#noor`);
  await desk.getByText('No conversation yet').waitFor();
  await chat.locator('#text').fill('Where is my parcel?');
  await chat.keyboard.press('Enter');

  // It is there by itself, as unread.
  await row(desk, 'Noor').locator('.badge', { hasText: '1' }).waitFor();
  await chat.getByText('The handshake goes on').waitFor();
  const message = await answer(desk, 'Noor', 'Good morning, Noor.');
  assert.equal(await row(desk, 'Noor').locator('.badge').count(), 0, 'what is open counts as read');
  await message.getByRole('button', { name: 'Sent', exact: true }).waitFor();
  assert.equal(await chat.locator('.agent').count(), 0, 'nothing reaches the customer before the handshake has ended');
  assert.equal(await chat.locator('#handshake').isVisible(), true);
  assert.ok((await chat.locator('#progress').getAttribute('value')) > 0, 'the handshake is seen to go on');
  await shot(desk, 'desktop-one-tick');
  await shot(chat, 'chat-handshake');

  await chat.locator('.agent', { hasText: 'Good morning, Noor.' }).waitFor();
  assert.equal(await chat.locator('#handshake').isVisible(), false);
  await message.getByRole('button', { name: 'Delivered', exact: true }).waitFor();
  await message.getByRole('button', { name: 'Delivered', exact: true }).click();
  await message.getByText('Delivered, final').waitFor();
  await row(desk, 'Noor').locator('.tick.delivered').waitFor();

  // Each sees that the other types.
  await chat.locator('#text').pressSequentially('Oh');
  await desk.locator('#typing', { hasText: 'Noor types' }).waitFor();
  await row(desk, 'Noor').getByText('types…').waitFor();
  await chat.keyboard.press('Enter');
  await desk.locator('.message.in', { hasText: 'Oh' }).waitFor();
  await desk.locator('#typing').waitFor({ state: 'hidden' });
  await desk.locator('#text').pressSequentially('One');
  await chat.locator('#typing').waitFor();

  // A file is dropped; a text goes with it as a message of its own.
  const files = await desk.evaluateHandle((picture) => {
    const bytes = Uint8Array.from(atob(picture), (letter) => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], 'label.png', { type: 'image/png' }));
    return transfer;
  }, PICTURE);
  await desk.dispatchEvent('#scroll', 'dragenter', { dataTransfer: files });
  await desk.locator('#drop').waitFor();
  await desk.dispatchEvent('#scroll', 'drop', { dataTransfer: files });
  await desk.locator('#staged', { hasText: 'label.png' }).waitFor();
  await desk.locator('#send').click();
  const picture = desk.locator('.message.out', { has: desk.locator('img[alt="label.png"]') });
  await picture.getByRole('button', { name: 'Delivered', exact: true }).waitFor();
  await desk.waitForFunction(() => document.querySelector('img[alt="label.png"]').naturalWidth === 1);
  const address = await chat.getByRole('link', { name: 'File: label.png' }).getAttribute('href');
  const file = Buffer.from(await (await fetch(address)).arrayBuffer());
  assert.equal(file.toString('base64'), PICTURE, 'the customer can fetch what was attached');
  await chat.locator('.agent', { hasText: 'One' }).waitFor();

  // What the supported content does not allow is not sent, and nothing of it is lost.
  const form = { name: 'form.pdf', mimeType: 'application/pdf', buffer: Buffer.from('%PDF-1.4') };
  await desk.locator('#file').setInputFiles(form);
  await desk.locator('#text').fill('Fill this in, please.');
  await desk.locator('#send').click();
  await desk.locator('#wrong', { hasText: 'supported content does not allow this type' }).waitFor();
  await desk.locator('#staged', { hasText: 'form.pdf' }).waitFor();
  wasRefused(desk, 400);
  assert.equal(await desk.locator('#text').inputValue(), 'Fill this in, please.');
  await shot(desk, 'desktop-refused-file');
  await desk.getByRole('button', { name: 'Remove form.pdf' }).click();
  await desk.locator('#send').click();
  await chat.locator('.agent', { hasText: 'Fill this in, please.' }).waitFor();
  assert.equal(await desk.locator('#wrong').isVisible(), false);

  // A bot's words are not the agent's.
  const bot = { customer: 'noor', from: 'bot', text: 'This is what the flow says.' };
  await fetch(new URL('/sandbox/agent/send', at.desktop), { method: 'POST', body: JSON.stringify(bot) });
  const flow = desk.locator('.message.out', { hasText: bot.text });
  await flow.locator('.under', { hasText: 'Bot' }).waitFor();
  await flow.getByRole('button', { name: 'Delivered', exact: true }).waitFor();
  assert.equal(await desk.locator('.message.out .under', { hasText: 'Bot' }).count(), 1);

  // Quick replies, and what the customer chooses.
  await desk.getByRole('button', { name: 'Send quick replies' }).click();
  await desk.locator('#dialog-replies').getByRole('button', { name: 'Send' }).click();
  await chat.getByRole('button', { name: 'On Saturday' }).click();
  await desk.locator('.message.in', { hasText: 'On Saturday' }).waitFor();
  await desk.getByRole('button', { name: 'Send a card' }).click();
  await desk.locator('#dialog-card').getByRole('button', { name: 'Send' }).click();
  await chat.locator('.card', { hasText: 'Parcel 4711' }).waitFor();
  await desk.locator('.message.out', { hasText: 'Parcel 4711' }).getByRole('button', { name: 'Delivered', exact: true }).waitFor();
  await shot(desk, 'desktop-delivered');
  await shot(chat, 'chat-open');
});
