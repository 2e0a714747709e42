//! The picture of a timeline: what happened where, over time.
//!
//! Bars have their place in per cent of the whole time, so that the picture fits every width. The
//! list below the picture has everything that it shows, so that assistive programs can skip it.

use jiff::Timestamp;
use maud::{Markup, html};
use timeline::{Lane, Step};

use crate::times;

/// The least width of a bar, in per cent. A narrower one cannot be seen.
const LEAST: f64 = 0.8;
const LANES: [(Lane, &str); 3] =
    [(Lane::Genesys, "Genesys"), (Lane::Gateway, "Gateway"), (Lane::ChatService, "Chat service")];

/// The picture of these steps; nothing if there are none.
pub(crate) fn lanes(steps: &[Step], now: Timestamp) -> Markup {
    let Some((from, to)) = bounds(steps, now) else { return html! {} };
    html! {
        div.lanes aria-hidden="true" {
            @for (lane, name) in LANES {
                div.lane {
                    span { (name) }
                    svg {
                        @for (number, step) in steps.iter().enumerate() {
                            @if step.lane == lane { (bar(number, step, from, to)) }
                        }
                    }
                }
            }
            div.axis {
                span { (times::time(from)) }
                span { (times::length(from, to)) }
                span { (times::time(to)) }
            }
        }
    }
}

/// From the first step's beginning to the last one's end, which is now if a step lasts.
fn bounds(steps: &[Step], now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let from = steps.iter().map(|step| step.at).min()?;
    let end =
        |step: &Step| if step.lasts { now.max(step.at) } else { step.until.unwrap_or(step.at) };
    let to = steps.iter().map(end).max()?;
    Some((from, to))
}

fn bar(number: usize, step: &Step, from: Timestamp, to: Timestamp) -> Markup {
    let until = if step.lasts { to } else { step.until.unwrap_or(step.at) };
    let (x, width) = place(step.at, until, from, to);
    let class = class(step);
    html! {
        rect class=(class) x=(format!("{x:.2}%")) width=(format!("{width:.2}%"))
            y="3" height="18" rx="3" data-step=(number) {
            title { (step.text) }
        }
    }
}

/// Where a bar begins, and how wide it is, in per cent.
fn place(at: Timestamp, until: Timestamp, from: Timestamp, to: Timestamp) -> (f64, f64) {
    let whole = to.duration_since(from).as_secs_f64();
    if whole <= 0.0 {
        return (0.0, 100.0);
    }
    let share = |moment: Timestamp| moment.duration_since(from).as_secs_f64() / whole * 100.0;
    let (begin, end) = (share(at).clamp(0.0, 100.0), share(until).clamp(0.0, 100.0));
    let width = (end - begin).max(LEAST);
    (begin.min(100.0 - width), width)
}

fn class(step: &Step) -> &'static str {
    use timeline::StepKind as Kind;
    match step.kind {
        _ if step.failed => "failed",
        Kind::Held | Kind::Queued | Kind::RetryWait | Kind::Paused | Kind::Gap => "waits",
        Kind::Session => "session",
        _ => "done",
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    #[test]
    fn a_step_that_lasts_reaches_to_now() {
        let at = Timestamp::UNIX_EPOCH;
        let held = step(at);
        let now = at + 2.hours();
        assert_eq!(bounds(&[Step { lasts: true, ..held.clone() }], now), Some((at, now)));
        assert_eq!(bounds(&[held], now), Some((at, at)));
        assert_eq!(bounds(&[], now), None);
    }

    fn step(at: Timestamp) -> Step {
        Step {
            at,
            until: None,
            lasts: false,
            lane: Lane::Gateway,
            kind: timeline::StepKind::Held,
            text: "<b>held</b>".to_owned(),
            cause: None,
            attempt: None,
            genesys_id: None,
            service_id: None,
            failed: false,
        }
    }

    #[test]
    fn texts_are_escaped() {
        let now = Timestamp::UNIX_EPOCH;
        let drawn = lanes(&[step(now)], now).into_string();
        assert!(drawn.contains("&lt;b&gt;held") && !drawn.contains("<b>"), "{drawn}");
    }

    #[test]
    fn bars_stay_within_the_picture() {
        let from = Timestamp::UNIX_EPOCH;
        let to = from + 10.seconds();
        assert_eq!(place(from, to, from, to), (0.0, 100.0));
        assert_eq!(place(from + 5.seconds(), from + 6.seconds(), from, to), (50.0, 10.0));
        assert_eq!(place(to, to, from, to), (100.0 - LEAST, LEAST), "a step without a duration");
        assert_eq!(place(from, from, from, from), (0.0, 100.0), "all at one moment");
        assert_eq!(place(to, from, from, to), (100.0 - LEAST, LEAST), "it ends before it begins");
    }
}
