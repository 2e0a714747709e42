//! The page of an integration, which says what needs a look, and the pages of its lists.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::frame::Frame;
use crate::{links, times};

/// What needs a look at one integration.
#[derive(Clone, Debug, Default)]
pub struct Attention {
    /// The integration's name.
    pub integration: String,
    /// The first page of each list.
    pub lists: Vec<ListPage>,
}

/// What a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Conversations in which an agent's message waits for a session, or for the end of a pause.
    Held,
    /// Conversations in which Genesys does not take something.
    Failing,
    /// Agents' messages that failed.
    Failed,
    /// Customers' messages that Genesys will never have.
    DeadLetters,
}

impl List {
    /// All lists, in the order of the page.
    pub const ALL: [Self; 4] = [Self::Held, Self::Failing, Self::Failed, Self::DeadLetters];

    /// Its name in an address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Failing => "failing",
            Self::Failed => "failed",
            Self::DeadLetters => "dead-letters",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Held => "Conversations in which an agent's message waits",
            Self::Failing => "Conversations with something that Genesys does not take",
            Self::Failed => "Agents' messages that failed",
            Self::DeadLetters => "Customers' messages that Genesys will never have",
        }
    }
}

/// A page of a list, the newest first.
#[derive(Clone, Debug)]
pub struct ListPage {
    /// Which list.
    pub list: List,
    /// What is on the page.
    pub entries: Entries,
    /// Whether it is the first page.
    pub is_first: bool,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
}

/// What is on a page of a list.
#[derive(Clone, Debug)]
pub enum Entries {
    /// Conversations.
    Conversations(Vec<ConversationEntry>),
    /// Messages.
    Messages(Vec<MessageEntry>),
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
    let name = &attention.integration;
    let content = html! {
        section.card.headline {
            h1 { (name) }
            p { "What needs a look, the newest first." }
        }
        @for page in &attention.lists {
            section.card {
                h2 { (page.list.title()) }
                (entries(&page.entries, "None."))
                @if page.next.is_some() {
                    p { a href=(links::list(name, page.list.as_str(), None)) { "All of them" } }
                }
            }
        }
    };
    frame.page(name, &content)
}

/// A page of one list of an integration.
pub fn list(frame: &Frame, integration: &str, page: &ListPage) -> Markup {
    let title = page.list.title();
    let content = html! {
        section.card.headline {
            h1 { (title) }
            p {
                "Of " a href=(links::integration(integration)) { (integration) }
                ", the newest first."
            }
        }
        section.card {
            (entries(&page.entries, if page.is_first { "None." } else { "No older ones." }))
            @if let Some(next) = &page.next {
                p {
                    a rel="next" href=(links::list(integration, page.list.as_str(), Some(next))) {
                        "Older ones"
                    }
                }
            }
            @if !page.is_first {
                @let newest = links::list(integration, page.list.as_str(), None);
                p { a href=(newest) { "The newest ones" } }
            }
        }
    };
    frame.page(title, &content)
}

/// What is on a page, or that it is empty.
fn entries(entries: &Entries, none: &str) -> Markup {
    match entries {
        Entries::Conversations(all) => lines(all, none, |entry| {
            html! {
                a href=(links::conversation(&entry.conversation)) { code { (entry.conversation) } }
                span.note { "conversation begun " (times::moment(entry.since)) }
            }
        }),
        Entries::Messages(all) => lines(all, none, |entry| {
            html! {
                a href=(links::message(&entry.message)) { code { (entry.message) } }
                span.note { "came " (times::moment(entry.received)) }
                p { (entry.reason) }
            }
        }),
    }
}

fn lines<T>(entries: &[T], none: &str, line: impl Fn(&T) -> Markup) -> Markup {
    html! {
        @if entries.is_empty() {
            p.note { (none) }
        } @else {
            ul.hits { @for entry in entries { li { (line(entry)) } } }
        }
    }
}
