//! The steps that are about no single message, in words.

use conversation::{ClosedBy, PostResult};
use jiff::Timestamp;

use crate::model::{Cause, Lane, Step, StepKind};
use crate::reading::Reading;
use crate::talk::{Call, CallEnd, Disconnect, Pause, Session, TurnOfEvents};
use crate::words::{clock, field, id, part, span};

/// Every step that is about no single message, with the gaps and the records that cannot be read.
pub(crate) fn steps(reading: &Reading<'_>) -> Vec<Step> {
    let (talk, now) = (&reading.talk, reading.now);
    let mut steps: Vec<Step> = Vec::new();
    steps.extend(talk.calls.iter().map(|call| of_call(call, now)));
    steps.extend(talk.sessions.iter().map(of_session));
    steps.extend(talk.pauses.iter().map(of_pause));
    steps.extend(talk.disconnects.iter().map(of_disconnect));
    steps.extend(talk.genesys.iter().map(|(at, genesys)| {
        let text = format!("Genesys's conversation is {} from here on.", id(genesys));
        let step = Step::new(*at, Lane::Genesys, StepKind::GenesysConversation, text);
        Step { genesys_id: Some(field(genesys)), ..step }
    }));
    steps.extend(talk.turns.iter().map(|(at, turn)| of_turn(*at, turn)));
    steps.extend(reading.gaps.iter().map(|gap| of_gap(gap.from, gap.until, now)));
    steps.extend(reading.damaged.iter().map(|row| {
        let text = format!(
            "Record {} of the conversation cannot be read. `tidegate audit` says why.",
            row.seq
        );
        let step = Step::new(row.at, Lane::Gateway, StepKind::Damaged, text);
        Step { failed: true, ..step }
    }));
    steps
}

/// A time in which nothing was recorded, although something was due.
pub(crate) fn of_gap(from: Timestamp, until: Option<Timestamp>, now: Timestamp) -> Step {
    let text = format!(
        "The gateway did nothing for {}, although something was due: it was stopped, could not \
         write to the store, or another node took over.",
        span(from, until.unwrap_or(now))
    );
    let step = Step::new(from, Lane::Gateway, StepKind::Gap, text).during(until);
    Step { failed: true, ..step }
}

fn of_call(call: &Call, now: Timestamp) -> Step {
    let number = call.attempt.map_or(String::new(), |attempt| format!(" (call {attempt})"));
    let promised = if call.promised {
        " The chat service answered that the handshake is in progress."
    } else {
        ""
    };
    let mut cause = None;
    let end = match &call.end {
        CallEnd::Open if call.promised => " It has not ended yet.".to_owned(),
        CallEnd::Open => " There is no answer yet.".to_owned(),
        CallEnd::Opened => {
            format!(" The session opened after {}.", span(call.at, call.until.unwrap_or(now)))
        }
        CallEnd::Failed { cause: why, retry_at } => {
            cause = Some(why.clone());
            let next = match retry_at {
                Some(at) => format!(" The next call was due at {}.", clock(*at, now)),
                None => " The gateway gave the handshake up.".to_owned(),
            };
            format!(" It failed: {}.{next}", part(why))
        }
        CallEnd::Expired(why) => {
            cause = Some(why.clone());
            let what = if call.promised { "It did not end" } else { "There was no answer" };
            format!(" {what} in time, and the gateway gave the handshake up.")
        }
        CallEnd::Refused(why) => {
            cause = Some(why.clone());
            format!(" The chat service refused the customer: {}.", part(why))
        }
        CallEnd::AskedAgain if call.promised => {
            " It did not end in time, so the gateway asked again.".to_owned()
        }
        CallEnd::AskedAgain => {
            cause = Some(Cause::said("no answer was recorded"));
            " No answer was recorded: the node stopped, or another took over. The gateway asked \
             again."
                .to_owned()
        }
        CallEnd::Left => " The chat was over before there was a session.".to_owned(),
    };
    let text = format!("The gateway asked the chat service for a session{number}.{promised}{end}");
    let step = Step::new(call.at, Lane::ChatService, StepKind::Handshake, text);
    let step = Step { attempt: call.attempt, ..step.during(call.until) };
    match cause {
        Some(cause) => step.because(cause),
        None => step,
    }
}

fn of_session(session: &Session<'_>) -> Step {
    let (end, failed) = match session.closed {
        None if session.until.is_some() => {
            ("It ended when the chat service opened another.", false)
        }
        None => ("It is open.", false),
        Some(ClosedBy::Service) => ("The customer left the chat.", false),
        Some(ClosedBy::Forward) => ("The chat service did not know it any more.", true),
        Some(ClosedBy::Lost) => ("The chat service lost it.", true),
        Some(ClosedBy::Agent) => ("The agent's side ended the conversation.", false),
    };
    let until = session.until.filter(|_| !session.is_inferred);
    let lasted =
        until.map_or(String::new(), |until| format!(", open for {}", span(session.at, until)));
    let began = if session.is_inferred { " No record says when it opened." } else { "" };
    let text = format!("The customer's session{lasted}. {end}{began}");
    let step = Step::new(session.at, Lane::ChatService, StepKind::Session, text);
    let service_id = Some(field(session.id.as_str()));
    let cause = session.reason.map(Cause::from);
    Step { cause, service_id, failed, ..step.during(session.until) }
}

fn of_pause(pause: &Pause) -> Step {
    let text = "A failed message held back the messages behind it (`delivery.after_failure`).";
    Step::new(pause.at, Lane::Gateway, StepKind::Paused, text).during(pause.until)
}

fn of_disconnect(disconnect: &Disconnect<'_>) -> Step {
    let (text, cause) = match disconnect.done {
        None => ("The customer's disconnect waits to reach Genesys.".to_owned(), None),
        Some((_, PostResult::Posted { .. })) => {
            ("Genesys disconnected the customer.".to_owned(), None)
        }
        Some((_, PostResult::Refused { why })) => {
            // These are the gateway's own words. An answer of Genesys begins with its status.
            let what = if why.starts_with("given up after ") {
                "Genesys did not confirm that it disconnected the customer"
            } else {
                "Genesys refused to disconnect the customer"
            };
            let why = Cause::said(why);
            (format!("{what}: {}.", part(&why)), Some(why))
        }
    };
    let step = Step::new(disconnect.at, Lane::Genesys, StepKind::Disconnect, text);
    let step = step.during(disconnect.done.map(|(at, _)| at));
    let step = Step { genesys_id: Some(field(disconnect.id)), ..step };
    match cause {
        Some(cause) => step.because(cause),
        None => step,
    }
}

fn of_turn(at: Timestamp, turn: &TurnOfEvents<'_>) -> Step {
    match turn {
        TurnOfEvents::LeftBefore(reason) => {
            let text = "The customer left the chat while there was no session.";
            let step = Step::new(at, Lane::ChatService, StepKind::CustomerLeft, text);
            Step { cause: reason.map(Cause::from), ..step }
        }
        TurnOfEvents::RefusedUnasked(reason) => {
            let cause = Cause::from(*reason);
            let text = format!("The chat service refused the customer: {}.", part(&cause));
            Step::new(at, Lane::ChatService, StepKind::Handshake, text).because(cause)
        }
        TurnOfEvents::GivenUp(reason) => {
            let cause = Cause::from(*reason);
            let text = format!("The gateway gave the handshake up: {}.", part(&cause));
            Step::new(at, Lane::Gateway, StepKind::Handshake, text).because(cause)
        }
        TurnOfEvents::MustEnd => {
            let text = "The chat is over. Genesys is told once it has the customer's messages.";
            Step::new(at, Lane::Gateway, StepKind::CustomerLeft, text)
        }
        TurnOfEvents::Ending => {
            let text = "The agent's side ended the conversation. The session closes once no \
                message waits.";
            Step::new(at, Lane::Genesys, StepKind::Ending, text)
        }
        TurnOfEvents::DisconnectFailed { tries, why } => {
            let cause = Cause::said(why);
            let text = format!("Genesys did not confirm the disconnect: {}.", part(&cause));
            let step = Step::new(at, Lane::Genesys, StepKind::PostFailed, text).because(cause);
            Step { attempt: Some(*tries), ..step }
        }
    }
}
