//! What the records say about one of the agent's messages.

use conversation::{AttemptOutcome, Fate, MessageId, NoticeKind, PostResult, Record, Report};
use jiff::Timestamp;
use store::Direction;

use crate::model::{Cause, Outcome};
use crate::reading::{Life, Listed, Reading};

/// The facts about one message from the agent.
#[derive(Clone, Debug)]
pub(crate) struct AgentMessage<'a> {
    pub(crate) id: &'a MessageId,
    pub(crate) listed: Listed<'a>,
    /// When the conversation took it; `None` if it waits in the inbox, or the record is missing.
    pub(crate) accepted: Option<Timestamp>,
    /// Until when it may wait for a session.
    pub(crate) hold_until: Option<Timestamp>,
    /// Until when an attempt may start.
    pub(crate) give_up: Option<Timestamp>,
    /// How many options it offers, and until when an answer counts.
    pub(crate) offer: Option<(usize, Timestamp)>,
    pub(crate) attempts: Vec<Attempt<'a>>,
    pub(crate) reports: Vec<Reported<'a>>,
    pub(crate) settled: Option<Settled<'a>>,
    /// The `Sent` before the final receipt.
    pub(crate) first_receipt: Option<Receipt<'a>>,
    /// The final receipt.
    pub(crate) last_receipt: Option<Receipt<'a>>,
    pub(crate) notices: Vec<(NoticeKind, Receipt<'a>)>,
}

/// One attempt to forward the message.
#[derive(Clone, Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) number: u32,
    pub(crate) started: Timestamp,
    pub(crate) ended: Option<Ended<'a>>,
}

impl Attempt<'_> {
    /// Whether it has ended, and it is not known whether it reached the chat service.
    fn is_unknown(&self) -> bool {
        let outcome = self.ended.map(|ended| ended.outcome);
        matches!(outcome, Some(AttemptOutcome::Unknown { .. }))
    }
}

/// The end of an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) at: Timestamp,
    pub(crate) outcome: &'a AttemptOutcome,
    pub(crate) retry_at: Option<Timestamp>,
}

/// What the chat service reported later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reported<'a> {
    pub(crate) at: Timestamp,
    pub(crate) report: &'a Report,
    phase: ReportPhase,
}

/// When a report came. Each one is in the journal, also one that changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReportPhase {
    /// Before the first attempt, so it says nothing about the message.
    BeforeAttempts,
    /// It decided what became of the message.
    InTime,
    /// After the final decision, which it does not change.
    AfterSettlement,
}

/// The final decision about a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settled<'a> {
    pub(crate) at: Timestamp,
    pub(crate) fate: &'a Fate,
    /// Whether Genesys gets a receipt.
    pub(crate) receipt: bool,
}

/// Something that Genesys must get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receipt<'a> {
    /// Since when; `None` if the record is missing.
    pub(crate) since: Option<Timestamp>,
    pub(crate) state: ReceiptState<'a>,
}

/// Whether Genesys has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReceiptState<'a> {
    /// It waits.
    Owed,
    /// Genesys has it; the time is `None` if the record is missing.
    Posted { at: Option<Timestamp>, genesys_id: Option<&'a str> },
    /// Genesys will never take it.
    Refused { at: Option<Timestamp>, why: &'a str },
    /// The final receipt took its place.
    Replaced(Timestamp),
}

impl<'a> Receipt<'a> {
    fn owed(since: Timestamp) -> Self {
        Self { since: Some(since), state: ReceiptState::Owed }
    }

    fn done(&mut self, at: Timestamp, result: &'a PostResult) {
        self.state = match result {
            PostResult::Posted { genesys_id } => {
                ReceiptState::Posted { at: Some(at), genesys_id: genesys_id.as_deref() }
            }
            PostResult::Refused { why } => ReceiptState::Refused { at: Some(at), why },
        };
    }

    /// Whether it waits.
    pub(crate) fn is_owed(&self) -> bool {
        matches!(self.state, ReceiptState::Owed)
    }
}

impl<'a> AgentMessage<'a> {
    pub(crate) fn of(reading: &Reading<'a>, id: &'a MessageId, life: &Life<'a>) -> Self {
        let mut message = Self {
            id,
            listed: life.listed(reading.now),
            accepted: None,
            hold_until: None,
            give_up: None,
            offer: None,
            attempts: Vec::new(),
            reports: Vec::new(),
            settled: None,
            first_receipt: None,
            last_receipt: None,
            notices: Vec::new(),
        };
        for (at, record) in &life.records {
            message.read(*at, record);
        }
        message.read_receipt(reading, life);
        message
    }

    fn read(&mut self, at: Timestamp, record: &'a Record) {
        match record {
            Record::Accepted { hold_until, give_up, .. } => {
                self.accepted = Some(at);
                (self.hold_until, self.give_up) = (Some(*hold_until), Some(*give_up));
            }
            Record::Offered { offer, until, .. } => {
                self.offer = Some((offer.options.len(), *until));
            }
            Record::AttemptStarted { attempt, .. } => {
                self.attempts.push(Attempt { number: *attempt, started: at, ended: None });
            }
            Record::AttemptEnded { attempt, outcome, retry_at, .. } => {
                let ended = Some(Ended { at, outcome, retry_at: *retry_at });
                let open = self.attempts.last_mut().filter(|last| last.ended.is_none());
                match open {
                    Some(open) => open.ended = ended,
                    // Its beginning is missing.
                    None => self.attempts.push(Attempt { number: *attempt, started: at, ended }),
                }
            }
            Record::Reported { report, .. } => self.report(at, report),
            Record::Settled { fate, receipt, .. } => self.settle(at, fate, *receipt),
            Record::SentDue { .. } => self.first_receipt = Some(Receipt::owed(at)),
            Record::ReceiptDone { last, result, .. } => {
                let receipt = if *last { &mut self.last_receipt } else { &mut self.first_receipt };
                let nothing = Receipt { since: None, state: ReceiptState::Owed };
                receipt.get_or_insert(nothing).done(at, result);
            }
            Record::NoticeDue { notice, .. } => self.notices.push((*notice, Receipt::owed(at))),
            Record::NoticeDone { notice, result, .. } => {
                let due =
                    |(kind, due): &&mut (NoticeKind, Receipt<'_>)| kind == notice && due.is_owed();
                if let Some((_, notice)) = self.notices.iter_mut().find(due) {
                    notice.done(at, result);
                }
            }
            // The others are not about an agent's message.
            _ => {}
        }
    }

    /// The order of the journal says whether it came in time. Two steps may have the same time.
    fn report(&mut self, at: Timestamp, report: &'a Report) {
        let phase = if self.settled.is_some() {
            ReportPhase::AfterSettlement
        } else if self.was_never_sent() {
            ReportPhase::BeforeAttempts
        } else {
            ReportPhase::InTime
        };
        self.reports.push(Reported { at, report, phase });
    }

    fn settle(&mut self, at: Timestamp, fate: &'a Fate, receipt: bool) {
        if self.settled.is_some() {
            // The first decision counts; `tidegate audit` reports a second one.
            return;
        }
        self.settled = Some(Settled { at, fate, receipt });
        if receipt {
            self.last_receipt.get_or_insert(Receipt::owed(at));
            if let Some(first) = self.first_receipt.as_mut().filter(|first| first.is_owed()) {
                first.state = ReceiptState::Replaced(at);
            }
        }
    }

    /// What lists and the outbox say about the final receipt, if the records do not.
    fn read_receipt(&mut self, reading: &Reading<'a>, life: &Life<'a>) {
        if self.last_receipt.is_some_and(|receipt| !receipt.is_owed()) {
            return;
        }
        let since = self.last_receipt.and_then(|receipt| receipt.since);
        let state = match life.row.and_then(|row| row.receipt.as_deref()) {
            Some("posted") => ReceiptState::Posted { at: None, genesys_id: None },
            Some("refused") => ReceiptState::Refused { at: None, why: "the answer is not kept" },
            _ => ReceiptState::Owed,
        };
        let owed_since = reading.owed_since((Direction::Outbound, self.id));
        if self.last_receipt.is_some()
            || owed_since.is_some()
            || !matches!(state, ReceiptState::Owed)
        {
            self.last_receipt = Some(Receipt { since: since.or(owed_since), state });
        }
    }

    /// What became of it. The records count first, and then the state that lists show.
    pub(crate) fn outcome(&self) -> Outcome {
        match self.settled.map(|settled| settled.fate) {
            Some(Fate::Delivered) => return Outcome::Delivered,
            Some(Fate::Sent) => return Outcome::Sent,
            Some(Fate::Failed { .. }) => return Outcome::Failed,
            None => {}
        }
        match self.listed.state {
            "delivered" => return Outcome::Delivered,
            "sent" => return Outcome::Sent,
            "failed" => return Outcome::Failed,
            "kept" => return Outcome::Kept,
            _ => {}
        }
        match self.attempts.last().map(|last| last.ended) {
            Some(None) => Outcome::InFlight,
            Some(Some(Ended {
                outcome: AttemptOutcome::Accepted { .. } | AttemptOutcome::Delivered { .. },
                ..
            })) => Outcome::Unreported,
            _ if self.accepted.is_some() || self.listed.is_in_inbox => Outcome::Waiting,
            // A record about it exists, so the record that accepted it is missing.
            Some(Some(_)) => Outcome::Waiting,
            None => Outcome::Unknown,
        }
    }

    /// Why it failed, or why it has not arrived yet.
    pub(crate) fn cause(&self) -> Option<Cause> {
        match (self.settled.map(|settled| settled.fate), self.outcome()) {
            (Some(Fate::Failed { reason }), _) => Some(reason.into()),
            (_, Outcome::Failed) => self.listed.reason.map(Cause::listed),
            (_, Outcome::Waiting | Outcome::InFlight) => self.last_trouble(),
            _ => None,
        }
    }

    /// Why the last attempt that was no success was none.
    pub(crate) fn last_trouble(&self) -> Option<Cause> {
        let mut ended = self.attempts.iter().rev().filter_map(|attempt| attempt.ended);
        ended.find_map(|ended| trouble(ended.outcome))
    }

    /// How many attempts have ended without success.
    pub(crate) fn failures(&self) -> usize {
        let failed = |attempt: &&Attempt<'_>| {
            attempt.ended.is_some_and(|ended| trouble(ended.outcome).is_some())
        };
        self.attempts.iter().filter(failed).count()
    }

    /// Whether it was not known at its final decision whether it had arrived: the outcome of an
    /// attempt was unknown, and the chat service had not reported what became of it.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.attempts.iter().any(Attempt::is_unknown) && self.report_in_time().is_none()
    }

    /// The report that decided what became of it.
    pub(crate) fn report_in_time(&self) -> Option<&'a Report> {
        let in_time = |reported: &&Reported<'_>| reported.phase == ReportPhase::InTime;
        self.reports.iter().rev().find(in_time).map(|reported| reported.report)
    }

    /// The last report, if it came after the final decision and says something else, or ends a
    /// doubt. If the record of the decision is missing, any report may have come after it.
    pub(crate) fn news(&self) -> Option<Reported<'a>> {
        let may_be_late = |reported: &Reported<'_>| match reported.phase {
            ReportPhase::BeforeAttempts => false,
            ReportPhase::InTime => self.settled.is_none(),
            ReportPhase::AfterSettlement => true,
        };
        let last = self.reports.iter().rev().copied().find(may_be_late)?;
        let is_news = match (self.outcome(), last.report) {
            (Outcome::Sent, _)
            | (Outcome::Delivered, Report::Failed { .. })
            | (Outcome::Failed, Report::Delivered | Report::Read) => true,
            (Outcome::Failed, Report::Failed { .. }) => self.is_doubtful(),
            _ => false,
        };
        is_news.then_some(last)
    }

    /// Whether no record has an attempt, although the record is there that comes before them.
    pub(crate) fn was_never_sent(&self) -> bool {
        self.accepted.is_some() && self.attempts.is_empty()
    }

    /// The end of the last attempt, if that decided that the message failed: both are one step,
    /// and the receipt names its reason.
    pub(crate) fn decisive_attempt(&self) -> Option<Ended<'a>> {
        let settled = self.settled?;
        let Fate::Failed { reason: fate } = settled.fate else { return None };
        let last = self.attempts.last()?.ended?;
        let is_one_step = last.at == settled.at && last.retry_at.is_none();
        let decides = match last.outcome {
            AttemptOutcome::Rejected { .. } | AttemptOutcome::Unknown { .. } => true,
            // If the customer left meanwhile, the message fails for that reason. An earlier attempt
            // may add to the reason of the last one, and a long reason may be cut.
            AttemptOutcome::NotTaken { reason, .. } => {
                let fate = undoubted(&fate.message);
                fate.starts_with(&*reason.message) || reason.message.starts_with(fate)
            }
            AttemptOutcome::Delivered { .. }
            | AttemptOutcome::Accepted { .. }
            | AttemptOutcome::SessionGone => false,
        };
        (is_one_step && decides).then_some(last)
    }

    /// When its wait for the first attempt ended: with that attempt, or with its failure.
    pub(crate) fn waited_until(&self) -> Option<Timestamp> {
        let first = self.attempts.first().map(|first| first.started);
        first.or(self.settled.map(|settled| settled.at))
    }

    /// When its way to the chat service ended.
    pub(crate) fn ended(&self) -> Option<Timestamp> {
        self.settled.map(|settled| settled.at)
    }
}

/// A reason without the words that the gateway puts before it if the message may have arrived. The
/// summary says that in its own words.
pub(crate) fn undoubted(reason: &str) -> &str {
    reason.strip_prefix("it may have arrived: ").unwrap_or(reason)
}

/// What went wrong in an attempt.
pub(crate) fn trouble(outcome: &AttemptOutcome) -> Option<Cause> {
    match outcome {
        AttemptOutcome::Delivered { .. } | AttemptOutcome::Accepted { .. } => None,
        AttemptOutcome::Rejected { reason }
        | AttemptOutcome::NotTaken { reason, .. }
        | AttemptOutcome::Unknown { reason } => Some(reason.into()),
        AttemptOutcome::SessionGone => Some(Cause::said("the session was gone")),
    }
}
