//! The calls as a chat service sees them.

use std::time::Duration;

use axum::http::Method;
use connector::{CheckError, Connector, Customer, Departure, Open, Sender, SenderKind, Typing};
use conversation::{AttemptOutcome, ConversationId, SessionId};
use serde_json::json;

use crate::service::{Reply, Service, closed_port, connector_to, message};

#[tokio::test]
async fn the_four_calls_are_as_the_contract_says() {
    let service = Service::start().await;
    service.always(Reply::new(202, ""));
    let connector = service.connector();
    let conversation = ConversationId::new("c1");
    let customer =
        Customer { id: "noor@chat".into(), first_name: Some("Noor".into()), ..Customer::default() };
    let departure = Departure::free();
    connector
        .open(&Open { conversation: conversation.clone(), customer, attempt: 3, departure })
        .await;
    let attachment = json!({"contentType": "Attachment", "attachment": {"mediaType": "Image", "url": "https://x/y"}});
    let mut with_content = message("m1");
    with_content.content = vec![attachment.clone()];
    connector.forward(&with_content).await;
    let mut without_text = message("m2");
    without_text.text = None;
    without_text.sender = Some(Sender { kind: SenderKind::Bot, name: Some("Harbour".to_owned()) });
    connector.forward(&without_text).await;
    connector
        .typing(&conversation, Typing { on: true, duration: Duration::from_secs(5) })
        .await
        .unwrap();
    connector.close(&conversation, "the agent left").await.unwrap();

    let calls = service.calls();
    let seen: Vec<_> = calls.iter().map(|call| (call.path.as_str(), call.body.clone())).collect();
    let time = "2026-11-20T09:10:59.12Z";
    assert_eq!(
        seen,
        [
            (
                "/conversations/c1/open",
                json!({"customer": {"id": "noor@chat", "first_name": "Noor"}, "attempt": 3})
            ),
            (
                "/conversations/c1/messages",
                json!({"id": "m1", "time": time, "text": "Where is my parcel?", "content": [attachment], "session": "s1"})
            ),
            (
                "/conversations/c1/messages",
                json!({"id": "m2", "time": time, "text": null, "content": [], "session": "s1",
                    "sender": {"kind": "bot", "name": "Harbour"}})
            ),
            ("/conversations/c1/typing", json!({"state": "on", "duration_ms": 5_000})),
            ("/conversations/c1/close", json!({"reason": "the agent left"})),
        ]
    );
    for call in calls {
        assert!(call.genuine, "{} is signed", call.path);
        assert_eq!(call.method, Method::POST);
        assert_eq!(call.header("content-type"), "application/json");
        assert!(
            !call.header("content-length").is_empty(),
            "simple servers cannot read chunked bodies"
        );
    }
}

#[tokio::test]
async fn a_repeated_attempt_has_the_same_key_and_a_new_call_another() {
    let service = Service::start().await;
    service.always(Reply::new(503, ""));
    let connector = service.connector();
    for session in ["s1", "s1", "s2"] {
        let mut message = message("m1");
        message.session = SessionId::new(session);
        connector.forward(&message).await;
    }
    for call in service.calls() {
        assert_eq!((call.header("idempotency-key"), call.header("webhook-id")), ("m1", "m1"));
    }
    for _ in 0..2 {
        let (conversation, customer) = (ConversationId::new("c1"), Customer::default());
        connector
            .open(&Open { conversation, customer, attempt: 1, departure: Departure::free() })
            .await;
    }
    let opens: Vec<_> = service.calls().split_off(3);
    assert_ne!(
        opens[0].header("webhook-id"),
        opens[1].header("webhook-id"),
        "a second handshake is no repetition"
    );
    assert!(opens.iter().all(|call| call.header("idempotency-key").is_empty()));
}

#[tokio::test]
async fn an_id_that_cannot_stand_in_a_header_is_not_sent() {
    let service = Service::start().await;
    let outcome = service.connector().forward(&message("a\nb")).await;
    assert!(matches!(outcome, AttemptOutcome::NotTaken { .. }), "{outcome:?}");
    assert!(service.calls().is_empty());
}

#[tokio::test]
async fn a_check_is_a_signed_get_that_touches_no_conversation() {
    let service = Service::start().await;
    service.always(Reply::new(405, ""));
    let line = service.connector().check().await.unwrap();
    assert!(line.contains("405"), "{line}");
    let calls = service.calls();
    assert_eq!(
        (calls[0].method.clone(), calls[0].path.as_str(), calls[0].genuine),
        (Method::GET, "/", true)
    );
    service.always(Reply::new(401, ""));
    assert_eq!(service.connector().check().await, Err(CheckError::Unauthorized(401)));
    service.always(Reply::new(502, ""));
    assert_eq!(service.connector().check().await, Err(CheckError::Failing(502)));
    let nobody = connector_to(&format!("http://{}", closed_port().await));
    assert!(matches!(nobody.check().await, Err(CheckError::Unreachable(_))));
}

#[tokio::test]
async fn what_no_connector_answers_does_not_pass_a_check() {
    let service = Service::start().await;
    let html =
        |status| Reply::new(status, "Welcome").with("content-type", "Text/HTML; charset=utf-8");
    for (reply, error) in [
        (Reply::new(404, "{}"), CheckError::Missing(404)),
        (Reply::new(410, ""), CheckError::Missing(410)),
        (Reply::new(302, "").with("location", "/login"), CheckError::Redirect(302)),
        (html(200), CheckError::WebPage(200)),
        (html(503), CheckError::WebPage(503)),
        (Reply::new(200, "\n <!DOCTYPE html><title>It works!</title>"), CheckError::WebPage(200)),
        (Reply::new(200, "ok").with("server", "tidegate"), CheckError::Gateway),
        (Reply::new(404, "").with("server", "tidegate"), CheckError::Gateway),
    ] {
        service.always(reply.clone());
        assert_eq!(service.connector().check().await, Err(error), "{reply:?}");
    }
    for reply in
        [Reply::new(200, "{}"), Reply::new(204, ""), Reply::new(400, "{}"), Reply::new(405, "")]
    {
        service.always(reply.clone());
        assert!(service.connector().check().await.is_ok(), "{reply:?}");
    }
}
