//! The rate limiter for one integration's calls: each call to Genesys waits here for its permit.
//!
//! Genesys allows about 300 calls a minute for each OAuth client, of all kinds together. The budget
//! grants calls in the order of their lanes, at an even pace, and spreads them over the clients. It
//! never retries: after a failure the caller asks again.

mod bucket;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub use self::bucket::Bucket;
use crate::call_error::CallError;
use crate::client::{Answer, Client};
use crate::rate_limit::RateLimit;

/// The priority of a call. All calls that wait in one lane are granted before any of the next.
///
/// ```
/// use genesys::Lane;
///
/// assert!(Lane::Urgent < Lane::Typing, "an earlier lane is granted first");
/// assert!(Lane::ALL.is_sorted());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Customers' messages, and receipts that say Failed.
    Urgent,
    /// Receipts that say Delivered.
    Delivered,
    /// Reads, such as polls of a conversation.
    Background,
    /// Typing events, which are useless after a second: see [`BudgetConfig::typing_waits`].
    Typing,
}

impl Lane {
    /// Every lane, the most urgent one first.
    pub const ALL: [Self; 4] = [Self::Urgent, Self::Delivered, Self::Background, Self::Typing];
}

/// The settings of a [`Budget`]. The defaults suit an org with Genesys's standard limits.
///
/// ```
/// use std::time::Duration;
///
/// use genesys::BudgetConfig;
///
/// let config = BudgetConfig { burst: 5, ..BudgetConfig::default() };
/// assert_eq!(config.allowed_per_minute, 300);
/// assert_eq!(config.typing_waits, Duration::from_secs(1));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetConfig {
    /// Calls a minute for each client, until Genesys's headers say otherwise. 300 by default.
    pub allowed_per_minute: u32,
    /// The part of the limit that is used, from 0.1 to 1. The rest covers calls that arrive in a
    /// later window than the one in which they were sent. 0.98 by default.
    pub share: f64,
    /// The most calls at once after a pause, for each client. 10 by default.
    pub burst: u32,
    /// How long a typing event may wait before it is dropped. One second by default.
    pub typing_waits: Duration,
    /// The longest `Retry-After` that is believed. A longer one counts as this. Three minutes by
    /// default.
    pub longest_shut: Duration,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        Self {
            allowed_per_minute: 300,
            share: 0.98,
            burst: 10,
            typing_waits: Duration::from_secs(1),
            longest_shut: Duration::from_mins(3),
        }
    }
}

/// Grants permits to call Genesys, to all callers of one integration. Clones share one budget. It
/// needs a tokio runtime with time enabled.
///
/// ```
/// use genesys::{Budget, BudgetConfig, CallError, Lane};
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/canned.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), CallError> {
/// // A client over a transport that answers each call with an id: see `Transport`.
/// let clients = vec![canned_client()];
/// let budget = Budget::new(clients, BudgetConfig::default(), fastrand::Rng::with_seed(7));
/// let read = async |client: genesys::Client| client.conversation("0b7d4c1e").await;
/// let answer = budget.call(Lane::Background, read).await?;
/// assert_eq!(answer.value.id.as_deref(), Some("an id"));
/// assert_eq!(budget.waiting(Lane::Background), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Budget {
    shared: Arc<Shared>,
    _granting: Arc<Granting>,
}

/// Ends the granting task when the last clone of the budget is dropped.
#[derive(Debug)]
struct Granting(AbortHandle);

impl Drop for Granting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
struct Shared {
    clients: Vec<Client>,
    config: BudgetConfig,
    start: Instant,
    state: Mutex<State>,
    /// Notified when something happens that may allow a call or delay it.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// One for each client, in the same order.
    buckets: Vec<Bucket>,
    lanes: [VecDeque<oneshot::Sender<Permit>>; 4],
    rng: fastrand::Rng,
}

/// The permission to make one call, and the client to make it with. Report the result with
/// [`Self::done`]; a permit that is dropped counts as a call whose answer was lost.
///
/// ```
/// use genesys::{Budget, BudgetConfig, Lane};
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/canned.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// // A client over a transport that answers each call with an id: see `Transport`.
/// let clients = vec![canned_client()];
/// let budget = Budget::new(clients, BudgetConfig::default(), fastrand::Rng::with_seed(7));
/// let permit = budget.permit(Lane::Urgent).await.expect("there is a client");
/// assert_eq!(permit.client().id(), "client");
/// let outcome = permit.client().conversation("0b7d4c1e").await;
/// permit.done(&outcome);
/// assert!(outcome.is_ok());
/// # }
/// ```
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    client: usize,
    open: bool,
}

/// The part of a 429 that the budget needs.
#[derive(Clone, Copy)]
struct Refusal {
    retry_after: Duration,
    /// Calls a minute, if the body names them.
    allowed: Option<u32>,
}

impl Budget {
    /// Creates a budget over `clients`, which must all belong to one org. `rng` draws the random
    /// delay after a 429.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(clients: Vec<Client>, config: BudgetConfig, rng: fastrand::Rng) -> Self {
        let bucket =
            || Bucket::new(config.allowed_per_minute, config.share, config.burst, Duration::ZERO);
        let buckets = clients.iter().map(|_| bucket()).collect();
        let state = Mutex::new(State { buckets, lanes: Default::default(), rng });
        let shared = Arc::new(Shared {
            clients,
            config,
            start: Instant::now(),
            state,
            changed: Notify::new(),
        });
        let granting = tokio::spawn(grant(Arc::clone(&shared))).abort_handle();
        Self { shared, _granting: Arc::new(Granting(granting)) }
    }

    /// Waits for the permit to make one call. Returns `None` if the budget has no client, or if the
    /// call is typing and waited longer than [`BudgetConfig::typing_waits`].
    pub async fn permit(&self, lane: Lane) -> Option<Permit> {
        if self.shared.clients.is_empty() {
            return None;
        }
        let (sender, granted) = oneshot::channel();
        self.shared.state().queue(lane, sender);
        self.shared.changed.notify_one();
        match lane {
            Lane::Typing => {
                tokio::time::timeout(self.shared.config.typing_waits, granted).await.ok()?.ok()
            }
            Lane::Urgent | Lane::Delivered | Lane::Background => granted.await.ok(),
        }
    }

    /// Waits for a permit, makes one call with its client, and reports the result to the budget.
    ///
    /// # Errors
    /// [`CallError::NotSent`] if [`Self::permit`] gives no permit: `lane` is [`Lane::Typing`] and
    /// the call waited too long, or the budget has no client. Otherwise the error that `call`
    /// returns.
    pub async fn call<T, F>(
        &self,
        lane: Lane,
        call: impl FnOnce(Client) -> F,
    ) -> Result<Answer<T>, CallError>
    where
        F: Future<Output = Result<Answer<T>, CallError>>,
    {
        let Some(permit) = self.permit(lane).await else {
            return Err(CallError::NotSent {
                cause: "the budget had no room for it in time".into(),
            });
        };
        let outcome = call(permit.client().clone()).await;
        permit.done(&outcome);
        outcome
    }

    /// How many calls wait in `lane`, for metrics.
    pub fn waiting(&self, lane: Lane) -> usize {
        self.shared.state().lanes[lane as usize]
            .iter()
            .filter(|waiting| !waiting.is_closed())
            .count()
    }
}

impl Permit {
    /// The client that must make the call.
    pub fn client(&self) -> &Client {
        &self.shared.clients[self.client]
    }

    /// Reports the result of the call, from which the budget learns the state of the rate limit.
    /// After a 429 it grants no call of this client until the pause is over.
    pub fn done<T>(self, outcome: &Result<Answer<T>, CallError>) {
        match outcome {
            Ok(answer) => self.answered(answer.limit, None),
            Err(CallError::RateLimited { retry_after, limit, body }) => {
                let refusal = Refusal { retry_after: *retry_after, allowed: body.calls_a_minute() };
                self.answered(*limit, Some(refusal));
            }
            Err(error) => self.answered(error.limit(), None),
        }
    }

    /// Returns the permit: the call was not made and does not count.
    pub fn unused(mut self) {
        self.open = false;
        self.shared.state().buckets[self.client].untake();
        self.shared.changed.notify_one();
    }

    fn answered(mut self, limit: Option<RateLimit>, refusal: Option<Refusal>) {
        self.open = false;
        let now = self.shared.now();
        let mut state = self.shared.state();
        state.buckets[self.client].answered(now, limit);
        if let Some(Refusal { retry_after, allowed }) = refusal {
            let wait = retry_after.min(self.shared.config.longest_shut);
            // Up to a second more, so that several nodes do not resume at the same moment.
            let jitter = Duration::from_secs_f64(state.rng.f64());
            let bucket = &mut state.buckets[self.client];
            bucket.shut(now, now + wait + jitter);
            if let Some(allowed) = allowed {
                bucket.allow(allowed);
            }
        }
        drop(state);
        self.shared.changed.notify_one();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.open {
            let now = self.shared.now();
            self.shared.state().buckets[self.client].answered(now, None);
            self.shared.changed.notify_one();
        }
    }
}

impl Shared {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, so the data is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn queue(&mut self, lane: Lane, waiting: oneshot::Sender<Permit>) {
        let queue = &mut self.lanes[lane as usize];
        // A lane that gets no turn would grow forever if callers that gave up stayed in it.
        if queue.len() >= 64 && queue.len().is_power_of_two() {
            queue.retain(|waiting| !waiting.is_closed());
        }
        queue.push_back(waiting);
    }

    /// The first caller of the first lane that still waits.
    fn next(&mut self) -> Option<oneshot::Sender<Permit>> {
        self.lanes.iter_mut().find_map(|lane| {
            while let Some(waiting) = lane.pop_front() {
                if !waiting.is_closed() {
                    return Some(waiting);
                }
            }
            None
        })
    }

    fn anyone_waits(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.is_empty())
    }

    /// The client that may call first, and when. If several may, the one that was used least.
    fn first_ready(&self, now: Duration) -> Option<(usize, Duration)> {
        let ready = self.buckets.iter().map(|bucket| bucket.ready_at(now)).enumerate();
        ready.min_by(|(a, a_at), (b, b_at)| {
            let fullness = |index: usize| self.buckets[index].fullness(now);
            a_at.cmp(b_at).then_with(|| fullness(*b).total_cmp(&fullness(*a)))
        })
    }
}

/// Grants calls until the budget is dropped.
async fn grant(shared: Arc<Shared>) {
    loop {
        let next = grant_ready(&shared);
        match next {
            Some(at) => {
                tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(shared.start + at) => {}
                    () = shared.changed.notified() => {}
                }
            }
            None => shared.changed.notified().await,
        }
    }
}

/// Grants all calls that are possible now, and returns when the next one will be. `None` if no call
/// waits.
fn grant_ready(shared: &Arc<Shared>) -> Option<Duration> {
    loop {
        let now = shared.now();
        let mut state = shared.state();
        if !state.anyone_waits() {
            return None;
        }
        let (client, at) = state.first_ready(now)?;
        if at > now {
            return Some(at);
        }
        let waiting = state.next()?;
        state.buckets[client].take(now);
        drop(state);
        let permit = Permit { shared: Arc::clone(shared), client, open: true };
        if let Err(mut permit) = waiting.send(permit) {
            // The caller gave up at this moment. Dropping its permit must not count a call that was
            // never made.
            permit.open = false;
            shared.state().buckets[client].untake();
        }
    }
}
