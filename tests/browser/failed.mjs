// A handshake never ends: the agent's message fails, and its reason is one click away. Hostile texts stay texts. A
// conversation is transferred and ended.

import assert from 'node:assert/strict';
import { answer, at, open, play, row, says, shot } from './stage.mjs';

const HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script> {{7*7}} \u202egnp.exe';

await play(async (browser) => {
  const desk = await open(browser, at.desktop);
  await says('never-ready', 'Hello?');
  await says('noor', 'Where is my parcel?');
  const message = await answer(desk, 'Never ready', 'How can I help?');
  await message.getByRole('button', { name: 'Sent', exact: true }).waitFor();
  const chat = await open(browser, `${at.chat}#never-ready`);
  await chat.getByText('For this customer it never ends').waitFor();

  // Meanwhile another conversation goes its way.
  await says(HOSTILE, HOSTILE);
  const hostile = row(desk, HOSTILE);
  await hostile.waitFor();
  const other = await answer(desk, HOSTILE, 'I see.');
  assert.equal(await desk.locator('.message.in .text').first().textContent(), HOSTILE);
  assert.equal(await desk.locator('.messages img, .messages script, .list img, .list script').count(), 0);
  assert.match(await desk.title(), /^(\(\d+\) )?Agent desktop$/);
  await other.getByRole('button', { name: 'Delivered', exact: true }).waitFor();

  await row(desk, 'Never ready').locator('.tick.failed').waitFor();
  await row(desk, 'Never ready').click();
  const why = message.getByRole('button', { name: /Not delivered/ });
  await why.waitFor();
  assert.equal(await why.getAttribute('aria-expanded'), 'false');
  assert.equal(await message.getByText('MessageExpired').first().isVisible(), false);
  await why.click();
  await message.getByText("MessageExpired: the customer's chat session was not ready in time").waitFor();
  await message.getByText('Failed, final').waitFor();
  await message.getByText('As Genesys has it').click();
  const raw = JSON.parse(await message.locator('pre').textContent());
  assert.equal(raw.errorInfo.code, 'DELIVERY_FAILED');
  assert.equal(raw.normalizedReceipts[0].reasons[0].code, 'MessageExpired');
  await message.getByText('As Genesys has it').click();
  assert.equal(await chat.locator('.agent').count(), 0, 'the customer never saw it');
  await shot(desk, 'desktop-failed');

  // Once more, as a new message: with an id of its own, on its way again.
  await message.getByRole('button', { name: 'Send again' }).click();
  await desk.locator('.message.out', { hasText: 'How can I help?' }).nth(1).waitFor();

  await row(desk, 'Noor').click();
  await desk.locator('#thread-title', { hasText: 'Noor' }).waitFor();
  await desk.getByRole('button', { name: 'Transfer' }).click();
  await desk.locator('#dialog-transfer').getByRole('button', { name: 'Transfer' }).click();
  await desk.getByText('Agent One transferred to Agent Two').waitFor();
  await answer(desk, 'Noor', 'Agent Two here.');
  await desk.getByRole('button', { name: 'End', exact: true }).click();
  await desk.locator('#dialog-end').getByRole('button', { name: 'End conversation' }).click();
  await desk.getByText('Agent Two ended the conversation').waitFor();
  assert.equal(await desk.locator('#text').isDisabled(), true);
  await row(desk, 'Noor').getByText('Ended').waitFor();
  await chat.getByRole('button', { name: 'Noor' }).click();
  await chat.getByText('The chat has ended').waitFor();

  // The customer comes back into the same conversation.
  await says('noor', 'One more thing');
  await desk.locator('.message.in', { hasText: 'One more thing' }).waitFor();
  await desk.waitForFunction(() => !document.getElementById('text').disabled);
});
