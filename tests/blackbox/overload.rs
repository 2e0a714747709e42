//! Ten times as many webhooks as the machine can handle. The refused ones are refused in time, the
//! accepted ones come to their end, and afterwards everything is as before.

mod load;

use std::collections::HashSet;
use std::time::Duration;

use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::{Gateway, Sandbox, WEBHOOK_SECRET, audit, free_port};
use load::{Answers, Load};

/// The load, as a multiple of what the machine can handle.
const TIMES: usize = 10;
/// How many seconds of the machine's work may wait at once: half as long as Genesys waits. A
/// machine that is half as fast has half as many waiting, so its answers take no longer.
const WAITING: usize = 5;
/// The p99 of the time to an answer: as long as a webhook waits for the store if nothing else is
/// short. Genesys waits 10 s.
const SLOWEST: Duration = Duration::from_secs(8);
/// By how much the gateway may grow at most, in bytes.
const GROWTH: usize = 384 << 20;
/// How long accepted messages may take to finish, as a multiple of the duration of the load.
const DRAIN: u32 = 20;

/// A chat service that accepts everything at once.
async fn chat() -> String {
    let answer = async || Json(json!({ "session": "s", "status": "delivered", "message_id": "m" }));
    let router = Router::new().route("/conversations/{id}/{call}", post(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(axum::serve(listener, router).into_future());
    url
}

fn tell(what: &str, answers: &Answers, over: Duration) {
    let rate = |count: usize| {
        count.checked_div(usize::try_from(over.as_secs()).expect("seconds").max(1)).unwrap_or(0)
    };
    println!(
        "{what}: offered {}/s, of which {}/s taken (p99 {:?}), {}/s refused with 503 (p99 {:?}, \
         slowest {:?}), {} without an answer, {} not sent",
        rate(answers.offered()),
        rate(answers.taken.len()),
        answers.taken_p99(),
        rate(answers.refused.len()),
        answers.refused_p99(),
        answers.refused.iter().max().copied().unwrap_or_default(),
        answers.broken,
        answers.unsent,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_times_what_the_machine_can_carry_loses_nothing_that_was_taken() {
    let seconds = std::env::var("TIDEGATE_OVERLOAD_SECONDS")
        .map_or(15, |text| text.parse().expect("a number"));
    let over = Duration::from_secs(seconds);
    crate::strangers::callers::files();
    let dir = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let sandbox = Sandbox::start(dir.path(), &[]).await;
    sandbox.accept_unknown_receipts().await;
    let id = sandbox
        .create_integration(&format!("http://127.0.0.1:{port}/genesys/acme"), WEBHOOK_SECRET)
        .await;
    let config = Gateway::configure(dir.path(), port, &sandbox.url, &id, &chat().await, "");
    let mut gateway = Gateway::start(&config, port).await;
    let load = Load::on(&gateway);

    let able = load.closed("able", Duration::from_secs(4)).await;
    tell("in a closed loop", &able, Duration::from_secs(4));
    let carries = able.taken.len() / 4;
    let mut taken = able.taken_ids();
    settled(dir.path(), &taken, over * DRAIN).await;
    let (before, _) = gateway.process.memory();

    let (answers, most) = tokio::join!(
        load.open("over", carries * TIMES, carries * WAITING, over),
        highest(&gateway, over)
    );
    tell(&format!("{TIMES} times as many for {over:?}"), &answers, over);
    println!("it had {} MiB before, and up to {} MiB meanwhile", before >> 20, most >> 20);
    taken.extend(answers.taken_ids());
    let begun = Instant::now();
    settled(dir.path(), &taken, over * DRAIN).await;
    println!(
        "all {} that were taken came to their end, the last {:?} after the load",
        taken.len(),
        begun.elapsed()
    );

    let after = load.closed("after", Duration::from_secs(4)).await;
    tell("afterwards, in a closed loop", &after, Duration::from_secs(4));
    taken.extend(after.taken_ids());
    settled(dir.path(), &taken, over * DRAIN).await;
    let (rests, ever) = gateway.process.memory();
    println!("it has {} MiB now, and never had more than {} MiB", rests >> 20, ever >> 20);

    assert!(!answers.refused.is_empty(), "it was more than the machine can carry");
    assert!(answers.refused_p99() < SLOWEST && answers.taken_p99() < SLOWEST, "in time");
    assert!(after.taken.len() > able.taken.len() / 2, "it carries what it carried before");
    assert!(ever < before + GROWTH, "it grew from {before} to {ever}");
    assert_eq!(gateway.get("/readyz").await.0, 200);
    gateway.stop().await;
    let (code, report) = audit(&format!("sqlite:{}", dir.path().join("tidegate.db").display()));
    assert_eq!(code, Some(0), "{report}");
}

/// The most memory that the gateway had in that time.
async fn highest(gateway: &Gateway, over: Duration) -> usize {
    let mut beat = tokio::time::interval(Duration::from_millis(250));
    let (end, mut most) = (Instant::now() + over, 0);
    while Instant::now() < end {
        beat.tick().await;
        most = most.max(gateway.process.memory().0);
    }
    most
}

/// Waits until each of these messages has its final receipt.
async fn settled(dir: &std::path::Path, taken: &HashSet<String>, patience: Duration) {
    let store = rusqlite::Connection::open(dir.join("tidegate.db")).expect("the store");
    let end = Instant::now() + patience;
    let mut beat = tokio::time::interval(Duration::from_millis(500));
    loop {
        beat.tick().await;
        let mut ended = store
            .prepare_cached("select id from message where receipt is not null")
            .expect("a query");
        let ended = ended.query_map([], |row| row.get::<_, String>(0)).expect("rows");
        let ended: HashSet<String> = ended.collect::<Result<_, _>>().expect("rows");
        let open = taken.difference(&ended).count();
        if open == 0 {
            return;
        }
        assert!(
            Instant::now() < end,
            "{open} messages that were taken have no end after {patience:?}"
        );
    }
}
