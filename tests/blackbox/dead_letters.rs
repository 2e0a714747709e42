//! What an operator does about a dead letter: has it posted again, or discards it. By the API and
//! by the command line, across a crash, and on two nodes.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::postgres_cluster::Cluster;
use crate::support::{Gateway, Loop, Nodes, Sandbox, audit, client, eventually, output, tidegate};

pub(crate) const OPERATOR: &str = "a-token-of-the-night-shift";
const VIEWER: &str = "a-token-of-the-wall-screen";

/// Two tries within a second, and two tokens.
fn settings() -> String {
    format!(
        "[integration.inbound]\ngive_up_after = \"1s\"\ngive_up_tries = 2\n\
         [console]\ntokens = [\n\
         {{ name = \"night shift\", role = \"operator\", token = \"{OPERATOR}\" }},\n\
         {{ name = \"wall\", token = \"{VIEWER}\" }}]\n"
    )
}

pub(crate) async fn poison(sandbox: &Sandbox) {
    let rule = json!({"on": "message", "action": {"status": 500}, "text": "poison"});
    sandbox.fault(&rule).await;
}

async fn heal(sandbox: &Sandbox) {
    let call = sandbox.client.delete(format!("{}/sandbox/faults", sandbox.url));
    call.send().await.expect("an answer");
}

/// The customer's texts that Genesys has accepted, in this order.
async fn taken(sandbox: &Sandbox, customer: &str) -> Vec<String> {
    let calls = sandbox.transcript().await;
    let theirs = calls.iter().filter(|entry| {
        entry["path"].as_str().is_some_and(|path| path.contains("/inbound/open/message"))
            && entry["status"].as_u64().is_some_and(|status| status < 300)
            && entry["body"]["channel"]["from"]["id"] == customer
    });
    theirs.filter_map(|entry| Some(entry["body"]["text"].as_str()?.to_owned())).collect()
}

pub(crate) async fn wait_for(sandbox: &Sandbox, customer: &str, texts: &[&str]) {
    eventually(&format!("Genesys has {texts:?}"), async || {
        (taken(sandbox, customer).await == texts).then_some(())
    })
    .await;
}

/// The gateway's ids of the dead letters.
pub(crate) async fn dead(url: &str) -> Vec<String> {
    let call = client().get(format!("{url}/api/v1/dead-letters")).bearer_auth(VIEWER);
    let page: Value = call.send().await.expect("an answer").json().await.expect("JSON");
    let all = page["messages"].as_array().expect("a list").iter();
    all.map(|one| one["message"].as_str().expect("an id").to_owned()).collect()
}

async fn dies(url: &str) -> String {
    eventually("it is a dead letter", async || dead(url).await.pop()).await
}

/// Asks for an action. Returns the status and the answer.
async fn act(url: &str, token: &str, path: &str, key: Option<&str>) -> (u16, Value) {
    let mut call = client().post(format!("{url}/api/v1/dead-letters/{path}")).bearer_auth(token);
    if let Some(key) = key {
        call = call.header("idempotency-key", key);
    }
    let answer = call.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}

fn told(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = tidegate();
    command.args(arguments).args(["--url", &gateway.url, "--token", OPERATOR]);
    let output = output(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A gateway whose customer noor has a dead letter, and has written since.
pub(crate) async fn with_a_dead_letter(dir: TempDir) -> (Loop, String) {
    with_users_and_a_dead_letter(dir, "").await
}

/// The same, with users of the console.
pub(crate) async fn with_users_and_a_dead_letter(dir: TempDir, users: &str) -> (Loop, String) {
    let settings = settings() + users;
    let stage = Loop::start_in(dir, &settings, &["--handshake", "0"]).await;
    poison(&stage.sandbox).await;
    stage.chat.says("noor", "poison").await;
    // Genesys takes messages of another customer, so this one alone is to blame.
    stage.chat.says("omar", "hello").await;
    let message = dies(&stage.gateway.url).await;
    stage.chat.says("noor", "after").await;
    wait_for(&stage.sandbox, "noor", &["after"]).await;
    heal(&stage.sandbox).await;
    (stage, message)
}

async fn an_operator_retries(dir: TempDir) {
    let (stage, message) = with_a_dead_letter(dir).await;
    let (code, dry, why) = told(&stage.gateway, &["messages", "retry", &message, "--dry-run"]);
    assert!(code == Some(0) && dry.contains(&format!("would retry {message}")), "{dry}{why}");
    let (code, said, why) = told(&stage.gateway, &["messages", "retry", &message]);
    assert_eq!(code, Some(0), "{why}");
    for part in [message.as_str(), "goes to Genesys again", "and twice if"] {
        assert!(said.contains(part), "{part:?} is missing: {said}");
    }
    wait_for(&stage.sandbox, "noor", &["after", "poison"]).await;
    eventually("no dead letter is left", async || {
        dead(&stage.gateway.url).await.is_empty().then_some(())
    })
    .await;
    eventually("its timeline names the operator", async || {
        let (_, shown, _) = told(&stage.gateway, &["messages", "show", &message]);
        (shown.contains("Genesys has it since")
            && shown.contains("night shift had it posted again"))
        .then_some(())
    })
    .await;
    let (code, report) = audit(&stage.store());
    assert_eq!(code, Some(0), "{report}");
    assert!(report.contains("retried dead letters 1 times"), "{report}");
    assert!(report.contains(&format!("message {message} of conversation")), "{report}");
    assert!(report.contains("retried by night shift at 2"), "{report}");
    assert!(!stage.gateway.process.log().contains(OPERATOR), "no token is logged");
}

#[tokio::test]
async fn on_sqlite_an_operator_retries_a_dead_letter() {
    an_operator_retries(tempfile::tempdir().expect("a folder")).await;
}

#[tokio::test]
async fn on_postgres_an_operator_retries_a_dead_letter() {
    let cluster = Cluster::start();
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("store.url"), cluster.url()).expect("written");
    an_operator_retries(dir).await;
}

#[tokio::test]
async fn an_operator_discards_a_dead_letter() {
    let (stage, message) = with_a_dead_letter(tempfile::tempdir().expect("a folder")).await;
    let (code, said, why) = told(&stage.gateway, &["messages", "discard", &message]);
    assert!(code == Some(0) && said.contains("is discarded"), "{said}{why}");
    eventually("no dead letter is left", async || {
        dead(&stage.gateway.url).await.is_empty().then_some(())
    })
    .await;
    let (_, shown, _) = told(&stage.gateway, &["messages", "show", &message]);
    assert!(shown.contains("Discarded by night shift"), "{shown}");
    let (code, _, why) = told(&stage.gateway, &["messages", "retry", &message]);
    assert!(code == Some(1) && why.contains("is `discarded`"), "{why}");
    eventually("the metric counts it no more", async || {
        let (_, text) = stage.gateway.get("/metrics").await;
        text.contains("tidegate_dead_letters_kept{integration=\"acme\"} 0").then_some(())
    })
    .await;
    let (code, report) = audit(&stage.store());
    assert!(code == Some(0) && report.contains("discarded by night shift"), "{report}");
    assert_eq!(taken(&stage.sandbox, "noor").await, ["after"]);
}

#[tokio::test]
async fn only_an_operator_may_act_and_only_on_a_dead_letter() {
    let (stage, message) = with_a_dead_letter(tempfile::tempdir().expect("a folder")).await;
    let url = &stage.gateway.url;
    let retry = format!("{message}/retry");
    let (status, problem) = act(url, VIEWER, &retry, None).await;
    assert_eq!((status, &problem["type"]), (403, &json!("forbidden")), "{problem}");
    assert_eq!(act(url, "a-token-of-nobody-at-all", &retry, None).await.0, 401);
    for (path, status) in [
        ("none/retry", 404),
        ("%FF/retry", 400),
        (&format!("{message}/retry?integration=other"), 404),
        (&format!("{message}/retry?itegration=acme"), 400),
    ] {
        let (found, problem) = act(url, OPERATOR, path, None).await;
        assert_eq!(found, status, "{path}: {problem}");
    }
    let elsewhere = client().post(format!("{url}/api/v1/status")).bearer_auth(OPERATOR);
    let elsewhere = elsewhere.send().await.expect("an answer");
    assert_eq!(elsewhere.status(), 405);
    assert_eq!(elsewhere.headers()["content-type"], "application/problem+json");
    let long = "k".repeat(201);
    assert_eq!(act(url, OPERATOR, &retry, Some(&long)).await.0, 400);
    // An agent's message is none, and neither is a customer's message that Genesys has.
    let agents = stage.agent_types("noor", &["answer"]).await.remove(0);
    assert_eq!(act(url, OPERATOR, &format!("{agents}/retry"), None).await.0, 404);
    assert_eq!(taken(&stage.sandbox, "noor").await, ["after"], "nothing was posted");
    let (status, answer) = act(url, OPERATOR, &retry, Some("key-1")).await;
    assert_eq!((status, &answer["by"]), (202, &json!("night shift")), "{answer}");
    wait_for(&stage.sandbox, "noor", &["after", "poison"]).await;
    let (status, answer) = act(url, OPERATOR, &retry, Some("key-1")).await;
    assert_eq!((status, &answer["repeated"]), (202, &json!(true)), "{answer}");
    eventually("its state is known", async || {
        let (status, problem) = act(url, OPERATOR, &retry, None).await;
        (status == 409 && problem["detail"].to_string().contains("posted")).then_some(())
    })
    .await;
    assert_eq!(taken(&stage.sandbox, "noor").await, ["after", "poison"], "once");
}

/// A chat service cannot make an operator's action look repeated by an event with its id.
#[tokio::test]
async fn an_event_of_a_chat_service_uses_up_no_action() {
    let (stage, message) = with_a_dead_letter(tempfile::tempdir().expect("a folder")).await;
    let url = &stage.gateway.url;
    let call = client().get(format!("{url}/api/v1/dead-letters")).bearer_auth(VIEWER);
    let page: Value = call.send().await.expect("an answer").json().await.expect("JSON");
    let letter = &page["messages"][0];
    let (conversation, settled) = (&letter["conversation"], letter["settled"].as_str());
    let died: jiff::Timestamp = settled.expect("when it died").parse().expect("a time");
    for mark in ["", "\u{1e}"] {
        let id = format!("{mark}operator/{message}/{}", died.as_millisecond());
        let lost = json!({"type": "session.lost", "id": id, "conversation": conversation});
        let (status, answer) =
            stage.gateway.events(&serde_json::to_vec(&lost).expect("JSON")).await;
        let why = answer["ignored"][0]["why"].to_string();
        let expected = if mark.is_empty() { 202 } else { 400 };
        assert_eq!(status, expected, "{answer}");
        assert_eq!(why.contains("U+001E"), !mark.is_empty(), "{answer}");
    }
    let (status, answer) = act(url, OPERATOR, &format!("{message}/retry"), None).await;
    assert_eq!((status, &answer["repeated"]), (202, &json!(false)), "{answer}");
    wait_for(&stage.sandbox, "noor", &["after", "poison"]).await;
}

/// The process dies as soon as it has answered.
#[tokio::test]
async fn a_retry_that_was_answered_survives_a_crash() {
    let (mut stage, message) = with_a_dead_letter(tempfile::tempdir().expect("a folder")).await;
    // Genesys takes nothing before the crash.
    stage.sandbox.fault(&json!({"on": "api", "action": {"status": 503}})).await;
    let (status, answer) =
        act(&stage.gateway.url, OPERATOR, &format!("{message}/retry"), None).await;
    stage.gateway.process.kill();
    assert_eq!(status, 202, "{answer}");
    heal(&stage.sandbox).await;
    stage.gateway.restart().await;
    wait_for(&stage.sandbox, "noor", &["after", "poison"]).await;
    let (code, report) = audit(&stage.store());
    assert!(code == Some(0) && report.contains("retried by night shift"), "{report}");
}

/// Both nodes are asked, many times at once, and one of them drives the conversation.
#[tokio::test]
async fn two_nodes_retry_a_dead_letter_once() {
    let cluster = Cluster::start();
    let all = Nodes::start(&cluster.url(), 2, &settings(), &["--handshake", "0"]).await;
    poison(&all.sandbox).await;
    let customers: Vec<String> = (0..4).map(|n| format!("customer-{n}")).collect();
    for customer in &customers {
        all.chat.says(customer, &format!("poison of {customer}")).await;
    }
    let (one, other) = (all.url(0), all.url(1));
    // Genesys takes messages of a customer who is not poisoned.
    let messages = eventually("all are dead letters", async || {
        all.chat.says("omar", "hello").await;
        Some(dead(&one).await).filter(|dead| dead.len() == customers.len())
    })
    .await;
    heal(&all.sandbox).await;
    let path = |message: &String| format!("{message}/retry");
    let paths: Vec<_> = messages.iter().map(path).collect();
    // A key of the caller's own makes no second action.
    let keys: Vec<_> = (0..6).map(|n| (n % 2 == 0).then(|| format!("key-{n}"))).collect();
    let calls = paths.iter().flat_map(|path| {
        let calls = keys.iter().enumerate();
        calls.map(|(n, key)| act([&one, &other][n / 3], OPERATOR, path, key.as_deref()))
    });
    let answers = futures_util::future::join_all(calls).await;
    let new = answers.iter().filter(|(status, answer)| {
        assert!(matches!(status, 202 | 409), "{status}: {answer}");
        *status == 202 && answer["repeated"] == false
    });
    assert_eq!(new.count(), customers.len(), "one for each: {answers:?}");
    for customer in &customers {
        wait_for(&all.sandbox, customer, &[&format!("poison of {customer}")]).await;
    }
    all.all_is_well().await;
}
