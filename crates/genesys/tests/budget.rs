//! The budget against a simulated Genesys that counts calls by token and minute, in simulated time.
//! The tests measure how much of the allowance is used, how often Genesys answers 429, and how long
//! an urgent call waits.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up stops")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use genesys::budget::{Budget, BudgetConfig, Lane};
use genesys::{Answer, CallError, Client, Credentials, Hosts, RateLimit};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

/// A token's limit: fixed windows of a minute, the first of which began before the test.
struct Limiter {
    allowed: u32,
    /// Whether its answers have the headers.
    headers: bool,
    start: Instant,
    window: u64,
    count: u32,
    /// The number of calls that were allowed in each window.
    served: Vec<u32>,
    refused: u32,
}

const INTO_THE_WINDOW: Duration = Duration::from_secs(17);
const MINUTE: Duration = Duration::from_mins(1);

impl Limiter {
    fn new(allowed: u32) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            headers: true,
            allowed,
            start: Instant::now(),
            window: 0,
            count: 0,
            served: vec![0],
            refused: 0,
        }))
    }

    fn call(&mut self) -> Result<Answer<()>, CallError> {
        let time = self.start.elapsed() + INTO_THE_WINDOW;
        let window = time.as_secs() / 60;
        if window > self.window {
            self.window = window;
            self.count = 0;
            self.served.resize(usize::try_from(window).unwrap() + 1, 0);
        }
        let reset = Duration::from_secs(60 - time.as_secs() % 60);
        if self.count >= self.allowed {
            self.refused += 1;
            let key = "client.credentials.token.rate.per.minute";
            let body = json!({"status": 429, "limit": {"key": key, "value": self.allowed}});
            let body = serde_json::from_value(body).unwrap();
            return Err(CallError::RateLimited { retry_after: reset, limit: None, body });
        }
        self.count += 1;
        *self.served.last_mut().unwrap() += 1;
        let limit = RateLimit { count: self.count, allowed: self.allowed, reset };
        Ok(Answer { value: (), limit: self.headers.then_some(limit), correlation_id: None })
    }
}

fn clients(number: usize) -> Vec<Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = |index: usize| {
        let credentials = Credentials { id: index.to_string(), secret: "unused".into() };
        let hosts = Hosts::of_region("mypurecloud.com").unwrap();
        Client::new(reqwest::Client::builder().build().unwrap(), hosts, credentials)
    };
    (0..number).map(client).collect()
}

#[derive(Default)]
struct Seen {
    urgent: Vec<Duration>,
    typing_dropped: u32,
    typing: u32,
}

impl Seen {
    fn p99(&mut self) -> Duration {
        self.urgent.sort();
        self.urgent[self.urgent.len() * 99 / 100]
    }
}

/// Calls of one lane arrive at random, `per_minute` of them, for `time`.
async fn load(
    budget: Budget,
    limiters: Vec<Arc<Mutex<Limiter>>>,
    seen: Arc<Mutex<Seen>>,
    lane: Lane,
    per_minute: f64,
    time: Duration,
) {
    let mut rng = fastrand::Rng::with_seed(lane as u64 + 1);
    let end = Instant::now() + time;
    while Instant::now() < end {
        sleep(Duration::from_secs_f64(-(1.0 - rng.f64()).ln() * 60.0 / per_minute)).await;
        let (budget, limiters, seen) = (budget.clone(), limiters.clone(), Arc::clone(&seen));
        let (there, back) = (rng.f64() * 0.15, rng.f64() * 0.15);
        tokio::spawn(async move {
            let asked = Instant::now();
            let Some(permit) = budget.permit(lane).await else {
                seen.lock().unwrap().typing_dropped += 1;
                return;
            };
            match lane {
                Lane::Urgent => seen.lock().unwrap().urgent.push(asked.elapsed()),
                Lane::Typing => seen.lock().unwrap().typing += 1,
                Lane::Delivered | Lane::Background => {}
            }
            let limiter = &limiters[permit.client().id().parse::<usize>().unwrap()];
            sleep(Duration::from_secs_f64(there)).await;
            let outcome = limiter.lock().unwrap().call();
            sleep(Duration::from_secs_f64(back)).await;
            permit.done(&outcome);
        });
    }
}

/// Ten times the allowed load, for ten minutes. A tenth of the calls is urgent, about half of the
/// allowance.
async fn overload(budgets: Vec<Budget>, limiters: &[Arc<Mutex<Limiter>>], per_minute: f64) -> Seen {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let time = MINUTE * 10;
    for budget in &budgets {
        for (lane, part) in [
            (Lane::Urgent, 0.5),
            (Lane::Delivered, 4.5),
            (Lane::Background, 2.5),
            (Lane::Typing, 2.5),
        ] {
            let rate = part * per_minute / f64::from(u32::try_from(budgets.len()).unwrap());
            tokio::spawn(load(
                budget.clone(),
                limiters.to_vec(),
                Arc::clone(&seen),
                lane,
                rate,
                time,
            ));
        }
    }
    sleep(time).await;
    std::mem::take(&mut *seen.lock().unwrap())
}

struct Verdict {
    used: f64,
    refused: f64,
}

/// Judges only the windows that lie wholly within the test, so not the first and the last.
fn judge(limiter: &Mutex<Limiter>) -> Verdict {
    let limiter = limiter.lock().unwrap();
    let whole = &limiter.served[1..limiter.served.len() - 1];
    assert_eq!(whole.len(), 9);
    let served: u32 = whole.iter().sum();
    let all: u32 = limiter.served.iter().sum::<u32>() + limiter.refused;
    Verdict {
        used: f64::from(served) / f64::from(limiter.allowed * 9),
        refused: f64::from(limiter.refused) / f64::from(all),
    }
}

fn print_and_assert(name: &str, limiter: &Mutex<Limiter>, seen: &mut Seen, p99: Duration) {
    let Verdict { used, refused } = judge(limiter);
    let waited = seen.p99();
    println!(
        "{name}: {:.1} % used, {:.2} % refused, urgent p99 {waited:?}",
        used * 100.0,
        refused * 100.0
    );
    assert!(used >= 0.95, "{name}: {used}");
    assert!(refused < 0.01, "{name}: {refused}");
    assert!(waited < p99, "{name}: {waited:?}");
}

fn config() -> BudgetConfig {
    BudgetConfig::default()
}

fn rng() -> fastrand::Rng {
    fastrand::Rng::with_seed(7)
}

#[tokio::test(start_paused = true)]
async fn ten_times_the_allowance_for_ten_minutes() {
    let limiter = Limiter::new(300);
    let budget = Budget::new(clients(1), config(), rng());
    let mut seen = overload(vec![budget.clone()], std::slice::from_ref(&limiter), 300.0).await;
    print_and_assert("300 a minute", &limiter, &mut seen, Duration::from_secs(2));
    println!("typing: {} sent, {} dropped", seen.typing, seen.typing_dropped);
    assert!(seen.urgent.len() > 1000 && seen.typing_dropped > 1000);
    assert!(budget.waiting(Lane::Typing) < 100, "{}", budget.waiting(Lane::Typing));
}

#[tokio::test(start_paused = true)]
async fn the_headers_say_180() {
    let limiter = Limiter::new(180);
    let budget = Budget::new(clients(1), config(), rng());
    let mut seen = overload(vec![budget], std::slice::from_ref(&limiter), 180.0).await;
    print_and_assert("180 a minute", &limiter, &mut seen, Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn no_headers_and_180_in_the_body_of_the_first_429() {
    let limiter = Limiter::new(180);
    limiter.lock().unwrap().headers = false;
    let budget = Budget::new(clients(1), config(), rng());
    let mut seen = overload(vec![budget], std::slice::from_ref(&limiter), 180.0).await;
    // This figure includes one wait for the end of the window in which the limit was met.
    print_and_assert("180 a minute, no headers", &limiter, &mut seen, Duration::from_secs(6));
}

#[tokio::test(start_paused = true)]
async fn three_clients_share_the_load() {
    let limiters: Vec<_> = (0..3).map(|_| Limiter::new(300)).collect();
    let budget = Budget::new(clients(3), config(), rng());
    let mut seen = overload(vec![budget], &limiters, 900.0).await;
    for (index, limiter) in limiters.iter().enumerate() {
        print_and_assert(
            &format!("client {index} of 3"),
            limiter,
            &mut seen,
            Duration::from_secs(2),
        );
    }
}

#[tokio::test(start_paused = true)]
async fn two_nodes_share_one_client() {
    let limiter = Limiter::new(300);
    let budgets = vec![
        Budget::new(clients(1), config(), rng()),
        Budget::new(clients(1), config(), fastrand::Rng::with_seed(8)),
    ];
    let mut seen = overload(budgets, std::slice::from_ref(&limiter), 300.0).await;
    let Verdict { used, refused } = judge(&limiter);
    let waited = seen.p99();
    println!(
        "two nodes: {:.1} % used, {:.2} % refused, urgent p99 {waited:?}",
        used * 100.0,
        refused * 100.0
    );
    assert!(used >= 0.95 && refused < 0.01 && waited < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_window_that_others_have_used_up_is_left_alone() {
    let limiter = Limiter::new(300);
    limiter.lock().unwrap().count = 298;
    let budget = Budget::new(clients(1), config(), rng());
    let mut seen = overload(vec![budget], std::slice::from_ref(&limiter), 300.0).await;
    let refused = limiter.lock().unwrap().refused;
    println!("after a full window: {refused} refused");
    // The burst leaves before the first answer can report the limit.
    assert!(refused <= 8, "{refused}");
    assert!(judge(&limiter).used >= 0.95);
    // Callers of the first 43 s had to wait for the window; no one else did.
    let late = seen.urgent.iter().filter(|waited| **waited > Duration::from_secs(45)).count();
    assert_eq!((late, seen.p99() < Duration::from_secs(45)), (0, true));
}

#[tokio::test(start_paused = true)]
async fn a_429_shuts_the_client_until_retry_after_has_passed() {
    let budget = Budget::new(clients(1), config(), rng());
    let refusal = || {
        Err(CallError::RateLimited {
            retry_after: Duration::from_secs(12),
            limit: None,
            body: Box::default(),
        })
    };
    budget.call::<(), _>(Lane::Urgent, |_| async move { refusal() }).await.unwrap_err();
    let start = Instant::now();
    for earliest in [12.0, 12.2] {
        budget.permit(Lane::Urgent).await.unwrap().done(&Ok(Answer {
            value: (),
            limit: None,
            correlation_id: None,
        }));
        let waited = start.elapsed().as_secs_f64();
        assert!(waited >= earliest && waited < earliest + 1.5, "{waited}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shut_client_does_not_hold_up_the_others() {
    let budget = Budget::new(clients(2), config(), rng());
    let permit = budget.permit(Lane::Urgent).await.unwrap();
    let shut = permit.client().id().to_owned();
    let retry_after = MINUTE;
    permit.done::<()>(&Err(CallError::RateLimited {
        retry_after,
        limit: None,
        body: Box::default(),
    }));
    for _ in 0..20 {
        let permit =
            timeout(Duration::from_secs(2), budget.permit(Lane::Delivered)).await.unwrap().unwrap();
        assert_ne!(permit.client().id(), shut);
    }
}

#[tokio::test(start_paused = true)]
async fn lanes_are_served_in_order_and_givers_up_cost_nothing() {
    let budget = Budget::new(clients(1), BudgetConfig { burst: 1, ..config() }, rng());
    let held = budget.permit(Lane::Background).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiting = Vec::new();
    for lane in [Lane::Typing, Lane::Background, Lane::Delivered, Lane::Urgent] {
        let (budget, order) = (budget.clone(), Arc::clone(&order));
        waiting.push(tokio::spawn(async move {
            let permit = budget.permit(lane).await;
            order.lock().unwrap().push(lane);
            permit
        }));
    }
    // Fifty callers who give up before their turn use no permit.
    for _ in 0..50 {
        assert!(timeout(Duration::from_millis(1), budget.permit(Lane::Urgent)).await.is_err());
    }
    let start = Instant::now();
    for task in waiting {
        assert!(task.await.unwrap().is_some());
    }
    drop(held);
    assert_eq!(*order.lock().unwrap(), Lane::ALL);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn typing_is_dropped_after_a_second() {
    let budget = Budget::new(
        clients(1),
        BudgetConfig { allowed_per_minute: 6, burst: 1, ..config() },
        rng(),
    );
    let _held = budget.permit(Lane::Urgent).await;
    let start = Instant::now();
    assert!(budget.permit(Lane::Typing).await.is_none());
    assert_eq!(start.elapsed().as_secs(), 1);
    let outcome =
        budget.call::<(), _>(Lane::Typing, |_| async { unreachable!("it was dropped") }).await;
    assert!(matches!(outcome, Err(CallError::NotSent { .. })));
}

#[tokio::test(start_paused = true)]
async fn without_a_client_nobody_waits() {
    let budget = Budget::new(Vec::new(), config(), rng());
    assert!(budget.permit(Lane::Urgent).await.is_none());
}
