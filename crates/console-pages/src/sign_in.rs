//! The page where a user signs in.

use maud::{Markup, html};

use crate::frame::Frame;

/// Why a user is not signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The name or the password is wrong. The page does not say which.
    Wrong,
    /// There were too many tries.
    TooManyTries,
    /// The store does not answer.
    NoStore,
}

/// The form. `target` is the page to go to afterwards, a path below `/console`.
pub fn sign_in(target: &str, refusal: Option<Refusal>) -> Markup {
    let why = refusal.map(|refusal| match refusal {
        Refusal::Wrong => "The name or the password is wrong.",
        Refusal::TooManyTries => "There were too many tries. Wait a minute, and try again.",
        Refusal::NoStore => "The store does not answer now. Try again in a moment.",
    });
    let content = html! {
        h1 { "Sign in to Tidegate" }
        form.card.sign-in action="/console/sign-in" method="post" {
            @if let Some(why) = why { p.alert role="alert" { (why) } }
            input type="hidden" name="target" value=(target);
            label for="name" { "Name" }
            input #name name="name" autocomplete="username" required autofocus
                autocapitalize="none" spellcheck="false";
            label for="password" { "Password" }
            input #password name="password" type="password" required
                autocomplete="current-password";
            button.primary type="submit" { "Sign in" }
        }
        p.note { "The users are in the configuration, in " code { "[console]" } "." }
    };
    Frame::bare("Sign in", &content)
}
