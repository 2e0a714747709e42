//! The list of what happened, oldest first.

use jiff::Timestamp;
use maud::{Markup, html};
use timeline::{Lane, Next, Step};

use crate::prose::prose;
use crate::{lanes, times};

/// What happened, as a picture and as a list.
pub(crate) fn steps(steps: &[Step], left_out: usize, now: Timestamp) -> Markup {
    html! {
        (lanes::lanes(steps, now))
        @if let Some(first) = steps.first() {
            p.note { "Times in UTC, from " (times::moment(first.at)) }
        }
        ol.steps { @for (number, one) in steps.iter().enumerate() {
                (step(number, one, number.checked_sub(1).map(|before| steps[before].at)))
            } }
        @if left_out > 0 {
            p.note { (left_out) " more steps are not shown. Failed ones and the newest are." }
        }
    }
}

/// What comes next.
pub(crate) fn next(next: Option<&Next>) -> Markup {
    html! {
        @if let Some(next) = next { p.next { strong { "Next: " } (prose(&next.text)) } }
    }
}

/// What is missing from a timeline.
pub(crate) fn missing(pruned: bool, damaged: usize) -> Markup {
    html! {
        @if pruned { p.note { "The beginning was removed after " code { "store.retention" } "." } }
        @if damaged > 0 { p.alert { (damaged) " records in the store cannot be read." } }
    }
}

fn step(number: usize, step: &Step, before: Option<Timestamp>) -> Markup {
    let new_day = before.is_some_and(|before| times::day(before) != times::day(step.at));
    let lane = match step.lane {
        Lane::Genesys => "Genesys",
        Lane::Gateway => "Gateway",
        Lane::ChatService => "Chat service",
    };
    html! {
        li.failed[step.failed] data-step=(number) {
            span.when {
                @if new_day { small { (times::day(step.at)) } }
                (times::time(step.at))
                @if step.lasts { small { "until now" } }
                @else if let Some(until) = step.until { small { (times::length(step.at, until)) } }
            }
            span.where { (lane) }
            div.what {
                p { (step.text) }
                @if let Some(cause) = &step.cause {
                    @let said = cause.to_string();
                    // Most sentences name their cause.
                    @if !step.text.contains(&cause.message) { p.cause { (said) } }
                }
                @if let Some(id) = &step.genesys_id { p.id { "Genesys: " code { (id) } } }
                @if let Some(id) = &step.service_id { p.id { "Chat service: " code { (id) } } }
            }
        }
    }
}
