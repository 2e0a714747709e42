//! Webhooks with a valid signature that are broken otherwise.

use conversation::MessageId;
use serde_json::{Value, json};

use super::{MARKER, Memory, QUICK, unharmed};
use crate::support::{Loop, webhook};

/// The outcome of a body.
enum End {
    /// It names no message, so it is kept for inspection, and no receipt is possible.
    Kept,
    Failed(&'static str),
    /// The text that the customer sees.
    Delivered(String),
}

struct Case {
    name: &'static str,
    body: Vec<u8>,
    /// The id as Genesys would write it in its own records.
    id: String,
    end: End,
}

fn kept(name: &'static str, body: impl Into<Vec<u8>>) -> Case {
    Case { name, body: body.into(), id: String::new(), end: End::Kept }
}

fn failed(name: &'static str, body: impl Into<Vec<u8>>, code: &'static str) -> Case {
    Case { name, body: body.into(), id: name.to_owned(), end: End::Failed(code) }
}

fn delivered(
    name: &'static str,
    id: impl Into<String>,
    body: impl Into<Vec<u8>>,
    text: &str,
) -> Case {
    Case { name, body: body.into(), id: id.into(), end: End::Delivered(text.to_owned()) }
}

/// A message of noor's agent with a unique text.
fn message(id: &str) -> String {
    webhook(id, "noor", &text(id)).to_string()
}

fn text(id: &str) -> String {
    format!("{MARKER} {}", MessageId::from_foreign(id))
}

fn deep(levels: usize) -> String {
    format!("{}1{}", r#"[{"a":"#.repeat(levels / 2), "}]".repeat(levels / 2))
}

fn no_messages() -> Vec<Case> {
    let whole = message("truncated");
    vec![
        kept("empty", ""),
        kept("white space", " \r\n\t "),
        kept("not JSON", format!("<message>{MARKER}</message>")),
        kept("a form", format!("id=x&text={MARKER}")),
        kept("zeros", vec![0; 4096]),
        kept("an array", format!("[{}]", message("in-an-array"))),
        kept("two messages", format!("{whole}{whole}")),
        kept("null", "null"),
        kept("a number", "1e400"),
        kept("a text", format!("\"{MARKER}\"")),
        kept("an empty object", "{}"),
        kept("truncated", &whole.as_bytes()[..whole.len() / 2]),
        kept("truncated by one", &whole.as_bytes()[..whole.len() - 1]),
        // If these are read as text, they are equal.
        kept("bytes", b"\xfe"),
        kept("other bytes", b"\xff"),
        kept("only deep", deep(10_000)),
        kept("open brackets", "[".repeat(100_000)),
        kept("an id that is a list", whole.replace("\"id\":\"truncated\"", "\"id\":[7]")),
        kept("an id that is deep", format!(r#"{{"text":"{MARKER}","id":{}}}"#, deep(10_000))),
        kept("an empty id", message("")),
        kept("another empty id", webhook("", "noor", &format!("{MARKER} again")).to_string()),
        failed(
            "deep",
            format!(r#"{{"metadata":{},{}"#, deep(10_000), &message("deep")[1..]),
            "InvalidMessageStructure",
        ),
        failed(
            "text-is-no-text",
            message("text-is-no-text").replace(&format!("\"{}\"", text("text-is-no-text")), "[1]"),
            "InvalidMessageStructure",
        ),
        failed(
            "hologram",
            message("hologram").replace("\"Text\"", "\"Hologram\""),
            "UnsupportedMessage",
        ),
        failed(
            "endless-type",
            message("endless-type").replace("\"Text\"", &format!("\"{}\"", MARKER.repeat(1_000))),
            "UnsupportedMessage",
        ),
    ]
}

fn odd_messages() -> Vec<Case> {
    let ids = [
        "x".repeat(10_000),
        "\r\nX-Injected: yes\r\n\r\n".to_owned(),
        "line one\nWARN line two".to_owned(),
        "\u{0}\u{1}\u{1b}[31m\u{7f}".to_owned(),
        "'; drop table message; --".to_owned(),
        "../../../etc/passwd".to_owned(),
        "..".to_owned(),
        "%2e%2e%2f?a=b#c".to_owned(),
        "{}{0}%s%n".to_owned(),
        "\u{202e}\u{feff}é\u{1f69a}".to_owned(),
        " ".to_owned(),
    ];
    let mut cases: Vec<_> =
        ids.iter().map(|id| delivered("an odd id", id, message(id), &text(id))).collect();

    let twice = message("last-id").replacen(
        "\"id\":\"last-id\"",
        "\"id\":\"first-id\",\"id\":\"last-id\"",
        1,
    );
    assert!(twice.contains("first-id"));
    cases.push(delivered("two ids", "last-id", twice, &text("last-id")));
    let twice = format!(r#"{{"text":"{MARKER} unheard",{}"#, &message("two-texts")[1..]);
    cases.push(delivered("two texts", "two-texts", twice, &text("two-texts")));
    let twice = format!(r#"{{"channel":{{"to":7}},"channel":[],{}"#, &message("channels")[1..]);
    cases.push(delivered("three channels", "channels", twice, &text("channels")));

    let bytes = |id: &str, from: &str, to: &[u8]| {
        let body = message(id);
        let (before, after) = body.split_once(from).expect("it is there");
        [before.as_bytes(), to, after.as_bytes()].concat()
    };
    let invalid = bytes("invalid-text", MARKER, b"caf\xe9");
    cases.push(delivered(
        "no UTF-8 in the text",
        "invalid-text",
        invalid,
        "caf\u{fffd} invalid-text",
    ));
    let invalid = bytes("invalid-id", "\"id\":\"invalid-id\"", b"\"id\":\"\xff\xfe\"");
    cases.push(delivered("no UTF-8 in the id", "\u{fffd}\u{fffd}", invalid, &text("invalid-id")));
    let half = bytes("half", MARKER, br"half \ud83d");
    cases.push(delivered("half an emoji", "half", half, "half \u{fffd} half"));
    let marked = [b"\xef\xbb\xbf".as_slice(), message("marked").as_bytes()].concat();
    cases.push(delivered("a byte order mark", "marked", marked, &text("marked")));
    let number = message("4711").replace("\"id\":\"4711\"", "\"id\":4711");
    cases.push(delivered("an id that is a number", "4711", number, &text("4711")));
    let legal = format!(r#"{{"metadata":{},{}"#, deep(100), &message("legal-depth")[1..]);
    cases.push(delivered("as deep as may be", "legal-depth", legal, &text("legal-depth")));
    let party = message("odd-party").replace("\"Opaque\"}", "\"Aura\",\"nickname\":7,\"mood\":[]}");
    cases.push(delivered("an odd recipient", "odd-party", party, &text("odd-party")));
    cases
}

#[tokio::test]
async fn every_broken_webhook_is_answered_200_and_comes_to_its_end() {
    let mut all = Loop::start("", QUICK).await;
    all.sandbox.accept_unknown_receipts().await;
    assert_eq!(all.gateway.webhook(message("before").as_bytes()).await, 200);
    all.settled("before").await;
    let memory = Memory::of(&all.gateway);

    let cases: Vec<_> = no_messages().into_iter().chain(odd_messages()).collect();
    for Case { name, body, .. } in &cases {
        assert_eq!(all.gateway.webhook(body).await, 200, "{name}");
    }
    let kept = all.kept();
    for Case { name, body, id, end } in &cases {
        let logged = match end {
            End::Kept => kept.get(body).unwrap_or_else(|| panic!("it is kept: {name}")).clone(),
            End::Failed(code) => {
                let row = all.settled(id).await;
                assert_eq!(row.body, *body, "as it came: {name}");
                assert_eq!(
                    (row.state.as_str(), row.receipt.as_deref()),
                    ("failed", Some("posted")),
                    "{name}"
                );
                assert!(row.reason.is_some_and(|reason| reason.contains(code)), "{name}");
                assert_eq!(
                    all.sandbox.receipt(id).await,
                    ("Failed".to_owned(), Some((*code).to_owned())),
                    "{name}"
                );
                row.id.to_string()
            }
            End::Delivered(text) => {
                let row = all.settled(id).await;
                assert_eq!(row.body, *body, "as it came: {name}");
                let state = (row.state.as_str(), row.receipt.as_deref());
                assert_eq!(state, ("delivered", Some("posted")), "{name}: {:?}", row.reason);
                assert!(all.chat.taken().contains(text), "the customer sees {name}");
                assert_eq!(all.sandbox.receipts(id).await.len(), 1, "{name}");
                row.id.to_string()
            }
        };
        assert!(
            all.gateway.process.log().contains(&logged),
            "there is a line about {name} ({logged})"
        );
    }
    goes_on(&mut all).await;
    memory.stayed_small(&all.gateway);
    assert!(
        !all.gateway.process.log().contains("X-Injected"),
        "ids are not written into the log as they are"
    );
}

/// Checks that a normal message arrives, in the conversation that had all the bad ones and in
/// another.
pub(super) async fn goes_on(all: &mut Loop) {
    for customer in ["noor", "olga"] {
        let id = format!("after-{customer}");
        let body = webhook(&id, customer, &format!("{MARKER} after {customer}")).to_string();
        assert_eq!(all.gateway.webhook(body.as_bytes()).await, 200);
        assert_eq!(all.settled(&id).await.state, "delivered");
    }
    unharmed(&mut all.gateway).await;
    all.audited();
}

#[tokio::test]
async fn odd_customers_are_served_like_any_other() {
    let mut all = Loop::start("", QUICK).await;
    all.sandbox.accept_unknown_receipts().await;
    let customers = [
        "",
        " ",
        "unknown",
        "..",
        "a/b?c#d",
        "\r\nX: y",
        "\u{0}",
        "'; drop table inbox; --",
        "é\u{202e}",
    ];
    let long = "x".repeat(10_000);
    for (index, customer) in customers.into_iter().chain([long.as_str()]).enumerate() {
        let id = format!("odd-customer-{index}");
        let body = webhook(&id, customer, &format!("{MARKER} {index}")).to_string();
        assert_eq!(all.gateway.webhook(body.as_bytes()).await, 200, "{customer:.20?}");
        let row = all.settled(&id).await;
        assert_eq!(row.receipt.as_deref(), Some("posted"), "{customer:.20?}");
        assert!(row.state == "delivered" || row.state == "failed", "{customer:.20?}");
        let receipts = all.sandbox.receipts(&id).await;
        assert_eq!(receipts.len(), 1, "{customer:.20?}");
        assert_eq!(
            receipts[0]["channel"]["to"]["id"],
            Value::from(customer),
            "to whom it went: {customer:.20?}"
        );
    }
    let typing = json!({ "id": "t", "type": "Event", "events": [{ "eventType": "Typing", "typing": { "duration": u64::MAX } }] });
    for _ in 0..50 {
        assert_eq!(all.gateway.webhook(typing.to_string().as_bytes()).await, 200);
    }
    goes_on(&mut all).await;
    assert!(!all.gateway.process.log().contains("ERROR"), "nothing of it is an error of ours");
}
