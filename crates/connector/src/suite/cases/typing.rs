//! The agent types.

use std::time::Duration;

use serde_json::json;

use crate::suite::stage::{Chat, Stage};
use crate::suite::verdict::{Outcome, failed};

/// How soon the customer must see that typing has changed.
const SOON: Duration = Duration::from_secs(2);
/// For how long typing is shown in the case that lets it expire.
const BRIEFLY: Duration = Duration::from_millis(800);

pub(super) async fn goes_off(stage: &Stage) -> Outcome {
    let chat = stage.open().await?;
    goes_on(stage, &chat, Duration::from_mins(1)).await?;
    stage.call(&chat, "typing", &json!({ "state": "off", "duration_ms": 60_000 })).await;
    if stage.look_until(&chat, SOON, |view| !view.typing).await?.1 {
        return Ok(());
    }
    failed(format!("typing is still seen {SOON:?} after `off`"), "that it is no longer seen")
}

pub(super) async fn expires(stage: &Stage) -> Outcome {
    let chat = stage.open().await?;
    goes_on(stage, &chat, BRIEFLY).await?;
    if stage.look_until(&chat, BRIEFLY + SOON, |view| !view.typing).await?.1 {
        return Ok(());
    }
    failed(
        format!("typing is still seen {SOON:?} after its `duration_ms` of {BRIEFLY:?}"),
        "that it ends by itself: the `off` may never come",
    )
}

async fn goes_on(stage: &Stage, chat: &Chat, duration: Duration) -> Outcome {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let body = json!({ "state": "on", "duration_ms": milliseconds });
    let reply = stage.call(chat, "typing", &body).await;
    if stage.look_until(chat, SOON.min(duration), |view| view.typing).await?.1 {
        return Ok(());
    }
    failed(
        format!("typing is not seen after `on`: {}", reply.told()),
        "that the customer sees it, or `typing = false`",
    )
}
