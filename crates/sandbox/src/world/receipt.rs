//! Receipts: they drive a message's status, and those that break the rules are recorded.

use genesys::inbound::InboundReceipt;
use genesys::receipt::ReceiptStatus;
use jiff::Timestamp;

use super::normalized::general;
use super::{Address, Integration, Message, MessageChannel, NormalizedMessage, Status, World};
use crate::clock::{later, wire_time};
use crate::switches::{Late, Switches};
use crate::verdict::ReceiptFault;

/// The most receipts that are kept for one message.
const MAX_KEPT: usize = 100;

/// The result of a receipt.
#[derive(Debug)]
pub(crate) struct Receipted {
    /// The receipt as Genesys answers it, unless it is refused.
    pub(crate) answer: NormalizedMessage,
    /// Genesys's conversation id; `None` if there is no such message.
    pub(crate) conversation: Option<String>,
    /// Whether a switch requires its refusal.
    pub(crate) refused: bool,
    /// What the middleware did wrong, in the words of the transcript.
    pub(crate) faults: Vec<String>,
}

/// The rank of a status; a receipt must not lower it.
fn rank(status: Status) -> u8 {
    match status {
        Status::Received | Status::Queued => 0,
        Status::Sent | Status::Published => 1,
        Status::DeliverySuccess | Status::DeliveryFailed => 2,
        Status::Read | Status::Removed => 3,
    }
}

fn told_by(receipt: &ReceiptStatus) -> Status {
    match receipt {
        ReceiptStatus::Sent | ReceiptStatus::Other(_) => Status::Sent,
        ReceiptStatus::Delivered => Status::DeliverySuccess,
        ReceiptStatus::Failed => Status::DeliveryFailed,
        ReceiptStatus::Published => Status::Published,
        ReceiptStatus::Removed => Status::Removed,
        ReceiptStatus::Read => Status::Read,
    }
}

/// What a receipt for an existing message meets.
enum Standing {
    /// The message awaits its final receipt.
    Open,
    /// The final receipt has come already.
    Closed,
    /// A switch has it refused, in these words.
    TooLate(&'static str),
}

impl World {
    /// Accepts a receipt. One for a message that does not exist is recorded and has no effect.
    pub(crate) fn receipt(
        &mut self,
        integration: &Integration,
        receipt: &InboundReceipt,
        switches: &Switches,
        now: Timestamp,
    ) -> Receipted {
        let answer = echoed(integration, receipt);
        let known = self.messages.get(&receipt.id);
        let Some(message) =
            known.filter(|known| known.outbound && known.integration == integration.id)
        else {
            self.record.unknown_ids.push(fault(receipt, now));
            let faults = vec!["receipt for an unknown message".to_owned()];
            return Receipted { answer, conversation: None, refused: false, faults };
        };
        let conversation = message.conversation.clone();
        let standing = self.standing(message, switches, now);
        let mut faults = Vec::new();
        if message.customer != receipt.channel.to.id {
            self.record.wrong_customer.push(fault(receipt, now));
            faults.push("receipt names another customer".to_owned());
        }
        let refused = match standing {
            Standing::Open => {
                self.keep_receipt(&receipt.id, &conversation, &answer);
                faults.extend(self.follow(receipt, switches, now));
                false
            }
            Standing::Closed => {
                self.record.receipts_after_final.push(fault(receipt, now));
                faults.push("receipt after the final one".to_owned());
                let refused = switches.second_final_receipt == Late::Refuse;
                if !refused {
                    self.keep_receipt(&receipt.id, &conversation, &answer);
                }
                refused
            }
            Standing::TooLate(why) => {
                if receipt.is_final_receipt == Some(true) {
                    // The middleware can do no more.
                    self.outstanding.remove(&receipt.id);
                }
                faults.push(why.to_owned());
                true
            }
        };
        Receipted { answer, conversation: Some(conversation), refused, faults }
    }

    fn standing(&self, message: &Message, switches: &Switches, now: Timestamp) -> Standing {
        if message.closed {
            return Standing::Closed;
        }
        let window = switches.receipt_window.0;
        if !window.is_zero() && now > later(message.time, window) {
            return Standing::TooLate("receipt after the receipt_window");
        }
        let conversation = self.conversations.get(&message.conversation);
        let ended = conversation.is_some_and(|found| found.ended.is_some());
        if ended && switches.receipt_after_end == Late::Refuse {
            return Standing::TooLate("receipt after the conversation's end");
        }
        Standing::Open
    }

    /// Keeps a receipt for the reads of its message.
    fn keep_receipt(&mut self, id: &str, conversation: &str, receipt: &NormalizedMessage) {
        if let Some(message) = self.messages.get_mut(id)
            && message.receipts.len() < MAX_KEPT
        {
            message.receipts.push(receipt.clone());
        }
        self.desk.changed(conversation);
    }

    /// Applies a receipt that was kept to its message, unless it takes back an earlier one; returns
    /// what the middleware did wrong.
    fn follow(
        &mut self,
        receipt: &InboundReceipt,
        switches: &Switches,
        now: Timestamp,
    ) -> Option<String> {
        let message = self.messages.get_mut(&receipt.id)?;
        if receipt.is_final_receipt == Some(true) {
            message.closed = true;
            self.outstanding.remove(&receipt.id);
        }
        let status = told_by(&receipt.status);
        // A receipt may correct the failure of the webhook, but not an earlier receipt.
        let (before, after) = (rank(message.status), rank(status));
        let contradicts = after == 2 && before == 2 && status != message.status;
        if message.receipts.len() > 1 && (after < before || contradicts) {
            self.record.receipts_backwards.push(fault(receipt, now));
            return Some("receipt takes back an earlier one".to_owned());
        }
        let interim = matches!(status, Status::Sent | Status::Published | Status::Removed);
        if switches.interim_receipts || !interim {
            let reason = receipt.reasons.iter().flatten().next().cloned();
            message.failure = (status == Status::DeliveryFailed)
                .then(|| reason.unwrap_or_else(|| general("no reason was given".to_owned())));
            self.set_status(&receipt.id, status, now);
        }
        None
    }
}

/// The receipt as Genesys answers it.
fn echoed(integration: &Integration, receipt: &InboundReceipt) -> NormalizedMessage {
    let from = Address::of_integration(&integration.id, &integration.name);
    let to = Address::from(receipt.channel.to.clone());
    let (id, time) = (Some(receipt.id.clone()), receipt.channel.time.clone());
    let channel = MessageChannel::new(&integration.id, id.clone(), to, from, time);
    let mut answer = NormalizedMessage::new(id, "Receipt", channel);
    answer.status = Some(receipt.status.to_string());
    answer.is_final_receipt = receipt.is_final_receipt;
    answer.direction = Some("Outbound");
    answer.reasons = receipt.reasons.clone().filter(|reasons| !reasons.is_empty());
    answer
}

/// The receipt as the verdict lists it.
fn fault(receipt: &InboundReceipt, now: Timestamp) -> ReceiptFault {
    ReceiptFault {
        message: receipt.id.clone(),
        status: receipt.status.to_string(),
        at: wire_time(now),
    }
}
