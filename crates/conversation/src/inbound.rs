//! Customers' messages, and everything else that Genesys is owed: sent in order, one at a time,
//! until Genesys takes it.

use std::time::Duration;

use crate::input::{Effect, Ignored};
use crate::mutant::{self, Mutant};
use crate::owed::{Owed, PostResult};
use crate::policy::{CustomerLeft, HandshakeStart, InboundPolicy, NoticeKind};
use crate::record::Record;
use crate::state::{Conversation, Session, later};
use crate::turn::Turn;
use crate::{MessageId, Reason, ReasonCode};

impl Conversation {
    /// Whether messages wait that only a session can help.
    pub(crate) fn needs_session(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn owes(&self, wanted: impl Fn(&Owed) -> bool) -> bool {
        self.owed.iter().any(wanted)
    }
}

impl Turn<'_> {
    /// The customer wrote something.
    pub(crate) fn accept_inbound(&mut self, message: MessageId) {
        let hold = match self.policy.hold.inbound {
            InboundPolicy::Forward => Duration::ZERO,
            InboundPolicy::AfterHandshake => self.policy.hold.limit,
        };
        self.record(Record::InboundAccepted { message, hold_until: later(self.now, hold) });
        let wants_session = self.policy.hold.start == HandshakeStart::FirstInbound
            || self.policy.hold.inbound == InboundPolicy::AfterHandshake;
        if wants_session {
            self.start_handshake();
        }
    }

    /// Releases the next customer's message, if no other is on its way.
    pub(crate) fn release_inbound(&mut self) {
        let Some(first) = self.conversation.next_inbound() else { return };
        // A customer's words are never kept for a session that will not come (I11).
        let handshake = matches!(self.conversation.session, Session::Opening { .. });
        if !handshake || first.hold_until <= self.now {
            let message = first.message.clone();
            self.record(Record::InboundReleased { message: message.clone() });
            self.effect(Effect::Post(Owed::Inbound { message }));
        }
    }

    /// Genesys took a customer's message, or never will.
    pub(crate) fn inbound_done(
        &mut self,
        message: MessageId,
        result: PostResult,
        genesys: Option<Box<str>>,
    ) {
        if self.conversation.owes(|owed| owed.is_inbound(&message)) {
            self.inbound_ends(message, result, ReasonCode::InvalidMessageStructure);
            self.learn_genesys_conversation(genesys);
        } else {
            self.ignore(Ignored::StaleAnswer);
        }
    }

    /// Ends a customer's message. If Genesys will never have it, the store keeps it whole. The chat
    /// service is then told, because only it can tell the customer.
    fn inbound_ends(&mut self, message: MessageId, result: PostResult, code: ReasonCode) {
        let reason = match &result {
            PostResult::Posted { .. } => None,
            PostResult::Refused { why } => Some(Reason::new(code, why)),
        };
        self.record(Record::InboundDone { message: message.clone(), result });
        if let Some(reason) = reason {
            self.refusal_due(message, reason);
        }
    }

    /// Genesys did not take something this time, although it takes what others are owed. An item
    /// that holds back the customer's next words is given up once `give_up_tries` such tries have
    /// failed over `give_up_after`. Everything else waits as long as needed.
    pub(crate) fn post_failed(&mut self, owed: Owed, why: &str) {
        if !owed.holds_back_words() || !self.conversation.owes(|other| *other == owed) {
            return self.ignore(Ignored::StaleAnswer);
        }
        let limits = &self.policy.inbound;
        let (after, most) = (limits.give_up_after, limits.give_up_tries.max(1));
        let before = self.conversation.failing.as_ref().filter(|failing| failing.owed == owed);
        let (tries, since) = before.map_or((0, self.now), |failing| (failing.tries, failing.since));
        // Once enough tries have failed, only time counts, so that further tries do not grow the
        // journal.
        let tries = if tries < most {
            self.record(Record::PostFailed {
                owed: owed.clone(),
                tries: tries + 1,
                why: why.into(),
            });
            tries + 1
        } else {
            tries
        };
        if tries < most || self.now < later(since, after) || mutant::is(Mutant::PoisonBlocks) {
            return;
        }
        let why = format!("given up after {tries} tries, the last: {why}");
        let result = PostResult::Refused { why: why.chars().take(Reason::MAX_CHARS).collect() };
        match owed {
            Owed::Inbound { message } => {
                self.inbound_ends(message, result, ReasonCode::ServerError);
            }
            Owed::Disconnect { .. } => self.record(Record::DisconnectDone { result }),
            Owed::Receipt { .. } | Owed::Notice { .. } => {}
        }
    }

    pub(crate) fn learn_genesys_conversation(&mut self, genesys: Option<Box<str>>) {
        if let Some(id) =
            genesys.filter(|id| !id.is_empty() && self.conversation.genesys.as_ref() != Some(id))
        {
            self.record(Record::GenesysConversation { id });
        }
    }

    /// Genesys took a receipt, or never will.
    pub(crate) fn receipt_done(&mut self, message: MessageId, last: bool, result: PostResult) {
        if self.conversation.owes(|owed| owed.is_receipt(&message, last)) {
            self.record(Record::ReceiptDone { message, last, result });
        } else {
            self.ignore(Ignored::StaleAnswer);
        }
    }

    pub(crate) fn notice(&mut self, message: MessageId, notice: NoticeKind) {
        self.record(Record::NoticeDue { message: message.clone(), notice });
        self.effect(Effect::Post(Owed::Notice { message, notice }));
    }

    pub(crate) fn notice_done(
        &mut self,
        message: MessageId,
        notice: NoticeKind,
        result: PostResult,
    ) {
        if self.conversation.owes(|owed| owed.is_notice(&message, notice)) {
            self.record(Record::NoticeDone { message, notice, result });
        } else {
            self.ignore(Ignored::StaleAnswer);
        }
    }

    /// The customer has left the chat, or was refused. If Genesys never heard of them, there is
    /// nothing to end.
    pub(crate) fn customer_left(&mut self, reason: Reason) {
        let known = self.conversation.genesys.is_some() || self.conversation.has_words();
        if self.policy.on_customer_left == CustomerLeft::Disconnect
            && known
            && !self.conversation.leaving
        {
            self.record(Record::CustomerLeft { reason: Some(reason) });
        }
    }

    /// Tells Genesys that the customer has left, once it has their last words and the notes to the
    /// agent. Anything sent after the disconnect would begin a conversation for a customer who is
    /// gone.
    pub(crate) fn disconnect(&mut self) {
        let conversation = &*self.conversation;
        let told = conversation.owes(|owed| matches!(owed, Owed::Disconnect { .. }));
        if conversation.leaving
            && !conversation.has_words()
            && !conversation.owes(|owed| matches!(owed, Owed::Notice { .. }))
            && !told
            && let Some(id) = conversation.genesys.clone()
        {
            self.record(Record::DisconnectDue { id: id.clone() });
            self.effect(Effect::Post(Owed::Disconnect { id }));
        }
    }

    pub(crate) fn disconnect_done(&mut self, result: PostResult) {
        if self.conversation.owes(|owed| matches!(owed, Owed::Disconnect { .. })) {
            self.record(Record::DisconnectDone { result });
        } else {
            self.ignore(Ignored::StaleAnswer);
        }
    }
}
