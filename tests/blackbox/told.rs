//! What the gateway says when something goes wrong: in its log, in its counters, and to callers of
//! a wrong address.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::{Gateway, Sandbox, client, eventually, free_port, settled, store_in, webhook};

/// Short, so that what is held expires within the test.
const QUICK: &str = r#"
[integration.hold]
for = "3s"

[integration.delivery]
timeout = "500ms"
give_up_after = "3s"
"#;

/// A chat service that answers as the test says.
#[derive(Clone)]
struct Scripted {
    url: String,
    answers: Arc<Mutex<Answers>>,
}

struct Answers {
    open: Answer,
    messages: Answer,
}

type Answer = (u16, &'static str, &'static str);

const OPENED: Answer = (200, "application/json", r#"{"session":"s-1"}"#);

impl Scripted {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let answers = Answers {
            open: OPENED,
            messages: (200, "application/json", r#"{"status":"delivered"}"#),
        };
        let service = Self { url, answers: Arc::new(Mutex::new(answers)) };
        let router = Router::new().fallback(answer).with_state(service.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        service
    }

    fn say(&self, open: Answer, messages: Answer) {
        *self.answers.lock().expect("no panic") = Answers { open, messages };
    }
}

async fn answer(State(service): State<Scripted>, uri: Uri) -> Response {
    let answers = service.answers.lock().expect("no panic");
    let (status, kind, body) =
        if uri.path().ends_with("/open") { answers.open } else { answers.messages };
    (StatusCode::from_u16(status).expect("a status"), [(header::CONTENT_TYPE, kind)], body)
        .into_response()
}

struct Stage {
    gateway: Gateway,
    _sandbox: Sandbox,
    store: String,
    _dir: TempDir,
}

impl Stage {
    async fn set(chat: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let sandbox = Sandbox::start(dir.path(), &[]).await;
        sandbox.accept_unknown_receipts().await;
        let gateway = Gateway::beside(&sandbox, dir.path(), chat, QUICK).await;
        let store = store_in(dir.path());
        Self { gateway, _sandbox: sandbox, store, _dir: dir }
    }

    async fn post(&self, id: &str, customer: &str) {
        let body = webhook(id, customer, "hello").to_string();
        assert_eq!(self.gateway.webhook(body.as_bytes()).await, 200);
    }

    /// Waits for a line of the log that contains all of these, and returns it.
    async fn line(&self, parts: &[&str]) -> String {
        let find = async || {
            let log = self.gateway.process.log();
            log.lines().find(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned)
        };
        eventually(&format!("a line of the log has {parts:?}"), find).await
    }

    async fn counter(&self, line: &str) -> u64 {
        self.gateway.metric(line).await.unwrap_or_default()
    }
}

fn failures(call: &str, result: &str) -> String {
    format!(
        r#"tidegate_connector_failures_total{{integration="acme",call="{call}",result="{result}"}}"#
    )
}

/// Each failure of a connector is logged with address, path, cause and consequence, and counted.
#[tokio::test]
async fn a_failed_call_to_the_chat_service_is_logged_and_counted() {
    let chat = Scripted::start().await;
    let stage = Stage::set(&chat.url).await;
    let well = (200, "application/json", r#"{"status":"delivered"}"#);
    let json = "application/json";
    let cases: [(&str, Answer, Answer, &str, &str, &str); 8] = [
        ("o401", (401, json, "{}"), well, "open", "refused", "answered 401"),
        ("o404", (404, json, "{}"), well, "open", "refused", "answered 404"),
        ("o500", (500, json, "{}"), well, "open", "retry", "answered 500"),
        ("ohtml", (200, "text/html", "<html></html>"), well, "open", "retry", "without a session"),
        ("m401", OPENED, (401, json, "{}"), "messages", "rejected", "answered 401"),
        ("m404", OPENED, (404, json, "{}"), "messages", "rejected", "answered 404"),
        ("m500", OPENED, (500, json, "{}"), "messages", "not_taken", "answered 500"),
        (
            "mhtml",
            OPENED,
            (200, "text/html", "<html></html>"),
            "messages",
            "unknown",
            "with a page",
        ),
    ];
    for (customer, open, messages, call, result, cause) in cases {
        chat.say(open, messages);
        let before = stage.counter(&failures(call, result)).await;
        stage.post(customer, customer).await;
        let path = format!("/{call}");
        let line = stage
            .line(&["WARN", "a call to the chat service failed", &chat.url, &path, result, cause])
            .await;
        assert!(line.contains("next="), "what follows is said: {line}");
        eventually("the counter moves", async || {
            (stage.counter(&failures(call, result)).await > before).then_some(())
        })
        .await;
        settled(&stage.store, customer).await;
    }
}

#[tokio::test]
async fn a_chat_service_that_is_down_is_named_in_the_log() {
    let address = format!("http://127.0.0.1:{}", free_port());
    let stage = Stage::set(&address).await;
    stage.post("m1", "noor").await;
    let line = stage.line(&["WARN", "a call to the chat service failed", &address, "/open"]).await;
    assert!(line.contains("cannot be reached") && line.contains("tried again in"), "{line}");
    settled(&stage.store, "m1").await;
    let lines = stage.gateway.process.log();
    let lines =
        lines.lines().filter(|line| line.contains("a call to the chat service failed")).count();
    assert_eq!(lines, 1, "a failure that repeats is one line in ten seconds");
    assert!(stage.counter(&failures("open", "retry")).await > 1, "and each is counted");
}

#[tokio::test]
async fn a_report_that_matches_nothing_is_counted_and_logged() {
    let chat = Scripted::start().await;
    let stage = Stage::set(&chat.url).await;
    let unknown =
        r#"{"type":"message.delivered","id":"e1","message":"ffffffffffffffffffffffffffffffff"}"#;
    let (status, answer) = stage.gateway.events(unknown.as_bytes()).await;
    assert_eq!((status, answer["accepted"].as_u64()), (202, Some(0)), "{answer}");
    stage
        .line(&[
            "WARN",
            "an event was ignored",
            "message.delivered",
            "ffffffffffffffffffffffffffffffff",
        ])
        .await;
    let early = r#"{"type":"message.failed","id":"e2","message_id":"svc-77","reason":{"code":"ServerError"}}"#;
    let (status, answer) = stage.gateway.events(early.as_bytes()).await;
    assert_eq!((status, answer["accepted"].as_u64()), (202, Some(1)), "{answer}");
    stage.line(&["INFO", "a report waits", "message.failed", "svc-77"]).await;
    let count =
        |result: &str| format!(r#"tidegate_events_total{{integration="acme",result="{result}"}}"#);
    assert_eq!(stage.counter(&count("unknown")).await, 1);
    assert_eq!(stage.counter(&count("early")).await, 1);
}

#[tokio::test]
async fn whoever_calls_at_a_wrong_address_hears_what_there_is() {
    let chat = Scripted::start().await;
    let stage = Stage::set(&chat.url).await;
    let post = async |path: &str| {
        let answer = client()
            .post(format!("{}{path}", stage.gateway.url))
            .body("{}")
            .send()
            .await
            .expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    };
    for path in ["/genesys", "/webhook", "/genesys/acme/extra", "/"] {
        let (status, body) = post(path).await;
        assert_eq!(status, 404, "{path}");
        assert!(
            body.contains(path) && body.contains("POST /genesys/{integration}"),
            "{path}: {body}"
        );
        stage.line(&["WARN", "a request was turned away", path, "unknown_path"]).await;
    }
    for path in ["/genesys/acne", "/connectors/acne/events"] {
        let (status, body) = post(path).await;
        assert_eq!(status, 404, "{path}");
        assert!(body.contains("acne") && body.contains("acme"), "{path}: {body}");
        stage
            .line(&[
                "WARN",
                "no integration has this name",
                path.trim_end_matches("/events"),
                "acme",
            ])
            .await;
    }
    let (status, body) = stage.gateway.get("/genesys/acme").await;
    assert_eq!(status, 405);
    assert!(body.contains("GET") && body.contains("POST /genesys/{integration}"), "{body}");
    stage.line(&["WARN", "a request was turned away", "/genesys/acme", "wrong_method"]).await;

    let long = format!("/genesys/{}%0aforged%1b[31m", "x".repeat(5_000));
    let (status, body) = post(&long).await;
    assert_eq!(status, 404);
    assert!(body.len() < 1_000, "{} bytes", body.len());
    assert!(
        !stage.gateway.process.log().contains("\nforged"),
        "no caller can write lines of the log"
    );
    assert_eq!(
        stage.counter(r#"tidegate_requests_turned_away_total{result="unknown_path"}"#).await,
        4
    );
    assert_eq!(
        stage.counter(r#"tidegate_requests_turned_away_total{result="unknown_integration"}"#).await,
        3
    );
    assert_eq!(
        stage.counter(r#"tidegate_requests_turned_away_total{result="wrong_method"}"#).await,
        1
    );
}
