//! The WebSocket connector passes the suite of every connector, and its frames keep its promises.
//! The test takes the place of the HTTP server and of the chat service behind it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector::conformance::{Behaviour, ChatService, Taken, passes};
use connector::http::Secret;
use connector::websocket::{
    Limits, Received, SocketCalls, SocketInput, Sockets, WebSocketConfig, WebSocketConnector,
};
use connector::{Capabilities, Connector, Customer, Departure, Forward, Obstacle, Open};
use conversation::{
    AttemptOutcome, Clock, ConversationId, MessageId, OpenOutcome, Reason, ReasonCode, SessionId,
};
use jiff::Timestamp;
use serde_json::{Value, json};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A clock that stands still.
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

fn connector() -> Arc<WebSocketConnector> {
    let limits = Limits { max_sockets: 2, dead_after: Duration::from_secs(45) };
    let secret: Secret = SECRET.parse().expect("a secret");
    let capabilities = Capabilities { idempotent: true, ..Capabilities::text_only() };
    let timeout = Duration::from_secs(1);
    let config = WebSocketConfig { secret: secret.into(), timeout, limits, capabilities };
    Arc::new(WebSocketConnector::new(&config, Arc::new(Stopped)))
}

fn sockets(connector: &WebSocketConnector) -> &Arc<Sockets> {
    connector.sockets().expect("it has sockets")
}

struct Service {
    connector: Arc<WebSocketConnector>,
    state: Arc<Mutex<(Behaviour, Vec<Taken>)>>,
}

impl Service {
    fn start() -> Self {
        let connector = connector();
        let state = Arc::new(Mutex::new((Behaviour::Take, Vec::new())));
        let (all, shared) = (Arc::clone(sockets(&connector)), Arc::clone(&state));
        tokio::spawn(async move {
            loop {
                serve(&all, &shared).await;
            }
        });
        Self { connector, state }
    }
}

/// Serves one socket until it breaks.
async fn serve(sockets: &Arc<Sockets>, state: &Mutex<(Behaviour, Vec<Taken>)>) {
    let (mut calls, input) = sockets.admit().expect("there is room");
    loop {
        let Some(text) = calls.next().await.leave() else { continue };
        let call: Value = serde_json::from_str(&text).expect("JSON");
        let (behave, taken) = &mut *state.lock().expect("no test panicked");
        let is_taken = matches!(behave, Behaviour::Take | Behaviour::Deliver);
        if is_taken && call["call"] == "messages" {
            let field = |name: &str| call["body"][name].as_str().unwrap_or_default().to_owned();
            assert_eq!(call["idempotency_key"], call["body"]["id"]);
            taken.push(Taken { id: field("id"), text: field("text") });
        }
        let id = &call["id"];
        let refused = json!({ "reason": { "code": "RecipientOptedOut", "message": "no" } });
        let answer = match behave {
            Behaviour::Take if call["call"] == "open" => {
                json!({ "id": id, "status": 200, "body": { "session": "s1" } })
            }
            Behaviour::Take => json!({ "id": id, "status": 202, "body": { "status": "sent" } }),
            Behaviour::Deliver => {
                json!({ "id": id, "status": 200, "body": { "status": "delivered" } })
            }
            Behaviour::Refuse => json!({ "id": id, "status": 403, "body": refused }),
            Behaviour::SessionGone => json!({ "id": id, "status": 409 }),
            Behaviour::Busy => json!({ "id": id, "status": 429, "retry_after": 7 }),
            Behaviour::Fail => json!({ "id": id, "status": 500 }),
            Behaviour::Hang => continue,
            Behaviour::LoseAnswer => return,
        };
        assert_eq!(input.receive(&answer.to_string()), Received::Answer);
    }
}

#[async_trait]
impl ChatService for Service {
    fn connector(&self) -> Arc<dyn Connector> {
        Arc::clone(&self.connector) as _
    }

    fn connector_without_socket(&self) -> Arc<dyn Connector> {
        connector()
    }

    async fn behave(&self, behave: Behaviour) -> bool {
        self.state.lock().expect("no test panicked").0 = behave;
        true
    }

    async fn taken(&self) -> Vec<Taken> {
        self.state.lock().expect("no test panicked").1.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn it_passes_the_suite_of_every_connector() {
    passes(&Service::start()).await;
}

fn message(id: &str, timeout: Duration) -> Forward {
    Forward {
        conversation: ConversationId::new("c1"),
        id: MessageId::new(id),
        time: Timestamp::UNIX_EPOCH,
        text: Some("Hello".to_owned()),
        content: Vec::new(),
        unavailable: Vec::new(),
        sender: None,
        session: SessionId::new("s1"),
        timeout,
        departure: Departure::free(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_whose_call_is_over_never_leaves() {
    let connector = connector();
    let (mut calls, _input) = sockets(&connector).admit().expect("there is room");
    // Nothing is written until the call is over.
    let outcome = connector.forward(&message("m-1", Duration::from_secs(10))).await;
    assert!(matches!(outcome, AttemptOutcome::NotTaken { .. }), "{outcome:?}");
    assert_eq!(calls.next().await.leave(), None);
    // The same if the caller no longer waits for the outcome.
    let conversation = ConversationId::new("c1");
    let close = connector.close(&conversation, "the agent left");
    let dropped = tokio::time::timeout(Duration::from_secs(1), close);
    assert!(dropped.await.is_err());
    assert_eq!(calls.next().await.leave(), None);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_last_check_stops_ends_at_once_and_was_not_taken() {
    let connector = connector();
    let (mut calls, input) = sockets(&connector).admit().expect("there is room");
    let started = tokio::time::Instant::now();
    let why = "another node took the conversation over";
    let departure = Departure::new(move || Err(Obstacle(why)));
    let stopped =
        Forward { departure: departure.clone(), ..message("m-1", Duration::from_mins(1)) };
    let forward = connector.forward(&stopped);
    let (outcome, text) = tokio::join!(forward, async { calls.next().await.leave() });
    assert_eq!(text, None, "nothing is written");
    let reason = Reason::new(ReasonCode::ServerError, why);
    assert_eq!(outcome, AttemptOutcome::NotTaken { reason, after: None });
    assert_eq!(departure.refused(), Some(Obstacle(why)));
    assert_eq!(started.elapsed(), Duration::ZERO, "it does not wait for its timeout");
    input.until_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_a_socket_but_keeps_time_for_its_answer() {
    let connector = connector();
    let started = tokio::time::Instant::now();
    let outcome = connector.forward(&message("m-1", Duration::from_secs(4))).await;
    assert!(matches!(outcome, AttemptOutcome::NotTaken { .. }), "{outcome:?}");
    assert_eq!(started.elapsed().as_secs(), 2, "half of its time");

    let waiting = Arc::clone(&connector);
    let call =
        tokio::spawn(
            async move { waiting.forward(&message("m-2", Duration::from_secs(20))).await },
        );
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (mut calls, input) = sockets(&connector).admit().expect("there is room");
    let text = calls.next().await.leave().expect("it may leave");
    let frame: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(frame["idempotency_key"], "m-2");
    input.receive(&json!({ "id": frame["id"], "status": 202 }).to_string());
    assert!(matches!(call.await.unwrap(), AttemptOutcome::Accepted { .. }));
    // The same answer once more is one for which nothing waits.
    let again = input.receive(&json!({ "id": frame["id"], "status": 202 }).to_string());
    assert!(matches!(again, Received::Unexpected(_)), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_is_an_unknown_outcome_at_once() {
    let connector = connector();
    let (mut calls, input) = sockets(&connector).admit().expect("there is room");
    for status in [json!("fine"), json!(100), json!(102), json!(199), json!(600), json!(999)] {
        let one = Arc::clone(&connector);
        let call =
            tokio::spawn(async move { one.forward(&message("m-1", Duration::from_mins(1))).await });
        let text = calls.next().await.leave().expect("it may leave");
        let frame: Value = serde_json::from_str(&text).unwrap();
        let answer = json!({ "id": frame["id"], "status": status });
        assert_eq!(input.receive(&answer.to_string()), Received::Answer);
        let reason = "the chat service answered with a `status` that is no number from 200 to 599";
        let reason = Reason::new(ReasonCode::ServerError, reason);
        assert_eq!(call.await.unwrap(), AttemptOutcome::Unknown { reason }, "{status}");
    }
}

/// How many of 100 conversations each of two sockets gets. No time passes.
async fn shares(connector: &Arc<WebSocketConnector>, both: &mut [Admitted; 2]) -> (usize, usize) {
    let [(first, first_input), (second, second_input)] = both;
    let mut counts = (0, 0);
    for n in 0..100 {
        let open = Open {
            conversation: ConversationId::new(format!("c{n}")),
            customer: Customer { id: "noor".to_owned(), ..Customer::default() },
            attempt: 1,
            departure: Departure::free(),
        };
        let connector = Arc::clone(connector);
        let call = tokio::spawn(async move { connector.open(&open).await });
        let (frame, input) = tokio::select! {
            biased;
            call = first.next() => {
                counts.0 += 1;
                (call.leave(), &*first_input)
            }
            call = second.next() => {
                counts.1 += 1;
                (call.leave(), &*second_input)
            }
        };
        answer_call(input, &frame.expect("it may leave"), 500);
        assert!(matches!(call.await.expect("no panic"), OpenOutcome::Retry { .. }));
    }
    counts
}

type Admitted = (SocketCalls, SocketInput);

fn admit(connector: &WebSocketConnector) -> Admitted {
    sockets(connector).admit().expect("there is room")
}

fn answer_call(input: &SocketInput, frame: &str, status: u16) {
    let frame: Value = serde_json::from_str(frame).expect("JSON");
    let answer = json!({ "id": frame["id"], "status": status });
    assert_eq!(input.receive(&answer.to_string()), Received::Answer);
}

#[tokio::test(start_paused = true)]
async fn a_conversation_keeps_its_socket_and_leaves_one_that_drains() {
    let connector = connector();
    let mut both = [admit(&connector), admit(&connector)];
    assert!(sockets(&connector).admit().is_none(), "two are the most");
    let before = shares(&connector, &mut both).await;
    assert!(before.0 > 30 && before.1 > 30, "both have work: {before:?}");
    assert_eq!(shares(&connector, &mut both).await, before, "each conversation keeps its socket");
    both[0].1.drain();
    assert_eq!(shares(&connector, &mut both).await, (0, 100));
    both[0].1.until_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_misses_its_pings_gets_no_call_until_something_comes() {
    let connector = connector();
    let mut both = [admit(&connector), admit(&connector)];
    let before = shares(&connector, &mut both).await;
    // Two thirds of `dead_after`: the answer to one ping at least is overdue.
    tokio::time::advance(Duration::from_secs(30)).await;
    both[1].1.heard();
    assert_eq!(shares(&connector, &mut both).await, (0, 100));
    both[0].1.heard();
    assert_eq!(shares(&connector, &mut both).await, before, "it is back in the choice");
    // A frame that cannot be written for a third of `dead_after`: the peer does not read.
    both[0].0.write_begins();
    tokio::time::advance(Duration::from_secs(15)).await;
    assert_eq!(shares(&connector, &mut both).await, (0, 100));
    both[0].0.write_ends();
    assert_eq!(shares(&connector, &mut both).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_waited_is_not_written_to_a_socket_that_fell_silent() {
    let connector = connector();
    let (mut calls, input) = admit(&connector);
    let waiting = forward(&connector, "m-1", Duration::from_mins(2));
    let frame = calls.next().await;
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(frame.leave(), None);
    let why = "the chat service fell silent before the call could be sent over its socket";
    assert_eq!(waiting.await.unwrap(), not_taken(why));
    // Nothing is sent while it is silent, and the next call leaves when something comes.
    let waiting = forward(&connector, "m-2", Duration::from_mins(2));
    let nothing = tokio::time::timeout(Duration::from_secs(4), calls.next());
    assert!(nothing.await.is_err());
    input.heard();
    answer_call(&input, &calls.next().await.leave().expect("it may leave"), 202);
    assert_eq!(waiting.await.unwrap(), AttemptOutcome::Accepted { service_id: None });
}

#[tokio::test(start_paused = true)]
async fn each_end_of_a_call_has_its_own_reason() {
    let connector = connector();
    let ten = Duration::from_secs(10);
    let outcome = forward(&connector, "m-1", ten).await.unwrap();
    let none = "the chat service has no socket open at this node of the gateway";
    assert_eq!(outcome, not_taken(none));

    let (mut calls, input) = admit(&connector);
    let waiting = forward(&connector, "m-2", ten);
    let frame = calls.next().await;
    drop(input);
    let why = "the socket of the chat service closed before the call could be sent";
    assert_eq!(waiting.await.unwrap(), not_taken(why));
    assert_eq!(frame.leave(), None, "and it is never sent");

    let (mut calls, input) = admit(&connector);
    let waiting = forward(&connector, "m-3", ten);
    assert!(calls.next().await.leave().is_some());
    drop(input);
    let why = "the socket of the chat service closed before its answer to the call";
    assert_eq!(waiting.await.unwrap(), unknown(why));

    let (mut calls, input) = admit(&connector);
    let waiting = forward(&connector, "m-4", ten);
    assert!(calls.next().await.leave().is_some());
    assert_eq!(waiting.await.unwrap(), unknown("the chat service did not answer within 10s"));

    let waiting = forward(&connector, "m-5", ten);
    let why = "the call could not be sent within 10s: the chat service reads its socket too slowly";
    assert_eq!(waiting.await.unwrap(), not_taken(why));

    input.heard();
    input.drain();
    let outcome = forward(&connector, "m-6", ten).await.unwrap();
    let why = "no socket of the chat service takes calls at this node: 1 open, but silent or about \
               to close";
    assert_eq!(outcome, not_taken(why));
}

#[tokio::test(start_paused = true)]
async fn a_socket_holds_256_calls_and_the_next_one_waits_for_a_place() {
    let connector = connector();
    let (mut calls, input) = admit(&connector);
    let mut frames = Vec::new();
    let mut waiting = Vec::new();
    for n in 0..256 {
        waiting.push(forward(&connector, &format!("m-{n}"), Duration::from_secs(20)));
        frames.push(calls.next().await.leave().expect("it may leave"));
    }
    let outcome = forward(&connector, "m-256", Duration::from_secs(20)).await.unwrap();
    let why = "256 calls wait for answers on the socket of the chat service";
    assert_eq!(outcome, not_taken(why), "after 5 s");
    let last = forward(&connector, "m-257", Duration::from_secs(20));
    let nothing = tokio::time::timeout(Duration::from_secs(1), calls.next());
    assert!(nothing.await.is_err(), "it has no place");
    answer_call(&input, &frames[0], 202);
    answer_call(&input, &calls.next().await.leave().expect("it may leave"), 202);
    assert!(matches!(last.await.unwrap(), AttemptOutcome::Accepted { .. }));
    drop(input);
    for (n, waiting) in waiting.into_iter().enumerate() {
        let outcome = waiting.await.unwrap();
        assert_eq!(matches!(outcome, AttemptOutcome::Unknown { .. }), n > 0, "{n}: {outcome:?}");
    }
}

/// Uses up all places of the socket of `c1`, for two minutes.
async fn fill(connector: &Arc<WebSocketConnector>, calls: &mut SocketCalls) {
    for n in 0..256 {
        let _unanswered = forward(connector, &format!("m-{n}"), Duration::from_mins(2));
        calls.next().await.leave().expect("it may leave");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_place_leaves_a_socket_that_falls_silent() {
    let connector = connector();
    let mut both = [admit(&connector), admit(&connector)];
    let _first = forward(&connector, "m-0", Duration::from_mins(2));
    let [(first, _), (second, _)] = &mut both;
    let is_second = tokio::select! {
        biased;
        _ = first.next() => false,
        _ = second.next() => true,
    };
    if is_second {
        both.reverse();
    }
    let [(own, _own_input), (other, other_input)] = &mut both;
    for n in 1..256 {
        let _unanswered = forward(&connector, &format!("m-{n}"), Duration::from_mins(2));
        own.next().await.leave().expect("it may leave");
    }
    tokio::time::advance(Duration::from_secs(28)).await;
    other_input.heard();
    let started = tokio::time::Instant::now();
    let waiting = forward(&connector, "m-256", Duration::from_mins(2));
    let moved = tokio::time::timeout(Duration::from_secs(10), other.next()).await;
    let frame = moved.expect("it moves").leave().expect("it may leave");
    assert_eq!(started.elapsed().as_secs(), 2, "two thirds of `dead_after` are over");
    answer_call(other_input, &frame, 202);
    assert_eq!(waiting.await.unwrap(), AttemptOutcome::Accepted { service_id: None });
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_a_place_use_a_socket_that_opens() {
    let connector = connector();
    let (mut first, _first_input) = admit(&connector);
    fill(&connector, &mut first).await;
    let mut waiting = Vec::new();
    for n in 0..20 {
        let conversation = ConversationId::new(format!("c{n}"));
        let message = Forward { conversation, ..message("m-1", Duration::from_mins(2)) };
        let connector = Arc::clone(&connector);
        waiting.push(tokio::spawn(async move { connector.forward(&message).await }));
    }
    let nothing = tokio::time::timeout(Duration::from_secs(1), first.next());
    assert!(nothing.await.is_err(), "they wait");
    let (mut second, second_input) = admit(&connector);
    let mut moved = 0;
    // As long as a call waits for a place.
    let wait = Duration::from_secs(3);
    while let Ok(call) = tokio::time::timeout(wait, second.next()).await {
        answer_call(&second_input, &call.leave().expect("it may leave"), 202);
        moved += 1;
    }
    assert!((5..=15).contains(&moved), "about a half: {moved}");
    let mut accepted = 0;
    for call in waiting {
        accepted += usize::from(matches!(call.await.unwrap(), AttemptOutcome::Accepted { .. }));
    }
    assert_eq!(accepted, moved);
}

#[tokio::test(start_paused = true)]
async fn a_socket_whose_writer_has_ended_is_not_called_slow() {
    let connector = connector();
    let (calls, _input) = admit(&connector);
    drop(calls);
    let outcome = forward(&connector, "m-1", Duration::from_secs(10)).await.unwrap();
    let why = "no socket of the chat service takes calls at this node: 1 open, but silent or about \
               to close";
    assert_eq!(outcome, not_taken(why));
    // The call goes over another one, if there is one.
    let (mut calls, input) = admit(&connector);
    let waiting = forward(&connector, "m-2", Duration::from_secs(10));
    answer_call(&input, &calls.next().await.leave().expect("it may leave"), 202);
    assert_eq!(waiting.await.unwrap(), AttemptOutcome::Accepted { service_id: None });
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_makes_no_queue_longer_than_256_frames() {
    let connector = connector();
    let (calls, _input) = admit(&connector);
    // The writer waits for the peer, and takes no frame from the queue.
    calls.write_begins();
    let one = Duration::from_secs(1);
    let filling: Vec<_> = (0..256).map(|n| forward(&connector, &format!("m-{n}"), one)).collect();
    for call in filling {
        let why =
            "the call could not be sent within 1s: the chat service reads its socket too slowly";
        assert_eq!(call.await.unwrap(), not_taken(why));
    }
    // The calls are over, but their frames are still in the queue.
    let outcome = forward(&connector, "m-256", one).await.unwrap();
    let why =
        "256 frames wait to be written to the socket of the chat service: it reads too slowly";
    assert_eq!(outcome, not_taken(why));
}

/// Starts an attempt to forward a message.
fn forward(
    connector: &Arc<WebSocketConnector>,
    id: &str,
    timeout: Duration,
) -> tokio::task::JoinHandle<AttemptOutcome> {
    let (connector, message) = (Arc::clone(connector), message(id, timeout));
    tokio::spawn(async move { connector.forward(&message).await })
}

fn not_taken(why: &str) -> AttemptOutcome {
    AttemptOutcome::NotTaken { reason: Reason::new(ReasonCode::ServerError, why), after: None }
}

fn unknown(why: &str) -> AttemptOutcome {
    AttemptOutcome::Unknown { reason: Reason::new(ReasonCode::ServerError, why) }
}
