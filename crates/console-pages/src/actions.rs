//! The forms with which an operator acts.

use maud::{Markup, html};
use timeline::MessageTimeline;

use crate::links;

/// What an operator can do about a dead letter.
pub(crate) fn dead_letter(message: &MessageTimeline) -> Markup {
    let form = |action: &str, button: Markup| {
        html! {
            form.action action=(links::dead_letter(&message.message, action)) method="post" {
                input type="hidden" name="integration" value=(message.integration);
                (button)
            }
        }
    };
    html! {
        section.card {
            h2 { "What you can do" }
            p {
                "If it is posted again, the agent reads it after the customer's later messages. "
                "The agent reads it twice if Genesys has it and only its answer was lost."
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
