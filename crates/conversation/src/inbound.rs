//! Customers' messages, and everything else that Genesys is owed: in order, one at a time, until it is taken.

use std::time::Duration;

use crate::MessageId;
use crate::input::{Effect, Ignored, Owed};
use crate::policy::{CustomerLeft, HandshakeStart, InboundPolicy, NoticeKind};
use crate::record::{PostResult, Record};
use crate::state::{Conversation, Session, later};
use crate::turn::Turn;

impl Conversation {
    /// Whether something waits that only a session can help.
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

    /// Lets the next customer's message go, if none is on its way.
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
        if self
            .conversation
            .owes(|owed| matches!(owed, Owed::Inbound { message: m } if *m == message))
        {
            self.record(Record::InboundDone { message, result });
            self.learn_genesys_conversation(genesys);
        } else {
            self.ignore(Ignored::StaleAnswer);
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
        let ours = |owed: &Owed| matches!(owed, Owed::Receipt { message: m, fate } if *m == message && fate.is_some() == last);
        if self.conversation.owes(ours) {
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
        let ours = |owed: &Owed| matches!(owed, Owed::Notice { message: m, notice: n } if *m == message && *n == notice);
        if self.conversation.owes(ours) {
            self.record(Record::NoticeDone { message, notice, result });
        } else {
            self.ignore(Ignored::StaleAnswer);
        }
    }

    /// The customer has left the chat.
    pub(crate) fn customer_left(&mut self) {
        if self.policy.on_customer_left == CustomerLeft::Disconnect && !self.conversation.leaving {
            self.record(Record::CustomerLeft);
        }
    }

    /// Tells Genesys that the customer has left, once it has her last words: what came after the disconnect would begin
    /// a conversation for somebody who is gone.
    pub(crate) fn disconnect(&mut self) {
        let conversation = &*self.conversation;
        let told = conversation.owes(|owed| matches!(owed, Owed::Disconnect { .. }));
        if conversation.leaving
            && !conversation.has_words()
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
