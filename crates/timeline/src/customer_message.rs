//! What the records say about one of the customer's messages, and its steps in words.

use conversation::{
    DeadLetterAction, MessageId, PostResult, Reason, ReasonCode, Record, TellOutcome,
};
use jiff::Timestamp;
use store::Direction;

use crate::agent_steps::inbox_gap;
use crate::model::{Cause, Lane, Outcome, Step, StepKind};
use crate::reading::{Life, Listed, Reading};
use crate::words::{clock, field, id as shown_id, part, span};

/// The facts about one message from the customer.
#[derive(Clone, Debug)]
pub(crate) struct CustomerMessage<'a> {
    pub(crate) id: &'a MessageId,
    pub(crate) listed: Listed<'a>,
    /// When the conversation took it; `None` if it waits in the inbox, or the record is missing.
    pub(crate) accepted: Option<Timestamp>,
    /// Until when it waits for a handshake.
    pub(crate) hold_until: Option<Timestamp>,
    /// The agent's message whose offer it answers.
    pub(crate) answers: Option<&'a MessageId>,
    /// When it was its turn to go to Genesys, and whether it went as an option. The second entry is
    /// about its words, after Genesys did not confirm the option.
    pub(crate) posts: Vec<(Timestamp, bool)>,
    pub(crate) failures: Vec<(Timestamp, u32, &'a str)>,
    pub(crate) done: Option<(Timestamp, &'a PostResult)>,
    /// That the chat service must be told that it is a dead letter, and why it is.
    pub(crate) refusal: Option<(Timestamp, &'a Reason)>,
    pub(crate) tells: Vec<Tell<'a>>,
    /// What an operator did about it, after all of the above.
    pub(crate) action: Option<OperatorAction<'a>>,
    /// What an operator wants to do about it, and who it is. The conversation has not handled it.
    waiting: Option<(DeadLetterAction, &'a str)>,
    /// What happened until an operator had it posted again, for each time. The facts above are
    /// about the time since the last one.
    pub(crate) before: Vec<CustomerMessage<'a>>,
}

/// What an operator did about a dead letter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OperatorAction<'a> {
    pub(crate) at: Timestamp,
    pub(crate) by: &'a str,
    pub(crate) action: DeadLetterAction,
}

/// What made a message a dead letter. The code of the refusal says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeadLetter {
    /// Genesys answered that it will never accept it, or it cannot be posted at all.
    Unacceptable,
    /// Posts failed until the gateway gave it up. Genesys may have it, if only an answer is lost.
    GivenUp,
    /// The record that says it is missing.
    Unknown,
}

/// One call that tells the chat service about a dead letter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tell<'a> {
    pub(crate) at: Timestamp,
    /// `None` if the gateway decided without a call.
    pub(crate) attempt: Option<u32>,
    pub(crate) end: Option<Told<'a>>,
}

/// The end of such a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) at: Timestamp,
    pub(crate) outcome: &'a TellOutcome,
    pub(crate) retry_at: Option<Timestamp>,
}

impl<'a> CustomerMessage<'a> {
    pub(crate) fn of(reading: &Reading<'a>, id: &'a MessageId, life: &Life<'a>) -> Self {
        let mut message = Self {
            id,
            listed: life.listed(reading.now),
            accepted: None,
            hold_until: None,
            answers: None,
            posts: Vec::new(),
            failures: Vec::new(),
            done: None,
            refusal: None,
            tells: Vec::new(),
            action: None,
            waiting: life.waiting_action,
            before: Vec::new(),
        };
        for (at, record) in &life.records {
            message.read(*at, record);
        }
        if message.posts.is_empty() && message.done.is_none() {
            let since = reading.owed_since((Direction::Inbound, id));
            message.posts.extend(since.map(|since| (since, false)));
        }
        message
    }

    fn read(&mut self, at: Timestamp, record: &'a Record) {
        match record {
            Record::InboundAccepted { hold_until, answer, tap, .. } => {
                self.accepted.get_or_insert(at);
                self.hold_until = Some(*hold_until);
                self.answers = tap.as_ref().or(answer.as_ref().map(|answer| &answer.to));
            }
            Record::InboundReleased { answer, .. } => self.posts.push((at, answer.is_some())),
            Record::PostFailed { tries, why, .. } => self.failures.push((at, *tries, why)),
            Record::InboundDone { result, .. } => {
                // The first answer counts; `tidegate audit` reports a second one.
                self.done.get_or_insert((at, result));
            }
            Record::RefusalDue { reason, .. } => self.refusal = Some((at, reason)),
            Record::RefusalTelling { attempt, .. } => {
                self.tells.push(Tell { at, attempt: Some(*attempt), end: None });
            }
            Record::RefusalTold { outcome, retry_at, .. } => {
                let end = Some(Told { at, outcome, retry_at: *retry_at });
                match self.tells.last_mut().filter(|last| last.end.is_none()) {
                    Some(open) => open.end = end,
                    None => self.tells.push(Tell { at, attempt: None, end }),
                }
            }
            Record::InboundRetried { by, .. } => self.begin_again(at, by),
            Record::InboundDiscarded { by, .. } => {
                self.action = Some(OperatorAction { at, by, action: DeadLetterAction::Discard });
            }
            // The others are not about a customer's message.
            _ => {}
        }
    }

    /// An operator has it posted again: from here on, other facts say what becomes of it.
    fn begin_again(&mut self, at: Timestamp, by: &'a str) {
        let action = Some(OperatorAction { at, by, action: DeadLetterAction::Retry });
        let again = Self {
            accepted: Some(at),
            hold_until: None,
            posts: Vec::new(),
            failures: Vec::new(),
            done: None,
            refusal: None,
            tells: Vec::new(),
            action: None,
            before: std::mem::take(&mut self.before),
            ..self.clone()
        };
        let before = std::mem::replace(self, again);
        self.before.push(Self { action, ..before });
    }

    /// The last time when an operator had it posted again.
    pub(crate) fn last_retry(&self) -> Option<OperatorAction<'a>> {
        self.before.last()?.action
    }

    /// The action on this dead letter that waits to be handled, and who asked for it. An action on
    /// a message that is no dead letter any more has no effect.
    pub(crate) fn waiting_action(&self) -> Option<(DeadLetterAction, &'a str)> {
        self.waiting.filter(|_| self.outcome() == Outcome::Refused)
    }

    /// What became of it. The records count first, and then the state that lists show.
    pub(crate) fn outcome(&self) -> Outcome {
        if self.action.is_some_and(|act| act.action == DeadLetterAction::Discard) {
            return Outcome::Discarded;
        }
        match self.done.map(|(_, result)| result) {
            Some(PostResult::Posted { .. }) => return Outcome::Posted,
            Some(PostResult::Refused { .. }) => return Outcome::Refused,
            None => {}
        }
        match self.listed.state {
            "posted" => Outcome::Posted,
            "refused" => Outcome::Refused,
            "discarded" => Outcome::Discarded,
            "kept" => Outcome::Kept,
            _ if !self.posts.is_empty() || !self.failures.is_empty() => Outcome::InFlight,
            _ if self.accepted.is_some() || self.listed.is_in_inbox => Outcome::Waiting,
            _ => Outcome::Unknown,
        }
    }

    /// What made it a dead letter, if it is one.
    pub(crate) fn dead_letter(&self) -> Option<DeadLetter> {
        if !matches!(self.outcome(), Outcome::Refused | Outcome::Discarded) {
            return None;
        }
        Some(match self.refusal.map(|(_, reason)| reason.code) {
            Some(ReasonCode::InvalidMessageStructure) => DeadLetter::Unacceptable,
            Some(ReasonCode::ServerError) => DeadLetter::GivenUp,
            _ => DeadLetter::Unknown,
        })
    }

    /// Why Genesys has not confirmed it, as far as it has been tried.
    pub(crate) fn cause(&self) -> Option<Cause> {
        match (self.outcome(), self.refusal, self.done) {
            (Outcome::Refused | Outcome::Discarded, Some((_, reason)), _) => Some(reason.into()),
            (
                Outcome::Refused | Outcome::Discarded,
                None,
                Some((_, PostResult::Refused { why })),
            ) => Some(Cause::said(why)),
            (Outcome::Refused | Outcome::Discarded, None, _) => self.listed.reason.map(Cause::said),
            (Outcome::InFlight, _, _) => self.failures.last().map(|(_, _, why)| Cause::said(why)),
            _ => None,
        }
    }

    /// What made it a dead letter, in words.
    pub(crate) fn dead_letter_words(&self) -> &'static str {
        match self.dead_letter() {
            Some(DeadLetter::Unacceptable) => "Genesys will never accept it",
            Some(DeadLetter::GivenUp) => "Genesys did not confirm it, and the gateway gave it up",
            Some(DeadLetter::Unknown) | None => {
                "Genesys will never accept it, or the gateway gave it up"
            }
        }
    }

    /// When its outcome became final.
    pub(crate) fn settled(&self) -> Option<Timestamp> {
        self.action.map(|act| act.at).or(self.ended())
    }

    /// When its way to Genesys ended.
    pub(crate) fn ended(&self) -> Option<Timestamp> {
        self.done.map(|(at, _)| at)
    }
}

/// The steps that are about the message alone, in no order.
pub(crate) fn steps(message: &CustomerMessage<'_>, reading: &Reading<'_>) -> Vec<Step> {
    let now = reading.now;
    let mut steps = vec![received(message)];
    let first = message.before.first().unwrap_or(message);
    steps.extend(inbox_gap(&message.listed, first.accepted, now));
    message.before.iter().for_each(|before| steps.extend(of_round(before, reading)));
    steps.extend(of_round(message, reading));
    steps
}

/// The steps until an operator had it posted again, or since then.
fn of_round(message: &CustomerMessage<'_>, reading: &Reading<'_>) -> Vec<Step> {
    let now = reading.now;
    let mut steps: Vec<_> = wait(message, reading).into_iter().collect();
    let ends = message.posts.iter().skip(1).map(|(at, _)| Some(*at)).chain([message.ended()]);
    for (number, ((at, as_option), end)) in message.posts.iter().zip(ends).enumerate() {
        steps.push(of_post(message, number, *at, *as_option, end, now));
    }
    steps.extend(message.failures.iter().map(|(at, tries, why)| {
        let cause = Cause::said(why);
        let text = format!("Genesys did not confirm it, try {tries}: {}.", part(&cause));
        let step = Step::new(*at, Lane::Genesys, StepKind::PostFailed, text).because(cause);
        Step { attempt: Some(*tries), ..step }
    }));
    steps.extend(message.refusal.map(|(at, reason)| {
        let text = "It is a dead letter. The chat service must be told, because only it can tell \
            the customer.";
        Step::new(at, Lane::Gateway, StepKind::Refusal, text).because(reason.into())
    }));
    steps.extend(message.tells.iter().map(|tell| of_tell(tell, message.action, now)));
    steps.extend(message.action.map(of_action));
    steps
}

fn received(message: &CustomerMessage<'_>) -> Step {
    let answers = message
        .answers
        .map_or(String::new(), |of| format!(" It answers the offer of {}.", shown_id(of.as_str())));
    let text = format!("The customer's message came, and the gateway stored it.{answers}");
    let step = Step::new(message.listed.received, Lane::ChatService, StepKind::Received, text);
    Step { service_id: message.listed.foreign_id.map(field), ..step }
}

/// The time from its acceptance to its turn.
fn wait(message: &CustomerMessage<'_>, reading: &Reading<'_>) -> Option<Step> {
    let from = message.accepted?;
    let until = message.posts.first().map(|(at, _)| *at).or(message.ended());
    let lasts = until.is_none() && message.outcome() == Outcome::Waiting;
    if !lasts && until.is_none_or(|until| until <= from) {
        return None;
    }
    let lasted = span(from, until.unwrap_or(reading.now));
    let has = if lasts { "It has waited" } else { "It waited" };
    let (kind, what) = if is_held(message, reading) {
        (StepKind::Held, "for the handshake")
    } else {
        (StepKind::Queued, "for its turn")
    };
    let text = format!("{has} {lasted} {what}.");
    Some(Step::new(from, Lane::Gateway, kind, text).during(until))
}

/// Whether a handshake held it back when it came, so that it did not only wait for its turn.
pub(crate) fn is_held(message: &CustomerMessage<'_>, reading: &Reading<'_>) -> bool {
    let Some(from) = message.accepted else { return false };
    let may_wait = message.hold_until.is_some_and(|hold_until| from < hold_until);
    may_wait && reading.talk.calls_in(from, from).next().is_some()
}

fn of_post(
    message: &CustomerMessage<'_>,
    number: usize,
    at: Timestamp,
    as_option: bool,
    end: Option<Timestamp>,
    now: Timestamp,
) -> Step {
    let is_last = number + 1 == message.posts.len();
    let what = if as_option { "As the option that it names, it" } else { "It" };
    let mut genesys_id = None;
    let mut cause = None;
    let text = match message.done.map(|(_, result)| result) {
        _ if !is_last => "Genesys did not confirm the option. It gets the words.".to_owned(),
        Some(PostResult::Posted { genesys_id: id }) => {
            genesys_id = id.as_deref();
            let took = span(at, end.unwrap_or(now));
            format!("{what} was on its way to Genesys for {took}. Genesys has it.")
        }
        Some(PostResult::Refused { why }) => {
            let why = Cause::said(why);
            let text = format!("{}: {}.", message.dead_letter_words(), part(&why));
            cause = Some(why);
            text
        }
        None => format!("It is on its way to Genesys for {}.", span(at, now)),
    };
    let step = Step::new(at, Lane::Genesys, StepKind::Post, text);
    let open = end.is_some() || message.outcome() == Outcome::InFlight;
    let step = if open { step.during(end) } else { step };
    let step = Step { genesys_id: genesys_id.map(field), ..step };
    match cause {
        Some(cause) => step.because(cause),
        None => Step { failed: !is_last, ..step },
    }
}

fn of_action(act: OperatorAction<'_>) -> Step {
    let by = shown_id(act.by);
    let text = match act.action {
        DeadLetterAction::Retry => format!(
            "{by} had it posted again, behind the customer's messages that wait. The agent may \
             read it after later ones."
        ),
        DeadLetterAction::Discard => format!("{by} discarded it. It is not posted any more."),
    };
    Step::new(act.at, Lane::Gateway, StepKind::Action, text)
}

fn of_tell(tell: &Tell<'_>, action: Option<OperatorAction<'_>>, now: Timestamp) -> Step {
    let retried = action.filter(|act| act.action == DeadLetterAction::Retry && tell.end.is_none());
    if let Some(act) = retried {
        let text = "The gateway told the chat service, and called that off when the message was \
            posted again.";
        let step = Step::new(tell.at, Lane::ChatService, StepKind::Tell, text);
        return Step { attempt: tell.attempt, ..step.during(Some(act.at)) };
    }
    let again = |told: Told<'_>| {
        told.retry_at.map_or(" The gateway gave that up.".to_owned(), |at| {
            format!(" The next call was due at {}.", clock(at, now))
        })
    };
    let (text, cause) = match tell.end {
        None => ("The gateway tells the chat service.".to_owned(), None),
        Some(told) => match told.outcome {
            TellOutcome::Heard => {
                ("The gateway told the chat service that it is a dead letter.".to_owned(), None)
            }
            TellOutcome::Failed { why } => {
                let why = Cause::said(why);
                let text = format!("The chat service was not told: {}.{}", part(&why), again(told));
                (text, Some(why))
            }
            TellOutcome::NotMade => {
                let text = "The call was not made, or its outcome is lost: the node stopped, or \
                    another took over.";
                (format!("{text}{}", again(told)), Some(Cause::said("the call was not made")))
            }
            TellOutcome::GivenUp { why } => {
                let why = Cause::said(why);
                (format!("The chat service will never be told: {}.", part(&why)), Some(why))
            }
        },
    };
    let step = Step::new(tell.at, Lane::ChatService, StepKind::Tell, text);
    let step = Step { attempt: tell.attempt, ..step.during(tell.end.map(|told| told.at)) };
    match cause {
        Some(cause) => step.because(cause),
        None => step,
    }
}
