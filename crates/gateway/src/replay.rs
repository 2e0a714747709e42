//! Refuses captured webhooks that are sent again after their ids have been forgotten.
//!
//! The webhook endpoint calls this for each agent's message. The signature of a captured webhook
//! never expires. The store recognizes its id only for as long as it keeps that id. A message older
//! than that is not forwarded, whether it is a replay or not.

use std::time::Duration;

use conversation::{Input, Reason, ReasonCode};
use jiff::Timestamp;
use store::NewMessage;

/// How much longer than the retention time ids are kept, in case Genesys's clock is ahead of ours.
/// A forgotten id is then too old by either clock.
pub(crate) const MARGIN: Duration = Duration::from_hours(1);

/// Makes a message fail if Genesys wrote it longer ago than `retention`. Returns whether it does.
///
/// `now` is the wall clock, as for signatures. The store's clock is unsuitable: a wrong wall clock
/// may have pushed it far ahead, and it never goes back. Every message would seem too old until the
/// wall clock has caught up.
pub(crate) fn fail_if_too_old(
    message: &mut NewMessage,
    now: Timestamp,
    retention: Duration,
) -> bool {
    let Some(Input::AgentMessage { time: Some(time), unsuited: unsuited @ None, .. }) =
        &mut message.input
    else {
        return false;
    };
    let age = Duration::try_from(now.duration_since(*time)).unwrap_or_default();
    if age <= retention {
        return false;
    }
    let why = format!(
        "it was written at {time}, which is longer ago than messages are kept, and may be a replay"
    );
    *unsuited = Some(Reason::new(ReasonCode::MessageExpired, why));
    true
}
