//! A customer's message that Genesys never accepts: it delays no other customer, and nothing about
//! it is lost.

mod service;

use std::collections::HashSet;
use std::time::Duration;

use conversation::{ConversationId, IntegrationName};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Gateway, Sandbox, audit, eventually, store_in};
use service::{Heard, Service};

/// Three attempts within a second, so that a test sees the end.
const QUICK: &str = "[integration.inbound]\ngive_up_after = \"1s\"\ngive_up_tries = 3\n";

struct Stage {
    gateway: Gateway,
    sandbox: Sandbox,
    service: Service,
    dir: TempDir,
}

impl Stage {
    async fn set() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let service = Service::start().await;
        let sandbox = Sandbox::start(dir.path(), &[]).await;
        let gateway = Gateway::beside(&sandbox, dir.path(), &service.url, QUICK).await;
        Self { gateway, sandbox, service, dir }
    }

    /// Genesys answers 500 to each message that meets the condition.
    async fn poison(&self, condition: (&str, &str)) {
        let (field, value) = condition;
        self.sandbox
            .fault(&json!({"on": "message", "action": {"status": 500}, field: value}))
            .await;
    }

    /// A customer writes; the event's id is its text.
    async fn says(&self, customer: &str, text: &str) {
        let event = json!({"type": "message.created", "id": text, "customer": {"id": customer}, "text": text});
        let (status, answer) = self.gateway.events(event.to_string().as_bytes()).await;
        assert_eq!((status, answer["accepted"].as_u64()), (202, Some(1)), "{answer}");
    }

    /// Waits until Genesys has accepted exactly these texts of a customer, in this order.
    ///
    /// A gateway that was killed posts a message again if it had not recorded the answer. Genesys
    /// knows the message by its id, so only the first post of an id counts.
    async fn taken(&self, customer: &str, texts: &[&str]) {
        eventually(&format!("Genesys has {texts:?} of {customer}"), async || {
            let calls = self.sandbox.transcript().await;
            let mut ids = HashSet::new();
            let theirs = calls.iter().filter(|entry| {
                let path = entry["path"].as_str().unwrap_or_default();
                let taken = entry["status"].as_u64().is_some_and(|status| status < 300);
                path.contains("/inbound/open/message")
                    && taken
                    && entry["body"]["channel"]["from"]["id"] == customer
                    && ids.insert(entry["body"]["channel"]["messageId"].to_string())
            });
            let found: Vec<_> = theirs.filter_map(|entry| entry["body"]["text"].as_str()).collect();
            (found == texts).then_some(())
        })
        .await;
    }

    /// Waits until the chat service has received at least `count` calls about refusals.
    async fn refusals(&self, count: usize) -> Vec<Heard> {
        eventually(&format!("the chat service has heard of {count} refusals"), async || {
            let heard = self.service.heard();
            (heard.len() >= count).then_some(heard)
        })
        .await
    }

    /// Waits until a metric of the integration has this value.
    async fn counted(&self, name: &str, value: u64) {
        let name = format!(r#"{name}{{integration="acme"}}"#);
        eventually(&format!("{name} is {value}"), async || {
            (self.gateway.metric(&name).await == Some(value)).then_some(())
        })
        .await;
    }

    /// The report of the audit, which must pass.
    fn audited(&self) -> String {
        let (code, report) = audit(&store_in(self.dir.path()));
        assert_eq!(code, Some(0), "{report}");
        report
    }
}

fn conversation_of(customer: &str) -> String {
    ConversationId::of(&IntegrationName::new("acme"), customer).to_string()
}

/// Checks what the chat service is told about a message that was given up.
fn is_given_up(body: &Value, id: &str) {
    assert_eq!(
        (&body["type"], &body["message_id"]),
        (&json!("message.refused"), &json!(id)),
        "{body}"
    );
    assert_eq!(body["reason"]["code"], "ServerError", "{body}");
    let why = body["reason"]["message"].as_str().unwrap_or_default();
    assert!(why.contains("3 tries") && why.contains("500"), "{body}");
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(3), "nothing else is told: {body}");
    assert_eq!(body["reason"].as_object().map(serde_json::Map::len), Some(2), "{body}");
}

#[tokio::test]
async fn one_message_that_genesys_never_takes_is_a_dead_letter_and_the_next_ones_go() {
    let stage = Stage::set().await;
    stage.poison(("text", "poison")).await;
    for text in ["before", "poison", "after", "at last"] {
        stage.says("noor", text).await;
    }
    stage.taken("noor", &["before", "after", "at last"]).await;

    let heard = stage.refusals(1).await;
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0].path, format!("/conversations/{}/events", conversation_of("noor")));
    assert!(heard[0].signed, "with the integration's secret: {heard:?}");
    is_given_up(&heard[0].body, "poison");

    let report = stage.audited();
    assert!(report.contains("1 dead letter"), "{report}");
    assert!(
        report.contains(&conversation_of("noor")) && report.contains("given up after 3 tries"),
        "{report}"
    );
    stage.counted("tidegate_dead_letters_total", 1).await;
    stage.counted("tidegate_dead_letters_kept", 1).await;

    let log = stage.gateway.process.log();
    let failed = |line: &&str| line.contains("WARN") && line.contains("a call to Genesys failed");
    let line =
        log.lines().find(failed).unwrap_or_else(|| panic!("no line of a failed call: {log}"));
    let post = format!("POST {}/api/v2/conversations/messages/", stage.sandbox.url);
    for part in [post.as_str(), "/inbound/open/message", "500", "follows=", "is tried again in"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    let given_up = |line: &&str| line.contains("ERROR") && line.contains("dead letter");
    let line =
        log.lines().find(given_up).unwrap_or_else(|| panic!("no line of the dead letter: {log}"));
    assert!(
        line.contains(&conversation_of("noor")) && line.contains("given up after 3 tries"),
        "{line}"
    );
    let failures = r#"tidegate_genesys_failures_total{integration="acme",call="message",result="unavailable"}"#;
    assert!(stage.gateway.metric(failures).await >= Some(3), "each failed call is counted");
}

#[tokio::test]
async fn a_customer_whose_every_message_is_poisoned_keeps_no_others_words_back() {
    let stage = Stage::set().await;
    stage.poison(("customer", "noor")).await;
    stage.says("noor", "one").await;
    stage.says("noor", "two").await;
    stage.says("omar", "hello").await;
    stage.taken("omar", &["hello"]).await;
    let heard = stage.refusals(2).await;
    let ids: Vec<_> =
        heard.iter().map(|heard| heard.body["message_id"].as_str().unwrap_or_default()).collect();
    assert_eq!(ids, ["one", "two"], "in order");
    stage.counted("tidegate_dead_letters_kept", 2).await;
    stage.audited();
}

/// The process dies when the dead letter is durable and the chat service has not answered.
#[tokio::test]
async fn the_chat_service_is_told_after_a_restart() {
    let mut stage = Stage::set().await;
    stage.poison(("text", "poison")).await;
    stage.service.answers(503);
    stage.says("noor", "poison").await;
    let before = stage.refusals(1).await;
    let report = stage.audited();
    assert!(report.contains("1 of them the chat service has not heard of yet"), "{report}");
    stage.gateway.process.kill();
    stage.service.answers(200);
    stage.gateway.restart().await;
    stage.counted("tidegate_dead_letters_kept", 1).await;
    let heard = eventually("the chat service has heard of it", async || {
        stage.service.heard().into_iter().find(|heard| heard.answered == 200)
    })
    .await;
    assert!(heard.signed, "{heard:?}");
    is_given_up(&heard.body, "poison");
    assert_eq!((&heard.path, &heard.id), (&before[0].path, &before[0].id), "it is known by its id");
    stage.says("noor", "after").await;
    stage.taken("noor", &["after"]).await;
    // Once the store knows that it was told, it is not told again.
    eventually("the store knows that it was told", async || {
        (!stage.audited().contains("has not heard")).then_some(())
    })
    .await;
    let count = stage.service.heard().len();
    stage.gateway.process.kill();
    stage.gateway.restart().await;
    stage.says("noor", "the end").await;
    stage.taken("noor", &["after", "the end"]).await;
    assert_eq!(stage.service.heard().len(), count);
    assert!(!stage.audited().contains("has not heard"));
}

/// A chat service that is away for longer than a few attempts is told when it is back.
#[tokio::test]
async fn a_chat_service_that_is_away_is_told_when_it_is_back() {
    let mut stage = Stage::set().await;
    stage.poison(("text", "poison")).await;
    stage.service.hangs(true);
    stage.says("noor", "poison").await;
    stage.refusals(1).await;
    // It dies while the chat service has the call, and again after the start.
    stage.gateway.process.kill();
    stage.gateway.restart().await;
    stage.refusals(2).await;
    stage.gateway.process.kill();
    stage.service.hangs(false);
    stage.gateway.restart().await;
    let heard = eventually("it is told", async || {
        stage.service.heard().into_iter().find(|heard| heard.answered == 200)
    });
    is_given_up(&heard.await.body, "poison");
    stage.audited();
}

#[tokio::test]
async fn two_poisoned_customers_do_not_wait_for_each_other() {
    let stage = Stage::set().await;
    stage.poison(("text", "poison")).await;
    for (customer, texts) in
        [("noor", ["poison of noor", "noor goes on"]), ("omar", ["poison of omar", "omar goes on"])]
    {
        for text in texts {
            stage.says(customer, text).await;
        }
    }
    stage.taken("noor", &["noor goes on"]).await;
    stage.taken("omar", &["omar goes on"]).await;
    stage.refusals(2).await;
    stage.counted("tidegate_dead_letters_kept", 2).await;
    let verdict = stage.sandbox.verdict().await;
    assert_eq!(verdict["holds"], true, "{verdict}");
    stage.audited();
}

/// Genesys answers queries but accepts no message: this is an outage, however few customers write.
#[tokio::test]
async fn an_outage_gives_nothing_up() {
    let stage = Stage::set().await;
    stage.sandbox.fault(&json!({"on": "message", "action": {"status": 500}})).await;
    for customer in ["noor", "omar"] {
        stage.says(customer, &format!("{customer} writes")).await;
    }
    let failures = r#"tidegate_posts_total{integration="acme",result="retried"}"#;
    let start = tokio::time::Instant::now();
    eventually("long over both bounds", async || {
        let tries = stage.gateway.metric(failures).await >= Some(10);
        (tries && start.elapsed() > Duration::from_secs(4)).then_some(())
    })
    .await;
    stage
        .sandbox
        .client
        .delete(format!("{}/sandbox/faults", stage.sandbox.url))
        .send()
        .await
        .expect("an answer");
    for customer in ["noor", "omar"] {
        stage.taken(customer, &[&format!("{customer} writes")]).await;
    }
    assert_eq!(stage.service.heard().len(), 0, "nothing was given up");
}
