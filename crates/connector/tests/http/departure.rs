//! The last check of a call is at its first byte, tested on real sockets on which connecting takes
//! time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use connector::http::{HttpConfig, HttpConnector, client_settings};
use connector::{Connector, Customer, Departure, Forward, Obstacle, Open};
use conversation::{AttemptOutcome, ConversationId, OpenOutcome};
use reqwest::dns::{Name, Resolve, Resolving};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::service::{RealClock, Reply, SECRET, Service, client, connector_to, message};

const TOO_LATE: Obstacle = Obstacle("its time was up");
/// How long a server waits for bytes that must not come.
const LOOK: Duration = Duration::from_millis(300);

/// A permission that ends when the test says so.
#[derive(Clone, Default)]
struct Right(Arc<AtomicBool>);

impl Right {
    fn end(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn departure(&self) -> Departure {
        let ended = Arc::clone(&self.0);
        Departure::new(move || if ended.load(Ordering::Acquire) { Err(TOO_LATE) } else { Ok(()) })
    }
}

fn forward(departure: Departure) -> Forward {
    Forward { departure, timeout: Duration::from_secs(8), ..message("m1") }
}

fn open(departure: Departure) -> Open {
    Open {
        conversation: ConversationId::new("c1"),
        customer: Customer::default(),
        attempt: 1,
        departure,
    }
}

fn says_that_it_did_not_leave(outcome: &AttemptOutcome) -> bool {
    matches!(outcome, AttemptOutcome::NotTaken { reason, after: None } if reason.message.contains(TOO_LATE.0))
}

/// A name server that answers when the test says so.
#[derive(Clone)]
struct SlowNames {
    asked: Arc<Notify>,
    answer: Arc<Notify>,
    address: SocketAddr,
}

impl Resolve for SlowNames {
    fn resolve(&self, _: Name) -> Resolving {
        let Self { asked, answer, address } = self.clone();
        Box::pin(async move {
            asked.notify_one();
            answer.notified().await;
            Ok(Box::new(std::iter::once(address)) as Box<_>)
        })
    }
}

/// A connector to a chat service whose name is not resolved yet, and that service's listener.
async fn behind_a_slow_name() -> (Arc<HttpConnector>, SlowNames, TcpListener) {
    client();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let names = SlowNames { asked: Arc::default(), answer: Arc::default(), address };
    let client = client_settings(reqwest::Client::builder())
        .no_proxy()
        .dns_resolver(Arc::new(names.clone()));
    let url = format!("http://chat.example:{}", address.port()).parse().unwrap();
    let config = HttpConfig::new(url, SECRET.parse::<connector::http::Secret>().unwrap().into());
    let connector = HttpConnector::new(config, client.build().unwrap(), Arc::new(RealClock));
    (Arc::new(connector), names, listener)
}

/// All bytes that come on the next connection until it ends, or for a while. `None` if there is no
/// connection.
async fn heard(listener: &TcpListener) -> Option<Vec<u8>> {
    let (mut stream, _) = timeout(LOOK, listener.accept()).await.ok()?.unwrap();
    let mut bytes = Vec::new();
    // The test expects that nothing more comes.
    let _ = timeout(LOOK, stream.read_to_end(&mut bytes)).await;
    Some(bytes)
}

#[tokio::test]
async fn a_right_that_ends_while_the_name_is_looked_up_lets_nothing_leave() {
    let (connector, names, listener) = behind_a_slow_name().await;
    let right = Right::default();
    let call = forward(right.departure());
    let under_way = tokio::spawn({
        let connector = Arc::clone(&connector);
        async move { connector.forward(&call).await }
    });
    names.asked.notified().await;
    right.end();
    names.answer.notify_one();
    assert_eq!(
        heard(&listener).await,
        Some(Vec::new()),
        "the connection comes about, and nothing is sent on it"
    );
    let outcome = under_way.await.unwrap();
    assert!(says_that_it_did_not_leave(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn a_call_for_a_session_looks_at_its_first_byte_too() {
    let (connector, names, listener) = behind_a_slow_name().await;
    let right = Right::default();
    let call = open(right.departure());
    let under_way = tokio::spawn({
        let connector = Arc::clone(&connector);
        async move { connector.open(&call).await }
    });
    names.asked.notified().await;
    right.end();
    names.answer.notify_one();
    assert_eq!(heard(&listener).await, Some(Vec::new()));
    let outcome = under_way.await.unwrap();
    assert!(
        matches!(&outcome, OpenOutcome::Retry { reason, .. } if reason.message.contains(TOO_LATE.0)),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_call_that_is_called_off_while_it_connects_never_leaves() {
    let (connector, names, listener) = behind_a_slow_name().await;
    let departure = Departure::free();
    let call = forward(departure.clone());
    let under_way = tokio::spawn({
        let connector = Arc::clone(&connector);
        async move { connector.forward(&call).await }
    });
    names.asked.notified().await;
    assert_eq!(departure.call_off(TOO_LATE), Some(TOO_LATE));
    under_way.abort();
    names.answer.notify_one();
    assert!(heard(&listener).await.unwrap_or_default().is_empty());
    assert!(under_way.await.unwrap_err().is_cancelled());
}

/// The system answers a connection's first packet only while the listener's queue has room.
/// Otherwise the packet is sent again a second later.
#[tokio::test]
async fn a_right_that_ends_while_the_connection_is_made_lets_nothing_leave() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(connected) = timeout(LOOK, TcpStream::connect(address)).await {
        queue.push(connected.unwrap());
        assert!(queue.len() < 100, "the queue has an end");
    }
    let right = Right::default();
    let (connector, call) =
        (connector_to(&format!("http://{address}")), forward(right.departure()));
    let begun = Instant::now();
    let under_way = tokio::spawn(async move { connector.forward(&call).await });
    timeout(LOOK, async {
        while !under_way.is_finished() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap_err();
    right.end();
    drop(queue);
    let outcome = timeout(Duration::from_secs(7), async {
        while !under_way.is_finished() {
            assert!(heard(&listener).await.unwrap_or_default().is_empty(), "nothing is sent");
        }
        under_way.await.unwrap()
    });
    let outcome = outcome.await.unwrap();
    assert!(says_that_it_did_not_leave(&outcome), "{outcome:?}");
    assert!(begun.elapsed() > Duration::from_millis(800), "the connection was late");
}

#[tokio::test]
async fn a_tls_handshake_that_never_ends_is_over_with_the_attempt_and_nothing_has_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connector = connector_to(&format!("https://{}", listener.local_addr().unwrap()));
    let call = Forward { timeout: Duration::from_millis(200), ..forward(Departure::free()) };
    let (outcome, bytes) = tokio::join!(connector.forward(&call), heard(&listener));
    let bytes = bytes.expect("it connects");
    assert_eq!(bytes.first(), Some(&0x16), "a TLS handshake, and nothing else");
    assert!(!String::from_utf8_lossy(&bytes).contains("HTTP"));
    let AttemptOutcome::NotTaken { reason, .. } = outcome else { panic!("{outcome:?}") };
    assert!(reason.message.contains("no connection within 200ms"), "{reason}");
}

#[tokio::test]
async fn a_connection_that_was_kept_is_looked_at_too() {
    let service = Service::start().await;
    service.always(Reply::new(200, r#"{"status":"delivered"}"#));
    let connector = service.connector();
    let delivered = AttemptOutcome::Delivered { service_id: None };
    assert_eq!(connector.forward(&forward(Departure::free())).await, delivered);
    let right = Right::default();
    right.end();
    let outcome = connector.forward(&forward(right.departure())).await;
    assert!(says_that_it_did_not_leave(&outcome), "{outcome:?}");
    assert_eq!(connector.forward(&forward(Departure::free())).await, delivered);
    assert_eq!(service.calls().len(), 2, "the one between was never seen");
}
