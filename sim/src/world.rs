//! What all parts of one simulation share: the random numbers, the time, the faults, the history,
//! and the checks.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use conversation::{Clock, ConversationId, IntegrationName};
use jiff::{SignedDuration, Timestamp};
use store::Machine;
use store::memory::Database;
use tokio::time::Instant;

use crate::cloud::Cloud;
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::process::Node;
use crate::rooms::Rooms;

/// 2026-11-20T09:00:00Z, when every simulation begins.
const BEGINNING: i64 = 1_795_165_200_000;

/// The state of one simulation.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) integration: IntegrationName,
    /// The names of the customers.
    pub(crate) names: Vec<String>,
    pub(crate) customers: Vec<ConversationId>,
    pub(crate) database: Arc<Database>,
    start: Instant,
    rng: Mutex<fastrand::Rng>,
    ledger: Mutex<Ledger>,
    chat: Mutex<Rooms>,
    genesys: Mutex<Cloud>,
    nodes: Mutex<Vec<Node>>,
    weather: Mutex<Conditions>,
    history: Mutex<History>,
    steps: AtomicU64,
    /// Genesys takes the message that it never took.
    healed: AtomicBool,
    requests: Mutex<BTreeMap<&'static str, u32>>,
}

/// The current faults.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "any of them may be at the same time")]
pub(crate) struct Conditions {
    /// No more faults: everything that was begun must now finish.
    pub(crate) calm: bool,
    /// The database takes no writes, as with a full disk.
    pub(crate) database_full: bool,
    /// The chat service fails every message and every request for a session.
    pub(crate) chat_away: bool,
    /// Genesys answers 503.
    pub(crate) genesys_away: bool,
    /// A new server has replaced the database's and lacks the last changes of the leases, so its
    /// table may not name the true holder.
    pub(crate) leases_lost: bool,
}

/// The history, as lines to read and as one number to compare.
struct History {
    print: bool,
    hash: u64,
}

impl World {
    pub(crate) fn new(plan: Plan, database: Arc<Database>, print: bool) -> Arc<Self> {
        let integration = IntegrationName::new("acme");
        let names: Vec<_> =
            (0..plan.customers).map(|number| customer(&integration, number)).collect();
        let customers: Vec<_> =
            names.iter().map(|name| ConversationId::of(&integration, name)).collect();
        let rng = fastrand::Rng::with_seed(plan.seed ^ 0x5eed_0f7e_5eed_0f7e);
        Arc::new(Self {
            chat: Mutex::new(Rooms::new(&customers)),
            genesys: Mutex::new(Cloud::new(plan.customers)),
            integration,
            names,
            customers,
            database,
            start: Instant::now(),
            rng: Mutex::new(rng),
            ledger: Mutex::default(),
            nodes: Mutex::default(),
            weather: Mutex::default(),
            history: Mutex::new(History { print, hash: 0xcbf2_9ce4_8422_2325 }),
            steps: AtomicU64::new(0),
            healed: AtomicBool::new(false),
            requests: Mutex::default(),
            plan,
        })
    }

    /// How long the simulation has been going, in its own time.
    pub(crate) fn passed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Converts an instant to the simulation's own time.
    pub(crate) fn at(&self, then: Instant) -> Duration {
        then.saturating_duration_since(self.start)
    }

    /// The true time.
    pub(crate) fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.passed().as_millis()).unwrap_or(i64::MAX / 2);
        Timestamp::from_millisecond(BEGINNING + passed).unwrap_or(Timestamp::MAX)
    }

    /// Records an event. Its line goes into the hash, and is printed if requested.
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

    /// Counts a request of a node to the store.
    pub(crate) fn request(&self, what: &'static str) {
        *lock(&self.requests).entry(what).or_default() += 1;
    }

    /// How often each request to the store was made.
    pub(crate) fn requests(&self) -> BTreeMap<&'static str, u32> {
        lock(&self.requests).clone()
    }

    /// How many events have been recorded, and the hash of all of them.
    pub(crate) fn told(&self) -> (u64, u64) {
        (self.steps.load(Ordering::Relaxed), lock(&self.history).hash)
    }

    /// Whether a fault with this probability happens now; never once it is calm.
    pub(crate) fn fault(&self, chance: f64) -> bool {
        chance > 0.0 && !self.weather().calm && self.dice(chance)
    }

    /// Whether something with this probability happens now, calm or not.
    pub(crate) fn dice(&self, chance: f64) -> bool {
        lock(&self.rng).f64() < chance
    }

    /// A whole number below `below`.
    pub(crate) fn below(&self, below: usize) -> usize {
        lock(&self.rng).usize(..below.max(1))
    }

    /// A random time between the two, in milliseconds.
    pub(crate) fn between(&self, shortest: u64, longest: u64) -> Duration {
        Duration::from_millis(lock(&self.rng).u64(shortest..=longest))
    }

    /// How far the clock of a node is ahead of the true time, in milliseconds.
    pub(crate) fn ahead(&self) -> i64 {
        let most = self.plan.faults.skew;
        if most == 0 { 0 } else { lock(&self.rng).i64(-most..=most) }
    }

    /// How long ago `then` was.
    pub(crate) fn since(&self, then: Duration) -> Duration {
        self.passed().saturating_sub(then)
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    pub(crate) fn chat(&self) -> MutexGuard<'_, Rooms> {
        lock(&self.chat)
    }

    pub(crate) fn genesys(&self) -> MutexGuard<'_, Cloud> {
        lock(&self.genesys)
    }

    pub(crate) fn nodes(&self) -> MutexGuard<'_, Vec<Node>> {
        lock(&self.nodes)
    }

    pub(crate) fn weather(&self) -> Conditions {
        *lock(&self.weather)
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Conditions)) {
        change(&mut lock(&self.weather));
    }

    /// Records a breach.
    pub(crate) fn breach(&self, what: String) {
        self.tell(format_args!("BREACH {what}"));
        self.ledger().breaches.push(what);
    }

    /// The customer's message that Genesys never takes, if there is one.
    pub(crate) fn poison(&self) -> Option<String> {
        let poisoned = self.plan.faults.poisoned_words && !self.healed.load(Ordering::Relaxed);
        poisoned.then(|| "0-said-0".to_owned())
    }

    /// From now on, Genesys takes every customer's message.
    pub(crate) fn heal(&self) {
        self.healed.store(true, Ordering::Relaxed);
    }

    /// The number of a conversation's customer.
    pub(crate) fn customer_of(&self, conversation: &ConversationId) -> usize {
        self.customers.iter().position(|one| one == conversation).unwrap_or(usize::MAX)
    }
}

/// The name of the customer with this number. Each odd-numbered customer shares a shard with the
/// previous one, so that a handover finds other work under way there.
fn customer(integration: &IntegrationName, number: usize) -> String {
    let shard = |name: &str| ConversationId::of(integration, name).as_str()[1..3].to_owned();
    let first = format!("customer-{}", number - number % 2);
    if number.is_multiple_of(2) {
        return first;
    }
    let names = (0..).map(|n| format!("customer-{number}-{n}"));
    let mut names = names.filter(|name| shard(name) == shard(&first));
    names.next().expect("one in 256")
}

/// The number of the customer with this name.
pub(crate) fn number_of(customer: &str) -> Option<usize> {
    customer.strip_prefix("customer-")?.split('-').next()?.parse().ok()
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // A simulation runs on one thread, and a panic ends it.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A clock that shows the true time.
pub(crate) struct TrueClock(pub(crate) Arc<World>);

impl Clock for TrueClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

/// The clocks of the machine that a node runs on. Its wall clock is wrong by a constant, and its
/// boot is unknown.
pub(crate) struct SimMachine {
    pub(crate) world: Arc<World>,
    pub(crate) ahead_ms: i64,
}

impl std::fmt::Debug for SimMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimMachine").field("ahead_ms", &self.ahead_ms).finish_non_exhaustive()
    }
}

impl Machine for SimMachine {
    fn wall(&self) -> Timestamp {
        let off = SignedDuration::from_millis(self.ahead_ms);
        self.world.now().checked_add(off).unwrap_or(Timestamp::MAX)
    }

    fn uptime(&self) -> SignedDuration {
        SignedDuration::try_from(self.world.passed()).unwrap_or(SignedDuration::MAX)
    }

    fn boot(&self) -> Option<String> {
        None
    }
}
