//! Text for people, in which backquotes stand around commands and keys.

use maud::{Markup, html};

/// A reason as a sentence: with a capital letter and a full stop.
pub(crate) fn sentence(text: &str) -> Markup {
    prose(&timeline::sentence(text))
}

/// A text with what is between backquotes as code.
pub(crate) fn prose(text: &str) -> Markup {
    let parts: Vec<_> = text.split('`').collect();
    // Without its partner, a backquote stands for itself.
    if parts.len() % 2 == 0 {
        return html! { (text) };
    }
    html! {
        @for (number, part) in parts.into_iter().enumerate() {
            @if number % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_between_backquotes_are_code() {
        let shown = |text| prose(text).into_string();
        assert_eq!(shown("Waits."), "Waits.");
        assert_eq!(shown("Ask `/readyz` <now>."), "Ask <code>/readyz</code> &lt;now&gt;.");
        assert_eq!(shown("A ` alone"), "A ` alone");
    }
}
