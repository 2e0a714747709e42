//! The connector and the example of the docs (examples/python-chat), over real connections in both
//! directions. `tests/chat/scripted_chat.py` runs the example, and makes it fail to order.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use connector::EventSource;
use connector::http::{HttpConnector, Inbound, Secret};
use connector::{Connector, Customer, Departure, Event, Forward, Open, Typing};
use conversation::{
    AttemptOutcome, ConversationId, MessageId, MessageRef, OpenOutcome, Report, SessionId,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::ports::free_port;
use crate::service::{RealClock, SECRET, client, connector_to, message};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/chat/scripted_chat.py");

/// A gateway that only receives, with the events in the order in which they came.
#[derive(Clone)]
struct Gateway {
    inbound: Inbound,
    events: Arc<Mutex<Vec<Event>>>,
    refuse: Arc<Mutex<usize>>,
}

impl Gateway {
    fn new() -> Self {
        let secret: Secret = SECRET.parse().unwrap();
        let inbound = Inbound::new(secret.into(), Arc::new(RealClock));
        Self { inbound, events: Arc::default(), refuse: Arc::default() }
    }

    fn listen(&self, listener: TcpListener) {
        let router =
            Router::new().route("/connectors/acme/events", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
    }

    /// Waits until `count` events have come.
    async fn events(&self, count: usize) -> Vec<Event> {
        let enough = async {
            loop {
                let events = self.events.lock().unwrap().clone();
                if events.len() >= count {
                    return events;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(20), enough)
            .await
            .unwrap_or_else(|_| panic!("{:?}", self.events))
    }
}

async fn take(State(gateway): State<Gateway>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if gateway.inbound.verify(&headers, &body).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let mut refuse = gateway.refuse.lock().unwrap();
    if *refuse > 0 {
        *refuse -= 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let events = gateway.inbound.parse(&body).unwrap();
    gateway.events.lock().unwrap().extend(events.into_iter().map(|event| event.unwrap().event));
    StatusCode::ACCEPTED
}

struct Chat {
    url: String,
    client: reqwest::Client,
    _process: Child,
}

impl Chat {
    async fn start(gateway: &str, options: &[&str]) -> Self {
        let mut process = Command::new("python3")
            .arg(SCRIPT)
            .args([
                "--listen",
                "127.0.0.1:0",
                "--gateway",
                &format!("{gateway}/connectors/acme/events"),
                "--secret",
                SECRET,
                "--one-by-one",
            ])
            .args(options)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("python3 runs the example");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("the example starts");
        let url = line.strip_prefix("listening on ").unwrap().to_owned();
        Self { url, client: client(), _process: process }
    }

    fn connector(&self) -> HttpConnector {
        connector_to(&self.url)
    }

    async fn say(&self, customer: &str, text: &str) -> Value {
        let url = format!("{}/customers/{customer}/say", self.url);
        let answer = self.client.post(url).json(&json!({"text": text})).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        answer.json().await.unwrap()
    }

    async fn thread(&self, customer: &str) -> Vec<Value> {
        let answer =
            self.client.get(format!("{}/customers/{customer}", self.url)).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["messages"].as_array().unwrap().clone()
    }
}

async fn gateway() -> (Gateway, String) {
    let gateway = Gateway::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    gateway.listen(listener);
    (gateway, url)
}

fn open(customer: &str) -> Open {
    let customer = Customer { id: customer.to_owned(), ..Customer::default() };
    let conversation = ConversationId::new(format!("c-{}", customer.id));
    Open { conversation, customer, attempt: 1, departure: Departure::free() }
}

fn forward(customer: &str, id: &str, session: &SessionId) -> Forward {
    let conversation = ConversationId::new(format!("c-{customer}"));
    Forward {
        conversation,
        session: session.clone(),
        timeout: Duration::from_secs(5),
        ..message(id)
    }
}

#[tokio::test]
async fn a_conversation_from_handshake_to_close() {
    let (gateway, url) = gateway().await;
    let chat = Chat::start(&url, &["--handshake", "0.5", "--delay", "0.1"]).await;
    let connector = chat.connector();
    assert!(connector.check().await.unwrap().contains("200"));

    let early = forward("noor", "early", &SessionId::new("guessed"));
    assert_eq!(connector.forward(&early).await, AttemptOutcome::SessionGone);
    for _ in 0..2 {
        assert_eq!(
            connector.open(&open("noor")).await,
            OpenOutcome::Pending,
            "one handshake, however often asked"
        );
    }
    let events = gateway.events(1).await;
    let Event::SessionOpened { conversation, session, .. } = &events[0] else {
        panic!("{events:?}")
    };
    assert_eq!(conversation.as_str(), "c-noor");
    assert_eq!(connector.open(&open("noor")).await, OpenOutcome::Opened(session.clone()));

    let first = connector.forward(&forward("noor", "m1", session)).await;
    let AttemptOutcome::Accepted { service_id: Some(service_id) } = first.clone() else {
        panic!("{first:?}")
    };
    assert_eq!(
        connector.forward(&forward("noor", "m1", session)).await,
        first,
        "a repetition has the same answer"
    );
    let events = gateway.events(2).await;
    let Event::Report { message, report, .. } = &events[1] else { panic!("{events:?}") };
    assert_eq!((message, report), (&MessageRef::Ours(MessageId::new("m1")), &Report::Delivered));

    chat.say("noor", "Where is my parcel? 🐎").await;
    let events = gateway.events(3).await;
    let Event::Message { customer, text, time, .. } = &events[2] else { panic!("{events:?}") };
    assert_eq!((customer.id.as_str(), text.as_deref()), ("noor", Some("Where is my parcel? 🐎")));
    assert!(time.is_some());
    let thread = chat.thread("noor").await;
    assert_eq!(
        thread.iter().map(|said| &said["from"]).collect::<Vec<_>>(),
        ["agent", "customer"],
        "no doubles"
    );
    assert_eq!(thread[0]["id"], service_id.as_ref());

    connector
        .typing(conversation, Typing { on: true, duration: Duration::from_secs(5) })
        .await
        .expect("it is taken");
    connector.close(conversation, "the agent left").await.expect("it is taken");
    assert_eq!(
        connector.forward(&forward("noor", "m2", session)).await,
        AttemptOutcome::SessionGone
    );
}

#[tokio::test]
async fn some_are_refused_and_some_wait_for_ever() {
    let (gateway, url) = gateway().await;
    let chat = Chat::start(&url, &["--handshake", "0.2"]).await;
    let connector = chat.connector();
    assert_eq!(connector.open(&open("never-noor")).await, OpenOutcome::Pending);
    assert_eq!(connector.open(&open("refuse-noor")).await, OpenOutcome::Pending);
    let events = gateway.events(1).await;
    let Event::SessionRefused { conversation, reason, .. } = &events[0] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (conversation.as_str(), reason.code.as_str()),
        ("c-refuse-noor", "MessageNotAllowed")
    );
    assert_eq!(connector.open(&open("never-noor")).await, OpenOutcome::Pending);
}

#[tokio::test]
async fn delivery_is_told_at_once_or_fails_later_as_the_option_says() {
    let (gateway, url) = gateway().await;
    let at_once = Chat::start(&url, &["--handshake", "0", "--deliver", "immediately"]).await;
    let OpenOutcome::Opened(session) = at_once.connector().open(&open("noor")).await else {
        panic!("no session")
    };
    let outcome = at_once.connector().forward(&forward("noor", "m1", &session)).await;
    assert!(matches!(outcome, AttemptOutcome::Delivered { service_id: Some(_) }), "{outcome:?}");

    let failing =
        Chat::start(&url, &["--handshake", "0", "--deliver", "fail", "--delay", "0"]).await;
    let OpenOutcome::Opened(session) = failing.connector().open(&open("noor")).await else {
        panic!("no session")
    };
    let outcome = failing.connector().forward(&forward("noor", "m2", &session)).await;
    assert!(matches!(outcome, AttemptOutcome::Accepted { .. }), "{outcome:?}");
    let events = gateway.events(1).await;
    assert!(
        matches!(&events[0], Event::Report { report: Report::Failed { .. }, .. }),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_gateway_that_is_away_gets_every_event_later_and_in_order() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let chat = Chat::start(&format!("http://{address}"), &[]).await;
    for number in 0..150 {
        chat.say("noor", &number.to_string()).await;
    }
    let gateway = Gateway::new();
    *gateway.refuse.lock().unwrap() = 2;
    gateway.listen(TcpListener::bind(address).await.unwrap());
    let events = gateway.events(150).await;
    let texts = events.iter().map(|event| match event {
        Event::Message { text: Some(text), .. } => text.clone(),
        other => panic!("{other:?}"),
    });
    assert_eq!(
        texts.collect::<Vec<_>>(),
        (0..150).map(|number| number.to_string()).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn the_example_refuses_what_another_signed() {
    let (_, url) = gateway().await;
    let chat = Chat::start(&url, &[]).await;
    let unsigned = chat
        .client
        .post(format!("{}/conversations/c/open", chat.url))
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(unsigned.status(), 401);
}
