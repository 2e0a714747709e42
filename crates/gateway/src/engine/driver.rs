//! One conversation's task: take a turn, do what was decided, wait for what comes of it. Read
//! [`Driver::run`] to see the way of a message.

use std::sync::Arc;

use conversation::mutant::{self, Mutant};
use conversation::{ConversationId, Input};
use futures_util::StreamExt;
use store::LeaseGuard;

use super::Engine;
use super::calls_in_progress::CallsInProgress;
use super::loaded::{self, LoadedConversation, TurnError};
use super::mailbox::Mailbox;

/// The task of one conversation, and what it works with.
pub(super) struct Driver {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) guard: LeaseGuard,
    pub(super) id: ConversationId,
    pub(super) engine: Arc<Engine>,
}

/// What follows from a turn.
enum Next {
    /// It was taken. What it began may be under way.
    Wait,
    /// The state in memory is not what the store has.
    Reload,
    /// What was decided is not durable, so it did not happen.
    GiveUp,
    /// The conversation is another node's.
    Leave,
}

impl Driver {
    /// Drives the conversation until nothing is left to do now.
    pub(super) async fn run(self, cached: Option<LoadedConversation>) {
        let _slot = ActiveSlot { engine: &self.engine, id: &self.id };
        let mut live = self.if_current(cached);
        let mut under_way = CallsInProgress::default();
        loop {
            let loaded = match live.take() {
                None => self.load(&mut under_way).await,
                current => current,
            };
            let Some(mut current) = loaded else {
                if self.nothing_to_do() {
                    // Stopping, unreadable, or not there.
                    return under_way.leave_behind(&self.engine, &self.id);
                }
                // It has come into being while it was looked for.
                continue;
            };
            match self.step(&mut current, &mut under_way).await {
                Next::Wait => {}
                Next::Reload => continue,
                Next::GiveUp => {
                    drop(current);
                    under_way.leave_behind(&self.engine, &self.id);
                    return self.give_up();
                }
                Next::Leave => return self.leave_to_owner(current, under_way),
            }
            if under_way.calls.is_empty() {
                if self.finish(current, &mut live) {
                    return;
                }
                continue;
            }
            if !self.wait(&current, &mut under_way).await {
                return self.leave_to_owner(current, under_way);
            }
            live = Some(current);
        }
    }

    /// Whether new work may start in the conversation.
    pub(super) fn admits_new_work(&self) -> bool {
        self.engine.admits_new_work(&self.guard)
    }

    /// A conversation from the cache, unless another node may have driven it since.
    fn if_current(&self, cached: Option<LoadedConversation>) -> Option<LoadedConversation> {
        let mut live = cached
            .filter(|live| live.epoch == self.guard.epoch() || mutant::is(Mutant::StaleMemory))?;
        live.fence_confirmed = false;
        Some(live)
    }

    async fn load(&self, under_way: &mut CallsInProgress) -> Option<LoadedConversation> {
        self.mailbox.mail().inbox = false;
        let (loaded, interrupted) = loaded::load(&self.engine, &self.id, &self.guard).await?;
        if interrupted {
            under_way.answers.push(Input::Recovered);
        }
        // The first turn must also read the inbox. A second turn for that would append nothing, so
        // the conversation would be loaded again, without end.
        self.mailbox.mail().inbox = true;
        Some(loaded)
    }

    /// Takes a turn, and begins what it decided.
    async fn step(
        &self,
        current: &mut LoadedConversation,
        under_way: &mut CallsInProgress,
    ) -> Next {
        under_way.of(&current.integration);
        let answers = std::mem::take(&mut under_way.answers);
        let turn = current.turn(self, answers.clone()).await;
        if turn.is_err() {
            under_way.again(answers);
        }
        match turn {
            Ok(effects) => {
                for effect in effects {
                    current.execute(self, effect, &under_way.calls);
                }
                // A turn that appended nothing does not notice that the lease is lost. Its state
                // may be old, and so may its wake-up.
                if self.guard.is_revoked() { Next::Leave } else { Next::Wait }
            }
            // The next owner continues.
            Err(TurnError::Fenced) if !self.guard.is_valid() => Next::Leave,
            // The answers to its calls are still waited for: the state that is read then decides
            // what they mean.
            Err(TurnError::Fenced) => {
                let id = &self.id;
                tracing::warn!(conversation = %id, "somebody else drives the conversation; its \
                    state is read again");
                Next::Reload
            }
            // Nothing was under way: it was the first turn.
            Err(TurnError::FastPath) => Next::Reload,
            Err(TurnError::Store) => Next::GiveUp,
        }
    }

    /// Waits for the end of a call, for news, or for a deadline. Returns false once the guard is
    /// revoked: whatever is answered then is another's to decide.
    async fn wait(&self, current: &LoadedConversation, under_way: &mut CallsInProgress) -> bool {
        let wait = current.wait(&self.engine);
        tokio::select! {
            biased;
            () = self.guard.until_revoked() => return false,
            Some(answer) = under_way.calls.next() => under_way.answers.push(answer),
            () = self.mailbox.arrived.notified() => {}
            () = wait => {}
            // A call that is cut off is unknown after the restart: the grace lets it end by itself.
            () = self.engine.stop.cancelled(), if !self.engine.stop.is_cancelled() => {}
        }
        true
    }

    /// Ends the task. The conversation stays in the cache if its state is known to be current. If
    /// something has arrived, the task goes on: it returns false, and what would have been cached
    /// is in `live`.
    fn finish(&self, current: LoadedConversation, live: &mut Option<LoadedConversation>) -> bool {
        let wakeup = current.state.next_wakeup(&current.integration.policy);
        // The last append of a node that lost the conversation may have been committed after this
        // node loaded it. Unless an append of this run has shown that this is not so, the
        // conversation is loaded again the next time.
        let kept = current.fence_confirmed
            || !self.engine.store.is_clustered()
            || mutant::is(Mutant::StaleMemory);
        *live = Some(current).filter(|_| kept);
        self.engine.finish(&self.id, &self.guard, &self.mailbox, live, wakeup)
    }

    /// Ends the task although there is work. Callers that wait get no answer; the store keeps what
    /// it has.
    fn give_up(&self) {
        self.mailbox.mail().inbox = false;
        while !self.nothing_to_do() {
            self.mailbox.mail().inbox = false;
        }
    }

    /// Ends the task of a node that has lost the conversation. This node may own the conversation
    /// again by now. The wake-up of the new lease then went to this task, so it is repeated.
    fn leave_to_owner(&self, current: LoadedConversation, under_way: CallsInProgress) {
        // Another node may drive it as soon as this task ends: cancel the calls first.
        drop(current);
        under_way.leave_behind(&self.engine, &self.id);
        self.give_up();
        if let Some(regained) = self.engine.store.acquire_to_finish(&self.id) {
            drop(self.engine.deliver(&self.id, regained, Input::Tick));
        }
    }

    /// Ends the task without the conversation, unless its inbox has got something; who waits for
    /// something else hears nothing.
    fn nothing_to_do(&self) -> bool {
        {
            let mut mail = self.mailbox.mail();
            mail.deliveries.clear();
            mail.fast_path = None;
        }
        self.engine.finish(&self.id, &self.guard, &self.mailbox, &mut None, None)
    }
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
            tracing::error!(conversation = %self.id, "driving the conversation broke; it is tried \
                again");
            self.engine.restart_after_panic(self.id);
        }
    }
}
