//! The task of one conversation: take a turn, start the effects that it decided on, wait for what
//! comes next. Start with [`Driver::run`] to follow a message.

use std::sync::Arc;

use connector::Obstacle;
use conversation::mutant::{self, Mutant};
use conversation::{ConversationId, Input};
use futures_util::StreamExt;
use store::LeaseGuard;

use super::calls_in_progress::CallsInProgress;
use super::loaded::{self, LoadedConversation, TurnError};
use super::mailbox::Mailbox;
use super::{Engine, terms};

/// The task of one conversation, and what it works with.
pub(super) struct Driver {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) guard: LeaseGuard,
    pub(super) id: ConversationId,
    pub(super) engine: Arc<Engine>,
}

/// What follows from a turn.
enum Next {
    /// The turn has ended. Calls that it started may be in progress.
    Wait,
    /// The state in memory differs from the store's.
    Reload,
    /// The decision did not become durable, so nothing of it may be carried out.
    GiveUp,
    /// Another node owns the conversation.
    Leave,
}

impl Driver {
    /// Drives the conversation until it has nothing to do for now.
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
                    // The gateway stops, or the conversation cannot be read or does not exist.
                    return under_way.leave_behind(&self.engine, &self.id);
                }
                // Its inbox got something while it was being loaded, so it may exist now.
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

    /// Why no new work may start in the conversation, if that is so.
    pub(super) fn no_new_work(&self) -> Option<Obstacle> {
        terms::no_new_work(&self.engine.stop, &self.guard)
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
        // The first turn must read the inbox too. If a second turn read it and appended nothing, a
        // shared store's conversation would be loaded again after that turn, and so on without end.
        self.mailbox.mail().inbox = true;
        Some(loaded)
    }

    /// Takes a turn, and starts its effects.
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
                // A turn that appended nothing does not notice that the lease was lost. Its state
                // may be old, and so may its wake-up.
                if self.guard.is_revoked() { Next::Leave } else { Next::Wait }
            }
            // The next owner continues.
            Err(TurnError::Fenced) if !self.guard.is_valid() => Next::Leave,
            // The task still waits for the answers to its calls. The state that it loads next
            // decides what they mean.
            Err(TurnError::Fenced) => {
                let id = &self.id;
                tracing::warn!(conversation = %id, "another writer appended to the journal; \
                    the conversation is loaded again");
                Next::Reload
            }
            // Only the first turn takes the fast path, so no call is in progress.
            Err(TurnError::FastPath) => Next::Reload,
            Err(TurnError::Store) => Next::GiveUp,
        }
    }

    /// Waits for the end of a call, for new input, for a deadline, or for the gateway to stop.
    /// Returns false once the guard is revoked: the next owner then decides about every answer.
    async fn wait(&self, current: &LoadedConversation, under_way: &mut CallsInProgress) -> bool {
        let wait = current.wait(&self.engine);
        tokio::select! {
            biased;
            () = self.guard.until_revoked() => return false,
            Some(answer) = under_way.calls.next() => under_way.answers.push(answer),
            () = self.mailbox.arrived.notified() => {}
            () = wait => {}
            // A call that is cut off has an unknown outcome after the restart. So calls may go on
            // until the grace period is over.
            () = self.engine.stop.cancelled(), if !self.engine.stop.is_cancelled() => {}
        }
        true
    }

    /// Ends the task. The conversation stays in the cache if its state is known to be current.
    /// Returns false if something has arrived, so that the task must continue. What would have been
    /// cached is then in `live`.
    fn finish(&self, current: LoadedConversation, live: &mut Option<LoadedConversation>) -> bool {
        let wakeup = current.state.next_wakeup(&current.integration.policy);
        // The last append of a node that lost the conversation may have been committed after this
        // node loaded it. Only an append of this task rules that out. Otherwise the conversation is
        // not cached, and is loaded again the next time.
        let kept = current.fence_confirmed
            || !self.engine.store.is_clustered()
            || mutant::is(Mutant::StaleMemory);
        *live = Some(current).filter(|_| kept);
        self.engine.finish(&self.id, &self.guard, &self.mailbox, live, wakeup)
    }

    /// Ends the task although there is work. Callers that wait get an error. The store keeps the
    /// inbox.
    fn give_up(&self) {
        self.mailbox.mail().inbox = false;
        while !self.nothing_to_do() {
            self.mailbox.mail().inbox = false;
        }
    }

    /// Ends the task of a node that has lost the conversation. This node may own the conversation
    /// again by now. The wake-up of the new lease then went to this task, so the conversation is
    /// woken again.
    fn leave_to_owner(&self, current: LoadedConversation, under_way: CallsInProgress) {
        // Cancels the calls first: another node may drive the conversation as soon as this task
        // ends.
        drop(current);
        under_way.leave_behind(&self.engine, &self.id);
        self.give_up();
        if let Some(regained) = self.engine.store.acquire_to_finish(&self.id) {
            drop(self.engine.deliver(&self.id, regained, Input::Tick));
        }
    }

    /// Ends the task of a conversation that is not loaded. Returns false if its inbox has got
    /// something. Other inputs are dropped, and their callers get an error.
    fn nothing_to_do(&self) -> bool {
        {
            let mut mail = self.mailbox.mail();
            mail.deliveries.clear();
            mail.fast_path = None;
        }
        self.engine.finish(&self.id, &self.guard, &self.mailbox, &mut None, None)
    }
}

/// The task's place in the scheduler. If the task panics, this frees the place, or the conversation
/// would never have a task again. The conversation is woken later, and continues from the store.
struct ActiveSlot<'a> {
    engine: &'a Arc<Engine>,
    id: &'a ConversationId,
}

impl Drop for ActiveSlot<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(conversation = %self.id, "the conversation's task panicked; it is \
                restarted");
            self.engine.restart_after_panic(self.id);
        }
    }
}
