//! Slightly wrong input from chat services: none of it passes for a success, and no customer's
//! message is accepted and then lost. The cases are data in `tests/cases`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conversation::{ConversationId, IntegrationName};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{
    Gateway, Loop, Sandbox, WEBHOOK_SECRET, audit, eventually, free_port, root, settled, store_in,
    webhook,
};

const QUICK: &[&str] = &["--handshake", "0", "--deliver", "immediately"];

fn cases(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(root().join("tests/cases").join(name)).expect("the cases");
    serde_json::from_str(&text).expect("JSON")
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap_or_else(|| panic!("{name} of {case}"))
}

fn bytes(case: &Value) -> Vec<u8> {
    match &case["raw_base64"] {
        Value::String(raw) => STANDARD.decode(raw).expect("base64"),
        _ => case["event"].to_string().into_bytes(),
    }
}

/// A chat service that answers each customer's messages by the case of that number.
async fn answers(
    State(cases): State<Arc<Vec<Value>>>,
    Path((conversation, call)): Path<(String, String)>,
) -> Response {
    let acme = IntegrationName::new("acme");
    let of = |index: &usize| {
        ConversationId::of(&acme, &format!("customer-{index}")).as_str() == conversation
    };
    match (call.as_str(), (0..cases.len()).find(of)) {
        ("messages", Some(index)) => {
            let status =
                cases[index]["status"].as_u64().and_then(|status| u16::try_from(status).ok());
            let status = StatusCode::from_u16(status.expect("a number")).expect("a status");
            (status, [(header::CONTENT_TYPE, "application/json")], bytes(&cases[index]))
                .into_response()
        }
        _ => axum::Json(json!({ "session": "s" })).into_response(),
    }
}

#[tokio::test]
async fn an_answer_is_believed_as_far_as_it_is_understood() {
    let dir = tempfile::tempdir().expect("a folder");
    let cases = Arc::new(cases("answers.json"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let chat = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().route("/conversations/{conversation}/{call}", post(answers));
    let router = router.with_state(Arc::clone(&cases));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let sandbox = Sandbox::start(dir.path(), &[]).await;
    sandbox.accept_unknown_receipts().await;
    let policy = "[integration.delivery]\non_unknown = \"fail\"\n[integration.receipts]\ndelivered_on = \"accepted\"\n";
    let gateway = Gateway::beside(&sandbox, dir.path(), &chat, policy).await;

    for index in 0..cases.len() {
        let body = webhook(&format!("m-{index}"), &format!("customer-{index}"), "Where is it?")
            .to_string();
        assert_eq!(gateway.webhook(body.as_bytes()).await, 200);
    }
    let store = store_in(dir.path());
    for (index, case) in cases.iter().enumerate() {
        let (name, id) = (text(case, "name"), format!("m-{index}"));
        let row = settled(&store, &id).await;
        let reason = row.reason.unwrap_or_default();
        let (status, code) = sandbox.receipt(&id).await;
        match text(case, "want").split_once(' ').unwrap_or((text(case, "want"), "")) {
            ("delivered", _) => assert_eq!(status, "Delivered", "{name}: {reason}"),
            ("failed", wanted) => {
                assert_eq!(
                    (status.as_str(), code.as_deref()),
                    ("Failed", Some(wanted)),
                    "{name}: {reason}"
                );
            }
            _ => {
                assert_eq!(status, "Failed", "{name}: {reason}");
                assert!(
                    reason.contains("may have arrived"),
                    "it says that the outcome is unknown: {name}: {reason}"
                );
            }
        }
    }
    let (code, report) = audit(&store);
    assert_eq!(code, Some(0), "{report}");
}

/// What Genesys accepted from a customer, in order: a text as it is, `+Kind mime` for each file,
/// `!text` for a tap.
async fn heard(all: &Loop, customer: &str) -> Vec<String> {
    let mut heard = Vec::new();
    for entry in all.sandbox.transcript().await {
        let path = entry["path"].as_str().unwrap_or_default();
        if !path.contains("/inbound/open/") || entry["body"]["channel"]["from"]["id"] != customer {
            continue;
        }
        assert!(entry["status"].as_u64() < Some(300), "Genesys takes all that it gets: {entry}");
        let body = &entry["body"];
        if path.contains("/structured/response") {
            heard.push(format!("!{}", text(&body["buttonResponse"], "text")));
        } else if path.contains("/inbound/open/message") {
            let mut said = body["text"].as_str().unwrap_or_default().to_owned();
            for element in body["content"].as_array().into_iter().flatten() {
                let file = &element["attachment"];
                said = format!("{said} +{} {}", text(file, "mediaType"), text(file, "mime"));
            }
            heard.push(said);
        }
    }
    heard
}

#[tokio::test]
async fn no_words_are_taken_and_then_lost() {
    let all = Loop::start("", QUICK).await;
    let cases = cases("events.json");
    for case in &cases {
        let name = text(case, "name");
        let (status, answer) = all.gateway.events(&bytes(case)).await;
        if let Some(why) = case["refused"].as_str() {
            assert_eq!((status, &answer["accepted"]), (400, &json!(0)), "{name}: {answer}");
            let told = text(&answer["ignored"][0], "why");
            assert!(told.contains(why), "{name}: {told}");
            continue;
        }
        assert_eq!((status, &answer["ignored"]), (202, &Value::Null), "{name}: {answer}");
        for field in case["changed"].as_array().into_iter().flatten() {
            let told = answer["changed"].to_string();
            assert!(told.contains(field.as_str().expect("a field")), "{name}: {told}");
        }
        // Sending the same again has no effect.
        assert_eq!(all.gateway.events(&bytes(case)).await.0, 202, "{name}");
    }
    let (refused, taken): (Vec<_>, Vec<_>) =
        cases.iter().partition(|case| case["refused"].is_string());
    for case in taken {
        let (name, customer) = (text(case, "name"), text(case, "customer"));
        let expected: Vec<String> =
            serde_json::from_value(case["heard"].clone()).expect("what Genesys hears");
        let what = format!("Genesys hears {name}");
        let found = eventually(&what, async || {
            let heard = heard(&all, customer).await;
            (heard.len() >= expected.len()).then_some(heard)
        })
        .await;
        assert_eq!(found, expected, "{name}");
    }
    for case in refused {
        let heard = heard(&all, text(case, "customer")).await;
        assert!(heard.is_empty(), "{}: {heard:?}", text(case, "name"));
    }
    for entry in all.sandbox.transcript().await {
        let from = &entry["body"]["channel"]["from"];
        if let Some(case) =
            cases.iter().find(|case| case["id_type"].is_string() && case["customer"] == from["id"])
        {
            assert_eq!(from["idType"], case["id_type"], "{entry}");
        }
    }
    all.audited();
}

#[tokio::test]
async fn one_event_that_is_refused_does_not_cost_its_neighbours() {
    let all = Loop::start("", QUICK).await;
    let said = |id: &str, more: Value| {
        let mut event = json!({ "type": "message.created", "id": id, "customer": { "id": "noor" }, "text": id });
        event
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        event
    };
    let deep = serde_json::from_str::<Value>(&format!("{}1{}", "[".repeat(60), "]".repeat(60)))
        .expect("JSON");
    let events = json!([
        said("one", json!({})),
        said(
            "no-url",
            json!({ "content": [{ "contentType": "Attachment", "attachment": { "mime": "a/b" } }] })
        ),
        said("deep", json!({ "more": deep })),
        said("wrong-type", json!({ "text": ["x"] })),
        said("two", json!({ "more": 5 })),
        said("many", json!({ "content": vec![json!({ "attachment": {} }); 101] })),
        said("three", json!({})),
    ]);
    // A number that no parser can represent, in a field that is not used.
    let body = events.to_string().replace("\"more\":5", "\"more\":1e999");
    let (status, answer) = all.gateway.events(body.as_bytes()).await;
    assert_eq!((status, &answer["accepted"]), (202, &json!(3)), "{answer}");
    let ignored: Vec<_> =
        answer["ignored"].as_array().expect("some").iter().map(|one| &one["index"]).collect();
    assert_eq!(ignored, [1, 2, 3, 5], "{answer}");
    let heard = eventually("three messages", async || {
        Some(heard(&all, "noor").await).filter(|heard| heard.len() >= 3)
    });
    assert_eq!(heard.await, ["one", "two", "three"]);
    let metrics = all.gateway.get("/metrics").await.1;
    for line in
        [r#"tidegate_events_total{integration="acme",result="refused"} 1"#, r#"result="bad"} 3"#]
    {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(all.gateway.process.log().contains("an event was refused"));
}

/// A second integration behind the gateway of a loop, with the same secrets. Its webhook points to
/// the first one.
const OTHER: &str = r#"

[[integration]]
name = "other"
api_url = "GENESYS"
login_url = "GENESYS"
integration_id = "OTHER"
clients = [{ id = "sandbox-client", secret = "sandbox-secret" }]
webhook_secret = "SECRET"
end = { detect = "off" }

[integration.connector]
type = "http"
url = "http://127.0.0.1:9"
secret = "CONNECTOR"
"#;

#[tokio::test]
async fn a_webhook_of_another_integration_fails_and_reaches_nobody() {
    let dir = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let sandbox = Sandbox::start(dir.path(), &[]).await;
    let webhook_url = format!("http://127.0.0.1:{port}/genesys/acme");
    let acme = sandbox.create_integration(&webhook_url, WEBHOOK_SECRET).await;
    let other = sandbox.create_integration(&webhook_url, WEBHOOK_SECRET).await;
    let second = OTHER
        .replace("GENESYS", &sandbox.url)
        .replace("OTHER", &other)
        .replace("SECRET", WEBHOOK_SECRET);
    let second = second.replace("CONNECTOR", crate::support::CONNECTOR_SECRET);
    let all = Loop::start_on(dir, sandbox, &acme, port, &second, QUICK).await;
    all.sandbox.accept_unknown_receipts().await;

    for (id, channel) in
        [("stray", other.as_str()), ("own", acme.as_str()), ("nobodys", "no-integration")]
    {
        let mut body = webhook(id, "noor", &format!("for {id}"));
        body["channel"]["id"] = json!(channel);
        assert_eq!(all.gateway.webhook(body.to_string().as_bytes()).await, 200, "{id}");
        assert_eq!(all.gateway.webhook(body.to_string().as_bytes()).await, 200, "{id} again");
    }
    assert_eq!(
        all.sandbox.receipt("stray").await,
        ("Failed".to_owned(), Some("InvalidDestination".to_owned()))
    );
    for id in ["own", "nobodys"] {
        assert_eq!(all.sandbox.receipt(id).await, ("Delivered".to_owned(), None), "{id}");
    }
    assert_eq!(all.sandbox.receipts("stray").await.len(), 1, "one receipt");
    assert_eq!(all.chat.taken(), ["for own", "for nobodys"]);
    // Genesys receives it through the integration that it belongs to.
    let transcript = all.sandbox.transcript().await;
    let told = transcript
        .iter()
        .find(|entry| entry["kind"] != "webhook" && entry["body"]["id"] == "stray");
    let path = told.and_then(|entry| entry["path"].as_str()).expect("a receipt");
    assert!(path.contains(&other), "{path}");
    let typing = json!({ "id": "t", "type": "Event", "channel": { "id": other, "to": { "id": "noor" } },
        "events": [{ "eventType": "Typing", "typing": { "type": "On" } }] });
    assert_eq!(all.gateway.webhook(typing.to_string().as_bytes()).await, 200);
    let metrics = all.gateway.get("/metrics").await.1;
    let line = r#"tidegate_webhooks_total{integration="acme",result="other_integration"} "#;
    assert!(metrics.contains(line), "{metrics}");
    assert!(all.gateway.process.log().contains("a webhook of another integration"));
    assert_eq!(all.chat.count("typing"), 0, "nothing of it reaches a customer of this one");
    all.audited();
}
