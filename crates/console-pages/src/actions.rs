//! The forms with which an operator acts.

use maud::{Markup, html};
use timeline::MessageTimeline;

use crate::frame::Frame;
use crate::links;
use crate::prose::sentence;

/// What an operator can do about a dead letter.
pub(crate) fn dead_letter(message: &MessageTimeline) -> Markup {
    let form = |action: &str, button: Markup| {
        html! {
            form.action action=(links::dead_letter(&message.message, action)) method="post" {
                input type="hidden" name="integration" value=(message.integration);
                // The form has no effect if the message has become a dead letter again since then.
                @if let Some(died) = message.settled {
                    input type="hidden" name="died" value=(died.as_millisecond());
                }
                (button)
            }
        }
    };
    html! {
        section.card {
            h2 { "What you can do" }
            p {
                "If the message is posted again, the agent may read it after later messages of the "
                "customer, and twice if Genesys has it already. If the chat is over, it may begin "
                "another."
            }
            (form("retry", html! { button type="submit" { "Post it to Genesys again" } }))
            details {
                summary { "Discard it…" }
                p { "Then it can no longer be posted again." }
                (form("discard", html! { button.danger type="submit" { "Discard it for good" } }))
            }
        }
    }
}

/// The page that says why an action on a message was not done.
pub fn not_done(frame: &Frame, title: &str, why: &str, message: &str) -> Markup {
    let content = html! {
        section.card {
            h1 { (title) }
            p { (sentence(why)) }
            p { a href=(links::message(message)) { "Open the message" } }
        }
    };
    frame.page(title, &content)
}
