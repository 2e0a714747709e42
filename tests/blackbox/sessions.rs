//! Sessions as a chat service experiences them: customers who leave early, lost sessions,
//! handshakes that never end.

mod service;

use std::time::Duration;

use conversation::{ConversationId, IntegrationName};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Gateway, Sandbox, audit, delivered, eventually, settled, store_in};
use service::{Answer, Service};

/// One customer, one agent, and a chat service that answers as the test says.
struct Stage {
    service: Service,
    sandbox: Sandbox,
    gateway: Gateway,
    store: String,
    _dir: TempDir,
}

const NOOR: &str = "noor";

impl Stage {
    async fn set(config: &str) -> Self {
        let service = Service::start().await;
        let dir = tempfile::tempdir().expect("a folder");
        let sandbox = Sandbox::start(dir.path(), &[]).await;
        let config = format!("[integration.receipts]\ndelivered_on = \"accepted\"\n{config}");
        let gateway = Gateway::beside(&sandbox, dir.path(), &service.url, &config).await;
        let store = store_in(dir.path());
        Self { service, sandbox, gateway, store, _dir: dir }
    }

    fn conversation() -> String {
        ConversationId::of(&IntegrationName::new("acme"), NOOR).as_str().to_owned()
    }

    async fn event(&self, mut event: Value) {
        if event["type"] != "message.created" && event["everywhere"].is_null() {
            event["conversation"] = Self::conversation().into();
        }
        let (status, answer) = self.gateway.events(event.to_string().as_bytes()).await;
        assert_eq!((status, &answer["accepted"]), (202, &json!(1)), "{event}: {answer}");
    }

    /// The customer writes, and Genesys has it.
    async fn customer_writes(&self, id: &str) {
        self.event(json!({"type": "message.created", "id": id, "customer": {"id": NOOR}, "text": "Hello?"})).await;
        let heard = async || {
            let calls = self.sandbox.transcript().await;
            calls
                .iter()
                .any(|call| call["body"]["channel"]["messageId"] == id && call["status"] == 200)
                .then_some(())
        };
        eventually("the words are at Genesys", heard).await;
    }

    async fn agent_writes(&self, text: &str) -> String {
        let send = async || self.sandbox.agent_sends(NOOR, text).await;
        eventually("the agent has the conversation", send).await
    }

    /// The agent writes, and the gateway has it.
    async fn held(&self, text: &str) -> String {
        let message = self.agent_writes(text).await;
        let took =
            async || (self.sandbox.details(&message).await["status"] != "queued").then_some(());
        eventually("the gateway took it", took).await;
        message
    }

    /// Why a message failed, once Genesys knows.
    async fn why(&self, message: &str) -> String {
        let row = settled(&self.store, message).await;
        assert_eq!(row.state, "failed", "{row:?}");
        row.reason.unwrap_or_default()
    }

    /// How often the customer's participant was disconnected.
    async fn disconnects(&self) -> usize {
        let calls = self.sandbox.transcript().await;
        let ours = |call: &&Value| {
            call["path"].as_str().is_some_and(|path| path.contains("/participants/"))
                && call["status"].as_u64().is_some_and(|status| status < 300)
        };
        calls.iter().filter(ours).count()
    }

    async fn disconnected(&self) {
        eventually("the customer is disconnected", async || {
            (self.disconnects().await > 0).then_some(())
        })
        .await;
    }

    fn audited(&self) {
        let (code, report) = audit(&self.store);
        assert_eq!(code, Some(0), "{report}");
    }
}

#[tokio::test]
async fn a_customer_who_leaves_during_the_handshake_ends_it() {
    let stage = Stage::set("").await;
    stage.service.opens(&[Answer::pending()]);
    stage.customer_writes("hello").await;
    let messages = [stage.held("Good morning.").await, stage.held("Are you there?").await];
    let began = tokio::time::Instant::now();
    stage.event(json!({"type": "session.closed", "id": "bye"})).await;
    for message in &messages {
        let why = stage.why(message).await;
        assert!(why.contains("left the chat"), "the true reason: {why}");
    }
    assert!(began.elapsed() < Duration::from_secs(10), "long before the hold runs out");
    stage.disconnected().await;
    assert_eq!(
        stage.service.calls("messages"),
        Vec::<Value>::new(),
        "nothing is sent to someone who has gone"
    );
    stage.audited();
}

#[tokio::test]
async fn a_session_that_comes_after_they_left_is_closed_again() {
    let stage = Stage::set("").await;
    let (late, answer) = Answer::opened("too-late").held();
    stage.service.opens(&[late]);
    stage.customer_writes("hello").await;
    let message = stage.held("Good morning.").await;
    let reason = json!({"code": "RecipientOptedOut", "message": "Noor closed the window."});
    stage.event(json!({"type": "session.closed", "id": "bye", "reason": reason})).await;
    assert!(stage.why(&message).await.contains("Noor closed the window."));
    answer.notify_one();
    eventually("it is closed", async || stage.service.calls("close").first().cloned()).await;
    assert_eq!(stage.service.calls("messages"), Vec::<Value>::new());
    // Their next words start again.
    stage.disconnected().await;
    stage.service.opens(&[Answer::opened("s-2")]);
    stage.customer_writes("back").await;
    let message = stage.agent_writes("Welcome back.").await;
    assert_eq!(stage.sandbox.final_receipt(&message).await, delivered());
    assert_eq!(stage.service.calls("messages")[0]["session"], "s-2");
    stage.audited();
}

#[tokio::test]
async fn a_refused_customer_is_not_left_connected() {
    for by_event in [true, false] {
        let stage = Stage::set("").await;
        let refusal = json!({"code": "RecipientOptedOut", "message": "Noor blocked us."});
        if by_event {
            stage.service.opens(&[Answer::pending()]);
            stage.customer_writes("hello").await;
            let message = stage.held("Good morning.").await;
            stage.event(json!({"type": "session.refused", "id": "no", "reason": refusal})).await;
            assert!(stage.why(&message).await.contains("Noor blocked us."));
        } else {
            stage.service.opens(&[Answer::new(403, &json!({ "reason": refusal }))]);
            stage.customer_writes("hello").await;
        }
        stage.disconnected().await;
        stage.audited();
    }
}

#[tokio::test]
async fn a_resend_does_not_wait_out_an_old_pause() {
    let retries = "[integration.delivery]\nretry_initial = \"6s\"\nretry_max = \"6s\"";
    let stage = Stage::set(retries).await;
    stage.service.opens(&[Answer::opened("s-1"), Answer::opened("s-2")]);
    let taken = Answer::new(200, &json!({"status": "delivered"}));
    stage.service.messages(&[
        Answer::new(503, &Value::Null),
        Answer::new(409, &Value::Null),
        taken,
    ]);
    stage.customer_writes("hello").await;
    let message = stage.agent_writes("Good morning.").await;
    assert_eq!(stage.sandbox.final_receipt(&message).await, delivered());
    let times = stage.service.times("messages");
    assert_eq!(times.len(), 3);
    let pause = times[2] - times[1];
    assert!(pause < Duration::from_secs(3), "the session is open, and it waits for {pause:?}");
    stage.audited();
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_asked_about_within_seconds() {
    let stage = Stage::set("").await;
    stage.service.opens(&[Answer::pending(), Answer::opened("s-1")]);
    stage.customer_writes("hello").await;
    let message = stage.agent_writes("Good morning.").await;
    // As if the chat service had crashed after its 202.
    assert_eq!(stage.sandbox.final_receipt(&message).await, delivered());
    let times = stage.service.times("open");
    let pause = times[1] - times[0];
    assert!(pause > Duration::from_secs(4) && pause < Duration::from_secs(10), "{pause:?}");
    let attempts: Vec<_> =
        stage.service.calls("open").iter().map(|call| call["attempt"].clone()).collect();
    assert_eq!(attempts, [1, 2], "the tries of one handshake");
    stage.audited();
}

#[tokio::test]
async fn a_session_that_the_service_lost_is_opened_again_and_the_chat_goes_on() {
    for everywhere in [false, true] {
        let stage = Stage::set("").await;
        stage.service.opens(&[Answer::opened("s-1"), Answer::opened("s-2")]);
        stage.customer_writes("hello").await;
        let first = stage.agent_writes("Good morning.").await;
        assert_eq!(stage.sandbox.final_receipt(&first).await, delivered());
        let mut lost = json!({"type": "session.lost", "id": "restarted"});
        if everywhere {
            lost["everywhere"] = true.into();
        }
        stage.event(lost.clone()).await;
        let asked = async || (stage.service.calls("open").len() > 1).then_some(());
        eventually("another session is asked for", asked).await;
        // The same event again has no second effect.
        stage.event(lost).await;
        let second = stage.agent_writes("Are you there?").await;
        assert_eq!(stage.sandbox.final_receipt(&second).await, delivered());
        let sessions: Vec<_> =
            stage.service.calls("messages").iter().map(|call| call["session"].clone()).collect();
        assert_eq!(sessions, ["s-1", "s-2"]);
        let attempts: Vec<_> =
            stage.service.calls("open").iter().map(|call| call["attempt"].clone()).collect();
        assert_eq!(attempts, [1, 1], "each handshake counts its own tries");
        assert_eq!(stage.disconnects().await, 0);
        stage.audited();
    }
}

#[tokio::test]
async fn an_expired_message_says_what_went_wrong() {
    let answers = [
        (Answer::pending(), "handshake goes on"),
        (Answer::new(503, &Value::Null), "503"),
        (Answer::new(200, &json!({"session": {}})), "without a session"),
    ];
    for (answer, says) in answers {
        let stage = Stage::set("[integration.hold]\nfor = \"2s\"").await;
        stage.service.opens(&[answer]);
        stage.customer_writes("hello").await;
        let message = stage.agent_writes("Good morning.").await;
        let why = stage.why(&message).await;
        assert!(why.contains("MessageExpired") && why.contains("not ready in time"), "{why}");
        assert!(why.contains(says), "{says}: {why}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_named() {
    let stage = Stage::set("").await;
    stage.service.opens(&[Answer::new(401, &Value::Null)]);
    stage.customer_writes("hello").await;
    let message = stage.agent_writes("Good morning.").await;
    let why = stage.why(&message).await;
    assert!(why.contains("401") && why.contains("secret"), "{why}");
    let log = stage.gateway.process.log();
    assert!(log.lines().any(|line| line.contains("401") && line.contains("secret")), "{log}");
    assert_eq!(stage.disconnects().await, 0, "it says nothing about the customer");
}
