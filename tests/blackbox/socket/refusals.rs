//! Sockets and frames that the gateway refuses, each with a reason.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{CONNECTOR_SECRET, Closed, Gateway, ServiceSocket, SocketLoop, client};

#[tokio::test]
async fn only_a_signed_request_for_an_integration_with_sockets_opens_one() {
    let all = SocketLoop::start("").await;
    let url = &all.gateway.url;
    let other = "whsec_YW5vdGhlci1zZWNyZXQtb2YtYW5vdGhlci1wYXJ0eQ==";
    assert_eq!(ServiceSocket::ask(url, "acme", other).await, 401);
    assert_eq!(ServiceSocket::ask(url, "globex", CONNECTOR_SECRET).await, 404);
    assert_eq!(ServiceSocket::ask(url, "acme", CONNECTOR_SECRET).await, 101);

    let path = "/connectors/acme/socket";
    let (status, why) = all.gateway.get(path).await;
    assert_eq!((status, why.as_str()), (401, "the header webhook-id is missing\n"));
    let mut call = client().get(format!("{url}{path}"));
    for (name, value) in ServiceSocket::signature() {
        call = call.header(name, value);
    }
    let answer = call.send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 426);
    assert!(answer.text().await.expect("text").contains("for WebSockets only"));
    let posted = client().post(format!("{url}{path}")).send().await.expect("an answer");
    assert_eq!(posted.status().as_u16(), 405);

    let folder = tempfile::tempdir().expect("a folder");
    let http = Gateway::beside(&all.sandbox, folder.path(), "http://127.0.0.1:9", "").await;
    assert_eq!(ServiceSocket::ask(&http.url, "acme", CONNECTOR_SECRET).await, 404);
    let (_, why) = http.get(path).await;
    assert!(why.contains("set type = \"websocket\""), "{why}");
}

#[tokio::test]
async fn a_signed_request_for_a_socket_counts_once() {
    let all = SocketLoop::start("").await;
    let url = &all.gateway.url;
    let seen = ServiceSocket::signature();
    assert_eq!(ServiceSocket::ask_with(url, "acme", seen.clone()).await, 101);
    assert_eq!(ServiceSocket::ask_with(url, "acme", seen).await, 401);
    let repeated = "tidegate_sockets_closed_total{integration=\"acme\",result=\"repeated\"}";
    assert_eq!(all.metric(repeated).await, 1);
    assert_eq!(ServiceSocket::ask(url, "acme", CONNECTOR_SECRET).await, 101);
}

#[tokio::test]
async fn a_frame_without_meaning_is_told_and_costs_nothing_else() {
    let all = SocketLoop::start("").await;
    let mut socket = all.socket().await;
    for (frame, id, why) in [
        ("", Value::Null, "not a JSON object"),
        ("{\"id\":", Value::Null, "not a JSON object"),
        ("[]", Value::Null, "not a JSON object"),
        (r#"{"id":7}"#, json!(7), "neither `status`"),
        (r#"{"id":"a","events":null}"#, json!("a"), "`events` is null"),
        (r#"{"events":[]}"#, Value::Null, "need an `id`"),
        (r#"{"id":"a","events":"x"}"#, json!("a"), "neither an event nor an array"),
    ] {
        socket.send_raw(Message::text(frame)).await;
        let reply = socket.reply(&id).await;
        assert_eq!(reply["status"], 400, "{frame}: {reply}");
        let told = reply["body"]["error"].as_str().unwrap_or_default();
        assert!(told.contains(why), "{frame}: {told}");
    }
    socket.send(&json!({ "id": "unasked", "status": 200 })).await;
    let beat = socket.events(json!([])).await;
    assert_eq!((&beat["status"], &beat["body"]["accepted"]), (&json!(202), &json!(0)));

    let text = "x".repeat(1 << 20);
    let event = json!({ "type": "message.created", "id": "e", "customer": { "id": "noor" },
        "text": text });
    let reply = socket.events(event).await;
    assert_eq!(reply["status"], 413, "{reply}");
    let refused = |result: &str| {
        format!("tidegate_frames_refused_total{{integration=\"acme\",result=\"{result}\"}}")
    };
    for (result, count) in [("bad", 6), ("unexpected", 1), ("too_large", 1)] {
        assert_eq!(all.metric(&refused(result)).await, count, "{result}");
    }
    socket.customer_writes("noor", "I am still here").await;
}

#[tokio::test]
async fn what_breaks_the_protocol_ends_the_socket_with_a_code() {
    let all = SocketLoop::start("").await;
    let mut socket = all.socket().await;
    socket.send_raw(Message::binary(b"{}".to_vec())).await;
    let closed = socket.next().await.expect_err("it is closed");
    let reason = "a binary frame came; send JSON in text frames".to_owned();
    assert_eq!(closed, Closed { code: 1003, reason });

    // A text of one byte that is not UTF-8, masked with zeros.
    let not_utf8: &[u8] = &[0x81, 0x81, 0, 0, 0, 0, 0xff];
    // The head of a text of 1 TiB.
    let huge: &[u8] = &[0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // A text that is not masked, as only a server may send one.
    let not_masked: &[u8] = &[0x81, 0x02, b'{', b'}'];
    for (bytes, code) in [(not_utf8, 1007), (huge, 1009), (not_masked, 1002)] {
        let mut socket = all.socket().await;
        socket.write_bytes(bytes).await;
        assert_eq!(socket.next().await.expect_err("it is closed").code, code);
    }
}

#[tokio::test]
async fn one_socket_too_many_is_told_to_try_again() {
    let all = SocketLoop::start("max_sockets = 2").await;
    let (_one, two) = (all.socket().await, all.socket().await);
    let mut three = ServiceSocket::connect(&all.gateway.url).await;
    let reason = "2 sockets are open already, as max_sockets allows; close one".to_owned();
    assert_eq!(three.next().await, Err(Closed { code: 1013, reason }));
    two.breaks();
    all.metric_becomes("tidegate_sockets{integration=\"acme\"}", 1).await;
    all.socket().await;
}
