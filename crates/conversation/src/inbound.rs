//! Customers' messages, which go to Genesys in order, one at a time, and everything else that
//! Genesys is owed.

use std::time::Duration;

use crate::input::{Effect, Ignored};
use crate::mutant::{self, Mutant};
use crate::owed::{Owed, PostResult};
use crate::policy::{CustomerLeft, HandshakeStart, InboundPolicy, NoticeKind};
use crate::record::Record;
use crate::state::{Conversation, Session, WaitingInbound, later};
use crate::turn::Turn;
use crate::{MessageId, Reason, ReasonCode};

/// How many counted tries to post an option may fail before Genesys gets the words.
const MAX_TAP_TRIES: u32 = 3;

impl Conversation {
    /// Whether agents' messages wait for a session.
    pub(crate) fn needs_session(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn owes(&self, wanted: impl Fn(&Owed) -> bool) -> bool {
        self.owed.iter().any(wanted)
    }
}

impl Turn<'_> {
    /// Accepts a customer's message. Its text may answer the open offer.
    pub(crate) fn accept_inbound(
        &mut self,
        message: MessageId,
        text: Option<&str>,
        tap: Option<MessageId>,
    ) {
        let hold = match self.policy.hold.inbound {
            InboundPolicy::Forward => Duration::ZERO,
            InboundPolicy::AfterHandshake => self.policy.hold.limit,
        };
        let answer =
            text.and_then(|text| self.conversation.answered_by(text, self.now)).map(Box::new);
        let hold_until = later(self.now, hold);
        self.record(Record::InboundAccepted { message, hold_until, answer, tap });
        let wants_session = self.policy.hold.start == HandshakeStart::FirstInbound
            || self.policy.hold.inbound == InboundPolicy::AfterHandshake;
        if wants_session {
            self.start_handshake();
        }
    }

    /// Releases the next customer's message, if no other is on its way.
    pub(crate) fn release_inbound(&mut self) {
        let Some(first) = self.conversation.next_inbound() else { return };
        // A customer's message waits only while a handshake is in progress, never for a session
        // that will not come (I11).
        let handshake = matches!(self.conversation.session, Session::Opening { .. });
        if !handshake || first.hold_until <= self.now {
            let WaitingInbound { message, answer, .. } = first.clone();
            self.record(Record::InboundReleased {
                message: message.clone(),
                answer: answer.clone(),
            });
            self.effect(Effect::Post(Owed::Inbound { message, answer }));
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

    /// Ends a customer's message. If Genesys will never accept it, the store keeps it as a dead
    /// letter, and the chat service is told, because only it can tell the customer.
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

    /// Genesys did not take an item this time, although it takes items of other customers. An item
    /// that blocks the customer's next messages is given up once `give_up_tries` such tries have
    /// failed over `give_up_after`. All other items stay owed as long as needed.
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
        if let Owed::Inbound { message, answer: Some(_) } = &owed
            && tries >= MAX_TAP_TRIES.min(most)
        {
            return self.post_words(message.clone());
        }
        if tries < most || self.now < later(since, after) || mutant::is(Mutant::PoisonBlocks) {
            return;
        }
        let why = format!("given up after {tries} tries, the last: {why}");
        let result = PostResult::Refused { why: why.chars().take(Reason::MAX_CHARS).collect() };
        match owed {
            Owed::Inbound { message, .. } => {
                self.inbound_ends(message, result, ReasonCode::ServerError);
            }
            Owed::Disconnect { .. } => self.record(Record::DisconnectDone { result }),
            Owed::Receipt { .. } | Owed::Notice { .. } => {}
        }
    }

    /// Posts a customer's words instead of the option that they name: that they name it is our
    /// reading, and the words behind it wait.
    fn post_words(&mut self, message: MessageId) {
        self.record(Record::InboundReleased { message: message.clone(), answer: None });
        self.effect(Effect::Post(Owed::Inbound { message, answer: None }));
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

    /// The customer has left the chat, or was refused. If Genesys has never heard of them, there is
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

    /// Disconnects the customer at Genesys, once Genesys has their last message and the notices to
    /// the agent. Anything sent after the disconnect would begin a conversation for a customer who
    /// is gone.
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
