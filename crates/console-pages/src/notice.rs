//! A page that says one thing, such as why there is no result.

use maud::{Markup, html};

use crate::frame::Frame;
use crate::prose::sentence;

/// A page with a heading and a sentence that says what to do.
pub fn notice(frame: &Frame, title: &str, text: &str) -> Markup {
    frame.page(title, &html! { section.card { h1 { (title) } p { (sentence(text)) } } })
}
