//! Sessions: asked for, opened once, and over.

use std::time::Duration;

use conversation::OpenOutcome;
use serde_json::json;
use tokio::time::Instant;

use crate::suite::caller::Reply;
use crate::suite::stage::{Chat, QUIET, Stage};
use crate::suite::verdict::{Outcome, failed, not_claimed};

pub(super) async fn opens(stage: &Stage) -> Outcome {
    let chat = stage.open().await?;
    if stage.no_view.is_some() {
        return Ok(());
    }
    match stage.view(&chat).await?.session {
        Some(session) if session != chat.session => failed(
            "the customer's view names another session than the connector told",
            "one `session`",
        ),
        _ => Ok(()),
    }
}

/// Two calls during one handshake must lead to one session.
pub(super) async fn opens_once(stage: &Stage) -> Outcome {
    let chat = stage.new_chat();
    let began = Instant::now();
    let first = stage.ask_for_session(&chat, 1).await;
    if !matches!(first.of_open(), OpenOutcome::Pending) {
        return not_claimed(format!("it has no handshake: {}", first.told()));
    }
    let again = stage.ask_for_session(&chat, 2).await;
    let apart = began.elapsed();
    if !matches!(again.of_open(), OpenOutcome::Pending | OpenOutcome::Opened(_)) {
        let what = format!("`open` was repeated during the handshake: {}", again.told());
        return failed(what, "202 again, or 200 with the session");
    }
    let opened = |count: usize| {
        let chat = chat.clone();
        move |stage: &Stage| (stage.sessions_of(&chat).len() >= count).then_some(())
    };
    wait(stage, stage.wait, opened(1)).await;
    // A second handshake would end as much later as it was asked for later.
    wait(stage, QUIET + 2 * apart, opened(2)).await;
    match stage.sessions_of(&chat).as_slice() {
        [_] => Ok(()),
        [] => failed(
            format!("`open` was called twice, and no `session.opened` came in {:?}", stage.wait),
            "one `session.opened`",
        ),
        several => failed(
            format!("`open` was called twice, and {} `session.opened` came", several.len()),
            "one handshake and one `session.opened`",
        ),
    }
}

async fn wait(stage: &Stage, limit: Duration, find: impl Fn(&Stage) -> Option<()>) {
    let _ = stage.arrivals.wait(limit, |_| find(stage)).await;
}

/// A conversation that was never opened has no session.
pub(super) async fn unknown_is_refused(stage: &Stage) -> Outcome {
    let chat = Chat { session: stage.caller.new_id("nosession"), ..stage.new_chat() };
    let reply = stage.send(&chat, &stage.message("Hello?")).await;
    is_conflict(&reply, "a message in a conversation without a session")
}

/// After a second handshake, messages of the first session are not for this session.
pub(super) async fn old_is_refused(stage: &Stage) -> Outcome {
    let first = stage.open().await?;
    stage.call(&first, "close", &json!({ "reason": "the suite ends the chat" })).await;
    let second = stage.open_in(first.clone()).await?;
    let old = if second.session == first.session {
        Chat { session: stage.caller.new_id("nosession"), ..second }
    } else {
        first
    };
    let reply = stage.send(&old, &stage.message("Hello?")).await;
    is_conflict(&reply, "a message with the `session` of an earlier handshake")
}

pub(super) async fn closed_is_refused(stage: &Stage) -> Outcome {
    let chat = stage.open().await?;
    let reply = stage.call(&chat, "close", &json!({ "reason": "the suite ends the chat" })).await;
    if !reply.status().is_some_and(|status| (200..300).contains(&status)) {
        return failed(format!("`close`: {}", reply.told()), "a 2xx");
    }
    let reply = stage.send(&chat, &stage.message("Hello?")).await;
    is_conflict(&reply, "a message after `close`")
}

fn is_conflict(reply: &Reply, what: &str) -> Outcome {
    if reply.status() == Some(409) {
        return Ok(());
    }
    failed(format!("{what}: {}", reply.told()), "409")
}
