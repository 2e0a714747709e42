//! What survives `kill -9`. All cases here judge one kill.

use conversation::AttemptOutcome;

use super::reports;
use crate::Event;
use crate::suite::caller::Reply;
use crate::suite::process::until_it_answers;
use crate::suite::stage::{BeforeKill, Stage, is_success};
use crate::suite::verdict::{Outcome, Stop, failed, not_claimed};

/// How many answered messages the process leaves behind.
const KEPT: usize = 3;

/// Sends what the cases need, kills the process at once after the last answer, and starts it.
async fn before_kill(stage: &Stage) -> Result<&BeforeKill, Stop> {
    let made = stage.before_kill.get_or_init(async || {
        let Some(process) = &stage.process else { return not_claimed("it needs a COMMAND") };
        let (kept, session, repeated) = tokio::try_join!(stage.open(), stage.open(), stage.open())?;
        let again = stage.message("Once.");
        stage.taken(&repeated, &again).await?;
        let mut messages = Vec::new();
        for number in 1..=KEPT {
            let message = stage.message(format!("answered before the kill, {number}"));
            let reply = stage.taken(&kept, &message).await?;
            messages.push((message, reply));
        }
        let told = |why: String| failed(format!("it was killed, and then {why}"), "a new start");
        if let Err(why) = process.kill_and_start().await {
            return told(why);
        }
        if let Err(why) = until_it_answers(&stage.caller, Some(process.as_ref())).await {
            return told(why);
        }
        let kept = (kept, messages);
        Ok(BeforeKill { kept, session, repeated: (repeated, again) })
    });
    made.await.as_ref().map_err(Clone::clone)
}

pub(super) async fn messages_are_kept(stage: &Stage) -> Outcome {
    let BeforeKill { kept: (chat, messages), .. } = before_kill(stage).await?;
    let messages: Vec<_> = messages.iter().map(|(message, _)| message.clone()).collect();
    stage.all_seen(chat, &messages).await.map(drop)
}

/// The session works as before, or the connector says that it is gone.
pub(super) async fn session_is_told(stage: &Stage) -> Outcome {
    let BeforeKill { session: chat, .. } = before_kill(stage).await?;
    let message = stage.message("Are you still there?");
    let reply = stage.send(chat, &message).await;
    if reply.status() == Some(409) || lost_was_sent(stage) {
        return Ok(());
    }
    if !is_success(&reply) {
        let what = format!("a message in a session from before the kill: {}", reply.told());
        return failed(what, "a success, 409, or a `session.lost`");
    }
    if stage.no_view.is_none() {
        stage.all_seen(chat, &[message]).await?;
    }
    Ok(())
}

fn lost_was_sent(stage: &Stage) -> bool {
    let list = stage.arrivals.so_far();
    list.iter().any(|arrival| matches!(arrival.event(), Some(Event::SessionLost { .. })))
}

/// The gateway cannot know that the message was answered, and sends it again.
pub(super) async fn key_is_remembered(stage: &Stage) -> Outcome {
    let BeforeKill { repeated: (chat, message), .. } = before_kill(stage).await?;
    let mut reply = stage.send(chat, message).await;
    if reply.status() == Some(409) {
        let again = stage.open_in(chat.clone()).await?;
        reply = stage.send(&again, message).await;
    }
    if !is_success(&reply) {
        let what = format!("a message that was answered before the kill: {}", reply.told());
        return failed(what, "the first answer again");
    }
    stage.seen_once(chat, message).await
}

pub(super) async fn report_is_kept(stage: &Stage) -> Outcome {
    let BeforeKill { kept: (_, messages), .. } = before_kill(stage).await?;
    let is_final = |reply: &Reply| matches!(reply.of_message(), AttemptOutcome::Delivered { .. });
    if messages.iter().any(|(_, reply)| is_final(reply)) {
        return not_claimed("the answer was `delivered` at once");
    }
    for (message, reply) in messages {
        if !reports::reported(stage, message, reply).await {
            return failed(
                format!("a message was answered, and no report came within {:?}", stage.wait),
                "the report, also after a crash",
            );
        }
    }
    Ok(())
}
