//! What an operator reads about one of the agent's messages: the answer, and what comes next.

use conversation::{AttemptOutcome, NoticeKind, ReasonCode, Report};
use jiff::Timestamp;

use crate::agent_message::{AgentMessage, Receipt, ReceiptState, undoubted};
use crate::agent_steps::receipt_word;
use crate::gaps::is_late;
use crate::model::{Cause, Next, Outcome, SessionState};
use crate::reading::Reading;
use crate::talk::CallEnd;
use crate::words::{clock, count, due, is_long, part, sentence, short, span};

/// The gateway's own words if the customer left and the chat service gave no reason.
const LEFT: &str = "the customer left the chat before the message could be sent";

/// The answer in plain words.
pub(crate) fn summary(message: &AgentMessage<'_>, reading: &Reading<'_>) -> String {
    let outcome = message.outcome();
    let mut said = vec![answer(message, reading)];
    match news(message, reading) {
        // What became of it comes first.
        Some(news) if news.arrived && outcome == Outcome::Failed => said.insert(0, news.text),
        news => said.extend(news.map(|news| news.text)),
    }
    said.extend(wait(message, reading));
    if !outcome.is_open() || outcome == Outcome::Unreported {
        said.extend(receipt(message, reading));
    }
    said.extend(notice(message));
    said.join(" ")
}

fn answer(message: &AgentMessage<'_>, reading: &Reading<'_>) -> String {
    let now = reading.now;
    let settled = message.settled.map(|settled| settled.at);
    let at = settled.map_or(String::new(), |at| format!(" at {}", clock(at, now)));
    match message.outcome() {
        Outcome::Delivered => {
            let took = settled.filter(|at| is_long(message.listed.received, *at));
            let took = took.map_or(String::new(), |at| {
                format!(", {} after it came", span(message.listed.received, at))
            });
            format!("Delivered{at}{took}.")
        }
        Outcome::Sent => {
            let reported = match message.news() {
                Some(_) => "did not report in time whether it arrived",
                None => "never reported whether it arrived",
            };
            format!("Sent{at}: the chat service has it, and {reported}.")
        }
        Outcome::Failed => failed(message, reading),
        Outcome::Unreported => {
            let since = message.attempts.last().and_then(|last| last.ended);
            let since =
                since.map_or(String::new(), |ended| format!(" since {}", clock(ended.at, now)));
            format!("The chat service has it{since}, and has not reported whether it arrived.")
        }
        Outcome::InFlight => {
            let (number, started) =
                message.attempts.last().map_or((0, now), |last| (last.number, last.started));
            let lasts = span(started, now);
            format!("On its way: attempt {number} has no answer for {lasts}.")
        }
        Outcome::Waiting => why_waiting(message, reading),
        Outcome::Kept => "Stored only: there was nothing to forward.".to_owned(),
        Outcome::Unknown | Outcome::Posted | Outcome::Refused | Outcome::Discarded => {
            "Unknown: the store has the message, and no record says what became of it.".to_owned()
        }
    }
}

/// That it failed, and why.
fn failed(message: &AgentMessage<'_>, reading: &Reading<'_>) -> String {
    let why = why_failed(message, reading);
    let is_doubtful = message.is_doubtful();
    let last = message.decisive_attempt().map(|last| last.outcome);
    let ends_unknown = matches!(last, Some(AttemptOutcome::Unknown { .. }));
    let doubt = if is_doubtful && !ends_unknown {
        "the outcome of an attempt is not known. After that, "
    } else {
        ""
    };
    let head = match message.news().map(|news| news.report) {
        Some(Report::Delivered | Report::Read) => "The gateway had given it up",
        None if is_doubtful => "May have arrived",
        Some(Report::Failed { .. }) | None => "Not delivered",
    };
    format!("{head}: {doubt}{why}.")
}

/// What the chat service reported after the final decision.
struct News {
    /// That it arrived.
    arrived: bool,
    text: String,
}

/// What the chat service reported after the final decision, if that says something else.
fn news(message: &AgentMessage<'_>, reading: &Reading<'_>) -> Option<News> {
    let news = message.news()?;
    let at = clock(news.at, reading.now);
    let text = match news.report {
        Report::Delivered | Report::Read if message.was_never_sent() => format!(
            "The chat service reported at {at} that it arrived, although no record says that the \
             gateway sent it."
        ),
        Report::Delivered | Report::Read => {
            format!("It arrived after all: the chat service reported it at {at}.")
        }
        Report::Failed { reason } => format!(
            "The chat service reported later, at {at}, that it did not arrive ({}).",
            short(&Cause::from(reason))
        ),
    };
    Some(News { arrived: !matches!(news.report, Report::Failed { .. }), text })
}

/// Why it failed, as the end of a sentence.
fn why_failed(message: &AgentMessage<'_>, reading: &Reading<'_>) -> String {
    let Some(cause) = message.cause() else { return "no record says why".to_owned() };
    let cause = Cause { message: undoubted(&cause.message).to_owned(), ..cause };
    let why = part(&cause);
    if let Some(Report::Failed { .. }) = message.report_in_time() {
        return format!("the chat service reported that it did not arrive ({why})");
    }
    match message.decisive_attempt().map(|last| last.outcome) {
        Some(AttemptOutcome::Rejected { .. }) => format!("the chat service refused it ({why})"),
        Some(AttemptOutcome::Unknown { .. }) => {
            format!("no answer says whether the chat service took it ({why})")
        }
        Some(_) => {
            let tries = count(message.failures(), "attempt");
            format!("the chat service did not take it in {tries} ({why})")
        }
        None => why_given_up(message, reading, &cause),
    }
}

/// Why it failed, if no attempt decided that.
fn why_given_up(message: &AgentMessage<'_>, reading: &Reading<'_>, cause: &Cause) -> String {
    let talk = &reading.talk;
    let why = part(cause);
    let Some(settled) = message.settled.map(|settled| settled.at) else { return why };
    let was_sent = !message.attempts.is_empty();
    // If the customer went during the last attempt, its end settled the message.
    let last = message.attempts.last();
    let last = last.filter(|last| last.ended.is_some_and(|ended| ended.at == settled));
    let from = last.map_or(settled, |last| last.started);
    if talk.has_refused_customer_in(from, settled) {
        return format!("the chat service refused the customer ({why})");
    }
    let expired = cause.code == Some(ReasonCode::MessageExpired);
    if message.accepted == Some(settled) && !was_sent {
        return if expired && is_late(message.listed.received, settled) {
            format!("no node handled it in time ({why})")
        } else {
            format!("it failed at once ({why})")
        };
    }
    if talk.has_lost_customer_in(from, settled) {
        let left = if was_sent { "the customer left the chat" } else { LEFT };
        return if cause.message == LEFT { left.to_owned() } else { format!("{left} ({why})") };
    }
    if expired && !was_sent && !talk.had_session_in(message.listed.received, settled) {
        return "the customer's session was never opened".to_owned();
    }
    if expired && was_sent && !talk.had_session_at(settled) {
        return format!("its session was lost, and no other opened in time ({why})");
    }
    let has_expired = message.give_up.is_some_and(|give_up| give_up <= settled);
    if has_expired && message.last_trouble().is_some_and(|last| last.message == cause.message) {
        return format!("its time ran out before another attempt ({why})");
    }
    // The code is in the words about the receipt.
    part(&cause.message)
}

/// Why it waits.
fn why_waiting(message: &AgentMessage<'_>, reading: &Reading<'_>) -> String {
    let now = reading.now;
    if message.accepted.is_none() && message.attempts.is_empty() {
        let since = clock(message.listed.received, now);
        return format!("Waits in the gateway since {since}: no node has handled it yet.");
    }
    let last = message.attempts.last().and_then(|last| last.ended);
    let since = last.map_or(message.listed.received, |ended| ended.at);
    let lasts = span(since, now);
    let tries = match message.failures() {
        0 => String::new(),
        failures => {
            let cause = message.last_trouble().as_ref().map(part).unwrap_or_default();
            format!(" {} failed ({cause}).", count(failures, "attempt"))
        }
    };
    let ahead = reading.ahead(message.id);
    let what = match reading.session() {
        SessionState::Open if reading.is_held_back(message.id) => {
            format!("for {lasts}, because a message before it failed and paused the conversation")
        }
        SessionState::Open if ahead > 0 => {
            format!("behind {}, for {lasts}", count(ahead, "earlier message"))
        }
        SessionState::Open => match last.and_then(|ended| ended.retry_at) {
            Some(at) => format!("for its next attempt, which {}", due(at, now)),
            None => format!("for its turn, for {lasts}"),
        },
        SessionState::Opening | SessionState::Closed => {
            format!("for the customer's session, for {lasts}")
        }
        SessionState::Unknown => format!("for {lasts}; the records that say for what are missing"),
    };
    format!("Waits {what}.{tries}")
}

/// How long it waited for a session or its turn, and what the handshakes came to.
fn wait(message: &AgentMessage<'_>, reading: &Reading<'_>) -> Option<String> {
    let outcome = message.outcome();
    let until = match message.waited_until() {
        Some(until) => until,
        None if outcome == Outcome::Waiting => reading.now,
        None => return None,
    };
    let mut said = Vec::new();
    let from = message.accepted.unwrap_or(message.listed.received);
    if message.waited_until().is_some() && is_long(from, until) {
        let lasted = span(from, until);
        let held = !reading.talk.had_session_at(from);
        said.push(if held { format!("held {lasted}") } else { format!("waited {lasted}") });
    }
    said.extend(handshakes(message.listed.received, until, reading));
    let failures = message.failures();
    if matches!(outcome, Outcome::Delivered | Outcome::Sent | Outcome::Unreported) && failures > 0 {
        let cause = message.last_trouble();
        let why = cause.as_ref().map(part).unwrap_or_default();
        said.push(format!("{} failed before ({why})", count(failures, "attempt")));
    }
    if outcome == Outcome::Failed && failures > 0 && message.decisive_attempt().is_none() {
        let why = message.last_trouble().as_ref().map(short).unwrap_or_default();
        said.push(format!("{} ended without success ({why})", count(failures, "attempt")));
    }
    (!said.is_empty()).then(|| sentence(&said.join("; ")))
}

/// What the handshakes between two times came to, if that was no success at the first call.
pub(crate) fn handshakes(from: Timestamp, to: Timestamp, reading: &Reading<'_>) -> Option<String> {
    let (mut failed, mut silent, mut last) = (0_usize, 0_usize, None);
    let mut promised = None;
    for call in reading.talk.calls_in(from, to).filter(|call| call.attempt.is_some()) {
        if call.promised && call.end != CallEnd::Opened {
            promised = Some(call.end == CallEnd::Open);
        }
        match &call.end {
            CallEnd::Failed { cause, .. } => (failed, last) = (failed + 1, Some(cause)),
            CallEnd::Expired(_) | CallEnd::AskedAgain => silent += usize::from(!call.promised),
            CallEnd::Open | CallEnd::Opened | CallEnd::Refused(_) | CallEnd::Left => {}
        }
    }
    let mut said = Vec::new();
    if let Some(cause) = last {
        said.push(format!("{} failed ({})", count(failed, "handshake"), part(cause)));
    }
    if silent > 0 {
        said.push(format!("{} had no answer", count(silent, "handshake")));
    }
    if let Some(lasts) = promised {
        let ended = if lasts { "has not ended it yet" } else { "did not end it in time" };
        said.push(format!("the chat service said that the handshake goes on, and {ended}"));
    }
    (!said.is_empty()).then(|| said.join("; "))
}

/// Whether Genesys has the final receipt.
fn receipt(message: &AgentMessage<'_>, reading: &Reading<'_>) -> Option<String> {
    let now = reading.now;
    let word = receipt_word(message);
    let code = message.cause().and_then(|cause| cause.code);
    let code = code.map_or(String::new(), |code| format!(" ({code})"));
    let Some(receipt) = message.last_receipt else {
        let settled = message.settled?;
        return (!settled.receipt).then(|| "Genesys gets no receipt (`receipts.send`).".to_owned());
    };
    let since =
        |at: Option<Timestamp>| at.map_or(String::new(), |at| format!(" since {}", clock(at, now)));
    Some(match receipt.state {
        ReceiptState::Posted { at, .. } => {
            format!("Genesys has the {word} receipt{code}{}.", since(at))
        }
        ReceiptState::Refused { why, .. } => {
            let why = part(&Cause::said(why));
            format!("Genesys refused the {word} receipt{code}: {why}.")
        }
        ReceiptState::Owed | ReceiptState::Replaced(_) => {
            let waits = receipt.since.filter(|since| is_long(*since, now));
            let waits = waits
                .map_or(String::new(), |since| format!("; it has waited {}", span(since, now)));
            format!("Genesys has not confirmed the {word} receipt{code} yet{waits}.")
        }
    })
}

/// Whether the agent was told inside the conversation.
fn notice(message: &AgentMessage<'_>) -> Option<String> {
    let outcome = message.outcome();
    let told = message.notices.iter().rev().find(|(kind, notice)| {
        let is_about = match kind {
            NoticeKind::Held => outcome == Outcome::Waiting,
            NoticeKind::Expired | NoticeKind::Failed => outcome == Outcome::Failed,
        };
        is_about && matches!(notice.state, ReceiptState::Posted { .. })
    });
    told.map(|_| "The agent was told in the conversation.".to_owned())
}

/// What comes next.
pub(crate) fn next(message: &AgentMessage<'_>, reading: &Reading<'_>) -> Option<Next> {
    let now = reading.now;
    let at = |at: Option<Timestamp>, text: String| Some(Next { at, text });
    match message.outcome() {
        Outcome::Waiting => Some(next_of_waiting(message, reading)),
        Outcome::InFlight => {
            let limit = message.give_up;
            let until = limit
                .map_or(String::new(), |limit| format!(", at most until {}", clock(limit, now)));
            let number = message.attempts.last().map_or(0, |last| last.number);
            at(limit, format!("Waits for the answer to attempt {number}{until}."))
        }
        Outcome::Unreported => at(
            None,
            "Waits for the chat service's report. Without one it becomes Sent \
             (`receipts.report_timeout`)."
                .to_owned(),
        ),
        _ => {
            let receipt = message.last_receipt.filter(Receipt::is_owed)?;
            let word = receipt_word(message);
            let since = receipt
                .since
                .map_or(String::new(), |since| format!(", since {}", clock(since, now)));
            at(None, format!("Waits for its {word} receipt to reach Genesys{since}."))
        }
    }
}

fn next_of_waiting(message: &AgentMessage<'_>, reading: &Reading<'_>) -> Next {
    let (now, talk) = (reading.now, &reading.talk);
    let fails = |limit: Option<Timestamp>| {
        limit.map_or(String::new(), |at| format!(" Otherwise it fails at {}.", clock(at, now)))
    };
    if message.accepted.is_none() && message.attempts.is_empty() {
        let text = "Waits for a node to handle it. Check that one is ready (`/readyz`).";
        return Next { at: None, text: text.to_owned() };
    }
    if reading.session() == SessionState::Unknown {
        let text = "Waits for a session or for its turn: the records that say it are missing.";
        let otherwise = fails(message.give_up);
        return Next { at: message.give_up, text: format!("{text}{otherwise}") };
    }
    if reading.session() != SessionState::Open {
        let hold = message.hold_until.max(talk.now.hold_until);
        let limit = hold.zip(message.give_up).map(|(hold, give_up)| hold.min(give_up));
        let call = talk.now.call_at.filter(|at| limit.is_none_or(|limit| *at < limit));
        let call = call
            .map_or(String::new(), |at| format!(" The next call for a session {}.", due(at, now)));
        let otherwise = fails(limit);
        return Next { at: limit, text: format!("Waits for the handshake.{call}{otherwise}") };
    }
    let otherwise = fails(message.give_up);
    let last = message.attempts.last().and_then(|last| last.ended);
    if reading.is_held_back(message.id) {
        let text = "Waits until another session opens.";
        return Next { at: message.give_up, text: format!("{text}{otherwise}") };
    }
    let ahead = reading.ahead(message.id);
    if ahead > 0 {
        let earlier = count(ahead, "earlier message");
        return Next { at: message.give_up, text: format!("Waits behind {earlier}.{otherwise}") };
    }
    match last.and_then(|ended| ended.retry_at) {
        Some(at) => Next { at: Some(at), text: format!("The next attempt {}.", due(at, now)) },
        None => Next { at: message.give_up, text: format!("The next attempt is due.{otherwise}") },
    }
}
