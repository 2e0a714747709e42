//! One conversation's task: take what came, decide, make it durable, do it. Read [`run`] to see the way of a message.

use std::sync::Arc;
use std::time::Duration;

use connector::Customer;
use conversation::mutant::{self, Mutant};
use conversation::{
    AttemptOutcome, Conversation, ConversationId, Effect, Fate, Input, OpenOutcome, Owed, Reason,
    ReasonCode, Record,
};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use store::{Append, AppendError, Drive, Loaded, StoreError, Watched};
use tokio::sync::oneshot;

use super::calls::{Attempt, Call, Calls};
use super::straight::Straight;
use super::{Engine, Mailbox};
use crate::settings::Integration;

/// How many inputs one commit handles at most.
const BATCH: usize = 64;
/// How old a decision may be when it is carried out; past this it has to be looked at again, see [`is_stale`].
const LATE: Duration = Duration::from_secs(1);
/// How many customer's messages a conversation holds in memory.
const MOST_INBOUND: usize = 100;
/// A snapshot after so many records bounds what a load has to replay.
const SNAPSHOT_EVERY: u64 = 64;

/// A conversation in memory. It is thrown away whenever the store may know better.
pub(super) struct Live {
    integration: Arc<Integration>,
    customer: Customer,
    state: Conversation,
    /// The sequence number of the last record in it: the fence.
    seq: u64,
    snapshot_seq: u64,
    /// In which term of this node's right it was read.
    term: u64,
    /// An append has shown in this run that nobody else knows more.
    proven: bool,
    /// The inbox may hold customer's messages that were left there.
    behind: bool,
    /// Genesys's conversation, while its end has to be learnt; as the store has it.
    watched: Option<Box<str>>,
    /// The attempt that is being made.
    attempt: Option<Attempt>,
    /// When the effects of the last turn were decided.
    decided: Timestamp,
}

/// Whoever reads the conversation anew takes an open attempt for one whose end is not known, so it must not begin after that.
impl Drop for Live {
    fn drop(&mut self) {
        if let Some(attempt) = &self.attempt {
            attempt.call_off();
        }
    }
}

/// Drives one conversation until nothing is left to do now.
pub(super) async fn run(
    engine: Arc<Engine>,
    id: ConversationId,
    drive: Drive,
    mailbox: Arc<Mailbox>,
    parked: Option<Live>,
) {
    let _slot = Slot { engine: &engine, id: &id };
    let mut live =
        parked.filter(|live| live.term == drive.term() || mutant::is(Mutant::StaleMemory));
    if let Some(live) = &mut live {
        live.proven = false;
    }
    let mut calls: Calls = FuturesUnordered::new();
    let mut answers: Vec<Input> = Vec::new();
    loop {
        let mut current = if let Some(current) = live.take() {
            current
        } else {
            let asked = std::mem::take(&mut mailbox.mail().inbox);
            if let Some((current, interrupted)) = load(&engine, &id, &drive).await {
                if interrupted {
                    answers.push(Input::Recovered);
                }
                mailbox.mail().inbox |= asked;
                current
            } else if nothing_to_do(&engine, &id, &drive, &mailbox) {
                // Stopping, unreadable, or not there.
                return;
            } else {
                // It has come into being while it was looked for.
                continue;
            }
        };
        let turn = current.turn(&engine, &id, &drive, &mailbox, std::mem::take(&mut answers)).await;
        match turn {
            Ok(effects) => {
                for effect in effects {
                    current.perform(&engine, &id, &drive, effect, &calls);
                }
            }
            // Whoever has taken over goes on with it.
            Err(Lost::Fenced) if !drive.holds() => {
                // Before anybody else can drive it: what it began must be called off by then.
                drop(current);
                return give_up(&engine, &id, &drive, &mailbox);
            }
            Err(Lost::Fenced) => {
                tracing::warn!(conversation = %id, "somebody else drives the conversation; its state is read anew");
                mailbox.mail().inbox = true;
                calls = FuturesUnordered::new();
                continue;
            }
            // Nothing was under way: it was the first turn.
            Err(Lost::Straight) => {
                mailbox.mail().inbox = true;
                continue;
            }
            // What was decided is not durable, so it did not happen.
            Err(Lost::Store) => {
                drop(current);
                return give_up(&engine, &id, &drive, &mailbox);
            }
        }
        if calls.is_empty() {
            let wakeup = current.state.next_wakeup(&current.integration.policy);
            // The last append of a node that lost the conversation may have come through behind this node's reading. Where
            // no append of this run has shown that it did not, the conversation is read anew the next time.
            let kept = |live: &Live| {
                live.proven || !engine.store.is_shared() || mutant::is(Mutant::StaleMemory)
            };
            live = Some(current).filter(kept);
            if engine.finish(&id, &drive, &mailbox, &mut live, wakeup) {
                return;
            }
            continue;
        }
        // Something is under way: wait for its end, for news, or for a deadline.
        let wait = current.wait(&engine);
        tokio::select! {
            biased;
            Some(answer) = calls.next() => answers.push(answer),
            () = mailbox.arrived.notified() => {}
            () = wait => {}
            // A call that is cut off is unknown after the restart: the grace lets it end by itself.
            () = engine.stop.cancelled(), if !engine.stop.is_cancelled() => {}
        }
        live = Some(current);
    }
}

/// What a turn wants to make durable.
struct Decision {
    at: Timestamp,
    records: Vec<Record>,
    /// Which rows of the inbox it handles.
    taken: Vec<u64>,
    /// A message that it handles, and that is not in the inbox.
    straight: Option<Straight>,
}

/// Why a turn came to nothing.
pub(super) enum Lost {
    /// Somebody else has appended to the journal.
    Fenced,
    /// The gateway stops while the store is away, or what the store holds cannot be read.
    Store,
    /// The message that it was about did not become durable with it: whoever brought it knows.
    Straight,
}

/// Ends the task although there is work: whoever waits hears nothing, and the store keeps what it has.
fn give_up(engine: &Engine, id: &ConversationId, drive: &Drive, mailbox: &Mailbox) {
    mailbox.mail().inbox = false;
    while !nothing_to_do(engine, id, drive, mailbox) {
        mailbox.mail().inbox = false;
    }
}

/// Ends the task without the conversation, unless its inbox has got something; who waits for something else hears nothing.
fn nothing_to_do(engine: &Engine, id: &ConversationId, drive: &Drive, mailbox: &Mailbox) -> bool {
    {
        let mut mail = mailbox.mail();
        mail.deliveries.clear();
        mail.straight = None;
    }
    engine.finish(id, drive, mailbox, &mut None, None)
}

/// The task's place among those that run. A panic must not leave it taken, or nobody would ever drive the conversation
/// again; it is woken anew, since the store has all that was decided.
struct Slot<'a> {
    engine: &'a Arc<Engine>,
    id: &'a ConversationId,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(conversation = %self.id, "driving the conversation broke; it is tried again");
            self.engine.broke(self.id);
        }
    }
}

/// Reads a conversation from the store, and says whether calls were interrupted by the last process's end.
async fn load(engine: &Engine, id: &ConversationId, drive: &Drive) -> Option<(Live, bool)> {
    let loaded = engine.patiently("load a conversation", || engine.store.load(id)).await?;
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
        Live {
            integration,
            customer,
            state,
            seq,
            snapshot_seq,
            term: drive.term(),
            proven: false,
            behind: true,
            watched,
            attempt: None,
            decided: Timestamp::MIN,
        },
        interrupted,
    ))
}

impl Live {
    /// Handles everything that waits, in one commit. Returns the effects that may run now.
    async fn turn(
        &mut self,
        engine: &Engine,
        id: &ConversationId,
        drive: &Drive,
        mailbox: &Mailbox,
        answers: Vec<Input>,
    ) -> Result<Vec<Effect>, Lost> {
        let (mut straight, inbox, deliveries) = {
            let mut mail = mailbox.mail();
            // Who stops or hands over takes nothing new: it goes into the inbox, and the next one finds it there.
            let may_begin = engine.may_begin(drive);
            let straight = mail.straight.take().filter(|_| may_begin);
            // What else was handed over is not tied to it: it may come to nothing.
            let most = if straight.is_some() { 0 } else { mail.deliveries.len().min(BATCH) };
            if mail.deliveries.len() > most {
                mailbox.arrived.notify_one();
            }
            let inbox = std::mem::take(&mut mail.inbox) && may_begin;
            (straight, inbox, mail.deliveries.drain(..most).collect::<Vec<_>>())
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
            self.behind |= !customers;
            let ask = || engine.store.inbox(id, customers, BATCH);
            let items = engine.patiently("read an inbox", ask).await.ok_or(Lost::Store)?;
            if items.len() == BATCH {
                mailbox.mail().inbox = true;
                mailbox.arrived.notify_one();
                // There may be more, and what came later has to wait for its turn there.
                straight = None;
            }
            for item in items {
                taken.push(item.seq);
                inputs.push(item.input);
            }
        }
        if let Some(straight) = &straight {
            straight.join(&mut inputs, !engine.store.is_shared());
        }
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
        self.call_off(&mut effects);
        if !engine.may_begin(drive) {
            // Journaled as not made, so that the next one makes them without asking itself whether they were.
            self.take_back("the gateway was stopping", now, &mut records, &mut effects);
        }
        let mut current = false;
        if !records.is_empty() || !taken.is_empty() {
            current = true;
            let early = self
                .commit(engine, id, drive, Decision { at: now, records, taken, straight })
                .await?;
            self.proven = true;
            if early {
                mailbox.mail().inbox = true;
                mailbox.arrived.notify_one();
            }
        }
        // The store may have been away for long. What was decided then may be too late to be done now (I8), or another's to
        // do (I9). What is late and not too late is done: to decide it anew would make a slow store slower.
        let mut decided = now;
        let stale = |live: &Self, effect: &Effect, decided| {
            is_call(effect)
                && (!drive.holds() || is_stale(engine, drive, decided, live.until(effect)))
        };
        while !mutant::is(Mutant::LateCallsMade)
            && effects.iter().any(|effect| stale(self, effect, decided))
        {
            decided = engine.clock.now();
            let mut records = Vec::new();
            let why = if drive.holds() {
                "the store was away"
            } else {
                "another node may have taken over"
            };
            self.take_back(why, decided, &mut records, &mut effects);
            let anew = Decision { at: decided, records, taken: Vec::new(), straight: None };
            self.commit(engine, id, drive, anew).await?;
        }
        self.decided = decided;
        if self.behind && self.state.inbound_waiting() < MOST_INBOUND / 2 {
            self.behind = false;
            mailbox.mail().inbox = true;
            mailbox.arrived.notify_one();
        }
        // Where nothing was to be appended, no fence has told whether somebody else knows more.
        if current || drive.holds() {
            for durable in waiting {
                // Whoever asked may have gone.
                let _ = durable.send(());
            }
        }
        Ok(effects)
    }

    /// Until when a call to the chat service may begin: not at all, where it is not open any more.
    fn until(&self, effect: &Effect) -> Timestamp {
        let until = match effect {
            Effect::Forward { message, attempt, .. } => self.state.attempt_until(message, *attempt),
            Effect::Open { attempt } => self.state.open_until(*attempt),
            Effect::Typing { .. } | Effect::Close | Effect::CustomerTyping | Effect::Post(_) => {
                None
            }
        };
        until.unwrap_or(Timestamp::MIN)
    }

    /// An attempt that is not open any more must not be made any more (I4), whether its task waits to begin or the very step
    /// that started it ended it too, since a report had overtaken it.
    fn call_off(&mut self, effects: &mut Vec<Effect>) {
        if mutant::is(Mutant::NotCalledOff) {
            return;
        }
        let open = self.state.open_attempt();
        effects.retain(|effect| match effect {
            Effect::Forward { message, attempt, .. } => open == Some((message, *attempt)),
            _ => true,
        });
        if let Some(attempt) =
            self.attempt.take_if(|made| open != Some((&made.message, made.number)))
        {
            attempt.call_off();
        }
    }

    /// Takes back calls that have not been made, and decides anew.
    fn take_back(
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
                Effect::Open { attempt } => Some(Input::OpenEnded {
                    attempt: *attempt,
                    outcome: OpenOutcome::Retry { reason: reason(), after: None },
                }),
                Effect::Typing { .. }
                | Effect::Close
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
        drive: &Drive,
        Decision { at, records, taken, straight }: Decision,
    ) -> Result<bool, Lost> {
        let seq = self.seq + records.len() as u64;
        let snapshot = seq >= self.snapshot_seq + SNAPSHOT_EVERY;
        let wakeup = self.state.next_wakeup(&self.integration.policy);
        // That Genesys has a receipt is the last that happens to a message: nothing follows from it.
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
            // With a call open, whoever finds the conversation after a crash must look at it at once.
            due: if self.state.is_calling() { Some(at) } else { wakeup },
            watched: self.state.watched().map(Into::into),
            snapshot: snapshot.then(|| self.state.clone()),
            lazy,
        };
        if mutant::is(Mutant::EffectsBeforeDurable) && straight.is_none() {
            let store = Arc::clone(&engine.store);
            engine.tasks.spawn(async move { drop(store.append(append).await) });
            self.seq = seq;
            return Ok(false);
        }
        let early = match straight {
            None => append_step(engine, drive, &append).await?,
            Some(straight) => straight.append(engine, drive, &append).await?,
        };
        self.seq = seq;
        if append.watched != self.watched {
            self.watched.clone_from(&append.watched);
            if let Some(genesys) = append.watched {
                engine
                    .opened(&self.integration.name, Watched { conversation: id.clone(), genesys });
            }
        }
        if snapshot {
            self.snapshot_seq = seq;
        }
        self.tell(engine, id, &append.records);
        Ok(early)
    }

    /// One log line and one count for each message that is accepted or settled; never its text.
    fn tell(&self, engine: &Engine, id: &ConversationId, records: &[Record]) {
        let integration = self.integration.name.as_str();
        for record in records {
            match record {
                Record::Accepted { message, .. } => {
                    tracing::info!(integration, conversation = %id, id = %message, "accepted");
                }
                Record::Settled { message, fate, .. } => {
                    let (word, reason) = match fate {
                        Fate::Delivered => ("delivered", None),
                        Fate::Sent => ("sent", None),
                        Fate::Failed { reason } => ("failed", Some(reason.code.as_str())),
                    };
                    engine.metrics.settled(integration, word);
                    tracing::info!(integration, conversation = %id, id = %message, fate = word, reason, "settled");
                }
                Record::AttemptEnded { outcome, .. } => {
                    engine.metrics.attempt(integration, word_of(outcome))
                }
                _ => {}
            }
        }
    }

    /// Starts one effect. Its records are durable.
    fn perform(
        &mut self,
        engine: &Arc<Engine>,
        id: &ConversationId,
        drive: &Drive,
        effect: Effect,
        calls: &Calls,
    ) {
        let call = Call {
            engine,
            integration: &self.integration,
            conversation: id,
            drive,
            customer: &self.customer,
        };
        let until = self.until(&effect);
        match effect {
            Effect::Open { attempt } => calls.push(call.open(attempt)),
            Effect::Forward { message, attempt, session } => {
                let attempt = Attempt::new(message, attempt, session, self.decided, until);
                calls.push(call.forward(attempt.clone()));
                self.attempt = Some(attempt);
            }
            Effect::Typing { on, duration } => call.typing(on, duration),
            Effect::Close => call.close(),
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
                    egress.look();
                }
            }
        }
    }

    /// Until the conversation wants to be woken.
    fn wait(&self, engine: &Engine) -> impl Future<Output = ()> + use<> {
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

/// Appends a step to the journal, however long the store is away. Returns whether the inbox got something by it.
async fn append_step(engine: &Engine, drive: &Drive, append: &Append) -> Result<bool, Lost> {
    let appended = engine.patiently("append to the journal", || async {
        // The fence refuses what is based on old news; a node that has read the newest without a right to is refused here.
        if drive.is_lost() {
            return Ok(None);
        }
        if !drive.holds() {
            return Err(StoreError::Unavailable("the lease has run out".to_owned()));
        }
        match engine.store.append(append.clone()).await {
            Ok(early) => Ok(Some(early)),
            Err(AppendError::Fenced) => Ok(None),
            Err(AppendError::Store(error)) => Err::<_, StoreError>(error),
        }
    });
    appended.await.ok_or(Lost::Store)?.ok_or(Lost::Fenced)
}

/// Whether a call that was decided then, and may begin until `until`, has to be decided anew. A node that another may replace
/// keeps to the second: a machine that has slept may take its lease for valid. Whoever stops begins nothing that late.
pub(super) fn is_stale(
    engine: &Engine,
    drive: &Drive,
    decided: Timestamp,
    until: Timestamp,
) -> bool {
    let now = engine.clock.now();
    now > later(decided, LATE)
        && (now > until || engine.store.is_shared() || !engine.may_begin(drive))
}

/// Whether it is a call to the chat service that the journal knows of.
fn is_call(effect: &Effect) -> bool {
    matches!(effect, Effect::Forward { .. } | Effect::Open { .. })
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn word_of(outcome: &AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::Delivered { .. } => "delivered",
        AttemptOutcome::Accepted { .. } => "accepted",
        AttemptOutcome::Rejected { .. } => "rejected",
        AttemptOutcome::SessionGone => "session_gone",
        AttemptOutcome::NotTaken { .. } => "not_taken",
        AttemptOutcome::Unknown { .. } => "unknown",
    }
}
