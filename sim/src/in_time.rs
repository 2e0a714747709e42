//! Checks, by the true time, that every fate comes within a second of the message's deadline (I8).
//! This holds only if the store and a node that could work on the conversation were available.
//!
//! The check takes no deadline from the journal, and no excuse from a node. The deadline follows
//! from the message's arrival and the policy. Excuses for a delay are observed from outside, twenty
//! times a second. They are: the database takes no writes; no node has the lease; or its holder is
//! dead, stopped, told to end, or cut off from the database. If another node could have taken over,
//! this is an excuse only for `takeover` after the last node fell. One uninterrupted second is
//! enough to decide a message's fate.

use std::collections::BTreeMap;
use std::time::Duration;

use conversation::{AttemptOutcome, Fate, MessageId, Policy, ReasonCode, Record};

/// How long after its deadline a fate may come: a second, and a moment for the store.
const SLACK: Duration = Duration::from_millis(1_100);
/// How much longer than its call an attempt may stay open, until its end is recorded, or the next
/// process ends it.
const LINGERS: Duration = Duration::from_secs(6);
/// How often the possible excuses for a delay are checked.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// What is known about deadlines. All times are true times since the start of the simulation.
#[derive(Default)]
pub(crate) struct InTime {
    customers: BTreeMap<usize, Customer>,
    messages: BTreeMap<MessageId, Message>,
    /// How long a handover may delay messages that wait in an inbox: a quarter of `takeover`.
    pub(crate) hand_over: Duration,
    /// For each fate that a deadline decided, how long after the deadline it came, without excused
    /// time.
    pub(crate) lateness: Vec<Duration>,
}

#[derive(Default)]
struct Customer {
    session: bool,
    /// When the last session ended. From then on, messages may wait for the next one.
    closed: Duration,
    away: Absence,
}

/// The times when no node could work on a conversation.
#[derive(Default)]
pub(crate) struct Absence {
    spans: Vec<(Duration, Duration)>,
    since: Option<Duration>,
    /// The holder of the lease, and since when another node could have taken it over: see
    /// [`Self::see`].
    lease: Option<(Option<String>, Duration)>,
    /// The holder is fit, and does not rely on the lease.
    stalls: bool,
}

struct Message {
    customer: usize,
    /// When a webhook about it left Genesys for the first time.
    sent: Duration,
    /// The latest time at which it can have arrived.
    came: Duration,
    /// When its acceptance was journaled.
    journaled: Duration,
    /// Since when its attempt is open.
    trying: Option<Duration>,
    /// When its last attempt ended.
    tried: Duration,
    /// When the chat service accepted it, if it is to report on it.
    taken: Option<Duration>,
    settled: bool,
}

impl Message {
    /// Its deadline, as long as nothing changes.
    fn deadline(&self, policy: &Policy, customer: &Customer) -> Duration {
        if let Some(taken) = self.taken {
            return taken + policy.receipts.report_timeout;
        }
        let give_up = self.came + policy.delivery.give_up_after;
        if customer.session || self.trying.is_some() {
            return give_up;
        }
        // A message that returns from an attempt to a closed session waits no longer than the
        // others.
        let hold = self.came.max(customer.closed) + policy.hold.limit;
        hold.max(self.tried).min(give_up)
    }
}

/// What is observed of a conversation's lease at one moment.
pub(crate) struct LeaseSeen {
    /// Which node has it, as the table says.
    pub(crate) holder: Option<String>,
    /// When it was last taken, renewed or released.
    pub(crate) written: Duration,
    /// The holder was told to end.
    pub(crate) leaves: bool,
    /// The holder is fit, and does not rely on the lease.
    pub(crate) stalls: bool,
}

impl Absence {
    /// Records an observation of the lease. Returns since when another node could have taken it
    /// over.
    pub(crate) fn see(&mut self, seen: LeaseSeen) -> Duration {
        let LeaseSeen { holder, written, leaves, stalls } = seen;
        // A node's renewals rightly keep other nodes from taking its lease, unless it was told to
        // end. If it is fit and does not rely on the lease, only its first renewal counts, because
        // the next takeover must end this state.
        let stalled = std::mem::replace(&mut self.stalls, stalls);
        let uncounted = leaves || (stalls && stalled);
        match &self.lease {
            Some((before, since)) if uncounted && *before == holder => *since,
            Some(_) | None => {
                self.lease = Some((holder, written));
                written
            }
        }
    }

    /// The longest uninterrupted time between the two in which a node could have worked on the
    /// conversation.
    fn served(&self, from: Duration, to: Duration) -> Duration {
        let open = self.since.map(|since| (since, to));
        let (mut longest, mut begun) = (Duration::ZERO, from);
        for (begin, end) in self.spans.iter().copied().chain(open) {
            longest = longest.max(begin.min(to).saturating_sub(begun));
            begun = begun.max(end);
        }
        longest.max(to.saturating_sub(begun))
    }

    /// Records whether no node can work on the conversation at this moment.
    pub(crate) fn look(&mut self, now: Duration, away: bool) {
        match (self.since, away) {
            (None, true) => self.since = Some(now.saturating_sub(LOOK)),
            (Some(since), false) => {
                self.spans.push((since, now));
                self.since = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
}

impl InTime {
    /// The times when no node could work on a customer's conversation.
    pub(crate) fn away(&mut self, customer: usize) -> &mut Absence {
        &mut self.customers.entry(customer).or_default().away
    }

    /// Whether, between the two, there was time for a node to work through what waited in a
    /// customer's conversation.
    pub(crate) fn could_work(&self, customer: usize, from: Duration, to: Duration) -> bool {
        let away = self.customers.get(&customer).map(|customer| &customer.away);
        away.is_none_or(|away| away.served(from, to) > LINGERS)
    }

    /// Records that a message has arrived, at the latest at `came`.
    pub(crate) fn accepted(
        &mut self,
        message: &MessageId,
        customer: usize,
        sent: Duration,
        came: Duration,
        journaled: Duration,
    ) {
        let (tried, taken) = (Duration::ZERO, None);
        let new =
            Message { customer, sent, came, journaled, trying: None, tried, taken, settled: false };
        self.messages.entry(message.clone()).or_insert(new);
    }

    /// Checks a record that became durable at `now`. Returns what is wrong with its time.
    pub(crate) fn read(
        &mut self,
        policy: &Policy,
        number: usize,
        now: Duration,
        record: &Record,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        match record {
            Record::AttemptStarted { message, .. } => {
                if let Some(message) = self.messages.get_mut(message) {
                    message.trying = Some(now);
                }
            }
            Record::AttemptEnded { message, outcome, .. } => {
                wrong.extend(self.lingers(policy, message, now));
                if let Some(message) = self.messages.get_mut(message) {
                    (message.trying, message.tried) = (None, now);
                    message.taken =
                        matches!(outcome, AttemptOutcome::Accepted { .. }).then_some(now);
                }
            }
            Record::SessionOpened { .. } => {
                let waiting =
                    self.messages.iter().filter(|(_, it)| it.customer == number && !it.settled);
                let waiting: Vec<_> = waiting.map(|(id, _)| id.clone()).collect();
                wrong.extend(waiting.iter().filter_map(|id| self.late(policy, id, now)));
                self.customers.entry(number).or_default().session = true;
            }
            Record::SessionClosed { .. } => {
                let customer = self.customers.entry(number).or_default();
                (customer.session, customer.closed) = (false, now);
            }
            Record::Settled { message, fate, .. } => {
                wrong.extend(self.late(policy, message, now));
                wrong.extend(self.early(policy, message, now, fate));
                self.settled(policy, message, now);
            }
            _ => {}
        }
        wrong
    }

    /// Checks whether the message's fate is too late.
    fn late(&mut self, policy: &Policy, id: &MessageId, now: Duration) -> Option<String> {
        let message = self.messages.get(id)?;
        let customer = self.customers.entry(message.customer).or_default();
        let deadline = message.deadline(policy, customer);
        let late = customer.away.served(deadline, now);
        let waited = message.journaled > deadline;
        (late > SLACK + if waited { self.hand_over } else { Duration::ZERO }).then(|| {
            format!("I8: {id} has no fate {late:.2?} after its time was up at {deadline:.2?}")
        })
    }

    /// Checks whether an attempt that ends was open for longer than a call may last. If the process
    /// that made it is dead, the next one ends it.
    fn lingers(&self, policy: &Policy, id: &MessageId, now: Duration) -> Option<String> {
        let message = self.messages.get(id)?;
        let end = message.trying? + policy.delivery.timeout;
        let late = self.customers.get(&message.customer)?.away.served(end, now);
        (late > LINGERS)
            .then(|| format!("I7: an attempt for {id} is open {late:.2?} after its call is over"))
    }

    /// Checks whether a message has expired before its deadline.
    fn early(&self, policy: &Policy, id: &MessageId, now: Duration, fate: &Fate) -> Option<String> {
        let message = self.messages.get(id)?;
        let Fate::Failed { reason } = fate else { return None };
        let least = message.sent + policy.hold.limit.min(policy.delivery.give_up_after);
        let early = reason.code == ReasonCode::MessageExpired && now + SLACK < least;
        early.then(|| {
            format!(
                "I6: {id} fails for its time at {now:.2?}, which cannot be up before {least:.2?}"
            )
        })
    }

    fn settled(&mut self, policy: &Policy, id: &MessageId, now: Duration) {
        let Some(message) = self.messages.get_mut(id) else { return };
        let customer = self.customers.entry(message.customer).or_default();
        let deadline = message.deadline(policy, customer);
        message.settled = true;
        if now >= deadline {
            self.lateness.push(customer.away.served(deadline, now));
        }
    }

    /// The latest time at which a message may leave, if it leaves at all.
    pub(crate) fn latest(&self, policy: &Policy, id: &MessageId) -> Option<Duration> {
        self.messages.get(id).map(|message| message.came + policy.delivery.give_up_after + SLACK)
    }
}

/// A summary of how late the fates were that deadlines decided.
pub(crate) fn summary(lateness: &mut [Duration]) -> String {
    lateness.sort_unstable();
    let at = |share: usize| {
        lateness.get((lateness.len() * share / 100).min(lateness.len().saturating_sub(1)))
    };
    let millis = |at: Option<&Duration>| at.map_or(0, Duration::as_millis);
    format!(
        "{} fates were decided by a deadline, p50 {} ms, p99 {} ms, at most {} ms after it",
        lateness.len(),
        millis(at(50)),
        millis(at(99)),
        millis(lateness.last())
    )
}
