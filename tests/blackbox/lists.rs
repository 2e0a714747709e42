//! Lists of what needs a look: conversations by how they stand, messages that did not arrive. On
//! both stores, by the API and by the command line.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::postgres_cluster::Cluster;
use crate::support::{Loop, client, eventually, output, tidegate};

/// The handshake never ends. A customer's message that Genesys does not take is given up soon.
const IMPATIENT: &str = "[integration.hold]\nfor = \"4s\"\n\
    [integration.inbound]\ngive_up_after = \"1s\"\ngive_up_tries = 2\n";

async fn list(stage: &Loop, path: &str) -> Value {
    let (status, answer) = stage.gateway.get(&format!("/api/v1/{path}")).await;
    assert_eq!(status, 200, "{path}: {answer}");
    assert!(!answer.contains("confiden"), "a list has no words: {answer}");
    serde_json::from_str(&answer).expect("JSON")
}

/// The values of a field in a page.
fn each(page: &Value, list: &str, field: &str) -> Vec<String> {
    let entries = page[list].as_array().expect("a list");
    entries.iter().map(|entry| entry[field].as_str().expect("a text").to_owned()).collect()
}

fn told(stage: &Loop, arguments: &[&str]) -> String {
    let mut command = tidegate();
    command.args(arguments).args(["--url", &stage.gateway.url]);
    let output = output(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    let told = text(&output.stdout);
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
    told
}

/// A message is held, then it fails; another customer's message is refused. Each step shows in the
/// lists.
async fn what_needs_a_look_is_listed(dir: tempfile::TempDir) {
    let stage = Loop::start_in(dir, IMPATIENT, &["--handshake", "600"]).await;
    stage.chat.says("noor", "confidential hello").await;
    let message = stage.agent_types("noor", &["confidential answer"]).await.remove(0);
    let held = eventually("a conversation is held", async || {
        let page = list(&stage, "conversations?state=held").await;
        each(&page, "conversations", "conversation").pop()
    })
    .await;
    let shown = told(&stage, &["conversations", "list", "--state", "held"]);
    assert!(shown.contains(&held) && shown.contains("acme: held"), "{shown}");

    assert_eq!(stage.sandbox.final_receipt(&message).await.0, "Failed");
    let page = list(&stage, "messages?state=failed&integration=acme").await;
    assert_eq!(each(&page, "messages", "message"), [message.as_str()]);
    assert_eq!(each(&page, "messages", "conversation"), [held.as_str()]);
    assert!(each(&page, "messages", "reason")[0].starts_with("MessageExpired"), "{page}");
    let page = list(&stage, "conversations?state=held").await;
    assert_eq!(each(&page, "conversations", "conversation").len(), 0, "nothing is held any more");
    let shown = told(&stage, &["messages", "list"]);
    assert!(shown.contains(&message) && shown.contains("MessageExpired"), "{shown}");

    // Genesys takes others' messages and not this one.
    let refuse = json!({"on": "message", "action": {"status": 500}, "text": "confidential poison"});
    stage.sandbox.fault(&refuse).await;
    stage.chat.says("omar", "confidential poison").await;
    let dead = eventually("it is a dead letter", async || {
        stage.chat.says("noor", "confidential again").await;
        let page = list(&stage, "dead-letters").await;
        each(&page, "messages", "message").pop()
    })
    .await;
    let page = list(&stage, "messages?state=refused").await;
    assert_eq!(each(&page, "messages", "message"), [dead.as_str()]);
    assert!(each(&page, "messages", "reason")[0].contains("given up"), "{page}");
    let path = &each(&page, "messages", "path")[0];
    assert_eq!(stage.gateway.get(path).await.0, 200, "{path}");
    let shown = told(&stage, &["messages", "list", "--state", "refused", "--limit", "1"]);
    assert!(shown.contains(&dead), "{shown}");
    pages_do_not_repeat(&stage).await;
}

/// Whatever arrives while the pages are read, each conversation that was there is listed once.
async fn pages_do_not_repeat(stage: &Loop) {
    for customer in ["p1", "p2", "p3", "p4", "p5"] {
        stage.chat.says(customer, "confidential").await;
    }
    let all: BTreeSet<_> = eventually("all of them are there", async || {
        let page = list(stage, "conversations?limit=200").await;
        Some(each(&page, "conversations", "conversation")).filter(|all| all.len() == 7)
    })
    .await
    .into_iter()
    .collect();
    let (mut seen, mut path) = (Vec::new(), "conversations?limit=2".to_owned());
    for late in 0..10 {
        let page = list(stage, &path).await;
        seen.extend(each(&page, "conversations", "conversation"));
        stage.chat.says(&format!("late-{late}"), "confidential").await;
        match page["next"].as_str() {
            Some(next) => path = format!("conversations?limit=2&cursor={next}"),
            None => break,
        }
    }
    let distinct: BTreeSet<_> = seen.iter().cloned().collect();
    assert_eq!((seen.len(), &distinct), (7, &all));
}

#[tokio::test]
async fn on_sqlite_what_needs_a_look_is_listed() {
    what_needs_a_look_is_listed(tempfile::tempdir().expect("a folder")).await;
}

#[tokio::test]
async fn on_postgres_what_needs_a_look_is_listed() {
    let cluster = Cluster::start();
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("store.url"), cluster.url()).expect("written");
    what_needs_a_look_is_listed(dir).await;
}

#[tokio::test]
async fn a_wrong_parameter_is_a_problem_that_names_the_right_ones() {
    let stage = Loop::start("", &["--handshake", "0"]).await;
    for (path, right) in [
        ("conversations?state=shut", "open, held or failing"),
        ("conversations?limit=0", "from 1 to 200"),
        ("conversations?limit=201", "from 1 to 200"),
        ("conversations?limit=", "from 1 to 200"),
        ("conversations?cursor=x", "of an earlier page"),
        ("conversations?cursor=1.%00", "of an earlier page"),
        ("conversations?cursor=99999999999999999999.c1", "of an earlier page"),
        ("conversations?integration=acm", "acme"),
        ("conversations?sate=open", "state, integration, limit and cursor"),
        ("conversations?state=open&state=held", "state, integration, limit and cursor"),
        ("messages", "state=failed"),
        ("messages?state=delivered", "failed or refused"),
        ("messages?state=failed&cursor=-1", "of an earlier page"),
        ("dead-letters?state=failed", "one state"),
    ] {
        let url = format!("{}/api/v1/{path}", stage.gateway.url);
        let answer = client().get(url).send().await.expect("an answer");
        assert_eq!(answer.status(), 400, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
        let problem: Value = answer.json().await.expect("JSON");
        let detail = problem["detail"].as_str().expect("a text");
        assert!(detail.contains(right), "{path}: {detail}");
    }
    for empty in ["conversations", "messages?state=failed", "dead-letters?limit=200"] {
        let page = list(&stage, empty).await;
        assert!(page["next"].is_null(), "{page}");
    }
    assert!(told(&stage, &["conversations", "list"]).contains("none"));
}
