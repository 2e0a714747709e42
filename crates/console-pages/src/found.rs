//! The results of a search.

use maud::{Markup, html};

use crate::frame::Frame;
use crate::links;

/// One thing that an id names.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Whose id it is, such as `genesys message`.
    pub by: String,
    /// The integration's name.
    pub integration: String,
    /// The conversation's id.
    pub conversation: String,
    /// The message's id, if it is a message.
    pub message: Option<String>,
}

impl Hit {
    /// The page that shows it.
    pub fn link(&self) -> String {
        match &self.message {
            Some(message) => links::message(message),
            None => links::conversation(&self.conversation),
        }
    }
}

/// What a search found.
pub fn found(frame: &Frame, hits: &[Hit]) -> Markup {
    let content = html! {
        section.card {
            @if hits.is_empty() {
                h1 { "Nothing has this id" }
                p {
                    "No message, conversation or customer has the id " code { (frame.sought) } ". "
                    "Search with a whole id. These are known: Genesys's ids of agents' messages and of \
                     conversations, the chat service's ids of messages, the gateway's own ids, and \
                     customers' ids. Messages are removed "
                    code { "store.retention" } " after their end."
                }
            } @else {
                h1 { "Found" }
                ul.hits { @for hit in hits { (line(hit)) } }
            }
        }
    };
    frame.page("Search", &content)
}

fn line(hit: &Hit) -> Markup {
    html! {
        li {
            a href=(hit.link()) {
                @match &hit.message {
                    Some(message) => { "Message " code { (message) } }
                    None => { "Conversation " code { (hit.conversation) } }
                }
            }
            span.note { (hit.integration) ", found as " (hit.by) }
        }
    }
}
