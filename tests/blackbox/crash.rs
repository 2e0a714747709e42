//! `kill -9` at random moments under load: nothing accepted is lost, reordered, or left without its
//! final receipt.
//!
//! Each customer's agent waits until Genesys has delivered a message to the gateway before typing
//! the next, as a person would. So the required order of arrival is beyond doubt.
//! `TIDEGATE_CRASH_ROUNDS` sets the number of rounds.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conversation::{AttemptOutcome, Record};
use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use store::{PostgresStore, SqliteStore, Store, audit};

use crate::postgres_cluster::Cluster;
use crate::support::{Loop, Nodes, PythonChat, Sandbox, eventually};

const ROUNDS: u32 = 200;
const ROUNDS_OF_NODES: u32 = 40;
const CUSTOMERS: usize = 24;
/// A message whose attempts were cut off repeatedly must not wait half a minute for the next one.
const SOONER: &str = "[integration.delivery]\nretry_max = \"2s\"\n";
/// How many of a customer's messages may be on their way at once.
const ON_THEIR_WAY: usize = 8;

fn rounds(default: u32) -> u32 {
    std::env::var("TIDEGATE_CRASH_ROUNDS")
        .map_or(default, |rounds| rounds.parse().expect("a number"))
}

/// Waits for the moment of a crash: a random time, not a condition.
async fn some_time(random: &mut fastrand::Rng) {
    tokio::time::sleep(Duration::from_millis(random.u64(20..300))).await;
}

/// Makes Genesys retry sooner than in production, so that a round does not take minutes.
async fn hurry(sandbox: &Sandbox) {
    let sooner = json!({ "webhook_pause": "250ms", "webhook_retries": 60 });
    sandbox.put("/sandbox/switches", &sooner).await;
}

#[tokio::test]
async fn two_hundred_kills_lose_nothing() {
    let rounds = rounds(ROUNDS);
    let mut all = Loop::start(SOONER, &["--handshake", "0.3", "--delay", "0.05"]).await;
    hurry(&all.sandbox).await;
    let stop = AtomicBool::new(false);
    let (sandbox, chat) = (&all.sandbox, &all.chat);
    let people = join_all((0..CUSTOMERS).map(|customer| life(sandbox, chat, customer, &stop)));
    let gateway = &mut all.gateway;
    let kills = async {
        let mut random = fastrand::Rng::with_seed(20_261_120);
        for _ in 0..rounds {
            some_time(&mut random).await;
            gateway.process.kill();
            gateway.restart().await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (people, ()) = join(people, kills).await;
    settled(sandbox, &people).await;
    all.gateway.stop().await;
    let store = SqliteStore::open_read_only(&all.store()).expect("the store can be read");
    let what = judge(&all.sandbox, &all.chat, &store, people).await;
    println!("{rounds} kills of the one node on SQLite, {what}");
}

#[tokio::test]
async fn kills_of_two_nodes_on_postgres_lose_nothing() {
    let rounds = rounds(ROUNDS_OF_NODES);
    let cluster = Cluster::start();
    // A short `takeover` causes more take-overs.
    let takeover = vec![("TIDEGATE_STORE__TAKEOVER".to_owned(), "2s".to_owned())];
    let chat = ["--handshake", "0.3", "--delay", "0.05"];
    let mut all = Nodes::start_with(&cluster.url(), 2, SOONER, &chat, takeover).await;
    hurry(&all.sandbox).await;
    let stop = AtomicBool::new(false);
    let (sandbox, chat) = (Arc::clone(&all.sandbox), Arc::clone(&all.chat));
    let people = join_all((0..CUSTOMERS).map(|customer| life(&sandbox, &chat, customer, &stop)));
    let kills = async {
        let mut random = fastrand::Rng::with_seed(20_261_126);
        for _ in 0..rounds {
            some_time(&mut random).await;
            let number = random.usize(0..2);
            all.all[number].process.kill();
            // Sometimes the other node must continue alone.
            if random.bool() {
                tokio::time::sleep(Duration::from_millis(random.u64(100..3_000))).await;
            }
            all.restart(number).await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (people, ()) = join(people, kills).await;
    settled(&sandbox, &people).await;
    all.stop(0).await;
    all.stop(1).await;
    let store = PostgresStore::open_read_only(&cluster.url()).await.expect("the store can be read");
    let what = judge(&sandbox, &chat, &store, people).await;
    println!("{rounds} kills of two nodes on PostgreSQL, {what}");
}

/// A customer, the agent's messages to her (ids and texts), and how often she wrote.
type Person = (String, Vec<(String, String)>, usize);

/// Waits until everything is finished.
async fn settled(sandbox: &Sandbox, people: &[Person]) {
    eventually("every message has its final receipt", async || {
        let verdict = sandbox.verdict().await;
        verdict["without_final_receipt"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
    // A customer's last message may still be on its way, so this asks Genesys until it has arrived.
    eventually("every customer's words are at Genesys", async || {
        let heard = heard(sandbox).await;
        people
            .iter()
            .all(|(customer, _, said)| heard.get(customer).is_some_and(|all| all.len() == *said))
            .then_some(())
    })
    .await;
}

/// Checks everything from outside and from inside. Returns a summary.
async fn judge(
    sandbox: &Sandbox,
    chat: &PythonChat,
    store: &dyn Store,
    people: Vec<Person>,
) -> String {
    let mut typed: HashMap<String, Vec<(String, String)>> = HashMap::new();
    let mut said = HashMap::new();
    for (customer, messages, asked) in people {
        typed.insert(customer.clone(), messages);
        said.insert(customer, asked);
    }
    let total: usize = typed.values().map(Vec::len).sum();
    // From outside: Genesys's own records.
    let verdict = sandbox.verdict().await;
    assert_eq!(verdict["receipts_after_final"], json!([]), "no receipt follows a final one");
    assert_eq!(verdict["holds"], true, "{verdict}");
    for message in typed.values().flatten() {
        let (status, _) = sandbox.final_receipt(&message.0).await;
        assert_eq!(status, "Delivered", "{} {}", message.0, message.1);
    }
    // From outside: the chat service's own records.
    let repeats = compare_with_chat(&typed, &chat.log());
    for (customer, words) in heard(sandbox).await {
        let expected: Vec<_> =
            (1..=said[&customer]).map(|n| format!("{customer} asks {n}")).collect();
        assert_eq!(words, expected, "the customer's words reached Genesys in order");
    }
    // From inside: a message came twice only if an attempt was open when the gateway died.
    let found = audit(store).await.expect("an audit");
    assert!(found.passed(), "{found}");
    let unknown = unknown_attempts(store).await;
    for (message, times) in &repeats {
        let open = unknown.get(message).copied().unwrap_or(0);
        assert!(
            *times <= open + 1,
            "{message} came {times} times, and {open} of its attempts were open at a crash"
        );
    }
    format!(
        "{total} agents' messages, {} customers' messages: 0 lost, 0 reordered, 0 without a final receipt, {} repeated, \
         each under its own key",
        said.values().sum::<usize>(),
        repeats.len()
    )
}

/// Plays one customer and the agent until told to stop.
async fn life(sandbox: &Sandbox, chat: &PythonChat, customer: usize, stop: &AtomicBool) -> Person {
    let customer = format!("customer-{customer}");
    let mut typed = Vec::new();
    let mut said = 0;
    while !stop.load(Ordering::Relaxed) {
        if typed.len() % 5 == 0 {
            said += 1;
            chat.says(&customer, &format!("{customer} asks {said}")).await;
        }
        let text = format!("{customer} hears {}", typed.len() + 1);
        let message =
            eventually("the agent can write", async || sandbox.agent_sends(&customer, &text).await)
                .await;
        eventually("the gateway took it", async || {
            (sandbox.details(&message).await["status"] != "queued").then_some(())
        })
        .await;
        typed.push((message, text));
        // No agent types forever without an answer. While nodes die it may take long; whether it
        // comes is checked afterwards.
        let earlier = typed.len().checked_sub(ON_THEIR_WAY).map(|place| typed[place].0.clone());
        while let Some(earlier) = &earlier
            && !stop.load(Ordering::Relaxed)
            && sandbox.details(earlier).await["normalizedReceipts"]
                .as_array()
                .is_none_or(Vec::is_empty)
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    (customer, typed, said)
}

/// Compares what was typed with what the chat service accepted. Returns the messages that came more
/// than once.
fn compare_with_chat(
    typed: &HashMap<String, Vec<(String, String)>>,
    log: &[Value],
) -> HashMap<String, usize> {
    let mut first: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut times: HashMap<String, usize> = HashMap::new();
    let mut key_of: HashMap<&str, &str> = HashMap::new();
    for entry in log.iter().filter(|entry| entry["what"] == "message" && entry["status"] != 409) {
        let (text, key) =
            (entry["text"].as_str().expect("a text"), entry["id"].as_str().expect("a key"));
        let customer = text.split(' ').next().expect("a customer");
        let known = key_of.insert(text, key);
        assert!(known.is_none_or(|known| known == key), "{text} came under two keys");
        *times.entry(key.to_owned()).or_default() += 1;
        if known.is_none() {
            first.entry(customer).or_default().push(text);
        }
    }
    for (customer, messages) in typed {
        let expected: Vec<_> = messages.iter().map(|(_, text)| text.as_str()).collect();
        let came = first.remove(customer.as_str()).unwrap_or_default();
        let (lost, wanted): (HashSet<_>, HashSet<_>) =
            (expected.iter().collect(), came.iter().collect());
        assert_eq!(lost.difference(&wanted).count(), 0, "lost for {customer}");
        assert_eq!(came, expected, "reordered for {customer}");
    }
    times.retain(|_, times| *times > 1);
    times
}

/// What each customer said, as Genesys received it, in order of first arrival.
async fn heard(sandbox: &Sandbox) -> HashMap<String, Vec<String>> {
    let mut heard: HashMap<String, Vec<String>> = HashMap::new();
    let mut seen = HashSet::new();
    for entry in sandbox.transcript().await {
        let is_message =
            entry["path"].as_str().is_some_and(|path| path.contains("/inbound/open/message"));
        if is_message
            && entry["status"] == 200
            && seen.insert(entry["body"]["channel"]["messageId"].to_string())
        {
            let text = entry["body"]["text"].as_str().expect("a text").to_owned();
            let customer =
                entry["body"]["channel"]["from"]["id"].as_str().expect("a customer").to_owned();
            heard.entry(customer).or_default().push(text);
        }
    }
    heard
}

/// How many attempts of each message ended with an unknown outcome.
async fn unknown_attempts(store: &dyn Store) -> HashMap<String, usize> {
    let mut unknown: HashMap<String, usize> = HashMap::new();
    for conversation in store.conversations(None, usize::MAX).await.expect("a read") {
        let dossier = store.dossier(&conversation).await.expect("a read");
        for row in dossier.into_iter().flat_map(|dossier| dossier.journal) {
            if let Ok(Record::AttemptEnded {
                message,
                outcome: AttemptOutcome::Unknown { .. },
                ..
            }) = row.record
            {
                *unknown.entry(message.to_string()).or_default() += 1;
            }
        }
    }
    unknown
}
