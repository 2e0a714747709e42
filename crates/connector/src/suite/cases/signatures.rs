//! Calls without a signature, or with a wrong one.

use serde_json::json;

use crate::suite::caller::Signing;
use crate::suite::stage::Stage;
use crate::suite::verdict::{Outcome, failed};

pub(super) async fn of_others(stage: &Stage) -> Outcome {
    all_calls_refused(stage, Signing::OtherSecret, "signed with another secret").await
}

pub(super) async fn too_old(stage: &Stage) -> Outcome {
    all_calls_refused(stage, Signing::Old, "signed ten minutes ago").await
}

pub(super) async fn missing(stage: &Stage) -> Outcome {
    all_calls_refused(stage, Signing::Unsigned, "not signed").await
}

/// What the customer sees is the customer's own business.
pub(super) async fn view_is_private(stage: &Stage) -> Outcome {
    let chat = stage.open().await?;
    for (signing, how) in
        [(Signing::OtherSecret, "signed with another secret"), (Signing::Unsigned, "not signed")]
    {
        let reply = stage.caller.get(&["conversations", &chat.conversation], signing).await;
        if reply.status() != Some(401) {
            let what = format!("a GET of the customer's view, {how}: {}", reply.told());
            return failed(what, "401");
        }
    }
    Ok(())
}

async fn all_calls_refused(stage: &Stage, signing: Signing, how: &str) -> Outcome {
    let chat = stage.open().await?;
    let stranger = stage.new_chat();
    let message = stage.message("Hello?");
    let open = json!({ "customer": { "id": stranger.customer }, "attempt": 1 });
    let send = json!({ "id": message.id, "text": message.text, "content": [],
        "time": "2026-11-20T09:11:04.5Z", "session": chat.session });
    for (conversation, call, id, body) in [
        (&stranger.conversation, "open", &stranger.customer, open),
        (&chat.conversation, "messages", &message.id, send),
    ] {
        let body = body.to_string().into();
        let reply = stage.caller.post((conversation, call), id, body, signing).await;
        if reply.status() != Some(401) {
            return failed(format!("`{call}`, {how}: {}", reply.told()), "401");
        }
    }
    if stage.no_view.is_none() && stage.view(&chat).await?.count(&message.id) > 0 {
        return failed(format!("the customer sees a message that was {how}"), "no effect");
    }
    Ok(())
}
