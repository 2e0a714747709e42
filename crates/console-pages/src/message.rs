//! The page of a message: what became of it, why, and what comes next.

use maud::{Markup, html};
use store::Direction;
use timeline::{MessageTimeline, Outcome};

use crate::frame::Frame;
use crate::{actions, links, steps, times};

/// The page of the messages that an id names. `left_out` is how many more there are.
pub fn messages(frame: &Frame, messages: &[MessageTimeline], left_out: usize) -> Markup {
    let content = html! {
        @for message in messages { (one(message, frame)) }
        @if left_out > 0 { p.note { (left_out) " more messages have this id." } }
    };
    let title = match messages {
        [message] => format!("{}: {}", whose(message.direction), word(message.outcome)),
        _ => "Messages".to_owned(),
    };
    frame.page(&title, &content)
}

fn one(message: &MessageTimeline, frame: &Frame) -> Markup {
    html! {
        section.card.headline.failed[message.outcome.is_failed()] {
            h1 { (whose(message.direction)) " " (badge(message.outcome)) }
            p.summary { (message.summary) }
            (steps::next(message.next.as_ref()))
            (steps::missing(message.pruned, message.damaged))
        }
        @if frame.acts && message.outcome == Outcome::Refused { (actions::dead_letter(message)) }
        section.card {
            h2 { "What happened" }
            (steps::steps(&message.steps, message.steps_left_out, frame.now))
        }
        section.card {
            h2 { "Ids" }
            dl {
                dt { "Message" } dd { code { (message.message) } }
                dt { "Conversation" }
                dd {
                    a href=(links::conversation(&message.conversation)) {
                        code { (message.conversation) }
                    }
                }
                dt { "Integration" } dd { (message.integration) }
                dt { "Came" } dd { (times::moment(message.received)) }
                @if let Some(settled) = message.settled {
                    dt { "Final since" } dd { (times::moment(settled)) }
                }
            }
        }
    }
}

/// Who wrote a message.
pub(crate) fn whose(direction: Direction) -> &'static str {
    match direction {
        Direction::Outbound => "Agent's message",
        Direction::Inbound => "Customer's message",
    }
}

/// What became of a message, as a word with a colour.
pub(crate) fn badge(outcome: Outcome) -> Markup {
    let class = match outcome {
        Outcome::Failed | Outcome::Refused => "bad",
        Outcome::Delivered | Outcome::Sent | Outcome::Posted => "good",
        Outcome::Waiting | Outcome::InFlight | Outcome::Unreported => "open",
        Outcome::Discarded | Outcome::Kept | Outcome::Unknown => "soft",
    };
    html! { span.badge.(class) { (word(outcome)) } }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::InFlight => "on its way",
        Outcome::Unreported => "no report yet",
        Outcome::Posted => "at Genesys",
        Outcome::Refused => "dead letter",
        Outcome::Kept => "stored",
        other => other.as_str(),
    }
}
