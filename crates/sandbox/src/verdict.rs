//! What the middleware did wrong, gathered as it happens.

use serde::Serialize;

/// The maximum length of a list; further items are only counted.
const MAX_LISTED: usize = 10_000;

/// A list that stops growing.
#[derive(Clone, Debug)]
pub(crate) struct Listed<T> {
    items: Vec<T>,
    pub(crate) unlisted: u64,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { items: Vec::new(), unlisted: 0 }
    }
}

impl<T> Listed<T> {
    pub(crate) fn push(&mut self, item: T) {
        if self.items.len() < MAX_LISTED {
            self.items.push(item);
        } else {
            self.unlisted += 1;
        }
    }
}

/// A receipt that should not have come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceiptFault {
    /// The message id that the receipt names, which may be unknown.
    pub message: String,
    /// The status that it reports, such as `Delivered`.
    pub status: String,
    /// When it came, on the sandbox's clock.
    pub at: String,
}

/// A webhook call without a 2xx answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WebhookFault {
    /// The id of the message that was sent.
    pub message: String,
    /// The HTTP status of the answer; absent if no answer came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// When the attempt ended, on the sandbox's clock.
    pub at: String,
}

/// A call that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedCall {
    /// Its path with its query.
    pub path: String,
    /// What was wrong with its body: the field and the reason, never the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was answered, on the sandbox's clock.
    pub at: String,
}

/// One thing that went wrong, and when: a line of the verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerdictRow {
    /// When it happened, on the sandbox's clock. For a message without a final receipt, when it was
    /// sent.
    pub at: String,
    /// The kind of fault, such as `receipt after the final one`.
    pub fault: &'static str,
    /// The id of the message, or the path of the call.
    pub about: String,
    /// What was wrong; empty if the kind says it all.
    pub what: String,
    /// Whether the middleware is to blame. If not, anyone may have caused it.
    pub counts: bool,
}

/// What the middleware did so far, or since the last reset: `GET /sandbox/verdict`.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Whether every list of faults of the middleware is empty: all except `rate_limited`,
    /// `webhook_unanswered`, `failed_webhooks` and `inbound_duplicates`, which anyone may have
    /// caused.
    pub holds: bool,
    /// Messages that went to the middleware, typing not counted.
    pub messages: u64,
    /// Messages that came from the middleware.
    pub inbound: u64,
    /// Messages that were answered with a 2xx, or are on their way, and have no final receipt.
    pub without_final_receipt: Vec<String>,
    /// Receipts for a message that already had its final one.
    pub receipts_after_final: Vec<ReceiptFault>,
    /// Receipts that take back what an earlier one said.
    pub receipts_backwards: Vec<ReceiptFault>,
    /// Receipts that name another customer than the message's.
    pub wrong_customer: Vec<ReceiptFault>,
    /// Receipts for a message that does not exist, is inbound, or belongs to another integration.
    pub unknown_ids: Vec<ReceiptFault>,
    /// Webhook answers other than 2xx, except those that an injected fault provoked.
    pub webhook_not_2xx: Vec<WebhookFault>,
    /// Webhook calls without an answer.
    pub webhook_unanswered: Vec<WebhookFault>,
    /// Messages whose webhook failed for good.
    pub failed_webhooks: Vec<String>,
    /// Calls that were answered with 429 because of the rate limit.
    pub rate_limited: Vec<RefusedCall>,
    /// Bodies that were refused.
    pub invalid_bodies: Vec<RefusedCall>,
    /// `channel.messageId`s that came more than once.
    pub inbound_duplicates: Vec<String>,
    /// Entries that did not fit into the lists above, each of which holds at most 10,000.
    pub unlisted: u64,
    /// Everything in the lists above, in order of time.
    pub rows: Vec<VerdictRow>,
}

/// Something that a list names by its id alone, and when it happened.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) id: String,
    pub(crate) at: String,
}

fn ids(named: &[Named]) -> Vec<String> {
    named.iter().map(|each| each.id.clone()).collect()
}

/// The lists behind a [`Verdict`], except those that follow from the messages themselves.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) messages: u64,
    pub(crate) inbound: u64,
    pub(crate) receipts_after_final: Listed<ReceiptFault>,
    pub(crate) receipts_backwards: Listed<ReceiptFault>,
    pub(crate) wrong_customer: Listed<ReceiptFault>,
    pub(crate) unknown_ids: Listed<ReceiptFault>,
    pub(crate) webhook_not_2xx: Listed<WebhookFault>,
    pub(crate) webhook_unanswered: Listed<WebhookFault>,
    pub(crate) failed_webhooks: Listed<Named>,
    pub(crate) rate_limited: Listed<RefusedCall>,
    pub(crate) invalid_bodies: Listed<RefusedCall>,
    pub(crate) inbound_duplicates: Listed<Named>,
}

impl Record {
    /// The verdict, given the messages that still need a final receipt, oldest first.
    pub(crate) fn verdict(&self, mut outstanding: Vec<Named>) -> Verdict {
        let over = outstanding.len().saturating_sub(MAX_LISTED) as u64;
        outstanding.truncate(MAX_LISTED);
        let without_final_receipt = ids(&outstanding);
        let unlisted = [
            self.receipts_after_final.unlisted,
            self.receipts_backwards.unlisted,
            self.wrong_customer.unlisted,
            self.unknown_ids.unlisted,
            self.webhook_not_2xx.unlisted,
            self.webhook_unanswered.unlisted,
            self.failed_webhooks.unlisted,
            self.rate_limited.unlisted,
            self.invalid_bodies.unlisted,
            self.inbound_duplicates.unlisted,
            over,
        ];
        let holds = without_final_receipt.is_empty()
            && self.receipts_after_final.items.is_empty()
            && self.receipts_backwards.items.is_empty()
            && self.wrong_customer.items.is_empty()
            && self.unknown_ids.items.is_empty()
            && self.webhook_not_2xx.items.is_empty()
            && self.invalid_bodies.items.is_empty();
        Verdict {
            holds,
            messages: self.messages,
            inbound: self.inbound,
            without_final_receipt,
            receipts_after_final: self.receipts_after_final.items.clone(),
            receipts_backwards: self.receipts_backwards.items.clone(),
            wrong_customer: self.wrong_customer.items.clone(),
            unknown_ids: self.unknown_ids.items.clone(),
            webhook_not_2xx: self.webhook_not_2xx.items.clone(),
            webhook_unanswered: self.webhook_unanswered.items.clone(),
            failed_webhooks: ids(&self.failed_webhooks.items),
            rate_limited: self.rate_limited.items.clone(),
            invalid_bodies: self.invalid_bodies.items.clone(),
            inbound_duplicates: ids(&self.inbound_duplicates.items),
            unlisted: unlisted.iter().sum(),
            rows: self.rows(&outstanding),
        }
    }

    /// Everything in one list, in order of time.
    fn rows(&self, outstanding: &[Named]) -> Vec<VerdictRow> {
        let mut rows = Vec::new();
        rows.extend(outstanding.iter().map(|each| of_named("no final receipt", true, each)));
        for (fault, list) in [
            ("receipt after the final one", &self.receipts_after_final),
            ("receipt takes an earlier one back", &self.receipts_backwards),
            ("receipt names another customer", &self.wrong_customer),
            ("receipt for an unknown message", &self.unknown_ids),
        ] {
            rows.extend(list.items.iter().map(|each| of_receipt(fault, each)));
        }
        let webhooks = &self.webhook_not_2xx.items;
        rows.extend(webhooks.iter().map(|each| of_webhook("webhook answer is no 2xx", true, each)));
        let unanswered = &self.webhook_unanswered.items;
        rows.extend(unanswered.iter().map(|each| of_webhook("webhook got no answer", false, each)));
        rows.extend(
            self.rate_limited.items.iter().map(|each| of_call("request over the limit", each)),
        );
        rows.extend(self.invalid_bodies.items.iter().map(|each| of_call("invalid request", each)));
        rows.extend(
            self.failed_webhooks
                .items
                .iter()
                .map(|each| of_named("webhook failed for good", false, each)),
        );
        rows.extend(
            self.inbound_duplicates
                .items
                .iter()
                .map(|each| of_named("messageId came again", false, each)),
        );
        // The times have one format, in UTC, so they sort as text. Rows of the same millisecond
        // stay in the order above.
        rows.sort_by(|one, other| one.at.cmp(&other.at));
        rows
    }
}

fn of_named(fault: &'static str, counts: bool, named: &Named) -> VerdictRow {
    VerdictRow { at: named.at.clone(), fault, about: named.id.clone(), what: String::new(), counts }
}

fn of_receipt(fault: &'static str, receipt: &ReceiptFault) -> VerdictRow {
    let (at, about, what) = (receipt.at.clone(), receipt.message.clone(), receipt.status.clone());
    VerdictRow { at, fault, about, what, counts: true }
}

fn of_webhook(fault: &'static str, counts: bool, webhook: &WebhookFault) -> VerdictRow {
    let status = webhook.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let what = format!("{status}, attempt {}", webhook.attempt);
    VerdictRow { at: webhook.at.clone(), fault, about: webhook.message.clone(), what, counts }
}

fn of_call(fault: &'static str, call: &RefusedCall) -> VerdictRow {
    let what = call.reason.clone().unwrap_or_default();
    VerdictRow { at: call.at.clone(), fault, about: call.path.clone(), what, counts: true }
}
