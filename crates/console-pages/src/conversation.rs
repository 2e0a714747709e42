//! The page of a conversation: its messages, its session, and what happened besides.

use jiff::Timestamp;
use maud::{Markup, html};
use timeline::{ConversationTimeline, MessageLine, SessionState};

use crate::frame::Frame;
use crate::message::{badge, whose};
use crate::{links, steps, times};

/// The page of the conversations that an id names. `left_out` is how many more there are.
pub fn conversations(frame: &Frame, all: &[ConversationTimeline], left_out: usize) -> Markup {
    let content = html! {
        @for conversation in all { (one(conversation, frame.now)) }
        @if left_out > 0 { p.note { (left_out) " more conversations have this id." } }
    };
    frame.page("Conversation", &content)
}

fn one(conversation: &ConversationTimeline, now: Timestamp) -> Markup {
    let failed = conversation.counts.keys().any(|outcome| outcome.is_failed());
    html! {
        section.card.headline.failed[failed] {
            h1 { "Conversation" }
            p.summary { (conversation.summary) }
            (steps::next(conversation.next.as_ref()))
            (steps::missing(conversation.pruned, conversation.damaged))
        }
        section.card {
            h2 { "Messages" }
            @if conversation.messages.is_empty() { p { "None." } }
            ul.messages { @for message in &conversation.messages { (line(message)) } }
            @if conversation.messages_left_out > 0 {
                p.note {
                    (conversation.messages_left_out)
                    " more messages are not shown. Failed ones and the newest are."
                }
            }
        }
        section.card {
            h2 { "What happened besides" }
            (steps::steps(&conversation.steps, conversation.steps_left_out, now))
        }
        section.card { h2 { "Ids" } (ids(conversation)) }
    }
}

fn line(message: &MessageLine) -> Markup {
    html! {
        li.failed[message.outcome.is_failed()] {
            a href=(links::message(&message.message)) {
                span.when { (times::moment(message.received)) }
                span.who { (whose(message.direction)) }
                (badge(message.outcome))
            }
            p { (message.summary) }
        }
    }
}

fn ids(conversation: &ConversationTimeline) -> Markup {
    let session = match conversation.session.state {
        SessionState::Open => "open",
        SessionState::Opening => "handshake in progress",
        SessionState::Closed => "none",
        SessionState::Unknown => "unknown",
    };
    html! {
        dl {
            dt { "Conversation" } dd { code { (conversation.conversation) } }
            dt { "Integration" } dd { (conversation.integration) }
            @if let Some(customer) = &conversation.customer {
                dt { "Customer" } dd { code { (customer) } }
            }
            @for genesys in &conversation.genesys {
                dt { "At Genesys" }
                dd { code { (genesys.id) } " since " (times::moment(genesys.since)) }
            }
            dt { "Session" }
            dd {
                (session)
                @if let Some(id) = &conversation.session.service_id { " " code { (id) } }
                @if let Some(since) = conversation.session.since {
                    " since " (times::moment(since))
                }
            }
        }
    }
}
