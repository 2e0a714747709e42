//! Receipts: they drive a message's status, and those that break the rules are recorded.

use genesys::inbound::InboundReceipt;
use genesys::receipt::ReceiptStatus;
use jiff::Timestamp;

use super::normalized::general;
use super::{Address, Integration, MessageChannel, NormalizedMessage, Status, World};
use crate::clock::{later, wire_time};
use crate::switches::{Late, Switches};
use crate::verdict::ReceiptFault;

/// The most receipts that are kept for one message.
const MAX_KEPT: usize = 100;

/// The result of a receipt.
#[derive(Debug)]
pub(crate) struct Receipted {
    /// The answer.
    pub(crate) answer: NormalizedMessage,
    /// Genesys's conversation id; `None` if there is no such message.
    pub(crate) conversation: Option<String>,
    /// Whether a switch requires its refusal.
    pub(crate) refused: bool,
    /// What the middleware did wrong.
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

impl World {
    /// Accepts a receipt. One for a message that does not exist is recorded and has no effect.
    pub(crate) fn receipt(
        &mut self,
        integration: &Integration,
        receipt: &InboundReceipt,
        switches: &Switches,
        now: Timestamp,
    ) -> Receipted {
        let fault = || ReceiptFault {
            message: receipt.id.clone(),
            status: receipt.status.to_string(),
            at: wire_time(now),
        };
        let from = Address::of_integration(&integration.id, &integration.name);
        let to = Address::from(receipt.channel.to.clone());
        let channel = MessageChannel::new(
            &integration.id,
            Some(receipt.id.clone()),
            to,
            from,
            receipt.channel.time.clone(),
        );
        let mut answer = NormalizedMessage::new(Some(receipt.id.clone()), "Receipt", channel);
        answer.status = Some(receipt.status.to_string());
        answer.is_final_receipt = receipt.is_final_receipt;
        answer.direction = Some("Outbound");
        answer.reasons = receipt.reasons.clone().filter(|reasons| !reasons.is_empty());

        let known = self.messages.get_mut(&receipt.id);
        let Some(message) =
            known.filter(|known| known.outbound && known.integration == integration.id)
        else {
            self.record.unknown_ids.push(fault());
            let faults = vec!["receipt for an unknown message".to_owned()];
            return Receipted { answer, conversation: None, refused: false, faults };
        };
        let conversation = Some(message.conversation.clone());
        let mut faults = Vec::new();
        if message.customer != receipt.channel.to.id {
            self.record.wrong_customer.push(fault());
            faults.push("receipt names another customer".to_owned());
        }
        let is_final = receipt.is_final_receipt == Some(true);
        let ended = self
            .conversations
            .get(&message.conversation)
            .is_some_and(|found| found.ended.is_some());
        let window = switches.receipt_window.0;
        let too_late = if !window.is_zero() && now > later(message.time, window) {
            Some("receipt after the receipt_window")
        } else {
            (ended && switches.receipt_after_end == Late::Refuse)
                .then_some("receipt after the conversation's end")
        };
        if let Some(fault) = too_late.filter(|_| !message.closed) {
            if is_final {
                // The middleware can do no more.
                self.outstanding.remove(&receipt.id);
            }
            faults.push(fault.to_owned());
            return Receipted { answer, conversation, refused: true, faults };
        }
        if message.closed && switches.second_final_receipt == Late::Refuse {
            self.record.receipts_after_final.push(fault());
            faults.push("receipt after the final one".to_owned());
            return Receipted { answer, conversation, refused: true, faults };
        }
        if message.receipts.len() < MAX_KEPT {
            message.receipts.push(answer.clone());
        }
        self.desk.changed(&message.conversation);
        if message.closed {
            self.record.receipts_after_final.push(fault());
            faults.push("receipt after the final one".to_owned());
            return Receipted { answer, conversation, refused: false, faults };
        }
        let status = told_by(&receipt.status);
        // A receipt may correct the failure of the webhook, but not an earlier receipt.
        let (before, after) = (rank(message.status), rank(status));
        let contradicts = after == 2 && before == 2 && status != message.status;
        let backwards = message.receipts.len() > 1 && (after < before || contradicts);
        if backwards {
            self.record.receipts_backwards.push(fault());
            faults.push("receipt takes back an earlier one".to_owned());
        }
        if is_final {
            message.closed = true;
            self.outstanding.remove(&receipt.id);
        }
        let interim = matches!(status, Status::Sent | Status::Published | Status::Removed);
        if !backwards && (switches.interim_receipts || !interim) {
            let reason = receipt.reasons.iter().flatten().next().cloned();
            message.failure = (status == Status::DeliveryFailed)
                .then(|| reason.unwrap_or_else(|| general("no reason was given".to_owned())));
            self.set_status(&receipt.id, status, now);
        }
        Receipted { answer, conversation, refused: false, faults }
    }
}
