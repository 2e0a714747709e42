//! Wrong clocks (`libfaketime`): a day ahead or back under a running gateway, wrong at its start,
//! or an hour apart on two nodes. Waits end when they should, messages keep their order, and
//! nothing is lost.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::postgres_cluster::Cluster;
use crate::support::{Nodes, audit, delivered, eventually, failed};
use crate::wall_clock::WallClock;

/// The whole loop with a gateway whose wall clock can be set. While the clock is wrong, the gateway
/// would refuse the chat service's reports because of their time, so acceptance must suffice.
async fn start(integration: &str, chat: &[&str]) -> (Nodes, WallClock) {
    let clock = WallClock::off_by("+0");
    let store = format!("sqlite:{}", clock.file().with_file_name("tidegate.db").display());
    let all =
        Nodes::start_with(&store, 1, &by_acceptance(integration), chat, for_a_gateway(&clock))
            .await;
    // A webhook that met the killed process is sent again at once, before the next call to the
    // chat service is due.
    let sooner = all.sandbox.put("/sandbox/switches", &json!({"webhook_pause": "100ms"})).await;
    assert_eq!(sooner["webhook_pause"], "100ms");
    all.chat.says("noor", "Where is my parcel?").await;
    (all, clock)
}

/// The environment that makes a gateway use this clock.
fn for_a_gateway(clock: &WallClock) -> Vec<(String, String)> {
    clock
        .variables()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.display().to_string()))
        .collect()
}

fn by_acceptance(integration: &str) -> String {
    format!("{integration}\n[integration.receipts]\ndelivered_on = \"accepted\"\n")
}

/// Two gateways on one database. From its next start on, the second one's wall clock is wrong by
/// `off`.
async fn two_nodes(
    cluster: &Cluster,
    integration: &str,
    chat: &[&str],
    off: &str,
) -> (Nodes, WallClock) {
    let (clock, url) = (WallClock::off_by("+0"), cluster.url());
    let mut all = Nodes::start(&url, 1, &by_acceptance(integration), chat).await;
    let second = all.add_with(&url, for_a_gateway(&clock)).await;
    all.shared_out().await;
    all.sandbox.accept_unknown_receipts().await;
    // This comes before its clock is wrong, since the chat service's events would then be refused
    // because of their time.
    for customer in CUSTOMERS {
        all.chat.says(customer, "Where is my parcel?").await;
    }
    clock.set(off);
    all.stop(second).await;
    all.restart(second).await;
    all.shared_out().await;
    (all, clock)
}

/// Enough customers that each node drives some.
const CUSTOMERS: [&str; 8] = ["noor", "ada", "bo", "cleo", "dev", "eli", "fay", "gus"];

#[tokio::test]
async fn messages_keep_their_order_on_two_nodes_whose_clocks_are_an_hour_apart() {
    let cluster = Cluster::start();
    let long = "[integration.delivery]\ngive_up_after = \"2h\"\nretry_max = \"1s\"\n[integration.hold]\nfor = \"2h\"\n";
    let (mut all, clock) = two_nodes(&cluster, long, &["--handshake", "0.1"], "-1h").await;
    // Makes the messages wait: the chat service would not accept calls from the node whose clock is
    // wrong.
    Arc::get_mut(&mut all.chat).expect("the test alone has it").kill();
    let mut typed = Vec::new();
    for n in 1..=6 {
        for customer in CUSTOMERS {
            let text = format!("{customer} {n}");
            let id = text.replace(' ', "-");
            // The nodes take turns in accepting the messages.
            all.agent_types_at(n % 2, &id, customer, &text).await;
            typed.push(id);
        }
    }
    clock.set("+0");
    Arc::get_mut(&mut all.chat).expect("the test alone has it").restart().await;
    for message in &typed {
        assert_eq!(all.sandbox.receipt(message).await, delivered());
    }
    let taken = all.chat.taken();
    for customer in CUSTOMERS {
        let heard: Vec<_> =
            taken.iter().filter(|text| text.starts_with(&format!("{customer} "))).collect();
        let expected: Vec<_> = (1..=6).map(|n| format!("{customer} {n}")).collect();
        assert_eq!(
            heard,
            expected.iter().collect::<Vec<_>>(),
            "in the order in which Genesys wrote them"
        );
    }
    let (code, report) = audit(&cluster.url());
    assert_eq!(code, Some(0), "{report}");
}

#[tokio::test]
async fn a_clock_that_is_set_back_a_day_lengthens_no_deadline() {
    // The message asks for the handshake before the clock is wrong: later the chat service would
    // not accept the call.
    let policy = "[integration.hold]\nfor = \"4s\"\nstart = \"first-outbound\"\n";
    let (all, clock) = start(policy, &["--handshake", "60"]).await;
    let held = all.agent_types("noor", "Good morning.").await;
    clock.set("-1d");
    let since = Instant::now();
    assert_eq!(all.sandbox.final_receipt(&held).await, failed("MessageExpired"));
    let took = since.elapsed();
    assert!(took < Duration::from_secs(8), "its 4 s were over after {took:?}");
    clock.set("+0");
    all.all_is_well().await;
}

#[tokio::test]
async fn a_clock_that_is_set_ahead_a_day_shortens_no_deadline() {
    let (all, clock) = start("", &["--handshake", "4"]).await;
    let held = all.agent_types("noor", "Good morning.").await;
    clock.set("+1d");
    // It accepts what comes meanwhile.
    let meanwhile = all.agent_types("noor", "I am looking.").await;
    clock.set("+0");
    assert_eq!(all.sandbox.final_receipt(&held).await, delivered());
    assert_eq!(all.sandbox.final_receipt(&meanwhile).await, delivered());
    assert_eq!(all.chat.taken(), ["Good morning.", "I am looking."]);
    all.all_is_well().await;
}

#[tokio::test]
async fn after_a_day_ahead_and_a_day_back_everything_goes_on() {
    let (all, clock) = start("", &["--handshake", "0"]).await;
    let mut messages = vec![all.agent_types("noor", "One.").await];
    for (number, by) in ["+1d", "+0", "-1d", "+0"].into_iter().enumerate() {
        clock.set(by);
        // The chat service does not accept calls from a gateway whose clock is a day off; then the
        // message fails, and a receipt says so.
        messages.push(all.agent_types("noor", &format!("Jump {number}.")).await);
        eventually("it has its final receipt", async || {
            let last = messages.last().expect("just typed");
            (!all.sandbox.receipts(last).await.is_empty()).then_some(())
        })
        .await;
    }
    let last = all.agent_types("noor", "Last.").await;
    assert_eq!(all.sandbox.final_receipt(&last).await, delivered());
    let verdict = all.sandbox.verdict().await;
    assert_eq!(
        (&verdict["without_final_receipt"], &verdict["receipts_after_final"]),
        (&json!([]), &json!([]))
    );
    all.all_is_well().await;
}

#[tokio::test]
async fn a_clock_that_is_an_hour_ahead_at_a_restart_fails_nothing_that_waits() {
    // The handshake ends long after the restart: before the clock is right again, the chat service
    // would not accept a call.
    let (mut all, clock) =
        start("[integration.hold]\nfor = \"25s\"\n", &["--handshake", "10"]).await;
    let held = all.agent_types("noor", "Good morning.").await;
    all.all[0].process.kill();
    clock.set("+1h");
    all.restart(0).await;
    let meanwhile = all.agent_types("noor", "I am looking.").await;
    clock.set("+0");
    assert_eq!(all.sandbox.final_receipt(&held).await, delivered());
    assert_eq!(all.sandbox.final_receipt(&meanwhile).await, delivered());
    assert_eq!(all.chat.taken(), ["Good morning.", "I am looking."]);
    all.all_is_well().await;
}

#[tokio::test]
async fn a_clock_that_is_an_hour_back_at_a_restart_holds_nothing_for_longer() {
    // The hold is shorter than the pause until the handshake is asked for again, since the chat
    // service would not accept that call.
    let policy = "[integration.hold]\nfor = \"4s\"\nstart = \"first-outbound\"\n";
    let (mut all, clock) = start(policy, &["--handshake", "60"]).await;
    let since = Instant::now();
    let held = all.agent_types("noor", "Good morning.").await;
    all.all[0].process.kill();
    clock.set("-1h");
    all.restart(0).await;
    assert_eq!(all.sandbox.final_receipt(&held).await, failed("MessageExpired"));
    let took = since.elapsed();
    assert!(
        Duration::from_secs(3) < took && took < Duration::from_secs(7),
        "its 4 s were over after {took:?}"
    );
    clock.set("+0");
    all.all_is_well().await;
}

/// This holds whichever node accepts a message, and whichever drives its conversation.
#[tokio::test]
async fn a_hold_lasts_as_long_as_it_should_on_two_nodes_whose_clocks_are_an_hour_apart() {
    let cluster = Cluster::start();
    let policy = "[integration.hold]\nfor = \"5s\"\nstart = \"first-outbound\"\n[integration.delivery]\nretry_max = \"1s\"\n";
    let (mut all, clock) = two_nodes(&cluster, policy, &["--handshake", "60"], "+1h").await;
    // There will be no session, since the chat service is dead.
    Arc::get_mut(&mut all.chat).expect("the test alone has it").kill();
    let mut typed = Vec::new();
    for n in 0..2 {
        for customer in CUSTOMERS {
            let (id, since) = (format!("{customer}-{n}"), Instant::now());
            all.agent_types_at(n, &id, customer, "Good morning.").await;
            typed.push((id, since));
        }
    }
    let ended = typed.iter().map(async |(message, since)| {
        assert_eq!(all.sandbox.receipt(message).await, failed("MessageExpired"), "{message}");
        let took = since.elapsed();
        let in_time = Duration::from_millis(4_500)..Duration::from_secs(8);
        assert!(in_time.contains(&took), "the 5 s of {message} were over after {took:?}");
    });
    futures_util::future::join_all(ended).await;
    clock.set("+0");
    let (code, report) = audit(&cluster.url());
    assert_eq!(code, Some(0), "{report}");
}

/// The store's clock never goes back. What a wrong wall clock has done to it must not make new
/// messages look old.
#[tokio::test]
async fn a_wall_clock_that_was_two_months_ahead_once_makes_no_later_message_too_old() {
    let (mut all, clock) = start("", &["--handshake", "0"]).await;
    let first = all.agent_types("noor", "Good morning.").await;
    assert_eq!(all.sandbox.final_receipt(&first).await, delivered());
    clock.set("+60d");
    all.stop(0).await;
    all.restart(0).await;
    // It is too old by this clock; journaling it moves the store's clock.
    let second = all.agent_types("noor", "It left yesterday.").await;
    assert_eq!(all.sandbox.final_receipt(&second).await, failed("MessageExpired"));
    clock.set("+0");
    all.stop(0).await;
    all.restart(0).await;
    let third = all.agent_types("noor", "It arrives tomorrow.").await;
    assert_eq!(all.sandbox.final_receipt(&third).await, delivered());
}
