//! One turn of a conversation: collect the inputs, decide, commit, check again whether the decision
//! may still be carried out, acknowledge. [`super::driver`] calls it, and starts the effects that
//! it returns.

use connector::Obstacle;
use conversation::mutant::{self, Mutant};
use conversation::{
    AttemptOutcome, Effect, Input, OpenOutcome, Reason, ReasonCode, Record, TellOutcome,
};
use jiff::Timestamp;
use store::InboxItem;
use tokio::sync::oneshot;

use super::commit::Decision;
use super::driver::Driver;
use super::fast_path::FastPath;
use super::loaded::{LoadedConversation, TurnError, is_call};
use super::mailbox::Delivery;
use super::terms::is_late;

/// How many rows of the inbox, and how many inputs from the mailbox, one commit handles at most.
const BATCH: usize = 64;
/// How many rows of the inbox one commit handles if agents' messages wait among them. It is more
/// than the number of agents' messages that may wait in a conversation.
const MAX_BACKLOG: usize = 1_280;
/// With this many customers' messages in memory, a conversation reads no more from its inbox.
const MOST_INBOUND: usize = 100;

/// What one turn handles.
struct Collected {
    /// In the order in which the state machine gets them.
    inputs: Vec<Input>,
    /// The rows of the inbox among them.
    taken: Vec<u64>,
    /// A message among them that is not in the inbox.
    fast_path: Option<FastPath>,
    /// The callers that wait until all of it is durable.
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
        // If nothing was appended, the fence has not shown that the state is current. Only a valid
        // lease does.
        if has_news || driver.guard.is_valid() {
            acknowledge(callers);
        }
        Ok(effects)
    }

    /// Takes what waits in the mailbox and in the inbox, in the order in which the state machine
    /// gets it.
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
        // A flood of customers' messages stays in the store, because Genesys gets them one at a
        // time (I12).
        let customers = self.state.inbound_waiting() < MOST_INBOUND;
        self.has_inbox_backlog |= !customers;
        let mut items = inbox(driver, customers, BATCH).await?;
        if items.len() == BATCH && items.iter().any(is_agents_message) {
            // A message that was written earlier may be behind them, and must be forwarded before
            // them (I3).
            items = inbox(driver, customers, MAX_BACKLOG).await?;
            items.truncate(through_last_agents_message(&items));
        }
        if items.len() >= BATCH {
            driver.mailbox.wake();
            // The inbox may have more, and the message on the fast path comes after all of it. Its
            // caller now puts it into the inbox.
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
        if let Some(why) = driver.no_new_work() {
            // The journal then says that the calls were not made. So the next process or node makes
            // them, and does not treat their outcome as unknown.
            self.withdraw_calls(driver, why, at, &mut records, &mut effects);
        }
        (records, effects)
    }

    /// Withdraws calls that may no longer be made, and decides again. The commit may have taken
    /// long. The deadline may have passed meanwhile (I8), or another node may own the conversation
    /// (I9). A late decision whose deadline has not passed stays valid: to decide again would make
    /// a slow store slower.
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
            let why = driver.no_new_work().unwrap_or(Obstacle("the store was away"));
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

    /// Has the inbox read again once there is room for the customers' messages that were left
    /// there.
    fn resume_inbox(&mut self, driver: &Driver) {
        if self.has_inbox_backlog && self.state.inbound_waiting() < MOST_INBOUND / 2 {
            self.has_inbox_backlog = false;
            driver.mailbox.wake();
        }
    }

    /// Cancels calls that are no longer open in the state: they must not leave (I4). The call of an
    /// earlier turn may not have sent its first byte yet. A call of this turn may have ended in
    /// this turn too, because a report had overtaken it.
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

    /// Withdraws calls that were not made, and decides again. That may lead to another call, for
    /// the next message or refusal. If no new work may start, that call is withdrawn as well. The
    /// loop ends, because what was withdrawn has failed for good, or waits for a later time.
    fn withdraw_calls(
        &mut self,
        driver: &Driver,
        mut why: Obstacle,
        now: Timestamp,
        records: &mut Vec<Record>,
        effects: &mut Vec<Effect>,
    ) {
        loop {
            self.withdraw_calls_once(why.0, now, records, effects);
            match driver.no_new_work() {
                Some(obstacle) if effects.iter().any(is_call) => why = obstacle,
                _ => return,
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

/// Takes from the mailbox: the message on the fast path, whether to read the inbox, and the inputs
/// that were handed over.
fn take_mail(driver: &Driver) -> (Option<FastPath>, bool, Vec<Delivery>) {
    let mut mail = driver.mailbox.mail();
    // A node that stops or hands over takes no new messages. The caller puts the one on the fast
    // path into the inbox, where the next process or node finds it.
    let admits = driver.admits_new_work();
    let fast_path = mail.fast_path.take().filter(|_| admits);
    // Other inputs must not share its commit, which may fail.
    let most = if fast_path.is_some() { 0 } else { mail.deliveries.len().min(BATCH) };
    if mail.deliveries.len() > most {
        driver.mailbox.arrived.notify_one();
    }
    let reads_inbox = std::mem::take(&mut mail.inbox) && admits;
    (fast_path, reads_inbox, mail.deliveries.drain(..most).collect())
}

/// Reads the first rows of the conversation's inbox.
async fn inbox(
    driver: &Driver,
    customers: bool,
    limit: usize,
) -> Result<Vec<InboxItem>, TurnError> {
    let ask = || driver.engine.store.inbox(&driver.id, customers, limit);
    let items = driver.engine.retry_until_stopped("read an inbox", ask).await;
    items.ok_or(TurnError::Store)
}

fn is_agents_message(item: &InboxItem) -> bool {
    matches!(item.input, Input::AgentMessage { .. })
}

/// How many rows a turn takes: those up to the last agent's message, and at least [`BATCH`]. It
/// takes at most [`BATCH`] customers' messages beyond those, because they go one at a time (I12).
fn through_last_agents_message(items: &[InboxItem]) -> usize {
    let mut customers = 0;
    let mut last = BATCH;
    for (place, item) in items.iter().enumerate().skip(BATCH) {
        match item.input {
            Input::AgentMessage { .. } => last = place + 1,
            ref input if input.is_customers() && customers == BATCH => break,
            ref input => customers += usize::from(input.is_customers()),
        }
    }
    last
}

/// Tells the callers that their inputs are durable.
fn acknowledge(callers: Vec<oneshot::Sender<()>>) {
    for caller in callers {
        // The caller may be gone.
        let _ = caller.send(());
    }
}

/// Whether a call that may begin until `until` must be decided again: its decision is late, and its
/// deadline has passed or no new work may start.
fn is_stale(driver: &Driver, decided: Timestamp, until: Timestamp) -> bool {
    let now = driver.engine.clock.now();
    is_late(decided, now) && (now > until || !driver.admits_new_work())
}
