//! A test suite that every connector must pass. It checks what the gateway relies on, and does not
//! depend on a protocol.
//!
//! A connector's test starts its chat service, real or scripted, and implements [`ChatService`] for
//! it. Then it calls [`passes`], which panics with a sentence if the connector breaks its contract.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conversation::{
    AttemptOutcome, ConversationId, MessageId, OpenOutcome, Reason, ReasonCode, SessionId,
};
use tokio::time::{Instant, timeout};

use crate::{Connector, Customer, Departure, Forward, Obstacle, Open, Typing};

/// How the chat service must react to every call from now on.
///
/// ```
/// use connector::conformance::Behaviour;
///
/// /// What a scripted chat service answers to a message.
/// fn status(behave: Behaviour) -> Option<u16> {
///     match behave {
///         Behaviour::Take | Behaviour::Deliver => Some(200),
///         Behaviour::Refuse => Some(403),
///         Behaviour::SessionGone => Some(409),
///         Behaviour::Busy => Some(429),
///         Behaviour::Fail => Some(500),
///         Behaviour::Hang | Behaviour::LoseAnswer => None,
///     }
/// }
/// assert_eq!(status(Behaviour::Busy), Some(429));
/// assert_eq!(status(Behaviour::Hang), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// It takes messages, opens sessions at once or later, and reports no delivery.
    Take,
    /// It takes messages and reports that they reached the customer.
    Deliver,
    /// It refuses everything permanently, with a reason of the code `RecipientOptedOut`.
    Refuse,
    /// It answers that it does not know the session any more.
    SessionGone,
    /// It answers that it is busy, and asks for a pause of 7 s if its protocol can express that.
    Busy,
    /// It answers that it failed, and takes nothing.
    Fail,
    /// It reads each call and never answers.
    Hang,
    /// It takes each message, and the connection breaks before the answer.
    LoseAnswer,
}

/// One copy of a message that arrived at the chat service.
///
/// ```
/// use std::collections::BTreeSet;
///
/// use connector::conformance::Taken;
///
/// let taken = |id: &str| Taken { id: id.to_owned(), text: "Once".to_owned() };
/// let attempts = [taken("m-1"), taken("m-1"), taken("m-2")];
/// let messages: BTreeSet<_> = attempts.iter().map(|taken| &taken.id).collect();
/// assert_eq!(messages.len(), 2, "one of the attempts is a repetition");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// The id by which the service recognizes a repetition.
    pub id: String,
    /// The message's text.
    pub text: String,
}

/// A chat service under test, and the connector to it.
///
/// ```
/// use connector::conformance::{Behaviour, ChatService, Taken, passes};
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/in_memory.rs"));
/// /// The chat service of the example of [`Connector`]. It never does anything but take messages.
/// struct Service(Arc<Mutex<Vec<Forward>>>);
///
/// #[async_trait]
/// impl ChatService for Service {
///     fn connector(&self) -> Arc<dyn Connector> {
///         Arc::new(InMemory(Some(Arc::clone(&self.0))))
///     }
///
///     fn connector_without_socket(&self) -> Arc<dyn Connector> {
///         Arc::new(InMemory(None))
///     }
///
///     async fn behave(&self, behave: Behaviour) -> bool {
///         behave == Behaviour::Take
///     }
///
///     async fn taken(&self) -> Vec<Taken> {
///         let taken = |message: &Forward| Taken {
///             id: message.id.to_string(),
///             text: message.text.clone().unwrap_or_default(),
///         };
///         self.0.lock().unwrap().iter().map(taken).collect()
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service = Service(Arc::default());
/// passes(&service).await;
/// assert!(!service.taken().await.is_empty(), "the suite has sent messages");
/// # }
/// ```
#[async_trait]
pub trait ChatService: Sync {
    /// The connector to this service.
    fn connector(&self) -> Arc<dyn Connector>;
    /// A connector of the same kind to an address where nothing listens.
    fn connector_without_socket(&self) -> Arc<dyn Connector>;
    /// Makes the service behave this way from now on. Returns `false` if this kind of service never
    /// does. The suite then skips what depends on it.
    async fn behave(&self, behave: Behaviour) -> bool;
    /// All messages that the service has got while it behaved as [`Behaviour::Take`] or
    /// [`Behaviour::Deliver`], the oldest first.
    async fn taken(&self) -> Vec<Taken>;
}

/// How long each attempt of this suite may take.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How long after [`TIMEOUT`] a connector may return.
const SLACK: Duration = Duration::from_secs(1);
/// How long a call may take that no message depends on.
const BEST_EFFORT: Duration = Duration::from_secs(8);

/// Runs the whole suite. It takes a few seconds, since it lets attempts run into their timeout.
///
/// # Panics
/// If the connector breaks its contract. The message says which part.
pub async fn passes(service: &impl ChatService) {
    capabilities_never_change(service).await;
    outcomes_say_what_happened(service).await;
    messages_arrive_whole_and_in_order(service).await;
    a_repetition_is_known_by_its_id(service).await;
    an_attempt_ends_in_time(service).await;
    nobody_there_is_never_taken_for_sent(service).await;
    sessions_are_asked_for(service).await;
    nothing_leaves_against_the_last_look(service).await;
    best_effort_never_hangs(service).await;
    a_check_touches_no_customer(service).await;
}

async fn capabilities_never_change(service: &impl ChatService) {
    let before = service.connector().capabilities().clone();
    service.behave(Behaviour::Fail).await;
    assert_eq!(&before, service.connector().capabilities(), "capabilities are a fact, not a state");
    assert_eq!(
        &before,
        service.connector_without_socket().capabilities(),
        "capabilities make no call"
    );
}

async fn outcomes_say_what_happened(service: &impl ChatService) {
    use AttemptOutcome::{Accepted, Delivered, NotTaken, Rejected, SessionGone, Unknown};
    for (number, behave) in [
        Behaviour::Take,
        Behaviour::Deliver,
        Behaviour::Refuse,
        Behaviour::SessionGone,
        Behaviour::Busy,
        Behaviour::Fail,
        Behaviour::LoseAnswer,
    ]
    .into_iter()
    .enumerate()
    {
        if !service.behave(behave).await {
            continue;
        }
        let outcome =
            service.connector().forward(&message(&format!("outcome-{number}"), "Hello")).await;
        let true_to_it = match behave {
            Behaviour::Take => matches!(outcome, Accepted { .. }),
            Behaviour::Deliver => matches!(outcome, Delivered { .. }),
            Behaviour::Refuse => {
                let opted_out = ReasonCode::RecipientOptedOut;
                matches!(&outcome, Rejected { reason } if reason.code == opted_out)
            }
            Behaviour::SessionGone => matches!(outcome, SessionGone),
            Behaviour::Busy => match outcome {
                NotTaken { after, .. } => after.is_none_or(|after| after == Duration::from_secs(7)),
                _ => false,
            },
            Behaviour::Fail => matches!(outcome, NotTaken { .. }),
            Behaviour::Hang | Behaviour::LoseAnswer => matches!(outcome, Unknown { .. }),
        };
        assert!(true_to_it, "{behave:?} must not lead to {outcome:?}");
    }
}

async fn messages_arrive_whole_and_in_order(service: &impl ChatService) {
    service.behave(Behaviour::Take).await;
    let connector = service.connector();
    let before = service.taken().await.len();
    let mut sent = Vec::new();
    let long = "x".repeat(connector.capabilities().max_text.unwrap_or(4_000).min(4_000));
    for (number, text) in ["Hello", "a\n\"\\/{}<b>&amp; b", "žluťoučký kůň 🐎 \u{202e}ab", &long]
        .into_iter()
        .enumerate()
    {
        let message = message(&format!("whole-{number}"), text);
        let outcome = connector.forward(&message).await;
        assert!(matches!(outcome, AttemptOutcome::Accepted { .. }), "{text:?} met {outcome:?}");
        sent.push(text.to_owned());
    }
    let taken = service
        .taken()
        .await
        .split_off(before)
        .into_iter()
        .map(|taken| taken.text)
        .collect::<Vec<_>>();
    assert_eq!(taken, sent, "messages arrive as they were, once and in order");
}

async fn a_repetition_is_known_by_its_id(service: &impl ChatService) {
    let connector = service.connector();
    if !connector.capabilities().idempotent {
        return;
    }
    service.behave(Behaviour::Take).await;
    let before = service.taken().await.len();
    let first = message("repeated", "Once");
    let again = Forward { session: SessionId::new("a later session"), ..first.clone() };
    let other = message("other", "Once");
    for message in [&first, &again, &other] {
        connector.forward(message).await;
    }
    let taken = service.taken().await.split_off(before);
    let ids: BTreeSet<_> = taken.iter().map(|taken| taken.id.as_str()).collect();
    assert_eq!(
        ids.len(),
        2,
        "a repetition has the id of the first, and another message has another: {ids:?}"
    );
}

async fn an_attempt_ends_in_time(service: &impl ChatService) {
    if !service.behave(Behaviour::Hang).await {
        return;
    }
    let start = Instant::now();
    let outcome = service.connector().forward(&message("hang", "Hello?")).await;
    assert!(
        start.elapsed() < TIMEOUT + SLACK,
        "an attempt took {:?} of {TIMEOUT:?}",
        start.elapsed()
    );
    assert!(
        matches!(outcome, AttemptOutcome::Unknown { .. }),
        "a hang must not lead to {outcome:?}"
    );
}

async fn nobody_there_is_never_taken_for_sent(service: &impl ChatService) {
    let start = Instant::now();
    let outcome = service.connector_without_socket().forward(&message("nobody", "Hello?")).await;
    assert!(
        start.elapsed() < TIMEOUT + SLACK,
        "an attempt took {:?} of {TIMEOUT:?}",
        start.elapsed()
    );
    assert!(
        matches!(outcome, AttemptOutcome::NotTaken { .. }),
        "an unreachable service must not lead to {outcome:?}"
    );
}

async fn sessions_are_asked_for(service: &impl ChatService) {
    for behave in [Behaviour::Take, Behaviour::Refuse, Behaviour::Busy, Behaviour::Fail] {
        if !service.behave(behave).await {
            continue;
        }
        let outcome = service.connector().open(&open(Departure::free())).await;
        let true_to_it = match behave {
            Behaviour::Take => matches!(outcome, OpenOutcome::Opened(_) | OpenOutcome::Pending),
            Behaviour::Refuse => {
                let opted_out = ReasonCode::RecipientOptedOut;
                matches!(&outcome, OpenOutcome::Refused(reason) if reason.code == opted_out)
            }
            _ => matches!(outcome, OpenOutcome::Retry { .. }),
        };
        assert!(true_to_it, "asked for a session, {behave:?} must not lead to {outcome:?}");
    }
    let outcome = service.connector_without_socket().open(&open(Departure::free())).await;
    assert!(
        matches!(outcome, OpenOutcome::Retry { .. }),
        "an unreachable service must not lead to {outcome:?}"
    );
}

async fn nothing_leaves_against_the_last_look(service: &impl ChatService) {
    service.behave(Behaviour::Take).await;
    let before = service.taken().await.len();
    let connector = service.connector();
    // The second round uses the connection of the first one, if the connector keeps connections.
    for number in 0..2 {
        let departure = Departure::new(|| Err(Obstacle("too late")));
        let outcome = connector
            .forward(&Forward { departure, ..message(&format!("late-{number}"), "Hello?") })
            .await;
        let says_why = |reason: &Reason| reason.message.contains("too late");
        assert!(
            matches!(&outcome, AttemptOutcome::NotTaken { reason, .. } if says_why(reason)),
            "what may not leave must not lead to {outcome:?}"
        );
        let outcome = connector.open(&open(Departure::new(|| Err(Obstacle("too late"))))).await;
        assert!(
            matches!(outcome, OpenOutcome::Retry { .. }),
            "what may not leave must not lead to {outcome:?}"
        );
        assert_eq!(service.taken().await.len(), before + number, "nothing left");
        connector.forward(&message(&format!("in-time-{number}"), "Hello!")).await;
    }
}

async fn best_effort_never_hangs(service: &impl ChatService) {
    let typing = Typing { on: true, duration: Duration::from_secs(5) };
    let conversation = conversation();
    service.behave(Behaviour::Hang).await;
    for connector in [service.connector(), service.connector_without_socket()] {
        let both = async {
            tokio::join!(
                connector.typing(&conversation, typing),
                connector.close(&conversation, "the chat is over")
            )
        };
        assert!(
            timeout(BEST_EFFORT, both).await.is_ok(),
            "typing and closing must end within {BEST_EFFORT:?}"
        );
    }
}

async fn a_check_touches_no_customer(service: &impl ChatService) {
    service.behave(Behaviour::Take).await;
    let before = service.taken().await;
    let line = service.connector().check().await;
    assert!(
        line.as_ref().is_ok_and(|line| !line.is_empty()),
        "a service that is there passes: {line:?}"
    );
    assert_eq!(service.taken().await, before, "a check sends no message");
    assert!(
        service.connector_without_socket().check().await.is_err(),
        "an unreachable service does not pass"
    );
}

fn conversation() -> ConversationId {
    ConversationId::new("c5f3a9c1e07b44d2a1b2c3d4e5f60718")
}

fn open(departure: Departure) -> Open {
    let customer = Customer { id: "noor@example.com".to_owned(), ..Customer::default() };
    Open { conversation: conversation(), customer, attempt: 1, departure }
}

fn message(id: &str, text: &str) -> Forward {
    Forward {
        conversation: conversation(),
        id: MessageId::new(id),
        time: jiff::Timestamp::UNIX_EPOCH,
        text: Some(text.to_owned()),
        content: Vec::new(),
        unavailable: Vec::new(),
        sender: None,
        session: SessionId::new("a session"),
        timeout: TIMEOUT,
        departure: Departure::free(),
    }
}
