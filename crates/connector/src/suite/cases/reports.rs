//! What the connector reports later, also to a gateway that is away.

use std::time::Duration;

use conversation::{AttemptOutcome, MessageRef, OpenOutcome};

use crate::Event;
use crate::suite::arrivals::{Arrival, AwayGuard};
use crate::suite::caller::Reply;
use crate::suite::stage::{OutgoingMessage, Stage};
use crate::suite::verdict::{Outcome, failed, not_claimed};

/// How long the suite stays away after it has refused the first event.
const AWAY: Duration = Duration::from_secs(1);

pub(super) async fn report_follows(stage: &Stage) -> Outcome {
    let chat = stage.open().await?;
    let message = stage.message("Tell me when it has arrived.");
    let reply = stage.taken(&chat, &message).await?;
    if matches!(reply.of_message(), AttemptOutcome::Delivered { .. }) {
        return not_claimed("the answer was `delivered` at once");
    }
    if reported(stage, &message, &reply).await {
        return Ok(());
    }
    let others = stage.arrivals.so_far();
    let others = others.iter().filter(|arrival| is_report(arrival)).count();
    failed(
        format!(
            "no report of the message came within {:?}, and {others} of other messages or with \
             other ids",
            stage.wait
        ),
        "`message.delivered`, `message.read` or `message.failed` with its `message` or \
         `message_id`",
    )
}

/// Waits for a report of this message.
pub(super) async fn reported(stage: &Stage, message: &OutgoingMessage, reply: &Reply) -> bool {
    let search = |list: &[Arrival]| {
        list.iter()
            .any(|arrival| arrival.is_accepted && is_of(arrival, message, reply))
            .then_some(())
    };
    stage.arrivals.wait(stage.wait, search).await.is_some()
}

fn is_report(arrival: &Arrival) -> bool {
    matches!(arrival.event(), Some(Event::Report { .. }))
}

/// Whether this is a report of the message: by the gateway's id, or by the connector's.
fn is_of(arrival: &Arrival, message: &OutgoingMessage, reply: &Reply) -> bool {
    let Some(Event::Report { message: named, .. }) = arrival.event() else { return false };
    match named {
        MessageRef::Ours(id) => id.as_str() == message.id,
        MessageRef::Service(id) => {
            let theirs = reply.json().and_then(|json| lenient::id::text(&json["message_id"]));
            theirs.as_deref() == Some(id)
        }
    }
}

/// Each event that got a 503 must come again, with the same id.
pub(super) async fn report_comes_again(stage: &Stage) -> Outcome {
    let chat = stage.open().await?;
    let message = stage.message("Tell me when it has arrived.");
    let away = stage.arrivals.go_away();
    let reply = stage.taken(&chat, &message).await?;
    if matches!(reply.of_message(), AttemptOutcome::Delivered { .. }) {
        return not_claimed("the answer was `delivered` at once");
    }
    let refused = |list: &[Arrival]| {
        list.iter().any(|one| !one.is_accepted && is_of(one, &message, &reply)).then_some(())
    };
    let _ = stage.arrivals.wait(stage.wait, refused).await;
    let ids: Vec<String> = refused_ids(&stage.arrivals.so_far());
    if ids.is_empty() {
        return failed(
            format!("no report came within {:?} while the gateway was away", stage.wait),
            "a report",
        );
    }
    all_come_again(stage, away, &ids, |one| is_of(one, &message, &reply)).await
}

/// The same for the end of a handshake.
pub(super) async fn opened_comes_again(stage: &Stage) -> Outcome {
    let chat = stage.new_chat();
    let away = stage.arrivals.go_away();
    let reply = stage.ask_for_session(&chat, 1).await;
    if !matches!(reply.of_open(), OpenOutcome::Pending) {
        return not_claimed(format!("it has no handshake: {}", reply.told()));
    }
    let is_opened = |one: &Arrival| {
        let Some(Event::SessionOpened { conversation, .. }) = one.event() else { return false };
        conversation.as_str() == chat.conversation
    };
    let refused = |list: &[Arrival]| list.iter().any(is_opened).then_some(());
    if stage.arrivals.wait(stage.wait, refused).await.is_none() {
        return failed(
            format!("no `session.opened` came within {:?} while the gateway was away", stage.wait),
            "a `session.opened`",
        );
    }
    let ids = refused_ids(&stage.arrivals.so_far());
    all_come_again(stage, away, &ids, is_opened).await
}

/// Stays away for a while, so that the connector has to wait. Then all events must come again.
async fn all_come_again(
    stage: &Stage,
    away: AwayGuard<'_>,
    ids: &[String],
    is_it: impl Fn(&Arrival) -> bool,
) -> Outcome {
    let _: Option<()> = stage.arrivals.wait(AWAY, |_| None).await;
    drop(away);
    let missing = |list: &[Arrival]| {
        let came = |id: &str| list.iter().any(|one| one.is_accepted && one.id() == Some(id));
        ids.iter().filter(|id| !came(id)).count()
    };
    let all = |list: &[Arrival]| (missing(list) == 0).then_some(());
    if stage.arrivals.wait(stage.wait, all).await.is_some() {
        return Ok(());
    }
    let list = stage.arrivals.so_far();
    let what = if list.iter().any(|one| one.is_accepted && is_it(one)) {
        "the event came again with another `id`".to_owned()
    } else {
        let (missing, count) = (missing(&list), ids.len());
        let wait = stage.wait;
        format!("{missing} of {count} events that got a 503 did not come again within {wait:?}")
    };
    failed(what, "each event again, with the same `id`, until it gets a 202")
}

fn refused_ids(list: &[Arrival]) -> Vec<String> {
    let refused = list.iter().filter(|one| !one.is_accepted && one.event().is_some());
    refused.filter_map(|one| Some(one.id()?.to_owned())).collect()
}
