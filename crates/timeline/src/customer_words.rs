//! What an operator reads about one of the customer's messages: the answer, and what comes next.

use conversation::{DeadLetterAction, TellOutcome};

use crate::agent_words::handshakes;
use crate::customer_message::{CustomerMessage, DeadLetter, is_held};
use crate::model::{Cause, Next, Outcome, SessionState};
use crate::reading::Reading;
use crate::words::{clock, count, due, id, is_long, part, sentence, short, span};

/// The answer in plain words.
pub(crate) fn summary(message: &CustomerMessage<'_>, reading: &Reading<'_>) -> String {
    let mut said = vec![answer(message, reading)];
    said.extend(wait(message, reading));
    if matches!(message.outcome(), Outcome::Refused | Outcome::Discarded) {
        said.push(told(message, reading));
    }
    said.extend(retried(message, reading));
    said.extend(asked(message));
    said.join(" ")
}

fn answer(message: &CustomerMessage<'_>, reading: &Reading<'_>) -> String {
    let now = reading.now;
    let why = message.cause().as_ref().map(part);
    match message.outcome() {
        Outcome::Posted => {
            let since =
                message.done.map_or(String::new(), |(at, _)| format!(" since {}", clock(at, now)));
            format!("Genesys has it{since}.")
        }
        Outcome::Refused => {
            let why = why.unwrap_or_else(|| "no record says why".to_owned());
            format!("Dead letter: {} ({why}).", message.dead_letter_words())
        }
        Outcome::Discarded => {
            let by = message.action.map_or("an operator".to_owned(), |act| id(act.by));
            let why = why.unwrap_or_else(|| "no record says why".to_owned());
            let what = message.dead_letter_words();
            format!("Discarded by {by}. It was a dead letter: {what} ({why}).")
        }
        Outcome::InFlight => {
            let since = message.posts.first().map_or(message.listed.received, |(at, _)| *at);
            let tries = message.failures.last().map(|(_, tries, _)| *tries).unwrap_or_default();
            let tries = match (usize::try_from(tries), why) {
                (Ok(tries @ 1..), Some(why)) => format!(" {} failed ({why}).", tried(tries)),
                _ => String::new(),
            };
            format!("Genesys has not confirmed it: on its way for {}.{tries}", span(since, now))
        }
        Outcome::Waiting => why_waiting(message, reading),
        Outcome::Kept => "Stored only: there was nothing to post.".to_owned(),
        _ => "Unknown: the store has the message, and no record says what became of it.".to_owned(),
    }
}

/// That operators had it posted again.
fn retried(message: &CustomerMessage<'_>, reading: &Reading<'_>) -> Option<String> {
    let last = message.last_retry()?;
    let (by, at) = (id(last.by), clock(last.at, reading.now));
    let times = match message.before.len() {
        1 => String::new(),
        many => format!(", the last of {many} times"),
    };
    Some(format!("It had been a dead letter, and {by} had it posted again at {at}{times}."))
}

/// That an operator's action waits.
fn asked(message: &CustomerMessage<'_>) -> Option<String> {
    let (action, by) = message.waiting_action()?;
    let what = match action {
        DeadLetterAction::Retry => "have it posted again",
        DeadLetterAction::Discard => "discard it",
    };
    Some(format!("{} has asked to {what}, and no node has handled that yet.", id(by)))
}

fn tried(tries: usize) -> String {
    if tries == 1 { "1 try".to_owned() } else { format!("{tries} tries") }
}

fn why_waiting(message: &CustomerMessage<'_>, reading: &Reading<'_>) -> String {
    let now = reading.now;
    let since = message.last_retry().map_or(message.listed.received, |retry| retry.at);
    let lasts = span(since, now);
    if message.accepted.is_none() {
        let since = clock(message.listed.received, now);
        return format!("Waits in the gateway since {since}: no node has handled it yet.");
    }
    let ahead = reading.inbound_ahead(message.id);
    if ahead > 0 {
        return format!("Waits behind {}, for {lasts}.", count(ahead, "earlier message"));
    }
    if reading.session() == SessionState::Opening {
        format!("Waits for the handshake, for {lasts}.")
    } else {
        format!("Waits for its turn, for {lasts}.")
    }
}

/// How long it waited, and what the handshakes came to.
fn wait(message: &CustomerMessage<'_>, reading: &Reading<'_>) -> Option<String> {
    let released = message.posts.first().map(|(at, _)| *at);
    let until = match released {
        Some(released) => released,
        None if message.outcome() == Outcome::Waiting => reading.now,
        None => return None,
    };
    let held = is_held(message, reading);
    let mut said = Vec::new();
    let from = message.accepted.unwrap_or(message.listed.received);
    if released.is_some() && is_long(from, until) {
        let lasted = span(from, until);
        let what = if held { "held" } else { "waited" };
        let for_what = if held { " for the handshake" } else { "" };
        said.push(format!("{what} {lasted}{for_what}"));
    }
    if held {
        said.extend(handshakes(message.listed.received, until, reading));
    }
    let failed = message.failures.len();
    if message.outcome() == Outcome::Posted && failed > 0 {
        let why = message.failures.last().map(|(_, _, why)| Cause::said(why));
        let why = why.as_ref().map(part).unwrap_or_default();
        said.push(format!("{} failed before ({why})", tried(failed)));
    }
    if message.dead_letter() == Some(DeadLetter::Unacceptable) && failed > 0 {
        // One of them may have reached Genesys.
        let why = message.failures.last().map(|(_, _, why)| short(&Cause::said(why)));
        let why = why.unwrap_or_default();
        said.push(format!("{} before got no confirmation ({why})", tried(failed)));
    }
    (!said.is_empty()).then(|| sentence(&said.join("; ")))
}

/// Whether the chat service knows that it is a dead letter.
fn told(message: &CustomerMessage<'_>, reading: &Reading<'_>) -> String {
    let now = reading.now;
    let Some(end) = message.tells.iter().rev().find_map(|tell| tell.end) else {
        return if message.refusal.is_some() {
            "The chat service has not been told yet.".to_owned()
        } else {
            "No record says whether the chat service was told.".to_owned()
        };
    };
    match (end.outcome, end.retry_at) {
        (TellOutcome::Heard, _) => {
            format!("The chat service was told at {}.", clock(end.at, now))
        }
        (_, Some(at)) => {
            format!("The chat service has not been told yet; the next call {}.", due(at, now))
        }
        (TellOutcome::Failed { why } | TellOutcome::GivenUp { why }, None) => {
            let why = part(&Cause::said(why));
            format!("The chat service will never be told ({why}).")
        }
        (TellOutcome::NotMade, None) => "The chat service will never be told.".to_owned(),
    }
}

/// What an operator can do, and the danger of it.
fn ways_out(message: &CustomerMessage<'_>) -> &'static str {
    match message.dead_letter() {
        Some(DeadLetter::Unacceptable) => {
            "Nothing, unless an operator acts: `tidegate messages retry` posts it again, if the \
             cause is gone. The agent then reads it after later messages. `tidegate messages \
             discard` ends it."
        }
        _ => {
            "Nothing, unless an operator acts: `tidegate messages retry` posts it again. The agent \
             then reads it after later messages, and twice if Genesys has it and only its answer \
             was lost. `tidegate messages discard` ends it."
        }
    }
}

/// What comes next.
pub(crate) fn next(message: &CustomerMessage<'_>, reading: &Reading<'_>) -> Option<Next> {
    let now = reading.now;
    let text = |text: &str| Some(Next { at: None, text: text.to_owned() });
    match message.outcome() {
        Outcome::Waiting if message.accepted.is_none() => {
            text("Waits for a node to handle it. Check that one is ready (`/readyz`).")
        }
        Outcome::Waiting => {
            let ahead = reading.inbound_ahead(message.id);
            if ahead > 0 {
                let ahead = count(ahead, "earlier message");
                return text(&format!("Waits until Genesys has {ahead}."));
            }
            match message.hold_until.filter(|_| reading.session() == SessionState::Opening) {
                Some(at) => {
                    let until = clock(at, now);
                    let text = format!("Waits for the handshake, at most until {until}.");
                    Some(Next { at: Some(at), text })
                }
                None => text("Goes to Genesys next."),
            }
        }
        Outcome::InFlight => text(
            "Waits for Genesys to confirm it. The gateway tries until it does, or until both \
             limits of `[integration.inbound]` are reached.",
        ),
        Outcome::Refused if message.waiting_action().is_some() => text(
            "An operator's action waits for a node to handle it. Check that one is ready \
             (`/readyz`).",
        ),
        Outcome::Refused | Outcome::Discarded => {
            message.refusal?;
            let end = message.tells.last().and_then(|tell| tell.end);
            match (end, end.and_then(|end| end.retry_at)) {
                (None, _) => text("The chat service is told that it is a dead letter."),
                (Some(_), Some(at)) => {
                    let text = format!("The next call to tell the chat service {}.", due(at, now));
                    Some(Next { at: Some(at), text })
                }
                (Some(_), None) if message.outcome() == Outcome::Refused => text(ways_out(message)),
                (Some(_), None) => None,
            }
        }
        _ => None,
    }
}
