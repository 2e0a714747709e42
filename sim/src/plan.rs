//! What a seed determines: how many nodes and customers, which policies, which faults and how
//! often.

use std::collections::BTreeSet;
use std::time::Duration;

use conversation::{
    AfterFailure, CustomerLeft, DeliveredOn, DeliveryPolicy, HandshakeStart, HoldPolicy,
    InboundLimits, InboundPolicy, NoticeKind, OnUnknown, Policy, ReceiptPolicy, SendReceipts,
};

/// How large a simulation is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) messages: usize,
    /// The number of nodes, if it is not drawn from the seed.
    pub(crate) nodes: Option<usize>,
}

/// Everything that is drawn before a simulation begins.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) messages: usize,
    pub(crate) nodes: usize,
    pub(crate) customers: usize,
    pub(crate) takeover: Duration,
    pub(crate) policy: Policy,
    /// How often Genesys is polled for ends; `None` for never.
    pub(crate) poll: Option<Duration>,
    pub(crate) faults: Faults,
}

/// How often each fault happens: probabilities from 0 to 1 for each occasion. All are zero for a
/// class of faults that is left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// A request to the store gets lost.
    pub(crate) store_refuses: f64,
    /// Its answer gets lost.
    pub(crate) store_forgets: f64,
    /// It takes seconds.
    pub(crate) store_slow: f64,
    /// How long that is at most, in milliseconds.
    pub(crate) store_slowest: u64,
    /// The node dies while a request to the store is on its way there or back.
    pub(crate) crash_at_store: f64,
    /// The mean time between two accidents, in milliseconds; 0 for never. Nodes die, stop, are cut
    /// off, or restart in an orderly way; or the database, the chat service or Genesys fails for a
    /// while.
    pub(crate) accident_every: u64,
    /// The mean time between two of these, in milliseconds; 0 for never. The database's clock is
    /// stepped, or another server replaces the database's, without the last changes of the leases.
    pub(crate) server_every: u64,
    /// How wrong the nodes' wall clocks may be, in milliseconds. Each process draws its own error
    /// when it starts, so a restarted one may find its clock set back.
    pub(crate) skew: i64,
    /// Webhooks and events come twice.
    pub(crate) duplicate: f64,
    /// Webhooks travel for seconds, and overtake each other.
    pub(crate) late: f64,
    /// The chat service does not accept a message this time, loses it, or loses the answer.
    pub(crate) chat_fails: f64,
    /// It refuses a message or a session for good.
    pub(crate) chat_refuses: f64,
    /// It loses its session.
    pub(crate) chat_closes: f64,
    /// It is slow.
    pub(crate) chat_slow: f64,
    /// Customers leave, the service restarts without its sessions, and handshakes fall silent: mean
    /// time between two of these, in milliseconds; 0 for never.
    pub(crate) comings_every: u64,
    /// A connection to it is refused, hangs, or takes seconds.
    pub(crate) connect: f64,
    /// It sends false reports, or sends them twice.
    pub(crate) chat_lies: f64,
    /// Genesys answers 5xx, 429, 401, or nothing at all.
    pub(crate) genesys_fails: f64,
    /// One kind of call to Genesys fails in one way for a while: mean time between two such faults,
    /// in milliseconds; 0 for never.
    pub(crate) spells_every: u64,
    /// Between these times, Genesys answers 500 to every customer's message. Everything else works,
    /// also the question whether it reads messages.
    pub(crate) messages_down: Option<(Duration, Duration)>,
    /// Genesys never takes one of a customer's messages: it answers 500.
    pub(crate) poisoned_words: bool,
    /// One customer's chat service never answers.
    pub(crate) poisoned: bool,
}

impl Faults {
    /// Whether one customer's chat service is the only fault, so that all other customers must be
    /// served at once.
    pub(crate) fn only_poison(&self) -> bool {
        self.poisoned
    }

    /// Requests to the store often take longer than a lease lasts, while nodes stop and continue.
    /// So a node's request may be done or refused long after another node has taken over.
    fn long_way(&mut self, rng: &mut fastrand::Rng) {
        self.store_slow = 0.05 + rng.f64() * 0.15;
        self.store_slowest = 15_000;
        self.accident_every = rng.u64(500..=4_000);
    }
}

impl Plan {
    /// Draws everything from the seed.
    pub(crate) fn draw(seed: u64, Size { messages, nodes }: Size) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let customers = rng.usize(3..=12).min(messages.max(1));
        let poisoned = rng.u8(..) < 20;
        let faults =
            if poisoned { Faults { poisoned, ..Faults::default() } } else { faults(&mut rng) };
        let mut plan = Self {
            seed,
            messages,
            nodes: rng.usize(2..=5),
            customers,
            takeover: Duration::from_secs(rng.u64(4..=10)),
            policy: policy(&mut rng),
            poll: (rng.u8(..) < 90).then(|| Duration::from_secs(rng.u64(10..=30))),
            faults,
        };
        if let Some(nodes) = nodes {
            plan.nodes = nodes;
            // At least one customer for each node, if there are ten messages for each.
            plan.customers = plan.customers.max(nodes.min(messages / 10));
        }
        // This and the following draws come after the earlier ones, so that older seeds keep their
        // values.
        if !poisoned && rng.u8(..) < 32 {
            plan.faults.long_way(&mut rng);
        }
        if !poisoned && rng.u8(..) < 128 {
            plan.faults.connect = rng.f64() * 0.2;
        }
        // Most clocks are right to a few seconds, but some are wrong by minutes.
        if plan.faults.skew > 0 && rng.bool() {
            plan.faults.skew = rng.i64(10_000..=600_000);
        }
        if !poisoned && rng.u8(..) < 128 {
            plan.faults.spells_every = rng.u64(1_000..=10_000);
        }
        if !poisoned && rng.u8(..) < 128 {
            plan.faults.comings_every = rng.u64(1_000..=8_000);
        }
        if !poisoned && rng.u8(..) < 80 {
            plan.faults.server_every = rng.u64(2_000..=15_000);
        }
        plan.faults.poisoned_words = !poisoned && rng.u8(..) < 64;
        plan.policy.inbound = InboundLimits {
            give_up_after: Duration::from_secs(rng.u64(10..=60)),
            give_up_tries: rng.u32(4..=8),
        };
        // So long that messages which wait for a handover would be late.
        if !poisoned && rng.u8(..) < 24 {
            plan.takeover = Duration::from_secs(rng.u64(15..=40));
        }
        // So many customers that an outage cannot be mistaken for a few poisoned messages.
        if !poisoned && rng.u8(..) < 24 {
            plan.customers = plan.customers.max(10.min(messages.max(1)));
            // And so many nodes that each drives only a few of these customers.
            plan.nodes = plan.nodes.max(nodes.unwrap_or(4));
            plan.policy.hold.inbound = InboundPolicy::Forward;
            plan.policy.inbound =
                InboundLimits { give_up_after: Duration::from_secs(10), give_up_tries: 4 };
            let begins = Duration::from_secs(rng.u64(10..=30));
            plan.faults.messages_down =
                Some((begins, begins + Duration::from_secs(rng.u64(60..=200))));
        }
        // Answers get lost, and reports come while the next attempt for the same message connects.
        if !poisoned && rng.u8(..) < 16 {
            (plan.faults.connect, plan.faults.chat_fails, plan.faults.chat_lies) = (0.7, 0.9, 0.0);
            plan.policy.service_reports = true;
            plan.policy.delivery.on_unknown = OnUnknown::Retry;
            plan.policy.delivery.timeout = Duration::from_secs(2);
            plan.policy.delivery.retry_initial = Duration::from_millis(100);
        }
        plan
    }
}

fn faults(rng: &mut fastrand::Rng) -> Faults {
    let mut often = |most: f64| if rng.u8(..) < 150 { rng.f64() * most } else { 0.0 };
    let [store_refuses, store_forgets, store_slow, crash_at_store] =
        [often(0.02), often(0.02), often(0.02), often(0.001)];
    let [duplicate, late] = [often(0.1), often(0.1)];
    let [chat_fails, chat_refuses, chat_closes, chat_slow] =
        [often(0.3), often(0.05), often(0.05), often(0.1)];
    let [chat_lies, genesys_fails] = [often(0.1), often(0.2)];
    Faults {
        store_refuses,
        store_forgets,
        store_slow,
        store_slowest: 6_000,
        crash_at_store,
        accident_every: if rng.u8(..) < 200 { rng.u64(1_000..=20_000) } else { 0 },
        server_every: 0,
        skew: if rng.bool() { rng.i64(0..=3_000) } else { 0 },
        duplicate,
        late,
        chat_fails,
        chat_refuses,
        chat_closes,
        chat_slow,
        comings_every: 0,
        connect: 0.0,
        chat_lies,
        genesys_fails,
        spells_every: 0,
        messages_down: None,
        poisoned_words: false,
        poisoned: false,
    }
}

fn policy(rng: &mut fastrand::Rng) -> Policy {
    let notices = [NoticeKind::Held, NoticeKind::Expired, NoticeKind::Failed];
    Policy {
        hold: HoldPolicy {
            limit: Duration::from_secs(rng.u64(5..=30)),
            max_messages: rng.usize(20..=200),
            start: *pick(rng, &[HandshakeStart::FirstInbound, HandshakeStart::FirstOutbound]),
            inbound: *pick(rng, &[InboundPolicy::Forward, InboundPolicy::AfterHandshake]),
        },
        delivery: DeliveryPolicy {
            give_up_after: Duration::from_secs(rng.u64(20..=90)),
            retry_initial: Duration::from_millis(rng.u64(100..=1_000)),
            retry_max: Duration::from_secs(rng.u64(1..=8)),
            timeout: Duration::from_secs(rng.u64(1..=8)),
            on_unknown: *pick(rng, &[OnUnknown::Retry, OnUnknown::Retry, OnUnknown::Fail]),
            after_failure: *pick(
                rng,
                &[
                    AfterFailure::Continue,
                    AfterFailure::Continue,
                    AfterFailure::FailRest,
                    AfterFailure::Pause,
                ],
            ),
        },
        receipts: ReceiptPolicy {
            send: *pick(rng, &[SendReceipts::Final, SendReceipts::All, SendReceipts::Failures]),
            delivered_on: *pick(
                rng,
                &[DeliveredOn::Auto, DeliveredOn::Accepted, DeliveredOn::Reported],
            ),
            report_timeout: Duration::from_secs(rng.u64(10..=60)),
        },
        inbound: InboundLimits::default(),
        notices: notices.into_iter().filter(|_| rng.u8(..) < 80).collect::<BTreeSet<_>>(),
        answer_within: Duration::from_hours(24),
        on_customer_left: *pick(rng, &[CustomerLeft::Disconnect, CustomerLeft::Ignore]),
        service_reports: rng.bool(),
    }
}

fn pick<'a, T>(rng: &mut fastrand::Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(..from.len())]
}
