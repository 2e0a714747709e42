//! "Where is my message?" An operator has one id and learns what became of the message, by the
//! command line and by the API. Neither shows the words of a message.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Loop, client, output, tidegate};

const WORDS: &str = "the agent's confidential words";
const HELLO: &str = "what the customer said in confidence";

/// A gateway with a message that was never delivered: the handshake takes longer than the hold.
async fn never_delivered() -> (Loop, String) {
    let stage = Loop::start("[integration.hold]\nfor = \"1s\"\n", &["--handshake", "600"]).await;
    stage.chat.says("noor", HELLO).await;
    let message = stage.agent_types("noor", &[WORDS]).await.remove(0);
    assert_eq!(stage.sandbox.final_receipt(&message).await.0, "Failed");
    (stage, message)
}

fn ask(stage: &Loop, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command: Command = tidegate();
    command.args(arguments).args(["--url", &stage.gateway.url]);
    let output = output(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn any_id_leads_to_what_became_of_a_message() {
    let (stage, message) = never_delivered().await;
    let (code, told, why) = ask(&stage, &["messages", "show", &message]);
    assert_eq!(code, Some(0), "{why}");
    assert!(told.starts_with(&format!("Message {message} of the agent\nNot delivered")), "{told}");
    for part in ["chat service", "Genesys has the Failed receipt", "MessageExpired"] {
        assert!(told.contains(part), "{part:?} is missing:\n{told}");
    }

    let genesys = stage.sandbox.details(&message).await["conversationId"].clone();
    let genesys = genesys.as_str().expect("Genesys's id of the conversation").to_owned();
    let (_, shown, _) = ask(&stage, &["conversations", "show", &genesys, "--json"]);
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let conversation = &shown["conversations"][0]["conversation"];
    let conversation = conversation.as_str().expect("the gateway's id").to_owned();
    let (_, overview, _) = ask(&stage, &["conversations", "show", &genesys]);
    assert!(overview.contains(&message) && overview.contains("Not delivered"), "{overview}");
    let customers_message = shown["conversations"][0]["messages"]
        .as_array()
        .expect("its messages")
        .iter()
        .find(|message| message["direction"] == "inbound")
        .and_then(|message| message["message"].as_str())
        .expect("the customer's message");

    for (id, by) in [
        (message.as_str(), "message"),
        (customers_message, "message"),
        (conversation.as_str(), "conversation"),
        (genesys.as_str(), "genesys_conversation"),
        ("noor", "customer"),
    ] {
        let (status, found) = stage.gateway.get(&format!("/api/v1/search?id={id}")).await;
        let found: Value = serde_json::from_str(&found).expect("JSON");
        assert_eq!((status, &found["found"][0]["by"]), (200, &Value::from(by)), "{id}: {found}");
        assert_eq!(found["found"][0]["conversation"], conversation.as_str(), "{id}");
        let path = found["found"][0]["path"].as_str().expect("a path");
        assert_eq!(stage.gateway.get(path).await.0, 200, "{path}");
    }
    shows_no_words(&stage, &[&message, &genesys, "noor", customers_message]).await;
}

/// No answer of the API has the words of an agent or a customer.
async fn shows_no_words(stage: &Loop, ids: &[&str]) {
    for id in ids {
        for path in ["search?id=", "messages/", "conversations/"] {
            let (_, answer) = stage.gateway.get(&format!("/api/v1/{path}{id}")).await;
            assert!(!answer.contains("confiden"), "{path}{id}: {answer}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_answered_says_why_and_what_to_do() {
    let stage = Loop::start("", &["--handshake", "0"]).await;
    let (code, _, why) = ask(&stage, &["messages", "show", "no such/id"]);
    assert_eq!(code, Some(1));
    assert!(why.contains("no message has the id \"no such/id\""), "{why}");
    let (code, _, why) = ask(&stage, &["conversations", "show", "no-such-id"]);
    assert!(code == Some(1) && why.contains("no conversation, customer or message"), "{why}");
    for (path, status) in [
        ("/api/v1/search", 400),
        ("/api/v1/search?id=", 400),
        ("/api/v1/search?id=%00", 200),
        ("/api/v1/search?id=%FF", 200),
        ("/api/v1/messages/%FF", 400),
        ("/api/v1/conversations/%FF", 400),
        ("/api/v1/messages/no-such-id", 404),
        ("/api/v1/nothing", 404),
    ] {
        let url = format!("{}{path}", stage.gateway.url);
        let answer = client().get(url).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{path}");
        let kind = answer.headers()["content-type"].to_str().expect("ASCII").to_owned();
        let problem = status != 200 && path != "/api/v1/nothing";
        assert_eq!(kind == "application/problem+json", problem, "{path}: {kind}");
    }
    let mut command = tidegate();
    command.args(["status", "--url", "http://127.0.0.1:1"]);
    let unreached = output(command);
    let why = String::from_utf8_lossy(&unreached.stderr).into_owned();
    assert!(why.contains("http://127.0.0.1:1") && why.contains("--url"), "{why}");
    let (code, status, _) = ask(&stage, &["status"]);
    assert!(code == Some(0) && status.contains("ready") && status.contains("acme"), "{status}");
}

/// The store writes a hash for an id with unusual characters, and shows that hash.
#[tokio::test]
async fn an_unusual_id_leads_to_its_message_and_so_does_its_hash() {
    let stage = Loop::start("", &["--handshake", "0"]).await;
    let id = "$143273:example.org/1";
    let event = json!({ "type": "message.created", "id": id, "text": HELLO,
        "customer": { "id": "noor" } });
    assert_eq!(stage.gateway.events(event.to_string().as_bytes()).await.0, 202);
    let (_, found) = stage.gateway.get("/api/v1/search?id=%24143273%3Aexample.org%2F1").await;
    let found: Value = serde_json::from_str(&found).expect("JSON");
    let path = found["found"][0]["path"].as_str().expect("a path");
    assert!(path.starts_with("/api/v1/messages/sha256-"), "{found}");
    assert_eq!(stage.gateway.get(path).await.0, 200, "{path}");
    let (code, told, why) = ask(&stage, &["messages", "show", id]);
    assert!(code == Some(0) && told.contains("of the customer"), "{told}{why}");
}

#[tokio::test]
async fn a_page_of_another_site_cannot_ask() {
    let stage = Loop::start("", &["--handshake", "0"]).await;
    let url = format!("{}/api/v1/status", stage.gateway.url);
    let ask = async |host: &str| {
        let request = client().get(&url).header("host", host).send();
        request.await.expect("an answer").status().as_u16()
    };
    assert_eq!(ask("localhost").await, 200);
    assert_eq!(ask("evil.example").await, 403, "its name leads to this machine");
}

#[tokio::test]
async fn with_a_token_in_the_configuration_each_request_needs_it() {
    const TOKEN: &str = "a-token-of-the-night-shift";
    let mut stage = Loop::start("", &["--handshake", "0"]).await;
    let path = stage.dir.path().join("tidegate.toml");
    let text = std::fs::read_to_string(&path).expect("a configuration");
    let section = format!("[console]\ntokens = [{{ name = \"ops\", token = \"{TOKEN}\" }}]\n");
    std::fs::write(&path, format!("{section}{text}")).expect("written");
    stage.gateway.stop().await;
    stage.gateway.restart().await;
    let (code, _, why) = ask(&stage, &["status"]);
    assert!(code == Some(1) && why.contains("TIDEGATE_TOKEN"), "{why}");
    let (code, _, why) = ask(&stage, &["status", "--token", "a-token-of-another-gateway"]);
    assert!(code == Some(1) && !why.contains("a-token-of"), "{why}");
    assert_eq!(ask(&stage, &["status", "--token", TOKEN]).0, Some(0));
    let host = client().get(format!("{}/api/v1/status", stage.gateway.url));
    let host = host.header("host", "gateway.example.com").bearer_auth(TOKEN).send();
    assert_eq!(host.await.expect("an answer").status(), 200, "by any name");
    let log = stage.gateway.process.log();
    assert!(!log.contains(TOKEN), "{log}");
}
