//! The page of an integration: what needs a look, the newest first.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::frame::Frame;
use crate::{links, times};

/// What needs a look at one integration.
#[derive(Clone, Debug, Default)]
pub struct Attention {
    /// The integration's name.
    pub integration: String,
    /// Conversations in which an agent's message waits for a session, or for the end of a pause.
    pub held: Vec<ConversationEntry>,
    /// Conversations in which Genesys does not take something.
    pub failing: Vec<ConversationEntry>,
    /// Agents' messages that failed.
    pub failed: Vec<MessageEntry>,
    /// Customers' messages that Genesys will never have.
    pub dead_letters: Vec<MessageEntry>,
    /// The most entries that a list shows.
    pub most: usize,
}

/// A conversation in a list.
#[derive(Clone, Debug)]
pub struct ConversationEntry {
    /// Its id.
    pub conversation: String,
    /// When its first message came.
    pub since: Timestamp,
}

/// A message in a list.
#[derive(Clone, Debug)]
pub struct MessageEntry {
    /// Its id in the store.
    pub message: String,
    /// When it came.
    pub received: Timestamp,
    /// Why it failed, cut and cleaned.
    pub reason: String,
}

/// The page of an integration.
pub fn integration(frame: &Frame, attention: &Attention) -> Markup {
    let Attention { held, failing, failed, dead_letters, most, .. } = attention;
    let content = html! {
        section.card.headline {
            h1 { (attention.integration) }
            p { "What needs a look, the newest first." }
        }
        (conversations("Conversations in which an agent's message waits", held, *most))
        (conversations("Conversations with something that Genesys does not take", failing, *most))
        (messages("Agents' messages that failed", failed, *most))
        (messages("Customers' messages that Genesys will never have", dead_letters, *most))
    };
    frame.page(&attention.integration, &content)
}

fn conversations(title: &str, entries: &[ConversationEntry], most: usize) -> Markup {
    list(title, entries, most, |entry| {
        html! {
            a href=(links::conversation(&entry.conversation)) { code { (entry.conversation) } }
            span.note { "conversation begun " (times::moment(entry.since)) }
        }
    })
}

fn messages(title: &str, entries: &[MessageEntry], most: usize) -> Markup {
    list(title, entries, most, |entry| {
        html! {
            a href=(links::message(&entry.message)) { code { (entry.message) } }
            span.note { "came " (times::moment(entry.received)) }
            p { (entry.reason) }
        }
    })
}

fn list<T>(title: &str, entries: &[T], most: usize, line: impl Fn(&T) -> Markup) -> Markup {
    html! {
        section.card {
            h2 { (title) }
            @if entries.is_empty() {
                p.note { "None." }
            } @else {
                ul.hits { @for entry in entries { li { (line(entry)) } } }
                @if entries.len() >= most {
                    p.note {
                        "There may be more than these " (most) ": see "
                        code { "tidegate messages list" }
                        " and " code { "tidegate conversations list" } "."
                    }
                }
            }
        }
    }
}
