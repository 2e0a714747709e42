//! What everything in one simulation shares: the seed's dice, the time, the faults, the history, and the checks.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use conversation::{Clock, ConversationId, IntegrationName};
use jiff::Timestamp;
use store::memory::Database;
use tokio::time::Instant;

use crate::chat::Chat;
use crate::check::Check;
use crate::genesys::Genesys;
use crate::node::Node;
use crate::plan::Plan;

/// 2026-11-20T09:00:00Z, when every simulation begins.
const BEGINNING: i64 = 1_795_165_200_000;

/// One simulation.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) integration: IntegrationName,
    pub(crate) customers: Vec<ConversationId>,
    pub(crate) database: Arc<Database>,
    start: Instant,
    rng: Mutex<fastrand::Rng>,
    check: Mutex<Check>,
    chat: Mutex<Chat>,
    genesys: Mutex<Genesys>,
    nodes: Mutex<Vec<Node>>,
    weather: Mutex<Weather>,
    history: Mutex<History>,
    steps: AtomicU64,
    requests: Mutex<BTreeMap<&'static str, u32>>,
}

/// Which faults there are at the moment.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "any of them may be at the same time")]
pub(crate) struct Weather {
    /// No more faults: what was begun has to be finished.
    pub(crate) calm: bool,
    /// The database takes no writes, as with a full disk.
    pub(crate) database_full: bool,
    /// Nobody reaches the chat service.
    pub(crate) chat_away: bool,
    /// Genesys answers 503.
    pub(crate) genesys_away: bool,
}

/// What happened, as lines to read and as one number to compare.
struct History {
    print: bool,
    hash: u64,
}

impl World {
    pub(crate) fn new(plan: Plan, database: Arc<Database>, print: bool) -> Arc<Self> {
        let integration = IntegrationName::new("acme");
        let customers: Vec<_> =
            (0..plan.customers).map(|n| ConversationId::of(&integration, &customer(n))).collect();
        let rng = fastrand::Rng::with_seed(plan.seed ^ 0x5eed_0f7e_5eed_0f7e);
        Arc::new(Self {
            chat: Mutex::new(Chat::new(&customers)),
            genesys: Mutex::new(Genesys::new(plan.customers)),
            integration,
            customers,
            database,
            start: Instant::now(),
            rng: Mutex::new(rng),
            check: Mutex::default(),
            nodes: Mutex::default(),
            weather: Mutex::default(),
            history: Mutex::new(History { print, hash: 0xcbf2_9ce4_8422_2325 }),
            steps: AtomicU64::new(0),
            requests: Mutex::default(),
            plan,
        })
    }

    /// How long the simulation has been going, in its own time.
    pub(crate) fn passed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The true time.
    pub(crate) fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.passed().as_millis()).unwrap_or(i64::MAX / 2);
        Timestamp::from_millisecond(BEGINNING + passed).unwrap_or(Timestamp::MAX)
    }

    /// Something happened. The line is not made where nobody reads it or compares it.
    pub(crate) fn tell(&self, what: impl Display) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        let passed = self.passed();
        let mut history = lock(&self.history);
        let line = format!("{:>9.3} {what}", passed.as_secs_f64());
        for byte in line.bytes() {
            history.hash = (history.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if history.print {
            println!("{line}");
        }
    }

    /// A node asks something of the store.
    pub(crate) fn request(&self, what: &'static str) {
        *lock(&self.requests).entry(what).or_default() += 1;
    }

    /// What was asked of the store, how often.
    pub(crate) fn requests(&self) -> BTreeMap<&'static str, u32> {
        lock(&self.requests).clone()
    }

    /// How many things have happened, and the hash of all of them.
    pub(crate) fn told(&self) -> (u64, u64) {
        (self.steps.load(Ordering::Relaxed), lock(&self.history).hash)
    }

    /// Whether something with this chance happens now; never, once it is calm.
    pub(crate) fn fault(&self, chance: f64) -> bool {
        chance > 0.0 && !self.weather().calm && self.dice(chance)
    }

    /// Whether something with this chance happens now.
    pub(crate) fn dice(&self, chance: f64) -> bool {
        lock(&self.rng).f64() < chance
    }

    /// A whole number below `below`.
    pub(crate) fn below(&self, below: usize) -> usize {
        lock(&self.rng).usize(..below.max(1))
    }

    /// A time between the two, in milliseconds.
    pub(crate) fn between(&self, shortest: u64, longest: u64) -> Duration {
        Duration::from_millis(lock(&self.rng).u64(shortest..=longest))
    }

    /// How far the clock of a node is ahead of the true time, in milliseconds.
    pub(crate) fn ahead(&self) -> i64 {
        let most = self.plan.faults.skew;
        if most == 0 { 0 } else { lock(&self.rng).i64(-most..=most) }
    }

    /// How long ago that was.
    pub(crate) fn since(&self, then: Duration) -> Duration {
        self.passed().saturating_sub(then)
    }

    pub(crate) fn check(&self) -> MutexGuard<'_, Check> {
        lock(&self.check)
    }

    pub(crate) fn chat(&self) -> MutexGuard<'_, Chat> {
        lock(&self.chat)
    }

    pub(crate) fn genesys(&self) -> MutexGuard<'_, Genesys> {
        lock(&self.genesys)
    }

    pub(crate) fn nodes(&self) -> MutexGuard<'_, Vec<Node>> {
        lock(&self.nodes)
    }

    pub(crate) fn weather(&self) -> Weather {
        *lock(&self.weather)
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut lock(&self.weather));
    }

    /// A mistake was found, whoever made it.
    pub(crate) fn breach(&self, what: String) {
        self.tell(format_args!("BREACH {what}"));
        self.check().breaches.push(what);
    }

    /// Which customer a conversation is.
    pub(crate) fn customer_of(&self, conversation: &ConversationId) -> usize {
        self.customers.iter().position(|one| one == conversation).unwrap_or(usize::MAX)
    }
}

/// What the customer with this number is called.
pub(crate) fn customer(number: usize) -> String {
    format!("customer-{number}")
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // All of a simulation runs on one thread; a panic ends it.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The clock of one node, which goes wrong by a constant.
pub(crate) struct SkewedClock {
    pub(crate) world: Arc<World>,
    pub(crate) ahead_ms: i64,
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let off = jiff::SignedDuration::from_millis(self.ahead_ms);
        self.world.now().checked_add(off).unwrap_or(Timestamp::MAX)
    }
}
