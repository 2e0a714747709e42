//! The answers to Genesys's webhooks and their consequences: the table of the contract, row by row.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::{Loop, WEBHOOK_SECRET, client, delivered, eventually, webhook};

/// A chat service that opens sessions and delivers at once.
const QUICK: &[&str] = &["--handshake", "0", "--deliver", "immediately"];

#[tokio::test]
async fn a_signed_webhook_is_durable_when_it_is_answered_and_then_delivered() {
    let all = Loop::start("", QUICK).await;
    all.sandbox.accept_unknown_receipts().await;
    let body = webhook("first", "noor", "Good morning.").to_string();
    assert_eq!(all.gateway.webhook(body.as_bytes()).await, 200);
    let row = all.stored("first").await.expect("it is stored before the answer");
    assert_eq!(row.body, body.as_bytes(), "as it came");
    assert_eq!(all.sandbox.receipt("first").await, ("Delivered".to_owned(), None));
    assert_eq!(all.chat.taken(), ["Good morning."]);
    all.audited();
}

#[tokio::test]
async fn the_same_webhook_again_is_welcome_and_changes_nothing() {
    let all = Loop::start("", QUICK).await;
    all.sandbox.accept_unknown_receipts().await;
    let body = webhook("twin", "noor", "Once only.").to_string();
    let posts = (0..8).map(|_| all.gateway.webhook(body.as_bytes()));
    let answers = futures_util::future::join_all(posts).await;
    assert_eq!(answers, [200; 8], "eight at the same time");
    all.sandbox.receipt("twin").await;
    assert_eq!(all.gateway.webhook(body.as_bytes()).await, 200, "once more when all is over");
    // A later message in the same conversation shows that no repeat is still on its way.
    let last = webhook("last", "noor", "Goodbye.").to_string();
    assert_eq!(all.gateway.webhook(last.as_bytes()).await, 200);
    all.sandbox.receipt("last").await;
    assert_eq!(all.chat.taken(), ["Once only.", "Goodbye."]);
    assert_eq!(all.chat.count("message"), 2, "not even as a repeat");
    assert_eq!(all.sandbox.receipts("twin").await.len(), 1);
    all.audited();
}

#[tokio::test]
async fn a_webhook_that_genesys_sends_twice_is_delivered_once() {
    let all = Loop::start("", QUICK).await;
    all.chat.says("noor", "Hello?").await;
    all.sandbox.fault(&json!({ "on": "webhook", "action": "duplicate", "times": 1 })).await;
    let twice =
        eventually("the agent", async || all.sandbox.agent_sends("noor", "Sent twice.").await)
            .await;
    let lost = {
        all.sandbox.final_receipt(&twice).await;
        all.sandbox.put("/sandbox/switches", &json!({ "webhook_pause": "100ms" })).await;
        all.sandbox.fault(&json!({ "on": "webhook", "action": "drop_answer", "times": 2 })).await;
        all.sandbox.agent_sends("noor", "Sent three times.").await.expect("it is sent")
    };
    assert_eq!(all.sandbox.final_receipt(&lost).await, ("Delivered".to_owned(), None));
    eventually("the third call", async || (webhook_calls(&all, &lost).await == 3).then_some(()))
        .await;
    assert_eq!(webhook_calls(&all, &twice).await, 2);
    assert_eq!(all.chat.count("message"), 2);
    let verdict = all.sandbox.verdict().await;
    assert_eq!(verdict["holds"], true, "{verdict}");
    all.audited();
}

#[tokio::test]
async fn a_forged_webhook_is_refused_and_leaves_no_trace() {
    let all = Loop::start("", QUICK).await;
    let marker = "a-forgers-words";
    let body = webhook("forged", "noor", marker).to_string();
    let right = genesys::signature::sign(&WEBHOOK_SECRET.into(), body.as_bytes());
    let other = genesys::signature::sign(&WEBHOOK_SECRET.into(), b"another body");
    let foreign =
        genesys::signature::sign(&"the secret of somebody else 000000".into(), body.as_bytes());
    let hex = right.replacen("sha256=", "", 1);
    for signature in [
        None,
        Some(""),
        Some("sha256="),
        Some(&other),
        Some(&foreign),
        Some(&hex),
        Some("sha256=%%%"),
    ] {
        assert_eq!(
            all.gateway.webhook_signed(body.as_bytes(), signature).await,
            401,
            "{signature:?}"
        );
    }
    let changed = body.replace("noor", "rono");
    assert_eq!(
        all.gateway.webhook_signed(changed.as_bytes(), Some(&right)).await,
        401,
        "one letter was changed"
    );
    assert!(all.stored("forged").await.is_none());
    assert_eq!(all.stored_for("noor").await, 0);
    let log = all.gateway.process.log();
    assert!(log.contains("refused") && !log.contains(marker), "it is logged without its text");
    let (_, metrics) = all.gateway.get("/metrics").await;
    assert!(
        metrics.lines().any(|line| line.contains("unsigned") && line.ends_with(" 8")),
        "counted:\n{metrics}"
    );
    // The right signature is still accepted.
    assert_eq!(all.gateway.webhook_signed(body.as_bytes(), Some(&right)).await, 200);
}

#[tokio::test]
async fn a_webhook_for_an_integration_that_is_not_there_is_not_found() {
    let all = Loop::start("", QUICK).await;
    let body = webhook("astray", "noor", "Anybody there?").to_string();
    let signature = genesys::signature::sign(&WEBHOOK_SECRET.into(), body.as_bytes());
    for name in ["acmE", "nobody", "acme%20", "..%2facme"] {
        let call = client().post(format!("{}/genesys/{name}", all.gateway.url)).body(body.clone());
        let answer =
            call.header(genesys::signature::HEADER, &signature).send().await.expect("an answer");
        assert_eq!(answer.status(), 404, "{name}");
    }
    assert!(all.stored("astray").await.is_none());
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let all = Loop::start("", QUICK).await;
    all.sandbox.accept_unknown_receipts().await;
    let limit = 1 << 20;
    // One body, filled up: the time in another may be shorter by a digit.
    let mut at_limit = webhook("large", "noor", "");
    at_limit["text"] = "x".repeat(limit - at_limit.to_string().len()).into();
    let at_limit = at_limit.to_string();
    assert_eq!(at_limit.len(), limit);
    assert_eq!(all.gateway.webhook(at_limit.as_bytes()).await, 200);
    let over = webhook("larger", "noor", &"x".repeat(limit + 1)).to_string();
    let signature = genesys::signature::sign(&WEBHOOK_SECRET.into(), over.as_bytes());
    let head = |length: &str| {
        let name = genesys::signature::HEADER;
        format!("POST /genesys/acme HTTP/1.1\r\nhost: localhost\r\n{name}: {signature}\r\n{length}\r\n\r\n")
            .into_bytes()
    };
    // Its announced length suffices, so not a byte of it need be sent.
    let announced = head(&format!("content-length: {}", over.len()));
    assert_eq!(status_of(&all, &announced).await, 413);
    // A caller that reads only after sending everything finds the answer, not a broken connection.
    let mut whole = head(&format!("content-length: {}", 3 * limit));
    whole.resize(whole.len() + 3 * limit, b'x');
    for _ in 0..10 {
        assert_eq!(status_once_sent(&all, &whole).await, 413);
    }
    // Its length is not known before it has arrived.
    let mut chunked = head("transfer-encoding: chunked");
    for chunk in over.as_bytes().chunks(8 * 1024) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    assert_eq!(status_of(&all, &chunked).await, 413);
    assert!(all.stored("larger").await.is_none());
    assert_eq!(all.sandbox.receipt("large").await, ("Delivered".to_owned(), None));
    all.audited();
}

#[tokio::test]
async fn a_webhook_waits_for_a_store_that_is_busy_for_a_moment() {
    let all = Loop::start("", QUICK).await;
    all.sandbox.accept_unknown_receipts().await;
    let busy = all.lock_store();
    let body = webhook("patient", "noor", "I can wait.").to_string();
    let mut answer = std::pin::pin!(all.gateway.webhook(body.as_bytes()));
    let early = tokio::time::timeout(Duration::from_secs(6), &mut answer).await;
    assert!(early.is_err(), "answered {early:?} before it was durable");
    busy.execute_batch("rollback").expect("the lock ends");
    assert_eq!(answer.await, 200);
    assert_eq!(all.sandbox.receipt("patient").await, ("Delivered".to_owned(), None));
    all.audited();
}

#[tokio::test]
async fn a_webhook_is_answered_503_while_the_store_is_away_and_all_goes_on_when_it_is_back() {
    let all = Loop::start("", QUICK).await;
    all.chat.says("noor", "Hello?").await;
    all.chat.says("olga", "Hello?").await;
    let first =
        eventually("the agent", async || all.sandbox.agent_sends("noor", "Before.").await).await;
    all.sandbox.final_receipt(&first).await;
    let first =
        eventually("the agent", async || all.sandbox.agent_sends("olga", "Before.").await).await;
    all.sandbox.final_receipt(&first).await;
    let busy = all.lock_store();
    let begun = Instant::now();
    let message = all.sandbox.agent_sends("noor", "Meanwhile.").await.expect("it is sent");
    let refused = async || {
        let calls = webhook_answers(&all, &message).await;
        (!calls.is_empty()).then_some(calls)
    };
    assert_eq!(eventually("an answer to the webhook", refused).await, [503]);
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(7) && waited < Duration::from_secs(10), "{waited:?}");
    assert_eq!(all.gateway.get("/readyz").await.0, 503);
    assert_eq!(all.gateway.get("/healthz").await.0, 200);
    busy.execute_batch("rollback").expect("the lock ends");
    eventually("it is ready again", async || {
        (all.gateway.get("/readyz").await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(all.sandbox.final_receipt(&message).await, ("Delivered".to_owned(), None));
    let after = all.sandbox.agent_sends("olga", "After.").await.expect("it is sent");
    assert_eq!(all.sandbox.final_receipt(&after).await, ("Delivered".to_owned(), None));
    assert_eq!(all.chat.taken().iter().filter(|text| *text == "Meanwhile.").count(), 1);
    let verdict = all.sandbox.verdict().await;
    assert_eq!(verdict["without_final_receipt"], json!([]));
    assert_eq!(verdict["receipts_after_final"], json!([]));
    all.audited();
}

#[tokio::test]
async fn a_caller_that_hangs_up_early_does_not_leave_its_message_lying() {
    let all = Loop::start("", QUICK).await;
    all.sandbox.accept_unknown_receipts().await;
    let busy = all.lock_store();
    let body = webhook("hung-up", "noor", "Are you there?").to_string();
    let signature = genesys::signature::sign(&WEBHOOK_SECRET.into(), body.as_bytes());
    let call =
        client().post(format!("{}/genesys/acme", all.gateway.url)).timeout(Duration::from_secs(1));
    let answer = call.header(genesys::signature::HEADER, signature).body(body.clone()).send().await;
    assert!(
        answer.is_err_and(|error| error.is_timeout()),
        "the caller gives up before the store is back"
    );
    busy.execute_batch("rollback").expect("the lock ends");
    assert_eq!(all.gateway.webhook(body.as_bytes()).await, 200, "and calls again, as Genesys does");
    assert_eq!(all.sandbox.receipt("hung-up").await, ("Delivered".to_owned(), None));
    assert_eq!(all.chat.taken(), ["Are you there?"]);
    all.audited();
}

#[tokio::test]
async fn what_the_chat_service_cannot_carry_fails_with_the_reason_and_nothing_else_does() {
    let can = "max_text = 20\nmedia = [\"image/*\"]\ncontent = [\"QuickReply\"]";
    let all = Loop::start(can, QUICK).await;
    all.chat.says("noor", "Hello?").await;
    eventually("the agent", async || all.sandbox.agent_sends("noor", "Short enough.").await).await;
    let failed = |code: &str| ("Failed".to_owned(), Some(code.to_owned()));
    // Genesys itself would only allow pictures.
    let everything =
        json!({"name": "all", "mediaTypes": {"allow": {"outbound": [{"type": "*/*"}]}}});
    let content = "/api/v2/conversations/messaging/supportedcontent";
    let made = all.sandbox.api_send(reqwest::Method::POST, content, &everything).await;
    all.sandbox
        .api_send(reqwest::Method::PUT, &format!("{content}/default"), &json!({"id": made["id"]}))
        .await;

    let long = all.sandbox.agent_sends("noor", &"é".repeat(21)).await.expect("it is sent");
    assert_eq!(all.sandbox.final_receipt(&long).await, failed("UnsupportedMessage"));
    let just = all.sandbox.agent_sends("noor", &"é".repeat(20)).await.expect("it is sent");
    assert_eq!(all.sandbox.final_receipt(&just).await, ("Delivered".to_owned(), None));

    let attachment = |mime: &str| {
        let attachment =
            json!({ "mediaType": "File", "mime": mime, "url": "https://example.invalid/a" });
        json!([{ "contentType": "Attachment", "attachment": attachment }])
    };
    let pdf = sends(&all, attachment("application/pdf")).await;
    assert_eq!(all.sandbox.final_receipt(&pdf).await, failed("MediaTypeNotAllowed"));
    let png = sends(&all, attachment("image/png")).await;
    assert_eq!(all.sandbox.final_receipt(&png).await, ("Delivered".to_owned(), None));
    let card =
        sends(&all, json!([{ "contentType": "Card", "card": { "title": "A", "actions": [] } }]))
            .await;
    assert_eq!(all.sandbox.final_receipt(&card).await, delivered(), "it becomes a text");
    let form = sends(&all, json!([{ "contentType": "Form", "form": {} }])).await;
    assert_eq!(all.sandbox.final_receipt(&form).await, failed("UnsupportedMessage"));

    all.sandbox.fault(&json!({ "on": "webhook", "action": "unknown_content", "times": 1 })).await;
    let hologram = all.sandbox.agent_sends("noor", "See this.").await.expect("it is sent");
    assert_eq!(all.sandbox.final_receipt(&hologram).await, delivered(), "the text is there");
    all.sandbox.fault(&json!({ "on": "webhook", "action": "unknown_field", "times": 1 })).await;
    let new_field = all.sandbox.agent_sends("noor", "From the future.").await.expect("it is sent");
    assert_eq!(all.sandbox.final_receipt(&new_field).await, ("Delivered".to_owned(), None));

    let verdict = all.sandbox.verdict().await;
    assert_eq!(verdict["holds"], true, "all were answered 200: {verdict}");
    all.audited();
}

#[tokio::test]
async fn what_is_no_message_is_answered_200_and_fails_where_it_has_an_id() {
    let all = Loop::start("", QUICK).await;
    all.sandbox.accept_unknown_receipts().await;
    let with = |id: &str, change: &dyn Fn(&mut Value)| {
        let mut body = webhook(id, "noor", "text");
        change(&mut body);
        body
    };
    let cases = [
        (with("hologram", &|body| body["type"] = json!("Hologram")), "UnsupportedMessage"),
        (
            with("no-type", &|body| drop(body.as_object_mut().expect("an object").remove("type"))),
            "InvalidMessageStructure",
        ),
        (with("no-channel", &|body| body["channel"] = json!(7)), "InvalidMessageStructure"),
        (
            with("no-recipient", &|body| body["channel"]["to"] = Value::Null),
            "InvalidMessageStructure",
        ),
        (with("nothing", &|body| body["text"] = Value::Null), "InvalidMessageStructure"),
        (json!({ "id": "only-an-id" }), "InvalidMessageStructure"),
    ];
    for (body, code) in &cases {
        let id = body["id"].as_str().expect("an id");
        assert_eq!(all.gateway.webhook(body.to_string().as_bytes()).await, 200, "{id}");
        assert_eq!(
            all.sandbox.receipt(id).await,
            ("Failed".to_owned(), Some((*code).to_owned())),
            "{id}"
        );
        let row = all.stored(id).await.expect("it is kept");
        assert_eq!(row.body, body.to_string().as_bytes(), "whole: {id}");
    }
    assert!(all.chat.taken().is_empty());
    all.audited();
}

/// The agent sends content to noor. Returns the message's id.
async fn sends(all: &Loop, content: Value) -> String {
    let body = json!({ "integration": "acme", "customer": "noor", "content": content });
    let sent = all.sandbox.post("/sandbox/agent/send", &body).await;
    sent["id"].as_str().unwrap_or_else(|| panic!("not sent: {sent}")).to_owned()
}

/// The answers that the sandbox got for a message's webhook so far.
async fn webhook_answers(all: &Loop, message: &str) -> Vec<u64> {
    let calls = all.sandbox.transcript().await;
    let ours =
        calls.iter().filter(|entry| entry["kind"] == "webhook" && entry["message"] == message);
    ours.map(|entry| entry["status"].as_u64().unwrap_or(0)).collect()
}

async fn webhook_calls(all: &Loop, message: &str) -> usize {
    webhook_answers(all, message).await.len()
}

/// Writes raw bytes to the gateway. Returns the status of its answer.
async fn status_of(all: &Loop, request: &[u8]) -> u16 {
    let address = all.gateway.url.strip_prefix("http://").expect("an address");
    let (mut from, mut to) = TcpStream::connect(address).await.expect("a connection").into_split();
    let answer = async {
        let mut answer = [0; 12];
        from.read_exact(&mut answer).await.expect("an answer");
        String::from_utf8_lossy(&answer[9..]).parse().expect("a status")
    };
    // The answer may come before the request has been sent, and end the connection.
    let (status, _) = tokio::join!(answer, to.write_all(request));
    status
}

/// The same for a caller that reads the answer only after sending everything.
async fn status_once_sent(all: &Loop, request: &[u8]) -> u16 {
    let address = all.gateway.url.strip_prefix("http://").expect("an address");
    let mut connection = TcpStream::connect(address).await.expect("a connection");
    connection.write_all(request).await.expect("all of it is taken");
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).await.expect("an answer");
    String::from_utf8_lossy(&answer[9..]).parse().expect("a status")
}
