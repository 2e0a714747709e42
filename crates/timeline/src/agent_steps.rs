//! The steps of one of the agent's messages, in words.

use conversation::{AttemptOutcome, Fate, NoticeKind, Report};
use jiff::Timestamp;

use crate::agent_message::{
    AgentMessage, Attempt, Receipt, ReceiptState, Reported, Settled, trouble,
};
use crate::gaps::is_late;
use crate::model::{Cause, Lane, Outcome, SessionState, Step, StepKind};
use crate::reading::{Listed, Reading};
use crate::talk_steps::of_gap;
use crate::words::{clock, count, field, is_long, part, span};

/// The steps that are about the message alone, in no order.
pub(crate) fn steps(message: &AgentMessage<'_>, reading: &Reading<'_>) -> Vec<Step> {
    let now = reading.now;
    let mut steps = vec![received(message)];
    steps.extend(inbox_gap(&message.listed, message.accepted, now));
    steps.extend(waits(message, reading));
    if let Some((options, until)) = message.offer {
        let until = clock(until, now);
        let text = format!("It offers {}, until {until}.", count(options, "option"));
        let at = message.accepted.unwrap_or(message.listed.received);
        steps.push(Step::new(at, Lane::Gateway, StepKind::Offered, text));
    }
    steps.extend(message.attempts.iter().map(|attempt| of_attempt(attempt, now)));
    steps.extend(message.reports.iter().map(of_report));
    steps.extend(message.settled.map(of_settled));
    let final_word = receipt_word(message);
    steps.extend(message.first_receipt.and_then(|receipt| of_receipt("Sent", receipt)));
    steps.extend(message.last_receipt.and_then(|receipt| of_receipt(final_word, receipt)));
    steps.extend(message.notices.iter().filter_map(|(kind, notice)| of_notice(*kind, *notice)));
    steps
}

/// The final receipt, as Genesys calls it.
pub(crate) fn receipt_word(message: &AgentMessage<'_>) -> &'static str {
    match message.outcome() {
        Outcome::Delivered => "Delivered",
        Outcome::Sent => "Sent",
        Outcome::Failed => "Failed",
        _ => "final",
    }
}

fn received(message: &AgentMessage<'_>) -> Step {
    let text = "Genesys sent the agent's message, and the gateway stored it.";
    let step = Step::new(message.listed.received, Lane::Genesys, StepKind::Received, text);
    Step { genesys_id: message.listed.foreign_id.map(field), ..step }
}

/// The gap between the arrival of a message and the first decision about it.
pub(crate) fn inbox_gap(
    listed: &Listed<'_>,
    accepted: Option<Timestamp>,
    now: Timestamp,
) -> Option<Step> {
    let until = accepted.or(listed.is_in_inbox.then_some(now))?;
    is_late(listed.received, until).then(|| of_gap(listed.received, accepted, now))
}

/// The times between the attempts, and before the first one.
fn waits(message: &AgentMessage<'_>, reading: &Reading<'_>) -> Vec<Step> {
    let end = message.ended();
    let starts = message.attempts.iter().map(|attempt| Some(attempt.started)).chain([end]);
    let begin = message.accepted.map(|at| (at, None));
    let ends = message.attempts.iter().map(|attempt| {
        let ended = attempt.ended.filter(|ended| trouble(ended.outcome).is_some())?;
        Some((ended.at, ended.retry_at))
    });
    let begins = std::iter::once(begin).chain(ends);
    let wait = |(begin, until): (Option<(Timestamp, Option<Timestamp>)>, Option<Timestamp>)| {
        let (from, retry_at) = begin?;
        let lasts = until.is_none() && message.outcome() == Outcome::Waiting;
        if !lasts && until.is_none_or(|until| until <= from) {
            return None;
        }
        Some(of_wait(from, retry_at, until, reading))
    };
    begins.zip(starts).filter_map(wait).collect()
}

fn of_wait(
    from: Timestamp,
    retry_at: Option<Timestamp>,
    until: Option<Timestamp>,
    reading: &Reading<'_>,
) -> Step {
    let lasted = span(from, until.unwrap_or(reading.now));
    let has = if until.is_some() { "It waited" } else { "It has waited" };
    let is_known = reading.session() != SessionState::Unknown;
    let (kind, text) = if is_known && !reading.talk.had_session_at(from) {
        (StepKind::Held, format!("{has} {lasted} for the customer's session."))
    } else if let Some(at) = retry_at {
        let due = clock(at, reading.now);
        (StepKind::RetryWait, format!("{has} {lasted} for the next attempt, due at {due}."))
    } else {
        (StepKind::Queued, format!("{has} {lasted} for its turn."))
    };
    Step::new(from, Lane::Gateway, kind, text).during(until)
}

fn of_attempt(attempt: &Attempt<'_>, now: Timestamp) -> Step {
    let number = attempt.number;
    let Some(ended) = attempt.ended else {
        let lasts = span(attempt.started, now);
        let text = format!("Attempt {number} is under way for {lasts}.");
        let step = Step::new(attempt.started, Lane::ChatService, StepKind::Attempt, text);
        return Step { attempt: Some(number), ..step.during(None) };
    };
    let cause = trouble(ended.outcome);
    let why = cause.as_ref().map(part).unwrap_or_default();
    let mut service_id = None;
    let text = match ended.outcome {
        AttemptOutcome::Delivered { service_id: id } => {
            service_id = id.as_deref();
            format!("Attempt {number}: the chat service said that it reached the customer.")
        }
        AttemptOutcome::Accepted { service_id: id } => {
            service_id = id.as_deref();
            format!("Attempt {number}: the chat service took it.")
        }
        AttemptOutcome::Rejected { .. } => {
            format!("Attempt {number}: the chat service refused it for good: {why}.")
        }
        AttemptOutcome::SessionGone => {
            format!("Attempt {number}: the session was gone, and the message was not taken.")
        }
        AttemptOutcome::NotTaken { after: Some(after), .. } => format!(
            "Attempt {number} failed: {why}. The chat service asked for a pause of {} s.",
            after.as_secs()
        ),
        AttemptOutcome::NotTaken { after: None, .. } => {
            format!("Attempt {number} failed: {why}.")
        }
        AttemptOutcome::Unknown { .. } => {
            format!("Attempt {number}: it is not known whether the chat service took it: {why}.")
        }
    };
    let step = Step::new(attempt.started, Lane::ChatService, StepKind::Attempt, text);
    let step = step.during(Some(ended.at));
    let step = Step { attempt: Some(number), service_id: service_id.map(field), ..step };
    match cause {
        Some(cause) => step.because(cause),
        None => step,
    }
}

fn of_report(reported: &Reported<'_>) -> Step {
    let (text, cause) = match reported.report {
        Report::Delivered => ("The chat service reported that it arrived.".to_owned(), None),
        Report::Read => ("The chat service reported that the customer read it.".to_owned(), None),
        Report::Failed { reason } => {
            let cause = Cause::from(reason);
            let why = part(&cause);
            (format!("The chat service reported that it did not arrive: {why}."), Some(cause))
        }
    };
    let step = Step::new(reported.at, Lane::ChatService, StepKind::Report, text);
    match cause {
        Some(cause) => step.because(cause),
        None => step,
    }
}

fn of_settled(settled: Settled<'_>) -> Step {
    let (text, cause) = match settled.fate {
        Fate::Delivered => ("It is delivered.".to_owned(), None),
        Fate::Sent => ("It is sent: no report came in time.".to_owned(), None),
        Fate::Failed { reason } => {
            let cause = Cause::from(reason);
            (format!("It failed: {}.", part(&cause)), Some(cause))
        }
    };
    let text = if settled.receipt { text } else { format!("{text} Genesys gets no receipt.") };
    let step = Step::new(settled.at, Lane::Gateway, StepKind::Settled, text);
    match cause {
        Some(cause) => step.because(cause),
        None => step,
    }
}

fn of_receipt(word: &str, receipt: Receipt<'_>) -> Option<Step> {
    of_post(&format!("the {word} receipt"), StepKind::Receipt, receipt)
}

fn of_notice(kind: NoticeKind, notice: Receipt<'_>) -> Option<Step> {
    let what = match kind {
        NoticeKind::Held => "the notice to the agent that the message is held",
        NoticeKind::Expired => "the notice to the agent that the message expired",
        NoticeKind::Failed => "the notice to the agent that the message failed",
    };
    of_post(what, StepKind::Notice, notice)
}

/// Something that Genesys must get. `None` if no record says when.
fn of_post(what: &str, kind: StepKind, receipt: Receipt<'_>) -> Option<Step> {
    let (until, text, cause, genesys_id) = match receipt.state {
        ReceiptState::Owed => (None, format!("Genesys has not confirmed {what} yet."), None, None),
        ReceiptState::Posted { at, genesys_id } => {
            let waited = receipt.since.zip(at).filter(|(since, at)| is_long(*since, *at));
            let waited = waited
                .map_or(String::new(), |(since, at)| format!(" It waited {}.", span(since, at)));
            (at, format!("Genesys has {what}.{waited}"), None, genesys_id)
        }
        ReceiptState::Refused { at, why } => {
            let cause = Cause::said(why);
            let text = format!("Genesys refused {what}: {}.", part(&cause));
            (at, text, Some(cause), None)
        }
        ReceiptState::Replaced(at) => {
            let text = format!("Genesys did not need {what}: the final one took its place.");
            (Some(at), text, None, None)
        }
    };
    let step = Step::new(receipt.since.or(until)?, Lane::Genesys, kind, text);
    let step = Step { genesys_id: genesys_id.map(field), ..step };
    let step = if until.is_some() || receipt.is_owed() { step.during(until) } else { step };
    Some(match cause {
        Some(cause) => step.because(cause),
        None => step,
    })
}
