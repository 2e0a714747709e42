//! Servers that violate HTTP or misbehave, byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use connector::{Connector, Customer, Departure, Open};
use conversation::{AttemptOutcome, ConversationId, OpenOutcome, ReasonCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::service::{closed_port, connector_to, message};

/// What a server does once it has read a request.
#[derive(Clone, Copy)]
enum Then {
    Close,
    Hold,
    /// Writes without end.
    Flood,
}

/// A server that reads one request per connection, writes `bytes`, and then does what `then` says.
/// The number counts the bytes written.
async fn serve(bytes: &'static [u8], then: Then) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                read_request(&mut stream).await;
                if stream.write_all(bytes).await.is_err() {
                    return;
                }
                match then {
                    Then::Close => {}
                    Then::Hold => std::future::pending().await,
                    Then::Flood => {
                        while let Ok(size) = stream.write(&[b'x'; 16 * 1024]).await {
                            count.fetch_add(size, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    (address, written)
}

/// Reads up to the end of the JSON body, which is the last thing the connector sends.
async fn read_request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        if stream.read_buf(&mut request).await.is_ok_and(|size| size == 0) {
            return;
        }
    }
}

async fn attempt(url: &str, timeout: Duration) -> AttemptOutcome {
    let mut message = message("m1");
    message.timeout = timeout;
    let start = Instant::now();
    let outcome = connector_to(url).forward(&message).await;
    let took = start.elapsed();
    assert!(took < timeout + Duration::from_secs(1), "{url}: {took:?} of {timeout:?}");
    outcome
}

async fn attempt_at(bytes: &'static [u8], then: Then) -> AttemptOutcome {
    let (address, _) = serve(bytes, then).await;
    attempt(&format!("http://{address}"), Duration::from_millis(700)).await
}

#[tokio::test]
async fn an_answer_that_never_came_whole_leaves_the_outcome_unknown() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    ] {
        let outcome = attempt_at(bytes, Then::Close).await;
        let AttemptOutcome::Unknown { reason } = outcome else {
            panic!("{:?}", (String::from_utf8_lossy(bytes), outcome))
        };
        assert_eq!(reason.code, ReasonCode::ServerError);
    }
    for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-le", b"HTTP/1.1 100 Continue\r\n\r\n"] {
        let AttemptOutcome::Unknown { reason } = attempt_at(bytes, Then::Hold).await else {
            panic!("it hangs")
        };
        assert!(reason.message.contains("700ms"), "{reason}");
    }
}

#[tokio::test]
async fn a_refusal_counts_even_if_its_body_breaks_off_and_a_success_does_not() {
    for then in [Then::Close, Then::Hold] {
        for lost in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"status\":\"delive"[..],
            b"HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{",
            b"HTTP/1.1 202 Accepted\r\ncontent-length: 99\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"status\":\"delivered\"}",
        ] {
            let outcome = attempt_at(lost, then).await;
            let AttemptOutcome::Unknown { reason } = outcome else { panic!("{outcome:?}") };
            assert!(reason.message.contains("broke off"), "{reason}");
        }
        let refused = b"HTTP/1.1 404 Not Found\r\ncontent-length: 99\r\n\r\n{\"reas";
        let outcome = attempt_at(refused, then).await;
        assert!(
            matches!(&outcome, AttemptOutcome::Rejected { reason } if reason.code == ReasonCode::InvalidDestination)
        );
        let failed = b"HTTP/1.1 500 Oh\r\ncontent-length: 99\r\nretry-after: 3\r\n\r\n<";
        let outcome = attempt_at(failed, then).await;
        assert!(
            matches!(outcome, AttemptOutcome::NotTaken { after: Some(after), .. } if after.as_secs() == 3)
        );
        let gone = b"HTTP/1.1 409 Conflict\r\ncontent-length: 99\r\n\r\n";
        assert_eq!(attempt_at(gone, then).await, AttemptOutcome::SessionGone);
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let (address, written) =
        serve(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", Then::Flood).await;
    let outcome = attempt(&format!("http://{address}"), Duration::from_secs(5)).await;
    assert!(matches!(outcome, AttemptOutcome::Unknown { .. }), "{outcome:?}");
    let written = written.load(Ordering::Relaxed);
    assert!(written < 20 << 20, "{written} bytes were taken from a service that sends without end");
    // Endless headers are no answer at all.
    let outcome = attempt_at(b"HTTP/1.1 200 OK\r\nx: ", Then::Flood).await;
    assert!(matches!(outcome, AttemptOutcome::Unknown { .. }), "{outcome:?}");
}

#[tokio::test]
async fn what_never_left_was_not_taken() {
    let port = closed_port().await;
    let refused = attempt(&format!("http://{port}"), Duration::from_secs(2)).await;
    let AttemptOutcome::NotTaken { reason, after: None } = refused else { panic!("{refused:?}") };
    assert!(
        reason.message.contains("cannot be reached") && reason.message.contains("refused"),
        "{reason}"
    );

    let (plain, _) = serve(b"HTTP/1.1 400 Bad Request\r\n\r\n", Then::Close).await;
    for url in [format!("https://{port}"), "http://no-such-host.invalid".to_owned()] {
        let outcome = attempt(&url, Duration::from_secs(2)).await;
        assert!(matches!(outcome, AttemptOutcome::NotTaken { .. }), "{url}: {outcome:?}");
    }
    // A server that speaks no TLS, or starts a handshake and never ends it.
    let outcome = attempt(&format!("https://{plain}"), Duration::from_millis(700)).await;
    assert!(matches!(outcome, AttemptOutcome::NotTaken { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_connection_that_ends_at_once_is_never_a_success() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    // It is a race whether the request was written before the end was seen. Either outcome is
    // correct.
    for _ in 0..20 {
        let outcome = attempt(&url, Duration::from_secs(2)).await;
        let possible =
            matches!(outcome, AttemptOutcome::NotTaken { .. } | AttemptOutcome::Unknown { .. });
        assert!(possible, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_handshake_that_breaks_is_tried_again() {
    for (bytes, then) in [
        (&b""[..], Then::Close),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"session\":\"s", Then::Close),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"session\":\"s", Then::Hold),
        (b"", Then::Hold),
    ] {
        let (address, _) = serve(bytes, then).await;
        let start = Instant::now();
        let (conversation, customer) = (ConversationId::new("c1"), Customer::default());
        let call = Open { conversation, customer, attempt: 1, departure: Departure::free() };
        let outcome = connector_to(&format!("http://{address}")).open(&call).await;
        assert!(matches!(outcome, OpenOutcome::Retry { .. }), "{outcome:?}");
        assert!(
            start.elapsed() < Duration::from_secs(3),
            "the time-out of the configuration holds"
        );
    }
}
