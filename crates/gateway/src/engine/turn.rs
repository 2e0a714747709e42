//! One turn of a conversation: collect what has come, decide, commit, check again whether what was
//! decided may still be done, acknowledge. [`super::driver`] calls it, and does what it returns.

use conversation::mutant::{self, Mutant};
use conversation::{
    AttemptOutcome, Effect, Input, OpenOutcome, Reason, ReasonCode, Record, TellOutcome,
};
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::commit::Decision;
use super::driver::Driver;
use super::fast_path::FastPath;
use super::loaded::{LoadedConversation, TurnError, is_call};
use super::mailbox::Delivery;
use super::terms::is_late;

/// How many inputs one commit handles at most.
const BATCH: usize = 64;
/// How many customer's messages a conversation holds in memory.
const MOST_INBOUND: usize = 100;

/// What one turn handles.
struct Collected {
    /// In the order in which the state machine gets them.
    inputs: Vec<Input>,
    /// The rows of the inbox among them.
    taken: Vec<u64>,
    /// A message among them that is not in the inbox.
    fast_path: Option<FastPath>,
    /// Who waits until all of it is durable.
    callers: Vec<oneshot::Sender<()>>,
}

impl LoadedConversation {
    /// Handles everything that waits, in one commit. Returns the effects that may run now.
    pub(super) async fn turn(
        &mut self,
        driver: &Driver,
        answers: Vec<Input>,
    ) -> Result<Vec<Effect>, TurnError> {
        let Collected { inputs, taken, fast_path, callers } = self.collect(driver, answers).await?;
        let at = driver.engine.clock.now();
        let (records, effects) = self.decide(driver, at, inputs);
        let has_news = !records.is_empty() || !taken.is_empty();
        if has_news {
            self.commit(driver, Decision { at, records, taken, fast_path }).await?;
        }
        let effects = self.recheck(driver, at, effects).await?;
        self.resume_inbox(driver);
        // If nothing was appended, no fence has shown that the state is current.
        if has_news || driver.guard.is_valid() {
            acknowledge(callers);
        }
        Ok(effects)
    }

    /// Takes what waits in the mailbox and in the inbox, in the order in which it is decided on.
    async fn collect(
        &mut self,
        driver: &Driver,
        answers: Vec<Input>,
    ) -> Result<Collected, TurnError> {
        let (fast_path, reads_inbox, deliveries) = take_mail(driver);
        let mut all = Collected { inputs: answers, taken: vec![], fast_path, callers: vec![] };
        for (input, caller) in deliveries {
            all.inputs.push(input);
            all.callers.extend(caller);
        }
        if reads_inbox {
            self.read_inbox(driver, &mut all).await?;
        }
        if let Some(fast_path) = &all.fast_path {
            fast_path.join(&mut all.inputs, !driver.engine.store.is_clustered());
        }
        super::order::by_time(&mut all.inputs, self.state.last_place());
        all.inputs.push(Input::Tick);
        Ok(all)
    }

    async fn read_inbox(&mut self, driver: &Driver, all: &mut Collected) -> Result<(), TurnError> {
        // A flood of customer's messages stays in the store: they leave one at a time (I12).
        let customers = self.state.inbound_waiting() < MOST_INBOUND;
        self.has_inbox_backlog |= !customers;
        let ask = || driver.engine.store.inbox(&driver.id, customers, BATCH);
        let items = driver.engine.retry_until_stopped("read an inbox", ask).await;
        let items = items.ok_or(TurnError::Store)?;
        if items.len() == BATCH {
            driver.mailbox.wake();
            // There may be more, and what came later has to wait for its turn there.
            all.fast_path = None;
        }
        for item in items {
            all.taken.push(item.seq);
            all.inputs.push(item.input);
        }
        Ok(())
    }

    /// Has the state machine decide on each input.
    fn decide(
        &mut self,
        driver: &Driver,
        at: Timestamp,
        inputs: Vec<Input>,
    ) -> (Vec<Record>, Vec<Effect>) {
        let (mut records, mut effects) = (Vec::new(), Vec::new());
        for input in inputs {
            let step = self.state.handle(&self.integration.policy, at, input);
            if let Some(why) = step.ignored {
                driver.engine.metrics.ignored(self.integration.name.as_str(), why.as_str());
            }
            records.extend(step.records);
            effects.extend(step.effects);
        }
        self.cancel_closed_calls(&mut effects);
        if !driver.admits_new_work() {
            // Journaled as not made, so that the next one makes them without asking itself whether
            // they were.
            let why = "the gateway was stopping";
            self.withdraw_calls(driver, why, at, &mut records, &mut effects);
        }
        (records, effects)
    }

    /// The store may have been away for long. A decision may then be too late to act on (I8), or
    /// another node's to act on (I9). A decision that is late but not too late still stands:
    /// deciding again would make a slow store slower.
    async fn recheck(
        &mut self,
        driver: &Driver,
        mut decided: Timestamp,
        mut effects: Vec<Effect>,
    ) -> Result<Vec<Effect>, TurnError> {
        while !mutant::is(Mutant::LateCallsMade)
            && effects.iter().any(|effect| self.must_not_run(driver, effect, decided))
        {
            decided = driver.engine.clock.now();
            let why = if driver.guard.is_valid() {
                "the store was away"
            } else {
                "another node may have taken over"
            };
            let mut records = Vec::new();
            self.withdraw_calls(driver, why, decided, &mut records, &mut effects);
            let revised = Decision { at: decided, records, taken: Vec::new(), fast_path: None };
            self.commit(driver, revised).await?;
        }
        self.decided = decided;
        Ok(effects)
    }

    fn must_not_run(&self, driver: &Driver, effect: &Effect, decided: Timestamp) -> bool {
        is_call(effect)
            && (!driver.guard.is_valid() || is_stale(driver, decided, self.latest(effect)))
    }

    /// Reads customers' messages again that were left in the inbox, once there is room for them.
    fn resume_inbox(&mut self, driver: &Driver) {
        if self.has_inbox_backlog && self.state.inbound_waiting() < MOST_INBOUND / 2 {
            self.has_inbox_backlog = false;
            driver.mailbox.wake();
        }
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
        driver: &Driver,
        why: &str,
        now: Timestamp,
        records: &mut Vec<Record>,
        effects: &mut Vec<Effect>,
    ) {
        loop {
            self.withdraw_calls_once(why, now, records, effects);
            if driver.admits_new_work() || !effects.iter().any(is_call) {
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
}

/// Takes from the mailbox: the message of the fast path, whether the inbox is to be read, and what
/// was handed over.
fn take_mail(driver: &Driver) -> (Option<FastPath>, bool, Vec<Delivery>) {
    let mut mail = driver.mailbox.mail();
    // Who stops or hands over takes nothing new: it goes into the inbox, and the next one finds it
    // there.
    let admits = driver.admits_new_work();
    let fast_path = mail.fast_path.take().filter(|_| admits);
    // What else was handed over is not tied to it: it may come to nothing.
    let most = if fast_path.is_some() { 0 } else { mail.deliveries.len().min(BATCH) };
    if mail.deliveries.len() > most {
        driver.mailbox.arrived.notify_one();
    }
    let reads_inbox = std::mem::take(&mut mail.inbox) && admits;
    (fast_path, reads_inbox, mail.deliveries.drain(..most).collect())
}

/// Tells those who wait that what they handed over is durable.
fn acknowledge(callers: Vec<oneshot::Sender<()>>) {
    for caller in callers {
        // The caller may be gone.
        let _ = caller.send(());
    }
}

/// Whether a call that was decided then, and may begin until `until`, must be decided again. A
/// gateway that stops begins no call that late.
fn is_stale(driver: &Driver, decided: Timestamp, until: Timestamp) -> bool {
    let now = driver.engine.clock.now();
    is_late(decided, now) && (now > until || !driver.admits_new_work())
}
