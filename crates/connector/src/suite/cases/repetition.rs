//! The same message again, as the gateway sends it after a lost answer.

use crate::suite::stage::{Stage, is_success};
use crate::suite::verdict::{Outcome, failed};

pub(super) async fn same_key_same_answer(stage: &Stage) -> Outcome {
    let chat = stage.open().await?;
    let message = stage.message("Once.");
    let first = stage.taken(&chat, &message).await?;
    let again = stage.send(&chat, &message).await;
    if first.content() != again.content() {
        let ((one, first), (other, again)) = (first.content(), again.content());
        let what = if one == other {
            format!("the second answer has another body: {again} instead of {first}")
        } else {
            format!("the first time {}, the second time {}", told(one), told(other))
        };
        return failed(what, "the first answer again for the same `Idempotency-Key`");
    }
    if stage.no_view.is_none() {
        stage.seen_once(&chat, &message).await?;
    }
    Ok(())
}

fn told(status: Option<u16>) -> String {
    status.map_or_else(|| "no answer came".to_owned(), |status| format!("the answer was {status}"))
}

/// An attempt that ran into its timeout may still be in work when the next one comes.
pub(super) async fn concurrent_key_once(stage: &Stage) -> Outcome {
    let chat = stage.open().await?;
    let message = stage.message("Once.");
    let (one, other) =
        tokio::join!(stage.send_once(&chat, &message), stage.send_once(&chat, &message));
    if !is_success(&one) && !is_success(&other) {
        return failed(
            format!("two attempts at once: {}, and {}", one.told(), other.told()),
            "that one of them is taken",
        );
    }
    stage.seen_once(&chat, &message).await
}
