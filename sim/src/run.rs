//! Runs one seed, from its plan to its verdict.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Once};
use std::time::Duration;

use conversation::MessageId;
use store::Store;
use store::memory::{Database, Direct, Flaw, MemoryStore};

use crate::plan::{Plan, Size};
use crate::process::Node;
use crate::world::World;
use crate::{accidents, chat, excuses, operators, owners, traffic};

/// Once it is calm, everything that was begun must finish within this time.
const PATIENCE: Duration = Duration::from_mins(10);
/// How long other customers' messages may wait for their first attempt while one customer's chat
/// service is dead (I10).
const UNTOUCHED: Duration = Duration::from_secs(10);

/// The outcome of one seed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) seed: u64,
    pub(crate) breaches: Vec<String>,
    pub(crate) steps: u64,
    pub(crate) hash: u64,
    pub(crate) messages: usize,
    pub(crate) forwards: u64,
    pub(crate) repeated_receipts: u64,
    /// How many customers' messages answered an offer.
    pub(crate) answers: usize,
    /// In simulated time.
    pub(crate) lasted: Duration,
    /// How often all nodes together made each request to the store.
    pub(crate) requests: BTreeMap<&'static str, u32>,
    /// How many shards the node at each place held at the end.
    pub(crate) shards: Vec<usize>,
    /// For each fate that a deadline decided, how long after the deadline it came.
    pub(crate) lateness: Vec<Duration>,
}

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Runs one seed.
pub(crate) fn seed(seed: u64, size: Size, flaw: Option<Flaw>, print: bool) -> Verdict {
    static HOOK: Once = Once::new();
    // The runtime catches the panic of a task, which would otherwise go unnoticed.
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            PANICS.with_borrow_mut(|panics| panics.push(panic.to_string()));
        }));
    });
    PANICS.take();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let mut verdict =
        runtime.expect("a runtime").block_on(whole(Plan::draw(seed, size), flaw, print));
    verdict
        .breaches
        .extend(PANICS.take().into_iter().map(|panic| format!("a task broke: {panic}")));
    verdict
}

async fn whole(plan: Plan, flaw: Option<Flaw>, print: bool) -> Verdict {
    if print {
        println!("{plan:#?}");
    }
    let database = Database::new(flaw);
    let world = World::new(plan, Arc::clone(&database), print);
    let watching = Arc::downgrade(&world);
    database.watch(Arc::new(move |conversation, after, at, records| {
        if let Some(world) = watching.upgrade() {
            world.journaled(conversation, after, at, records);
        }
    }));
    *world.nodes() = (0..world.plan.nodes).map(|_| Node::empty()).collect();
    for place in 0..world.plan.nodes {
        world.nodes()[place].start(&world, place);
    }
    let accidents = tokio::spawn(accidents::run(Arc::clone(&world)));
    let spells = tokio::spawn(accidents::spells(Arc::clone(&world)));
    let comings = tokio::spawn(chat::comings(Arc::clone(&world)));
    let servers = tokio::spawn(accidents::servers(Arc::clone(&world)));
    let owners = tokio::spawn(owners::watch(Arc::clone(&world)));
    let raising = tokio::spawn(accidents::raise(Arc::clone(&world)));
    let untouched = tokio::spawn(untouched(Arc::clone(&world)));
    let operators = tokio::spawn(operators::run(Arc::clone(&world)));
    let excuses = tokio::spawn(excuses::watch(Arc::clone(&world)));
    traffic::run(&world).await;
    accidents.abort();
    spells.abort();
    comings.abort();
    servers.abort();
    accidents::calm(&world);
    let calm = world.passed();
    while !world.is_over() {
        if world.since(calm) > PATIENCE {
            world.name_what_is_open();
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let shards = world.nodes().iter().map(|node| database.shards(&node.name())).collect();
    untouched.abort();
    operators.abort();
    owners.abort();
    excuses.abort();
    raising.abort();
    audit(&world).await;
    let (steps, hash) = world.told();
    // The nodes and the world refer to each other. Without this, each seed would leak memory.
    let nodes = std::mem::take(&mut *world.nodes());
    drop(nodes);
    let ledger = world.ledger();
    Verdict {
        seed: world.plan.seed,
        breaches: ledger.breaches.clone(),
        steps,
        hash,
        messages: ledger.accepted(),
        forwards: ledger.forwards,
        repeated_receipts: ledger.repeats,
        answers: ledger.answers.len(),
        lasted: world.passed(),
        requests: world.requests(),
        shards,
        lateness: ledger.in_time.lateness.clone(),
    }
}

impl World {
    /// Whether everything that was acknowledged is done, and the inbox and the outbox are empty.
    /// Also true after many breaches.
    fn is_over(&self) -> bool {
        self.ledger().breaches.len() > 20
            || (self.what_is_open().is_empty() && self.database.is_done())
    }

    fn what_is_open(&self) -> Vec<String> {
        let mut open = self.ledger().open();
        let genesys = self.genesys();
        for number in 0..self.plan.customers {
            let share = self.plan.messages / self.plan.customers
                + usize::from(number < self.plan.messages % self.plan.customers);
            let ledger = self.ledger();
            let missing = (0..share as u64 / 5).find(|count| {
                let id = MessageId::new(format!("{number}-said-{count}"));
                !genesys.has_heard(number, *count) && !ledger.is_gone(&id)
            });
            if let Some(count) = missing {
                open.push(format!(
                    "I11: Genesys lacks {number}-said-{count}, and it was not given up"
                ));
            }
        }
        if let Some(id) = self.ledger().untold() {
            open.push(format!("the chat service does not know that {id} was given up"));
        }
        open
    }

    fn name_what_is_open(&self) {
        let open = self.what_is_open();
        for what in open.iter().take(10) {
            self.breach(format!("not finished: {what}"));
        }
        if open.is_empty() {
            self.breach(format!("not finished: the store holds {}", self.database.what_is_open()));
        }
    }
}

/// Checks that one customer's dead chat service does not delay other customers.
async fn untouched(world: Arc<World>) {
    if !world.plan.faults.only_poison() {
        return;
    }
    let mut waiting = std::collections::BTreeMap::new();
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let promised: Vec<_> = world.ledger().promised.keys().cloned().collect();
        for id in promised.into_iter().filter(|id| !id.as_str().starts_with("0-wrote-")) {
            let since = *waiting.entry(id.clone()).or_insert_with(|| world.passed());
            let tried = world.ledger().was_tried(&id);
            if !tried && world.since(since) > UNTOUCHED {
                return world.breach(format!("I10: {id} waits for more than {UNTOUCHED:?}"));
            }
        }
    }
}

/// Runs the product's own audit on the store at the end.
async fn audit(world: &Arc<World>) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::alone(&world.database, Arc::new(Direct)));
    match store::audit(store.as_ref()).await {
        Ok(audit) if audit.passed() => {}
        Ok(audit) => world.breach(format!("the audit does not pass: {audit}")),
        Err(error) => world.breach(format!("the audit cannot be made: {}", store::Chain(&error))),
    }
}
