//! One conversation's task: take a turn, do what was decided, wait for what comes of it. Read
//! [`run`] to see the way of a message.

use std::sync::Arc;

use conversation::mutant::{self, Mutant};
use conversation::{ConversationId, Input};
use futures_util::StreamExt;
use store::LeaseGuard;

use super::turn::{self, LoadedConversation, TurnError};
use super::under_way::UnderWay;
use super::{Engine, Mailbox};

/// Drives one conversation until nothing is left to do now.
pub(super) async fn run(
    engine: Arc<Engine>,
    id: ConversationId,
    guard: LeaseGuard,
    mailbox: Arc<Mailbox>,
    cached: Option<LoadedConversation>,
) {
    let _slot = ActiveSlot { engine: &engine, id: &id };
    let mut live =
        cached.filter(|live| live.epoch == guard.epoch() || mutant::is(Mutant::StaleMemory));
    if let Some(live) = &mut live {
        live.fence_confirmed = false;
    }
    let mut under_way = UnderWay::default();
    loop {
        let mut current = if let Some(current) = live.take() {
            current
        } else {
            mailbox.mail().inbox = false;
            if let Some((current, interrupted)) = turn::load(&engine, &id, &guard).await {
                if interrupted {
                    under_way.answers.push(Input::Recovered);
                }
                // The first turn must also read the inbox. A second turn for that would append
                // nothing, so the conversation would be loaded again, without end.
                mailbox.mail().inbox = true;
                current
            } else if nothing_to_do(&engine, &id, &guard, &mailbox) {
                // Stopping, unreadable, or not there.
                return under_way.leave_behind(&engine, &id);
            } else {
                // It has come into being while it was looked for.
                continue;
            }
        };
        under_way.of(&current.integration);
        let answers = std::mem::take(&mut under_way.answers);
        let turn = current.turn(&engine, &id, &guard, &mailbox, answers.clone()).await;
        if turn.is_err() {
            under_way.again(answers);
        }
        match turn {
            Ok(effects) => {
                for effect in effects {
                    current.execute(&engine, &id, &guard, effect, &under_way.calls);
                }
            }
            // The next owner continues.
            Err(TurnError::Fenced) if !guard.is_valid() => {
                // Another node may drive it as soon as this task ends: cancel the calls first.
                drop(current);
                under_way.leave_behind(&engine, &id);
                return leave_to_owner(&engine, &id, &guard, &mailbox);
            }
            // The answers to its calls are still waited for: the state that is read then decides
            // what they mean.
            Err(TurnError::Fenced) => {
                tracing::warn!(conversation = %id, "somebody else drives the conversation; its state is read again");
                continue;
            }
            // Nothing was under way: it was the first turn.
            Err(TurnError::FastPath) => continue,
            // What was decided is not durable, so it did not happen.
            Err(TurnError::Store) => {
                drop(current);
                under_way.leave_behind(&engine, &id);
                return give_up(&engine, &id, &guard, &mailbox);
            }
        }
        // A turn that appended nothing does not notice that the lease is lost. Its state may be
        // old, and so may its wake-up.
        if guard.is_revoked() {
            drop(current);
            under_way.leave_behind(&engine, &id);
            return leave_to_owner(&engine, &id, &guard, &mailbox);
        }
        if under_way.calls.is_empty() {
            let wakeup = current.state.next_wakeup(&current.integration.policy);
            // The last append of a node that lost the conversation may have been committed after
            // this node loaded it. Unless an append of this run has shown that this is not so, the
            // conversation is loaded again the next time.
            let kept = |live: &LoadedConversation| {
                live.fence_confirmed
                    || !engine.store.is_clustered()
                    || mutant::is(Mutant::StaleMemory)
            };
            live = Some(current).filter(kept);
            if engine.finish(&id, &guard, &mailbox, &mut live, wakeup) {
                return;
            }
            continue;
        }
        // Something is under way: wait for its end, for news, or for a deadline.
        let wait = current.wait(&engine);
        tokio::select! {
            biased;
            // Whatever is answered now is another's to decide.
            () = guard.until_revoked() => {
                drop(current);
                under_way.leave_behind(&engine, &id);
                return leave_to_owner(&engine, &id, &guard, &mailbox);
            }
            Some(answer) = under_way.calls.next() => under_way.answers.push(answer),
            () = mailbox.arrived.notified() => {}
            () = wait => {}
            // A call that is cut off is unknown after the restart: the grace lets it end by itself.
            () = engine.stop.cancelled(), if !engine.stop.is_cancelled() => {}
        }
        live = Some(current);
    }
}

/// Ends the task although there is work. Callers that wait get no answer; the store keeps what it
/// has.
fn give_up(engine: &Engine, id: &ConversationId, guard: &LeaseGuard, mailbox: &Mailbox) {
    mailbox.mail().inbox = false;
    while !nothing_to_do(engine, id, guard, mailbox) {
        mailbox.mail().inbox = false;
    }
}

/// Ends the task of a node that has lost the conversation. This node may own the conversation again
/// by now. The wake-up of the new lease then went to this task, so it is repeated.
fn leave_to_owner(
    engine: &Arc<Engine>,
    id: &ConversationId,
    guard: &LeaseGuard,
    mailbox: &Mailbox,
) {
    give_up(engine, id, guard, mailbox);
    if let Some(regained) = engine.store.acquire_to_finish(id) {
        drop(engine.deliver(id, regained, Input::Tick));
    }
}

/// Ends the task without the conversation, unless its inbox has got something; who waits for
/// something else hears nothing.
fn nothing_to_do(
    engine: &Engine,
    id: &ConversationId,
    guard: &LeaseGuard,
    mailbox: &Mailbox,
) -> bool {
    {
        let mut mail = mailbox.mail();
        mail.deliveries.clear();
        mail.fast_path = None;
    }
    engine.finish(id, guard, mailbox, &mut None, None)
}

/// The task's place among those that run. If the task panics, the place must become free, or the
/// conversation would never run again. It is woken again; the store has everything that was
/// decided.
struct ActiveSlot<'a> {
    engine: &'a Arc<Engine>,
    id: &'a ConversationId,
}

impl Drop for ActiveSlot<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(conversation = %self.id, "driving the conversation broke; it is tried again");
            self.engine.restart_after_panic(self.id);
        }
    }
}
