//! What every page has: head, search, and who is signed in.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// What a page shows around its content.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The name of the user who is signed in; `None` on a machine without users.
    pub user: Option<String>,
    /// Whether the user may act: the page then has the forms for it.
    pub acts: bool,
    /// What is in the search field.
    pub sought: String,
    /// Whether the script updates the page.
    pub live: bool,
    /// The time of the store's clock, until which lasting steps last.
    pub now: Timestamp,
}

/// The two ticks of the logo.
const TICKS: PreEscaped<&str> = PreEscaped(
    r#"<svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
<rect width="32" height="32" rx="8"/><path d="M6 17l4.5 4.5L18 12m-3 7l2.5 2.5L26 12"/></svg>"#,
);

impl Frame {
    /// A page with this title and content.
    pub(crate) fn page(&self, title: &str, content: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                (head(title))
                body {
                    a.skip href="#content" { "Skip to the content" }
                    header.bar {
                        a.brand href="/console" { (TICKS) "Tidegate" }
                        (search(&self.sought))
                        @if let Some(user) = &self.user { (account(user)) }
                    }
                    main #content data-live[self.live] { (content) }
                }
            }
        }
    }

    /// A page without search and account.
    pub(crate) fn bare(title: &str, content: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                (head(title))
                body.bare { main #content { (TICKS) (content) } }
            }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · Tidegate" }
            link rel="stylesheet" href="/console/console.css";
            link rel="icon" href="/console/icon.svg" type="image/svg+xml";
            script src="/console/console.js" defer {}
        }
    }
}

fn search(sought: &str) -> Markup {
    html! {
        form.search role="search" action="/console/search" method="get" {
            label for="sought" { "Find a message, conversation or customer" }
            input #sought name="id" value=(sought) type="search" autocomplete="off"
                spellcheck="false" maxlength="4096" required placeholder="Any id";
            button type="submit" { "Find" }
        }
    }
}

fn account(user: &str) -> Markup {
    html! {
        form.account action="/console/sign-out" method="post" {
            span { (user) }
            button.plain type="submit" { "Sign out" }
        }
    }
}
