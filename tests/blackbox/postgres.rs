//! Several gateways on one PostgreSQL database: they share the work, take over from each other, and
//! lose nothing by it.

use std::time::Duration;

use tokio::time::Instant;

use crate::postgres_cluster::Cluster;
use crate::support::{Cable, Loop, Nodes, delivered, eventually};

/// The agent of each customer types `count` messages, in turn. Returns their ids and texts.
pub(crate) async fn talk(
    all: &Nodes,
    customers: &[String],
    from: usize,
    count: usize,
) -> Vec<(String, String)> {
    let one = async |customer: &String| {
        let mut typed = Vec::new();
        for n in from..from + count {
            let text = format!("{customer} hears {n}");
            typed.push((all.agent_types(customer, &text).await, text));
        }
        typed
    };
    futures_util::future::join_all(customers.iter().map(one)).await.into_iter().flatten().collect()
}

pub(crate) fn customers(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("customer-{n}")).collect()
}

/// Waits until the chat service has all messages.
pub(crate) async fn taken(all: &Nodes, typed: &[(String, String)]) {
    eventually("the chat service has all of it", async || {
        let taken = all.chat.taken();
        typed.iter().all(|(_, text)| taken.contains(text)).then_some(())
    })
    .await;
}

/// Checks that all typed messages are delivered, and that each customer received them in order;
/// repeats are allowed only if `repeats` is set.
pub(crate) async fn heard(
    all: &Nodes,
    typed: &[(String, String)],
    customers: &[String],
    repeats: bool,
) {
    heard_by(all, || all.chat.taken(), typed, customers, repeats).await;
}

/// The same for what another chat service accepted.
pub(crate) async fn heard_by(
    all: &Nodes,
    taken: impl Fn() -> Vec<String>,
    typed: &[(String, String)],
    customers: &[String],
    repeats: bool,
) {
    for (message, text) in typed {
        assert_eq!(all.sandbox.final_receipt(message).await, delivered(), "{text}");
    }
    // Read only now, since the service may have accepted the last ones just before.
    let (taken, mut seen) = (taken(), std::collections::HashSet::new());
    let first: Vec<&String> = taken.iter().filter(|text| seen.insert(text.as_str())).collect();
    assert!(repeats || first.len() == taken.len(), "something came twice: {taken:?}");
    for customer in customers {
        let of = |text: &&str| text.starts_with(&format!("{customer} "));
        let expected: Vec<&str> = typed.iter().map(|(_, text)| text.as_str()).filter(of).collect();
        let came: Vec<&str> = first.iter().map(|text| text.as_str()).filter(of).collect();
        assert_eq!(came, expected, "{customer} heard all of it in order");
    }
    all.all_is_well().await;
}

#[tokio::test]
async fn three_nodes_share_the_work_and_any_of_them_takes_anything() {
    let cluster = Cluster::start();
    let all = Nodes::start(&cluster.url(), 3, "", &["--handshake", "0.5", "--delay", "0.02"]).await;
    all.shared_out().await;
    let customers = customers(24);
    for customer in &customers {
        all.chat.says(customer, "Where is my parcel?").await;
    }
    let typed = talk(&all, &customers, 1, 6).await;
    heard(&all, &typed, &customers, false).await;
    for node in &all.all {
        assert!(
            node.process.log().contains("settled"),
            "each drove some of them:\n{}",
            node.process.log()
        );
    }
}

#[tokio::test]
async fn the_conversations_of_a_node_that_was_killed_are_taken_over_within_ten_seconds() {
    let cluster = Cluster::start();
    let mut all = Nodes::start(&cluster.url(), 2, "", &["--handshake", "0.3"]).await;
    let customers = customers(16);
    for customer in &customers {
        all.chat.says(customer, "Where is my parcel?").await;
    }
    let mut typed = talk(&all, &customers, 1, 2).await;
    all.all[1].process.kill();
    let killed = Instant::now();
    typed.extend(talk(&all, &customers, 3, 1).await);
    taken(&all, &typed).await;
    let took = killed.elapsed();
    println!(
        "with one of two nodes killed, the last message of 16 customers was delivered after \
         {took:?}"
    );
    assert!(took < Duration::from_secs(12), "10 s, and a moment for the messages: {took:?}");
    // The node comes back and gets its share, and everything continues.
    all.restart(1).await;
    typed.extend(talk(&all, &customers, 4, 2).await);
    heard(&all, &typed, &customers, true).await;
}

#[tokio::test]
async fn a_rolling_restart_of_all_nodes_needs_no_pause() {
    let cluster = Cluster::start();
    let mut all =
        Nodes::start(&cluster.url(), 2, "", &["--handshake", "0.3", "--delay", "0.05"]).await;
    let customers = customers(8);
    for customer in &customers {
        all.chat.says(customer, "Where is my parcel?").await;
    }
    let mut typed = talk(&all, &customers, 1, 2).await;
    for (round, number) in [0, 1, 0, 1].into_iter().enumerate() {
        all.stop(number).await;
        let stopped = Instant::now();
        typed.extend(talk(&all, &customers, 3 + round * 2, 2).await);
        taken(&all, &typed).await;
        let took = stopped.elapsed();
        println!("a node left: the next two messages of 8 customers were delivered after {took:?}");
        assert!(took < Duration::from_secs(6), "a node that leaves hands over at once: {took:?}");
        all.restart(number).await;
    }
    heard(&all, &typed, &customers, false).await;
}

#[tokio::test]
async fn a_node_that_was_paused_past_its_lease_does_no_harm_when_it_goes_on() {
    let cluster = Cluster::start();
    let mut all =
        Nodes::start(&cluster.url(), 2, "", &["--handshake", "0.3", "--delay", "0.3"]).await;
    let customers = customers(8);
    for customer in &customers {
        all.chat.says(customer, "Where is my parcel?").await;
    }
    let mut typed = talk(&all, &customers, 1, 2).await;
    // Stops a node with calls under way.
    typed.extend(talk(&all, &customers, 3, 1).await);
    all.all[0].process.signal("STOP");
    // Genesys's connections to it time out, and the retries reach the other node.
    typed.extend(talk(&all, &customers, 4, 2).await);
    taken(&all, &typed).await;
    all.all[0].process.signal("CONT");
    all.ready(0).await;
    typed.extend(talk(&all, &customers, 6, 2).await);
    heard(&all, &typed, &customers, true).await;
    assert!(all.all[0].process.runs(), "it goes on");
}

#[tokio::test]
async fn a_node_that_is_cut_off_from_the_database_is_replaced_and_comes_back() {
    let cluster = Cluster::start();
    let mut all =
        Nodes::start(&cluster.url(), 1, "", &["--handshake", "0.3", "--delay", "0.05"]).await;
    let cable = Cable::to(cluster.port()).await;
    let url = cluster.url().replace(&cluster.port().to_string(), &cable.port.to_string());
    let cut_off = all.add(&url).await;
    let customers = customers(8);
    for customer in &customers {
        all.chat.says(customer, "Where is my parcel?").await;
    }
    let mut typed = talk(&all, &customers, 1, 3).await;
    cable.cut();
    typed.extend(talk(&all, &customers, 4, 2).await);
    taken(&all, &typed).await;
    cable.mend();
    all.ready(cut_off).await;
    typed.extend(talk(&all, &customers, 6, 2).await);
    heard(&all, &typed, &customers, true).await;
}

#[tokio::test]
async fn a_database_that_crashes_and_comes_back_loses_nothing() {
    let mut cluster = Cluster::start();
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("store.url"), cluster.url()).expect("written");
    let mut all = Loop::start_in(dir, "", &["--handshake", "2", "--delay", "0.1"]).await;
    all.chat.says("noor", "Where is my parcel?").await;
    let texts = ["Good morning.", "I am looking.", "Tomorrow.", "At nine."];
    let mut messages = all.agent_types("noor", &texts[..2]).await;
    cluster.stop("QUIT");
    eventually("the gateway says that it is not ready", async || {
        (all.gateway.get("/readyz").await.0 == 503).then_some(())
    })
    .await;
    // Genesys's webhook waits for the database, or is retried.
    let send = async || all.sandbox.agent_sends("noor", texts[2]).await;
    messages.push(eventually("the agent has the conversation", send).await);
    cluster.run();
    all.taken(&messages[2]).await;
    messages.extend(all.agent_types("noor", &texts[3..]).await);
    for message in &messages {
        assert_eq!(all.sandbox.final_receipt(message).await, delivered());
    }
    assert_eq!(all.chat.taken(), texts);
    assert_eq!(all.sandbox.verdict().await["holds"], true);
    all.audited();
    assert!(all.gateway.process.runs(), "the same process goes on");
}
