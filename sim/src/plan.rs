//! What a seed stands for: how many nodes and customers, which policies, which faults and how
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
    /// If it is not drawn.
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
    /// How often Genesys is polled for ends; never, if there is none.
    pub(crate) poll: Option<Duration>,
    pub(crate) faults: Faults,
}

/// How often things go wrong: chances from 0 to 1 for each occasion. All zero where a class of
/// faults is left out.
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
    /// A node dies, stops, is cut off, or is restarted in an orderly way: mean time between two, in
    /// milliseconds; 0 for never.
    pub(crate) accident_every: u64,
    /// The database's clock is stepped, or another server takes its place that lacks the last
    /// renewals of leases: mean time between two, in milliseconds; 0 for never.
    pub(crate) server_every: u64,
    /// How far the wall clocks of the nodes may be off, in milliseconds. Each process finds its own
    /// when it starts, so that one that is started again may find it set back.
    pub(crate) skew: i64,
    /// Webhooks and events come twice.
    pub(crate) duplicate: f64,
    /// Webhooks are on their way for seconds, and overtake each other.
    pub(crate) late: f64,
    /// The chat service does not take a message this time, loses it, or loses the answer.
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
    /// A connection to it cannot be made, hangs, or is there seconds later.
    pub(crate) connect: f64,
    /// It says things that are not so, or says them twice.
    pub(crate) chat_lies: f64,
    /// Genesys answers 5xx, 429, 401, or nothing at all.
    pub(crate) genesys_fails: f64,
    /// One kind of call to Genesys goes wrong in one way for a while: mean time between two such
    /// spells, in milliseconds; 0 for never.
    pub(crate) spells_every: u64,
    /// Between these times Genesys answers 500 to every customer's message. Everything else works,
    /// also the query whether it reads messages.
    pub(crate) messages_down: Option<(Duration, Duration)>,
    /// Genesys never takes one of a customer's messages: it answers 500.
    pub(crate) poisoned_words: bool,
    /// One customer's chat service never answers.
    pub(crate) poisoned: bool,
}

impl Faults {
    /// Whether nothing but one customer's chat service goes wrong, so that all others may expect to
    /// be served at once.
    pub(crate) fn only_poison(&self) -> bool {
        self.poisoned
    }

    /// Requests to the store are often under way for longer than a lease lasts, while nodes stop
    /// and go on: what a node has asked for comes true, or is refused, when another has long taken
    /// over.
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
            // One for each node, as far as there are ten messages for each.
            plan.customers = plan.customers.max(nodes.min(messages / 10));
        }
        // Behind all other draws, so that the other seeds stay what they were.
        if !poisoned && rng.u8(..) < 32 {
            plan.faults.long_way(&mut rng);
        }
        if !poisoned && rng.u8(..) < 128 {
            plan.faults.connect = rng.f64() * 0.2;
        }
        // Clocks are mostly right to the second, and sometimes were never set.
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
        // So long that what waits for a handover would be late.
        if !poisoned && rng.u8(..) < 24 {
            plan.takeover = Duration::from_secs(rng.u64(15..=40));
        }
        // Of so many customers that it cannot be taken for a few poisoned ones.
        if !poisoned && rng.u8(..) < 24 {
            plan.customers = plan.customers.max(10.min(messages.max(1)));
            // And on so many nodes that each of them drives only a few.
            plan.nodes = plan.nodes.max(nodes.unwrap_or(4));
            plan.policy.hold.inbound = InboundPolicy::Forward;
            plan.policy.inbound =
                InboundLimits { give_up_after: Duration::from_secs(10), give_up_tries: 4 };
            let begins = Duration::from_secs(rng.u64(10..=30));
            plan.faults.messages_down =
                Some((begins, begins + Duration::from_secs(rng.u64(60..=200))));
        }
        // Answers get lost, and reports come while the next connection for the same message is
        // being made.
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
        on_customer_left: *pick(rng, &[CustomerLeft::Disconnect, CustomerLeft::Ignore]),
        service_reports: rng.bool(),
    }
}

fn pick<'a, T>(rng: &mut fastrand::Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(..from.len())]
}
