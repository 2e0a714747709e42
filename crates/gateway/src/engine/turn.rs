//! One turn of a conversation: collect what has come, decide, commit, check again whether what was
//! decided may still be done. [`super::driver`] calls it, and does what it returns.

use std::sync::Arc;
use std::time::Duration;

use connector::Customer;
use conversation::mutant::{self, Mutant};
use conversation::{
    AttemptOutcome, Conversation, ConversationId, Effect, Input, OpenOutcome, Owed, Reason,
    ReasonCode, Record, TellOutcome,
};
use jiff::Timestamp;
use store::{Append, AppendError, LeaseGuard, Loaded, StoreError, WatchedConversation};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::calls::{Call, Calls};
use super::fast_path::FastPath;
use super::tell::log_and_count;
use super::terms::CallTerms;
use super::{Engine, Mailbox};
use crate::settings::Integration;

/// How many inputs one commit handles at most.
const BATCH: usize = 64;
/// How old a decision may be when it is carried out; past this it has to be looked at again, see
/// [`is_stale`].
const LATE: Duration = Duration::from_secs(1);
/// How many customer's messages a conversation holds in memory.
const MOST_INBOUND: usize = 100;
/// A snapshot after so many records bounds what a load has to replay.
const SNAPSHOT_EVERY: u64 = 64;

/// A conversation in memory. It is thrown away whenever the store may know better.
pub(super) struct LoadedConversation {
    pub(super) integration: Arc<Integration>,
    customer: Customer,
    pub(super) state: Conversation,
    /// The sequence number of the last record in it: the fence.
    seq: u64,
    snapshot_seq: u64,
    /// The lease's epoch in which it was loaded.
    pub(super) epoch: u64,
    /// An append of this run has shown that the state is current.
    pub(super) fence_confirmed: bool,
    /// The inbox may hold customer's messages that were left there.
    has_inbox_backlog: bool,
    /// Genesys's conversation, while its end has to be learnt; as the store has it.
    watched: Option<Box<str>>,
    /// The calls that were begun and are open in the state, and how they are called off.
    begun: Vec<(Effect, CancellationToken)>,
    /// The close that may be under way, and how it is called off.
    closing: Option<CancellationToken>,
    /// When the effects of the last turn were decided.
    decided: Timestamp,
}

/// A task that loads the conversation again treats an open attempt as interrupted. The attempt must
/// therefore not begin after that.
impl Drop for LoadedConversation {
    fn drop(&mut self) {
        for (_, call_off) in &self.begun {
            call_off.cancel();
        }
    }
}

/// What a turn wants to make durable.
struct Decision {
    at: Timestamp,
    records: Vec<Record>,
    /// Which rows of the inbox it handles.
    taken: Vec<u64>,
    /// A message that it handles, and that is not in the inbox.
    fast_path: Option<FastPath>,
}

/// Why a turn came to nothing.
pub(super) enum TurnError {
    /// Somebody else has appended to the journal.
    Fenced,
    /// The gateway stops while the store is away, or what the store holds cannot be read.
    Store,
    /// The message of the fast path did not become durable with it. The caller of the fast path
    /// gets the error.
    FastPath,
}

/// Reads a conversation from the store, and says whether calls were interrupted by the last
/// process's end.
pub(super) async fn load(
    engine: &Engine,
    id: &ConversationId,
    guard: &LeaseGuard,
) -> Option<(LoadedConversation, bool)> {
    let loaded =
        engine.retry_until_stopped("load a conversation", || engine.store.load(id)).await?;
    let Some(Loaded { integration, customer, state, seq, snapshot_seq }) = loaded else {
        tracing::debug!(conversation = %id, "there is no such conversation");
        return None;
    };
    let Some(integration) = engine.integration(&integration).cloned() else {
        tracing::error!(conversation = %id, %integration, "the conversation's integration is not configured any more");
        return None;
    };
    let customer = match serde_json::from_str(&customer) {
        Ok(customer) => customer,
        Err(error) => {
            tracing::error!(conversation = %id, %error, "the conversation's customer cannot be read");
            return None;
        }
    };
    let interrupted = state.is_calling() && !mutant::is(Mutant::RecoveredForgotten);
    let watched = state.watched().map(Into::into);
    Some((
        LoadedConversation {
            integration,
            customer,
            state,
            seq,
            snapshot_seq,
            epoch: guard.epoch(),
            fence_confirmed: false,
            has_inbox_backlog: false,
            watched,
            begun: Vec::new(),
            closing: None,
            decided: Timestamp::MIN,
        },
        interrupted,
    ))
}

impl LoadedConversation {
    /// Handles everything that waits, in one commit. Returns the effects that may run now.
    pub(super) async fn turn(
        &mut self,
        engine: &Engine,
        id: &ConversationId,
        guard: &LeaseGuard,
        mailbox: &Mailbox,
        answers: Vec<Input>,
    ) -> Result<Vec<Effect>, TurnError> {
        let (mut fast_path, inbox, deliveries) = {
            let mut mail = mailbox.mail();
            // Who stops or hands over takes nothing new: it goes into the inbox, and the next one
            // finds it there.
            let admits = engine.admits_new_work(guard);
            let fast_path = mail.fast_path.take().filter(|_| admits);
            // What else was handed over is not tied to it: it may come to nothing.
            let most = if fast_path.is_some() { 0 } else { mail.deliveries.len().min(BATCH) };
            if mail.deliveries.len() > most {
                mailbox.arrived.notify_one();
            }
            let inbox = std::mem::take(&mut mail.inbox) && admits;
            (fast_path, inbox, mail.deliveries.drain(..most).collect::<Vec<_>>())
        };
        let mut waiting: Vec<oneshot::Sender<()>> = Vec::new();
        let mut taken = Vec::new();
        let mut inputs = answers;
        for (input, durable) in deliveries {
            inputs.push(input);
            waiting.extend(durable);
        }
        if inbox {
            // A flood of customer's messages stays in the store: they leave one at a time (I12).
            let customers = self.state.inbound_waiting() < MOST_INBOUND;
            self.has_inbox_backlog |= !customers;
            let ask = || engine.store.inbox(id, customers, BATCH);
            let items =
                engine.retry_until_stopped("read an inbox", ask).await.ok_or(TurnError::Store)?;
            if items.len() == BATCH {
                mailbox.mail().inbox = true;
                mailbox.arrived.notify_one();
                // There may be more, and what came later has to wait for its turn there.
                fast_path = None;
            }
            for item in items {
                taken.push(item.seq);
                inputs.push(item.input);
            }
        }
        if let Some(fast_path) = &fast_path {
            fast_path.join(&mut inputs, !engine.store.is_clustered());
        }
        super::order::by_time(&mut inputs, self.state.last_place());
        let now = engine.clock.now();
        inputs.push(Input::Tick);
        let mut records = Vec::new();
        let mut effects = Vec::new();
        for input in inputs {
            let step = self.state.handle(&self.integration.policy, now, input);
            if let Some(why) = step.ignored {
                engine.metrics.ignored(self.integration.name.as_str(), why.as_str());
            }
            records.extend(step.records);
            effects.extend(step.effects);
        }
        self.cancel_closed_calls(&mut effects);
        if !engine.admits_new_work(guard) {
            // Journaled as not made, so that the next one makes them without asking itself whether
            // they were.
            let why = "the gateway was stopping";
            self.withdraw_calls(engine, guard, why, now, &mut records, &mut effects);
        }
        let mut current = false;
        if !records.is_empty() || !taken.is_empty() {
            current = true;
            let early = self
                .commit(engine, id, guard, Decision { at: now, records, taken, fast_path })
                .await?;
            self.fence_confirmed = true;
            if early {
                mailbox.mail().inbox = true;
                mailbox.arrived.notify_one();
            }
        }
        // The store may have been away for long. A decision may then be too late to act on (I8), or
        // another node's to act on (I9). A decision that is late but not too late still stands:
        // deciding again would make a slow store slower.
        let mut decided = now;
        let stale = |live: &Self, effect: &Effect, decided| {
            is_call(effect)
                && (!guard.is_valid() || is_stale(engine, guard, decided, live.latest(effect)))
        };
        while !mutant::is(Mutant::LateCallsMade)
            && effects.iter().any(|effect| stale(self, effect, decided))
        {
            decided = engine.clock.now();
            let mut records = Vec::new();
            let why = if guard.is_valid() {
                "the store was away"
            } else {
                "another node may have taken over"
            };
            self.withdraw_calls(engine, guard, why, decided, &mut records, &mut effects);
            let anew = Decision { at: decided, records, taken: Vec::new(), fast_path: None };
            self.commit(engine, id, guard, anew).await?;
        }
        self.decided = decided;
        if self.has_inbox_backlog && self.state.inbound_waiting() < MOST_INBOUND / 2 {
            self.has_inbox_backlog = false;
            mailbox.mail().inbox = true;
            mailbox.arrived.notify_one();
        }
        // If nothing was appended, no fence has shown that the state is current.
        if current || guard.is_valid() {
            for durable in waiting {
                // The caller may be gone.
                let _ = durable.send(());
            }
        }
        Ok(effects)
    }

    /// Until when a call to the chat service may begin; none, if it is not open (any more).
    fn until(&self, effect: &Effect) -> Option<Timestamp> {
        match effect {
            Effect::Forward { message, attempt, .. } => self.state.attempt_until(message, *attempt),
            Effect::Open { attempt, .. } => self.state.open_until(*attempt),
            Effect::TellRefused { message, attempt, .. } => {
                self.state.tell_until(message, *attempt)
            }
            Effect::Typing { .. }
            | Effect::Close { .. }
            | Effect::CustomerTyping
            | Effect::Post(_) => None,
        }
    }

    fn latest(&self, effect: &Effect) -> Timestamp {
        self.until(effect).unwrap_or(Timestamp::MIN)
    }

    /// A call that is not open any more must not be made any more (I4), whether its first byte has
    /// not left yet or the very step that started it ended it too, since a report had overtaken it.
    fn cancel_closed_calls(&mut self, effects: &mut Vec<Effect>) {
        if mutant::is(Mutant::NotCalledOff) {
            return;
        }
        effects.retain(|effect| !is_call(effect) || self.until(effect).is_some());
        let (open, over): (Vec<_>, Vec<_>) = std::mem::take(&mut self.begun)
            .into_iter()
            .partition(|(effect, _)| self.until(effect).is_some());
        self.begun = open;
        for (_, call_off) in over {
            call_off.cancel();
        }
    }

    /// Takes back calls that were not made, and decides again. That may lead to another call, for
    /// the next message or refusal. If nothing may begin, that call is taken back as well. The loop
    /// ends: each thing that was taken back has failed for good, or waits for a later time.
    fn withdraw_calls(
        &mut self,
        engine: &Engine,
        guard: &LeaseGuard,
        why: &str,
        now: Timestamp,
        records: &mut Vec<Record>,
        effects: &mut Vec<Effect>,
    ) {
        loop {
            self.withdraw_calls_once(why, now, records, effects);
            if engine.admits_new_work(guard) || !effects.iter().any(is_call) {
                return;
            }
        }
    }

    fn withdraw_calls_once(
        &mut self,
        why: &str,
        now: Timestamp,
        records: &mut Vec<Record>,
        effects: &mut Vec<Effect>,
    ) {
        let reason = || Reason::new(ReasonCode::GeneralError, why);
        let not_made: Vec<Input> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Forward { message, attempt, .. } => Some(Input::AttemptEnded {
                    message: message.clone(),
                    attempt: *attempt,
                    outcome: AttemptOutcome::NotTaken { reason: reason(), after: None },
                }),
                Effect::Open { attempt, .. } => Some(Input::OpenEnded {
                    attempt: *attempt,
                    outcome: OpenOutcome::Retry { reason: reason(), after: None },
                }),
                Effect::TellRefused { message, attempt, .. } => Some(Input::RefusalTold {
                    message: message.clone(),
                    attempt: *attempt,
                    outcome: TellOutcome::NotMade,
                }),
                Effect::Typing { .. }
                | Effect::Close { .. }
                | Effect::CustomerTyping
                | Effect::Post(_) => None,
            })
            .collect();
        effects.retain(|effect| !is_call(effect));
        for input in not_made {
            let step = self.state.handle(&self.integration.policy, now, input);
            records.extend(step.records);
            effects.extend(step.effects);
        }
    }

    /// Returns whether the inbox got something by it.
    async fn commit(
        &mut self,
        engine: &Engine,
        id: &ConversationId,
        guard: &LeaseGuard,
        Decision { at, records, taken, fast_path }: Decision,
    ) -> Result<bool, TurnError> {
        let seq = self.seq + records.len() as u64;
        let snapshot = seq >= self.snapshot_seq + SNAPSHOT_EVERY;
        let wakeup = self.state.next_wakeup(&self.integration.policy);
        // That Genesys has a receipt is the last that happens to a message: nothing follows from
        // it.
        let lazy = taken.is_empty()
            && records
                .iter()
                .all(|record| matches!(record, Record::ReceiptDone { last: true, .. }));
        let append = Append {
            conversation: id.clone(),
            integration: self.integration.name.clone(),
            after: self.seq,
            at,
            records,
            taken,
            // While a call is open, the next process must look at the conversation at once.
            due: if self.state.is_calling() { Some(at) } else { wakeup },
            watched: self.state.watched().map(Into::into),
            snapshot: snapshot.then(|| self.state.clone()),
            lazy,
        };
        if mutant::is(Mutant::EffectsBeforeDurable) && fast_path.is_none() {
            let store = Arc::clone(&engine.store);
            engine.tasks.spawn(async move { drop(store.append(append).await) });
            self.seq = seq;
            return Ok(false);
        }
        let early = match fast_path {
            None => append_step(engine, guard, &append).await?,
            Some(fast_path) => fast_path.append(engine, guard, &append).await?,
        };
        self.seq = seq;
        if append.watched != self.watched {
            self.watched.clone_from(&append.watched);
            if let Some(genesys) = append.watched {
                engine.opened(
                    &self.integration.name,
                    WatchedConversation { conversation: id.clone(), genesys },
                );
            }
        }
        if snapshot {
            self.snapshot_seq = seq;
        }
        log_and_count(engine, &self.integration, id, at, &append.records);
        Ok(early)
    }

    /// Starts one effect. Its records are durable.
    pub(super) fn execute(
        &mut self,
        engine: &Arc<Engine>,
        id: &ConversationId,
        guard: &LeaseGuard,
        effect: Effect,
        calls: &Calls,
    ) {
        let terms = CallTerms::new(engine, guard, self.decided, self.latest(&effect));
        if is_call(&effect) {
            self.begun.push((effect.clone(), terms.called_off()));
        }
        let call = Call {
            engine,
            integration: &self.integration,
            conversation: id,
            guard,
            customer: &self.customer,
        };
        match effect {
            Effect::Open { attempt, tries } => {
                // What was to close the last session must not close this one.
                if let Some(closing) = self.closing.take() {
                    closing.cancel();
                }
                calls.push(call.open(attempt, tries, terms));
            }
            Effect::Forward { message, attempt, session } => {
                calls.push(call.forward(message, attempt, session, terms));
            }
            Effect::Typing { on, duration } => call.typing(on, duration),
            Effect::Close { by } => {
                call.close(by, self.closing.insert(CancellationToken::new()).clone());
            }
            Effect::TellRefused { message, reason, attempt } => {
                calls.push(call.tell_refused(message, reason, attempt, terms));
            }
            Effect::CustomerTyping => {
                if let Some(egress) = engine.egress(&self.integration.name) {
                    egress.typing(engine, self.customer.clone());
                }
            }
            Effect::Post(
                Owed::Receipt { .. }
                | Owed::Inbound { .. }
                | Owed::Notice { .. }
                | Owed::Disconnect { .. },
            ) => {
                // It stands in the outbox; the egress only has to look.
                if let Some(egress) = engine.egress(&self.integration.name) {
                    egress.outbox_changed();
                }
            }
        }
    }

    /// Until the conversation wants to be woken.
    pub(super) fn wait(&self, engine: &Engine) -> impl Future<Output = ()> + use<> {
        let now = engine.clock.now();
        let until = self
            .state
            .next_wakeup(&self.integration.policy)
            .map(|at| super::timers::until(now, at));
        async move {
            match until {
                Some(until) => tokio::time::sleep(until).await,
                None => std::future::pending().await,
            }
        }
    }
}

/// Appends a step to the journal, however long the store is away. Returns whether the inbox got
/// something by it.
async fn append_step(
    engine: &Engine,
    guard: &LeaseGuard,
    append: &Append,
) -> Result<bool, TurnError> {
    let appended = engine.retry_until_stopped("append to the journal", || async {
        // The fence refuses what is based on old news; a node that has read the newest without a
        // right to is refused here.
        if guard.is_revoked() {
            return Ok(None);
        }
        if !guard.is_valid() {
            return Err(StoreError::Unavailable("the lease has run out".to_owned()));
        }
        match engine.store.append(append.clone()).await {
            Ok(early) => Ok(Some(early)),
            Err(AppendError::Fenced) => Ok(None),
            Err(AppendError::Store(error)) => Err::<_, StoreError>(error),
        }
    });
    appended.await.ok_or(TurnError::Store)?.ok_or(TurnError::Fenced)
}

/// Whether a call that was decided then, and may begin until `until`, must be decided again. A
/// gateway that stops begins no call that late.
fn is_stale(engine: &Engine, guard: &LeaseGuard, decided: Timestamp, until: Timestamp) -> bool {
    let now = engine.clock.now();
    now > later(decided, LATE) && (now > until || !engine.admits_new_work(guard))
}

/// Whether it is a call to the chat service that the journal knows of.
fn is_call(effect: &Effect) -> bool {
    matches!(effect, Effect::Forward { .. } | Effect::Open { .. } | Effect::TellRefused { .. })
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
