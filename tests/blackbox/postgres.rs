//! The gateway on a PostgreSQL database: a second process takes over, and the database may go and come back.

use std::time::Duration;

use tokio::time::Instant;

use crate::postgres_cluster::Cluster;
use crate::support::{Loop, client, delivered, eventually, free_port};

async fn start(cluster: &Cluster, chat: &[&str]) -> Loop {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("store.url"), cluster.url()).expect("written");
    Loop::start_in(dir, "", chat).await
}

async fn all_is_well(all: &mut Loop, messages: &[String], texts: &[&str]) {
    for message in messages {
        assert_eq!(all.sandbox.final_receipt(message).await, delivered());
    }
    assert_eq!(all.chat.taken(), texts);
    assert_eq!(all.sandbox.verdict().await["holds"], true);
    all.audited();
}

#[tokio::test]
async fn a_second_process_takes_over_from_one_that_was_killed() {
    let cluster = Cluster::start();
    let mut all = start(&cluster, &["--handshake", "3", "--delay", "0.1"]).await;
    all.chat.says("noor", "Where is my parcel?").await;
    let texts = ["Good morning.", "I am looking.", "Tomorrow."];
    let mut messages = all.agent_types("noor", &texts[..1]).await;
    let standby = all.gateway.stand_by(None);
    let waits = async || standby.log().contains("standing by").then_some(());
    eventually("the second process stands by", waits).await;
    messages.extend(all.agent_types("noor", &texts[1..]).await);

    let killed = Instant::now();
    all.gateway.process.kill();
    all.gateway.process = standby;
    all.gateway.ready().await;
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(10), "it took over after {took:?}");
    println!("the second process took over after {took:?}");
    all_is_well(&mut all, &messages, &texts).await;
}

#[tokio::test]
async fn a_process_that_stops_hands_over_at_once() {
    let cluster = Cluster::start();
    let mut all = start(&cluster, &["--handshake", "1"]).await;
    let mut standby = all.gateway.stand_by(None);
    let waits = async || standby.log().contains("standing by").then_some(());
    eventually("the second process stands by", waits).await;
    all.gateway.stop().await;
    let stopped = Instant::now();
    std::mem::swap(&mut all.gateway.process, &mut standby);
    all.gateway.ready().await;
    let took = stopped.elapsed();
    assert!(took < Duration::from_secs(4), "it took over after {took:?}");
    all.chat.says("noor", "Where is my parcel?").await;
    let messages = all.agent_types("noor", &["Tomorrow."]).await;
    all_is_well(&mut all, &messages, &["Tomorrow."]).await;
}

#[tokio::test]
async fn a_process_that_was_paused_for_long_writes_nothing_more_and_ends() {
    let cluster = Cluster::start();
    let mut all = start(&cluster, &["--handshake", "0.2"]).await;
    all.chat.says("noor", "Where is my parcel?").await;
    let mut messages = all.agent_types("noor", &["Good morning."]).await;
    assert_eq!(all.sandbox.final_receipt(&messages[0]).await, delivered());
    let port = free_port();
    let mut standby = all.gateway.stand_by(Some(port));
    let waits = async || standby.log().contains("standing by").then_some(());
    eventually("the second process stands by", waits).await;

    all.gateway.process.signal("STOP");
    let paused = Instant::now();
    let (client, url) = (client(), format!("http://127.0.0.1:{port}/readyz"));
    eventually("the second process drives", async || {
        client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()).then_some(())
    })
    .await;
    let took = paused.elapsed();
    assert!(took < Duration::from_secs(10), "it took over after {took:?}");
    all.gateway.process.signal("CONT");
    assert_eq!(all.gateway.process.ends_by_itself(Duration::from_secs(15)).await, Some(1));
    assert!(all.gateway.process.log().contains("has taken over the database"), "it says why");

    assert!(standby.terminate(Duration::from_secs(10)).await);
    all.gateway.restart().await;
    messages.extend(all.agent_types("noor", &["Tomorrow."]).await);
    all_is_well(&mut all, &messages, &["Good morning.", "Tomorrow."]).await;
}

#[tokio::test]
async fn a_database_that_crashes_and_comes_back_loses_nothing() {
    let mut cluster = Cluster::start();
    let mut all = start(&cluster, &["--handshake", "2", "--delay", "0.1"]).await;
    all.chat.says("noor", "Where is my parcel?").await;
    let texts = ["Good morning.", "I am looking.", "Tomorrow.", "At nine."];
    let mut messages = all.agent_types("noor", &texts[..2]).await;
    cluster.stop("QUIT");
    eventually("the gateway says that it is not ready", async || {
        (all.gateway.get("/readyz").await.0 == 503).then_some(())
    })
    .await;
    // Genesys's webhook waits for the database, or is tried again.
    let send = async || all.sandbox.agent_sends("noor", texts[2]).await;
    messages.push(eventually("the agent has the conversation", send).await);
    cluster.run();
    all.taken(&messages[2]).await;
    messages.extend(all.agent_types("noor", &texts[3..]).await);
    all_is_well(&mut all, &messages, &texts).await;
    assert!(all.gateway.process.runs(), "the same process goes on");
}
