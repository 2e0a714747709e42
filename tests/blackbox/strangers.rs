//! Callers who hold connections open, slowly or idly: others are answered in time, and the gateway
//! stays small.

pub(crate) mod callers;

use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::{
    Gateway, Loop, PythonChat, Sandbox, WEBHOOK_SECRET, client, free_port, tidegate, webhook,
};
use callers::{Callers, Way, files};

/// How long others may wait for an answer while no resource is short.
const PROMPT: Duration = Duration::from_secs(1);
/// The same while there are more callers than places.
const CROWDED: Duration = Duration::from_secs(5);
const QUICK: &[&str] = &["--handshake", "0", "--deliver", "immediately"];

/// By how much the gateway may grow, in bytes, per idle connection and per connection that has
/// begun a request.
const IDLE: usize = 24 << 10;
const BEGUN: usize = 48 << 10;

/// Posts webhooks, each over a connection of its own, and brings each to its end. Returns the
/// longest time for an answer.
async fn others(all: &Loop, name: &str, count: usize) -> Duration {
    let mut longest = Duration::ZERO;
    for number in 0..count {
        let body =
            webhook(&format!("{name}-{number}"), "noor", &format!("{name} {number}")).to_string();
        let signature = genesys::signature::sign(&WEBHOOK_SECRET.into(), body.as_bytes());
        let call = client().post(format!("{}/genesys/acme", all.gateway.url)).body(body);
        let asked = Instant::now();
        let answer =
            call.header(genesys::signature::HEADER, signature).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        longest = longest.max(asked.elapsed());
    }
    assert_eq!(all.settled(&format!("{name}-{}", count - 1)).await.state, "delivered");
    longest
}

async fn start() -> Loop {
    let all = Loop::start("", QUICK).await;
    all.sandbox.accept_unknown_receipts().await;
    others(&all, "before", 40).await;
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_hundred_callers_who_send_drop_by_drop_keep_nobody_waiting() {
    let all = start().await;
    let (before, _) = all.gateway.process.memory();
    let mut callers = Callers::of(&all.gateway);
    callers.come(200, Way::Head).await;
    callers.come(200, Way::Chunks).await;
    callers.come(400, Way::Announced(1 << 20)).await;
    let longest = others(&all, "meanwhile", 40).await;
    let (after, _) = all.gateway.process.memory();
    let (open, growth) = (callers.open(), after.saturating_sub(before));
    println!(
        "{open} of 800 still sent drop by drop; others were answered within {longest:?}; it grew \
         by {} KiB",
        growth >> 10
    );
    assert!(open >= 200, "those who send heads drop by drop have 30 s: {open}");
    assert!(longest < PROMPT, "{longest:?}");
    assert!(growth < 800 * BEGUN, "{growth}");
    all.audited();
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_keep_nobody_waiting() {
    let many = 10_000.min(files().saturating_sub(1_000));
    let all = start().await;
    let (before, _) = all.gateway.process.memory();
    let mut callers = Callers::of(&all.gateway);
    callers.come(many, Way::Idle).await;
    let longest = others(&all, "meanwhile", 40).await;
    let (after, _) = all.gateway.process.memory();
    let (open, growth) = (callers.open(), after.saturating_sub(before));
    println!(
        "{open} of {many} connections idled; others were answered within {longest:?}; it grew by \
         {} KiB",
        growth >> 10
    );
    assert!(open > many / 2, "they were there meanwhile: {open}");
    assert!(longest < PROMPT, "{longest:?}");
    assert!(growth < many * IDLE, "{growth}");
    all.audited();
}

/// A gateway that may open at most this many files.
async fn with_few_files(most: usize) -> Loop {
    let dir = TempDir::new().expect("a folder");
    let port = free_port();
    let sandbox = Sandbox::start(dir.path(), &[]).await;
    sandbox.accept_unknown_receipts().await;
    let id = sandbox
        .create_integration(&format!("http://127.0.0.1:{port}/genesys/acme"), WEBHOOK_SECRET)
        .await;
    let chat = PythonChat::start(
        dir.path(),
        &format!("http://127.0.0.1:{port}/connectors/acme/events"),
        QUICK,
    )
    .await;
    let config = Gateway::configure(dir.path(), port, &sandbox.url, &id, &chat.url, "");
    let mut command = std::process::Command::new("prlimit");
    command.arg(format!("--nofile={most}:{most}")).arg(tidegate().get_program());
    let gateway = Gateway::start_as(command, &config, port).await;
    Loop { sandbox, chat, gateway, dir }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_callers_than_there_is_room_for_keep_nobody_waiting_long() {
    let all = with_few_files(256).await;
    others(&all, "before", 40).await;
    for (name, way) in [("idle", Way::Idle), ("head", Way::Head), ("body", Way::Announced(1 << 20))]
    {
        let mut callers = Callers::of(&all.gateway);
        // They come back whenever they are disconnected.
        callers.stay(300, way).await;
        let longest = others(&all, name, 8).await;
        let sent_away = callers.came_back();
        println!(
            "with room for 128, 300 callers of the kind {name}, sent away {sent_away} times, kept \
             others waiting for {longest:?}"
        );
        assert!(sent_away > 0, "there was no room for all");
        assert!(longest < CROWDED, "{longest:?}");
    }
    all.audited();
}
