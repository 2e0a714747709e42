//! Bodies that are new to a connector, or broken.

use serde_json::json;

use crate::suite::caller::Signing;
use crate::suite::stage::{Stage, is_success};
use crate::suite::verdict::{Outcome, failed};

/// The answer to a signed `GET {url}`.
pub(super) async fn check_is_answered(stage: &Stage) -> Outcome {
    let reply = stage.caller.get(&[], Signing::Right).await;
    if reply.status() != Some(200) || reply.is_page() {
        return failed(format!("a signed GET of the URL: {}", reply.told()), "200, and no page");
    }
    let reply = stage.caller.get(&[], Signing::OtherSecret).await;
    if reply.status() != Some(401) {
        let what = format!("a GET of the URL, signed with another secret: {}", reply.told());
        return failed(what, "401");
    }
    match stage.claims.problems.as_slice() {
        [] => Ok(()),
        problems => failed(problems.join(", and "), "the types of the configuration's keys"),
    }
}

/// A later version of the gateway may send more fields.
pub(super) async fn unknown_fields_are_ignored(stage: &Stage) -> Outcome {
    let mut chat = stage.new_chat();
    let customer = json!({ "id": chat.customer, "nickname": "Suite", "from_the_future": [1] });
    let open = json!({ "customer": customer, "attempt": 1, "from_the_future": { "a": null } });
    let reply = stage.call(&chat, "open", &open).await;
    if !reply.status().is_some_and(|status| (200..300).contains(&status)) {
        return failed(format!("`open` with an unknown field: {}", reply.told()), "200 or 202");
    }
    chat = stage.open().await?;
    let message = stage.message("Hello.");
    let send = json!({ "id": message.id, "time": "2026-11-20T09:11:04.5Z", "text": message.text,
        "content": [], "session": chat.session, "from_the_future": { "a": [true] } });
    let call = (&*chat.conversation, "messages");
    let reply = stage.caller.post_patiently(call, &message.id, &send, stage.wait).await;
    if !is_success(&reply) {
        return failed(format!("a message with an unknown field: {}", reply.told()), "200 or 202");
    }
    Ok(())
}

pub(super) async fn broken_json_is_refused(stage: &Stage) -> Outcome {
    let chat = stage.open().await?;
    for (what, body) in [
        ("a body that breaks off", "{\"id\": \"x\", \"text\": \"Hel"),
        ("an empty body", ""),
        ("a list", "[]"),
        ("a web page", "<html></html>"),
    ] {
        for call in ["messages", "open"] {
            let id = stage.caller.new_id("broken");
            let to = (&*chat.conversation, call);
            let reply = stage.caller.post(to, &id, body.into(), Signing::Right).await;
            if !reply.status().is_some_and(|status| (400..500).contains(&status)) {
                let what = format!("{what} as the body of `{call}`: {}", reply.told());
                return failed(what, "a 4xx, such as 400");
            }
        }
    }
    Ok(())
}

/// `message.refused`: the connector takes it, or says that it does not use it.
pub(super) async fn refusal_is_taken(stage: &Stage) -> Outcome {
    let chat = stage.open().await?;
    let message_id = stage.caller.new_id("e");
    let reason = json!({ "code": "ServerError", "message": "the suite refuses it" });
    let body = json!({ "type": "message.refused", "message_id": message_id, "reason": reason });
    let reply = stage.call(&chat, "events", &body).await;
    match reply.of_event() {
        Ok(()) => Ok(()),
        Err(_) => failed(
            format!("`message.refused`: {}", reply.told()),
            "a 2xx, or 404 if it is not used",
        ),
    }
}
