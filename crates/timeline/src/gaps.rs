//! Finds the times in which nothing was recorded, although something was due.

use std::collections::HashSet;
use std::time::Duration;

use conversation::{Conversation, MessageId, Policy, Record};
use jiff::Timestamp;
use store::JournalRow;

/// How late the gateway may be before that is worth a word. A wake-up may be a little late, and an
/// invariant allows one second (I8).
const LATE: Duration = Duration::from_secs(2);
/// No conversation has more open messages: [`conversation`] limits them. A journal with more is not
/// from there, and would cost much time.
const MAX_OPEN: i64 = 5_000;

/// A time in which nothing was recorded, although something was due at its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) from: Timestamp,
    /// `None` if it lasts.
    pub(crate) until: Option<Timestamp>,
}

/// Whether something that was due at `due` and happened at `at` was late.
pub(crate) fn is_late(due: Timestamp, at: Timestamp) -> bool {
    due.checked_add(LATE).is_ok_and(|limit| at > limit)
}

/// The gaps between the records, in the order of the journal. The state machine says what was due
/// after each step. Where its state is not certain, because the beginning was pruned or a record
/// cannot be read, nothing is called a gap.
pub(crate) fn gaps(rows: &[&JournalRow], now: Timestamp, pruned: bool) -> Vec<Gap> {
    let policy = policy();
    let (mut found, mut due, mut open) = (Vec::new(), None, 0_i64);
    let mut state = Conversation::default();
    let mut certainty = Certainty::new(pruned);
    for step in rows.chunk_by(|one, next| one.at == next.at) {
        let at = step[0].at;
        if let Some(from) = due.filter(|due| is_late(*due, at)) {
            found.push(Gap { from, until: Some(at) });
        }
        for row in step {
            let Ok(record) = &row.record else { return found };
            certainty.read(record);
            open += match record {
                Record::Accepted { .. } | Record::InboundAccepted { .. } => 1,
                Record::Settled { .. } | Record::InboundDone { .. } => -1,
                _ => 0,
            };
            state = Conversation::replay(state, [(at, record.clone())]);
        }
        if open > MAX_OPEN {
            return found;
        }
        due = state.next_wakeup(&policy).filter(|_| certainty.covers(&state));
    }
    if let Some(from) = due.filter(|due| is_late(*due, now)) {
        found.push(Gap { from, until: None });
    }
    found
}

/// How much of the state is certain, if the records before the first one are gone.
struct Certainty<'a> {
    is_whole: bool,
    /// A record says whether there is a session.
    session: bool,
    /// The customer's messages whose beginning is there.
    accepted: HashSet<&'a MessageId>,
    /// One of them went to Genesys. Everything before it must then have gone.
    inbound: bool,
}

impl<'a> Certainty<'a> {
    fn new(pruned: bool) -> Self {
        Self { is_whole: !pruned, session: false, accepted: HashSet::new(), inbound: false }
    }

    fn read(&mut self, record: &'a Record) {
        match record {
            Record::HandshakeStarted { .. }
            | Record::SessionOpened { .. }
            | Record::SessionClosed { .. }
            | Record::SessionRefused { .. } => self.session = true,
            Record::InboundAccepted { message, .. } if !self.is_whole => {
                self.accepted.insert(message);
            }
            Record::InboundReleased { message, .. } => {
                self.inbound |= self.accepted.contains(message);
            }
            _ => {}
        }
    }

    /// Whether the state says for certain what is due. A customer's message may wait behind one
    /// that is gone from the journal, and so may a call that tells about a dead letter.
    fn covers(&self, state: &Conversation) -> bool {
        let inbound = self.inbound || state.inbound_waiting() == 0;
        self.is_whole || (self.session && inbound && state.untold().next().is_none())
    }
}

/// A policy whose only limit that matters here is never reached: the journal does not say how long
/// a report may take. All other deadlines are in the records.
fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.receipts.report_timeout = Duration::MAX;
    policy
}
