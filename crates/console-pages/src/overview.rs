//! The first page: how the gateway and each integration stand, from counters.

use maud::{Markup, html};

use crate::frame::Frame;
use crate::links;

/// What the overview shows.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The program's version.
    pub version: &'static str,
    /// Whether the gateway is ready: the store makes writes durable. If not, why.
    pub store: Result<(), String>,
    /// How many conversations have work in progress at this node.
    pub active: u64,
    /// The integrations, by name.
    pub integrations: Vec<IntegrationRow>,
}

/// How one integration stands. The counts are this node's, since its start.
#[derive(Clone, Debug)]
pub struct IntegrationRow {
    /// Its name.
    pub name: String,
    /// What its chat service last said about itself: whether it is up. `None` if it said nothing.
    pub chat_service: Option<bool>,
    /// Agents' messages that were delivered or sent.
    pub delivered: u64,
    /// Agents' messages that failed.
    pub failed: u64,
    /// Customers' messages and receipts that Genesys accepted.
    pub posted: u64,
    /// Calls to Genesys that must be repeated.
    pub retried: u64,
    /// Customers' messages that Genesys will never have, in the whole store.
    pub dead_letters: u64,
}

/// The first page of the console.
pub fn overview(frame: &Frame, overview: &Overview) -> Markup {
    let troubles = overview.troubles();
    let content = html! {
        section.card.headline.failed[!troubles.is_empty()] {
            h1 {
                @if troubles.is_empty() { "No trouble is known" }
                @else { "Something needs attention" }
            }
            @if troubles.is_empty() {
                p {
                    "The store makes writes durable, and no chat service has said that it is down."
                }
            } @else {
                ul { @for trouble in &troubles { li { (trouble) } } }
            }
        }
        section.card {
            h2 { "Integrations" }
            @if overview.integrations.is_empty() {
                p {
                    "There is no integration. Add an " code { "[[integration]]" }
                    " to the configuration."
                }
            } @else {
                (integrations(&overview.integrations))
            }
        }
        p.note {
            "Version " (overview.version) " · "
            (overview.active) " conversations with work in progress at this node"
        }
    };
    frame.page("Overview", &content)
}

impl Overview {
    /// What an operator should know first.
    fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        if let Err(why) = &self.store {
            troubles.push(format!(
                "The gateway is not ready: {}.",
                why.trim_start_matches("not ready: ")
            ));
        }
        for row in &self.integrations {
            if row.chat_service == Some(false) {
                troubles
                    .push(format!("The chat service of {} has said that it is down.", row.name));
            }
            if row.dead_letters > 0 {
                troubles.push(format!(
                    "{} has {}: customers' messages that Genesys will never have.",
                    row.name,
                    count(row.dead_letters, "dead letter")
                ));
            }
        }
        troubles
    }
}

fn integrations(rows: &[IntegrationRow]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Integrations" {
            table {
                thead {
                    tr {
                        th scope="col" { "Integration" }
                        th scope="col" { "Chat service" }
                        th.number scope="col" { "Delivered" }
                        th.number scope="col" { "Failed" }
                        th.number scope="col" { "Accepted by Genesys" }
                        th.number scope="col" { "Repeated calls" }
                        th.number scope="col" { "Dead letters" }
                    }
                }
                tbody { @for row in rows { (table_row(row)) } }
            }
        }
        p.note { "Counts are this node's since its start, and dead letters those in the store." }
    }
}

fn table_row(row: &IntegrationRow) -> Markup {
    let (class, word) = match row.chat_service {
        Some(true) => ("good", "up"),
        Some(false) => ("bad", "down"),
        None => ("soft", "said nothing"),
    };
    html! {
        tr {
            th scope="row" { a href=(links::integration(&row.name)) { (row.name) } }
            td { span.badge.(class) { (word) } }
            td.number { (row.delivered) }
            td.number.bad[row.failed > 0] { (row.failed) }
            td.number { (row.posted) }
            td.number { (row.retried) }
            td.number.bad[row.dead_letters > 0] { (row.dead_letters) }
        }
    }
}

fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}
