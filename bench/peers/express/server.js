// A middleware between Genesys Cloud Open Messaging and a chat service, written by hand with
// Express. It is one process with everything in memory, so a crash loses the messages that it has
// answered with 200 and not yet delivered.
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import express from 'express'
import { Agent, request } from 'undici'

function setting(name) {
  if (!process.env[name]) throw new Error(`${name} is not set`)
  return process.env[name]
}
const WEBHOOK_SECRET = setting('WEBHOOK_SECRET')
const CHAT = `${setting('CHAT_URL').replace(/\/$/, '')}/conversations`
const CONNECTOR_KEY = Buffer.from(setting('CONNECTOR_SECRET').replace(/^whsec_/, ''), 'base64')
const GENESYS = setting('GENESYS_URL').replace(/\/$/, '')
const RECEIPTS = `${GENESYS}/api/v2/conversations/messages/${setting('INTEGRATION_ID')}/inbound/open/receipt`
const BASIC = Buffer.from(`${setting('CLIENT_ID')}:${setting('CLIENT_SECRET')}`).toString('base64')
const [RETRIES, RECEIPT_RETRIES, REMEMBERED_IDS] = [5, 3, 100_000]

// Keep-alive connections, at most 64 to each origin; calls beyond that wait in the agent.
const dispatcher = new Agent({ connections: 64, keepAliveTimeout: 30_000, headersTimeout: 10_000, bodyTimeout: 10_000 })
const backoff = (retry) => Math.min(200 * 2 ** retry, 5_000)

// Reads the answer's body to its end, because only then is the connection free for the next call.
async function post(url, more, body) {
  const headers = { 'content-type': 'application/json', ...more }
  const answer = await request(url, { method: 'POST', headers, body, dispatcher })
  const json = await answer.body.text().then(JSON.parse).catch(() => null) // not every answer has JSON
  return { status: answer.statusCode, headers: answer.headers, json }
}

// A call to the chat service, signed by Standard Webhooks; null if there is no answer.
async function callChat(customer, call, id, payload, more) {
  const body = JSON.stringify(payload)
  const at = String(Math.floor(Date.now() / 1000))
  const signature = `v1,${createHmac('sha256', CONNECTOR_KEY).update(`${id}.${at}.${body}`).digest('base64')}`
  const headers = { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signature, ...more }
  return post(`${CHAT}/${encodeURIComponent(customer)}/${call}`, headers, body).catch(() => null)
}

const sessions = new Map() // customer -> session

// The customer's session, which is opened if there is none; undefined if the service does not open
// one.
async function sessionOf(customer) {
  for (let retry = 0; !sessions.has(customer) && retry <= RETRIES; retry++) {
    if (retry > 0) await sleep(backoff(retry - 1))
    const answer = await callChat(customer, 'open', randomUUID(), { customer: { id: customer }, attempt: retry + 1 })
    if (answer?.status === 200 && answer.json?.session) sessions.set(customer, answer.json.session)
  }
  return sessions.get(customer)
}

const failed = (code, message) => ({ status: 'Failed', reasons: [{ message, code }] })

// Sends one message. Returns the fields of its receipt.
async function deliver({ id, to, text, time }) {
  for (let retry = 0; retry <= RETRIES; retry++) {
    const session = await sessionOf(to)
    if (!session) return failed('ServerError', 'the chat service opened no session')
    const payload = { id, time, text, content: [], session }
    // The key is the same for each try, so that the service drops a message that it has already
    // taken.
    const answer = await callChat(to, 'messages', id, payload, { 'idempotency-key': id })
    const status = answer?.status ?? 0
    if (status === 200 && answer.json?.status === 'delivered') return { status: 'Delivered' }
    if (status >= 200 && status < 300) return { status: 'Sent' }
    if (status === 409) { sessions.delete(to); continue } // the session is gone: open another, send again
    if (status >= 400 && status < 500) return failed('GeneralError', `the chat service answered ${status}`)
    if (retry < RETRIES) await sleep(backoff(retry))
  }
  return failed('ServerError', 'the chat service did not take the message')
}

// { headers, until }; the headers are a promise, so that all calls wait for the same fetch.
let token = null

function bearer() {
  if (token && Date.now() < token.until) return token
  const fresh = { until: Infinity }
  fresh.headers = fetchToken(fresh)
  fresh.headers.catch(() => { fresh.until = 0 }) // the next call fetches again
  return (token = fresh)
}

async function fetchToken(fresh) {
  const headers = { authorization: `Basic ${BASIC}`, 'content-type': 'application/x-www-form-urlencoded' }
  const { status, json } = await post(`${GENESYS}/oauth/token`, headers, 'grant_type=client_credentials')
  if (status !== 200 || !json?.access_token) throw new Error(`no token: ${status}`)
  fresh.until = Date.now() + ((json.expires_in ?? 300) - 60) * 1000 // a minute early
  return { authorization: `Bearer ${json.access_token}` }
}

async function postReceipt({ id, to, idType }, fate) {
  const channel = { to: { id: to, idType }, time: new Date().toISOString() }
  const body = JSON.stringify({ id, channel, ...fate, isFinalReceipt: true })
  for (let retry = 0; ; retry++) {
    const used = bearer()
    const answer = await used.headers.then((headers) => post(RECEIPTS, headers, body)).catch(() => null)
    const status = answer?.status ?? 0
    if (status >= 200 && status < 300) return
    if (status === 401) used.until = 0 // Genesys refused it early
    const again = [0, 401, 429].includes(status) || status >= 500
    if (!again || retry >= RECEIPT_RETRIES) return console.error(`no receipt for ${id}: ${status || 'no answer'}`)
    await sleep(Number(answer?.headers['retry-after']) * 1000 || backoff(retry)) // a 429 says how long to wait
  }
}

// customer -> messages, the first of which is being sent; removed when there are none
const queues = new Map()
const seen = new Map() // ids that came, because Genesys repeats a webhook whose answer it missed
// One iterator for the whole run, because a new one would step over all deleted entries again.
const oldest = seen.keys()

function isNew(id) {
  if (seen.has(id)) return false
  if (seen.set(id, true).size > REMEMBERED_IDS) seen.delete(oldest.next().value)
  return true
}

// Sends one message after the other, so that a customer reads them in order. The receipts do not
// delay the next message.
async function work(customer, queue) {
  for (; queue.length > 0; queue.shift()) {
    const fate = await deliver(queue[0]).catch((error) => failed('GeneralError', error.message))
    postReceipt(queue[0], fate).catch(console.error)
  }
  queues.delete(customer)
}

function isSigned(header = '', body) {
  const expected = Buffer.from(`sha256=${createHmac('sha256', WEBHOOK_SECRET).update(body).digest('base64')}`)
  const given = Buffer.from(header)
  return given.length === expected.length && timingSafeEqual(given, expected)
}

// The signature covers the bytes as they came, so nothing may parse or inflate them before.
const raw = express.raw({ type: () => true, limit: '1mb', inflate: false })
express().disable('x-powered-by').post('/genesys/acme', raw, (req, res) => {
  const bytes = req.body ?? Buffer.alloc(0) // there is none without a body
  if (!isSigned(req.get('x-hub-signature-256'), bytes)) return res.sendStatus(401)
  const { id, type, direction, text, channel } = JSON.parse(bytes) // Express answers 500 if it throws
  res.sendStatus(200)
  if (direction !== 'Outbound' || !['Text', 'Structured'].includes(type)) return
  const to = channel?.to
  if (!id || !to?.id || !isNew(id)) return
  const idType = ['Email', 'Phone', 'Opaque'].includes(to.idType) ? to.idType : 'Opaque' // a receipt needs one of them
  const message = { id, to: to.id, idType, text: text ?? null, time: channel.time }
  if (queues.has(to.id)) return queues.get(to.id).push(message) // `work` is sending them
  queues.set(to.id, [message])
  work(to.id, queues.get(to.id))
}).listen(Number(setting('PORT')), '127.0.0.1', (error) => {
  if (error) throw error
  console.log('ready')
})
