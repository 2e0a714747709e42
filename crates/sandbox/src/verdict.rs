//! What the middleware did wrong, gathered as it happens.

use serde::Serialize;

/// The longest list; what comes after is only counted.
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
    /// The id that the receipt names.
    pub message: String,
    /// Its status.
    pub status: String,
    /// When it came.
    pub at: String,
}

/// A webhook call without a 2xx answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WebhookFault {
    /// The message.
    pub message: String,
    /// The answer's status; absent if no answer came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Which try it was, from 1.
    pub attempt: u32,
    /// When.
    pub at: String,
}

/// A call that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedCall {
    /// Its path.
    pub path: String,
    /// What was wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub at: String,
}

/// What the middleware did so far: `GET /sandbox/verdict`.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Whether every list that tells of a fault of the middleware is empty (all but `rate_limited`,
    /// `webhook_unanswered`, `failed_webhooks` and `inbound_duplicates`, which may be anybody's doing).
    pub holds: bool,
    /// Messages that went to the middleware, typing not counted.
    pub messages: u64,
    /// Messages that came from the middleware.
    pub inbound: u64,
    /// Messages that were answered with a 2xx, or are on their way, and have no final receipt.
    pub without_final_receipt: Vec<String>,
    /// Receipts for a message that had its final one.
    pub receipts_after_final: Vec<ReceiptFault>,
    /// Receipts that take back what an earlier one said.
    pub receipts_backwards: Vec<ReceiptFault>,
    /// Receipts that name another customer than the message's.
    pub wrong_customer: Vec<ReceiptFault>,
    /// Receipts for a message that does not exist, is inbound, or belongs to another integration.
    pub unknown_ids: Vec<ReceiptFault>,
    /// Webhook answers other than 2xx, without those that an injected fault provoked.
    pub webhook_not_2xx: Vec<WebhookFault>,
    /// Webhook calls that no answer came to.
    pub webhook_unanswered: Vec<WebhookFault>,
    /// Messages whose webhook failed for good.
    pub failed_webhooks: Vec<String>,
    /// Calls that were answered with 429 because of the rate limit.
    pub rate_limited: Vec<RefusedCall>,
    /// Bodies that were refused.
    pub invalid_bodies: Vec<RefusedCall>,
    /// `channel.messageId`s that came more than once.
    pub inbound_duplicates: Vec<String>,
    /// Entries that found no place in the lists above, each of which ends at 10,000.
    pub unlisted: u64,
}

/// The lists behind a [`Verdict`], but for those that the messages themselves tell.
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
    pub(crate) failed_webhooks: Listed<String>,
    pub(crate) rate_limited: Listed<RefusedCall>,
    pub(crate) invalid_bodies: Listed<RefusedCall>,
    pub(crate) inbound_duplicates: Listed<String>,
}

impl Record {
    /// The verdict, given the messages that still want a final receipt.
    pub(crate) fn verdict<'a>(
        &self,
        outstanding: impl ExactSizeIterator<Item = &'a str>,
    ) -> Verdict {
        let over = outstanding.len().saturating_sub(MAX_LISTED) as u64;
        let without_final_receipt: Vec<_> =
            outstanding.take(MAX_LISTED).map(str::to_owned).collect();
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
            failed_webhooks: self.failed_webhooks.items.clone(),
            rate_limited: self.rate_limited.items.clone(),
            invalid_bodies: self.invalid_bodies.items.clone(),
            inbound_duplicates: self.inbound_duplicates.items.clone(),
            unlisted: unlisted.iter().sum(),
        }
    }
}
