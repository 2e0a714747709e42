//! `tidegate connector`: what is told about each type, and how a test is called wrongly.

use std::fs;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::{ended, redacted};
use crate::support::{CONNECTOR_SECRET, PATIENCE, Process, eventually, free_port, root, tidegate};

fn connector(arguments: &[&str]) -> (i32, String, String) {
    let mut command = tidegate();
    command.arg("connector").args(arguments);
    ended(command)
}

#[test]
fn the_types_are_listed() {
    let (code, out, errors) = connector(&["list"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    insta::assert_snapshot!(out, @"
    http       Any chat service that speaks the connector protocol over HTTP.
    websocket  Any chat service that cannot accept connections, and opens a WebSocket.
    ");
}

#[test]
fn a_type_is_shown_with_its_settings() {
    let (code, out, errors) = connector(&["show", "http"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    insta::assert_snapshot!(out, @r#"
    http: Any chat service that speaks the connector protocol over HTTP.
    The whole page: docs/connectors.md

    Settings, in [integration.connector]:

      type = "http"

      url = "http://127.0.0.1:9000"
          text, required
          The URL of the connector. The paths of the calls are appended to it.

      secret = { env = "ACME_CONNECTOR_SECRET" }
          secret, or a list of two, required
          The secret that signs calls and verifies events: `whsec_` and at least 24
          bytes in base64. `echo whsec_$(openssl rand -base64 32)` creates one.

      timeout = "10s"
          duration, "10s" by default
          The timeout of a call that opens a session. Messages use the `timeout` of
          `[integration.delivery]`. At most `"1h"`.

      reports_delivery = true
          true or false, false by default
          The service sends `message.delivered` for the messages that it accepted.

      idempotent = false
          true or false, true by default
          The service recognizes a repeated idempotency key. `on_unknown = "auto"`
          goes by it.

      typing = false
          true or false, true by default
          The service wants to know when the agent is typing.

      max_text = 4000
          number, none by default
          The longest text that the service accepts, in characters. A longer one
          fails at once. From 1 to 1000000.

      media = ["image/*", "application/pdf"]
          list, [] by default
          The attachments that the service displays, by MIME type: `["image/*",
          "application/pdf"]`. `"*/*"` means all. Other attachments fail with
          `MediaTypeNotAllowed`.

      content = ["QuickReply"]
          list, [] by default
          The other Genesys content types that the service displays: `["QuickReply",
          "Carousel"]`. `"*"` means all. Others become text, as
          `[integration.content]` says.

    Capabilities, unless a setting says otherwise:

      content = []
      idempotent = true
      max_text = null
      media = []
      reports_delivery = false
      typing = true

    Limits:

      * An answer is read up to 64 KiB.
      * A session has up to 4096 bytes, any other id up to 512.
      * A body has up to 1000 events.
      * A customer's message has up to 100 content elements.
      * A redirect is not followed.

    Tested with:

      * examples/python-chat, by its own tests and by `tidegate connector test`
      * the connectors of docs/first-message.md, in Python and in Node
      * scripted servers that answer with any status, hang, or break off
    "#);
}

#[test]
fn programs_get_the_same_as_json_and_a_schema() {
    let (code, out, _) = connector(&["show", "http", "--json"]);
    assert_eq!(code, 0);
    let shown: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (&shown["type"], &shown["capabilities"]["idempotent"]),
        (&"http".into(), &true.into())
    );
    let keys = shown["settings"].as_array().expect("settings").iter().map(|one| &one["key"]);
    let (code, out, _) = connector(&["show", "http", "--schema"]);
    assert_eq!(code, 0);
    let schema: Value = serde_json::from_str(&out).expect("JSON");
    let properties = schema["properties"].as_object().expect("properties");
    assert_eq!(properties.len(), 1 + keys.clone().count());
    assert!(keys.into_iter().all(|key| properties.contains_key(key.as_str().expect("a key"))));
    let max_text = &schema["properties"]["max_text"];
    assert_eq!((&max_text["type"], &max_text["maximum"]), (&"integer".into(), &1_000_000.into()));
    assert_eq!(schema["required"], serde_json::json!(["type", "url", "secret"]));
}

#[test]
fn an_unknown_type_ends_with_2_and_names_those_that_there_are() {
    let (code, out, errors) = connector(&["show", "telepathy"]);
    assert_eq!((code, out.as_str()), (2, ""));
    insta::assert_snapshot!(errors, @"
    tidegate: there is no connector of the type telepathy
      this version knows http, websocket
    ");
}

#[test]
fn a_wrong_call_of_the_test_ends_with_2() {
    let url = "http://127.0.0.1:1";
    for (arguments, told) in [
        (&["--url", url][..], "--secret"),
        (&["--url", "here", "--secret", CONNECTOR_SECRET], "--url"),
        (&["--url", url, "--secret", "hunter2"], "begins with `whsec_`"),
        (&["--url", url, "--secret", "env:NOT_SET_AT_ALL"], "NOT_SET_AT_ALL is not set"),
        (&["--url", url, "--secret", "file:/nowhere"], "cannot read /nowhere"),
        (&["--url", url, "--secret", CONNECTOR_SECRET, "--integration", "a/b"], "--integration"),
        (&["--url", url, "--secret", CONNECTOR_SECRET, "--", "/nowhere"], "cannot start /nowhere"),
    ] {
        let arguments: Vec<_> = ["test"].into_iter().chain(arguments.iter().copied()).collect();
        let (code, _, errors) = connector(&arguments);
        assert_eq!(code, 2, "{arguments:?}: {errors}");
        assert!(errors.contains(told), "{arguments:?}: {errors}");
    }
}

#[test]
fn a_connector_that_is_not_there_is_no_wrong_call() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let test = ["test", "--url", &url, "--secret", CONNECTOR_SECRET];
    let (code, _, errors) = connector(&test);
    assert_eq!(code, 1);
    let refused = "the connector does not answer: the chat service cannot be reached: ";
    assert!(errors.starts_with(&format!("tidegate: {refused}")), "{errors}");
    let ends: Vec<_> = test.into_iter().chain(["--", "sh", "-c", "exit 3"]).collect();
    let (code, _, errors) = connector(&ends);
    assert_eq!(code, 1);
    insta::assert_snapshot!(errors, @"
    tidegate: the connector does not answer: the COMMAND ended: exit status: 3
    ");
}

#[test]
fn each_case_is_one_line() {
    let dir = TempDir::new().expect("a folder");
    let secret = dir.path().join("secret");
    fs::write(&secret, format!("{CONNECTOR_SECRET}\n")).expect("a file");
    let text = fs::read_to_string(root().join("examples/python-chat/chat_service.py"));
    let script = dir.path().join("chat.py");
    let claims = r#""reports_delivery": True, "max_text": MAX_TEXT, "media": ["image/*"]"#;
    let faulty = text.expect("the example").replace(claims, r#""media": ["image/*"]"#);
    let faulty = faulty.replace("time.time() + seconds", "float(\"inf\")");
    fs::write(&script, faulty).expect("a file");
    let mut command: Command = tidegate();
    command.args(["connector", "test", "--secret", &format!("file:{}", secret.display())]);
    command.args(["--url", &format!("http://127.0.0.1:{}", free_port()), "--wait", "5s", "--"]);
    command.args(["python3", &script.display().to_string(), "--listen", "{listen}"]);
    command.args(["--gateway", "{gateway}", "--handshake", "0"]);
    command.arg("--store").arg(dir.path().join("chat.db")).env("CHAT_SECRET", CONNECTOR_SECRET);
    let (code, out, errors) = ended(command);
    assert_eq!(code, 1, "{errors}");
    // A line of a failed case is long.
    let told = redacted(&out, dir.path()).replace("; ", ";\n    ");
    insta::assert_snapshot!(told, @"
    taking events at http://[address]/connectors/suite/events
    passed check-answered
    passed session-opens
    not claimed session-opens-once: it has no handshake: the answer was 200
    passed session-unknown
    passed session-old
    passed session-closed
    passed signature-wrong
    passed signature-old
    passed signature-missing
    passed view-private
    passed answer-in-time
    passed answer-understood
    passed text-unchanged
    not claimed text-longest: `max_text` is not set
    passed order-kept
    passed key-repeated
    passed key-concurrent
    not claimed report-follows: `reports_delivery` is false
    failed typing-off: typing is still seen 2s after `off`;
        expected that it is no longer seen;
        the customer waits for an answer that is not being written
    failed typing-expires: typing is still seen 2s after its `duration_ms` of 800ms;
        expected that it ends by itself: the `off` may never come;
        `off` is sent once and may be lost
    passed media-kept
    passed content-unclaimed
    passed fields-unknown
    passed json-broken
    passed refusal-told
    not claimed report-repeated: `reports_delivery` is false
    not claimed session-repeated: it has no handshake: the answer was 200
    passed kill-message
    passed kill-session
    passed kill-key
    not claimed kill-report: `reports_delivery` is false
    passed events-signed
    passed events-readable
    passed events-ids
    26 passed, 2 failed, 6 not claimed
    ");
    assert!(errors.ends_with("\ntidegate: 2 of 28 cases failed\n"), "{errors}");
}

fn message(name: &str) -> String {
    root().join("crates/genesys/examples").join(name).display().to_string()
}

#[test]
fn a_message_is_shown_as_a_chat_service_gets_it() {
    let (code, out, errors) = connector(&["render", &message("webhook-09-card.json")]);
    assert_eq!((code, errors.as_str()), (0, ""));
    insta::assert_snapshot!(out, @r#"
    Track parcel
    Open the tracking page
    Open: https://shop.example.net/t/77
    1. Not my parcel
    answer: 1 or "Not my parcel" is Button "not-mine"
    "#);
    let replies = message("webhook-07-quick-replies.json");
    let (code, out, _) =
        connector(&["render", &replies, "--for", "http", "--content", "QuickReply"]);
    assert_eq!(code, 0);
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[0], "Is this about an existing order?");
    assert!(lines[1].starts_with("content: {\"contentType\":\"QuickReply\""), "{out}");
    assert_eq!(
        lines[3..],
        [
            r#"answer: "Yes" is QuickReply "existing-yes""#,
            r#"answer: "No" is QuickReply "existing-no""#,
        ]
    );
}

#[test]
fn a_message_that_would_fail_says_so() {
    let file = message("webhook-05-attachment-with-text.json");
    let (code, out, errors) = connector(&["render", &file, "--for", "http"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        errors.contains("MediaTypeNotAllowed") && errors.contains("application/pdf"),
        "{errors}"
    );
    let (code, ..) = connector(&["render", &file, "--media", "application/*"]);
    assert_eq!(code, 0);
    let (code, _, errors) = connector(&["render", &file, "--for", "carrier-pigeon"]);
    assert_eq!(code, 2);
    assert!(errors.contains("this version knows http"), "{errors}");
    let (code, _, errors) = connector(&["render", "no-such-file.json"]);
    assert_eq!(code, 1);
    assert!(errors.contains("no-such-file.json"), "{errors}");
}

#[tokio::test]
async fn nothing_that_it_started_outlives_it() {
    let dir = TempDir::new().expect("a folder");
    let url = format!("http://127.0.0.1:{}", free_port());
    let mut command: Command = tidegate();
    command.args(["connector", "test", "--url", &url, "--secret", CONNECTOR_SECRET, "--"]);
    // A shell and its child, none of which ever answers.
    let script = "sleep 600 & echo $$ $! > ids; wait";
    command.args(["sh", "-c", script]).current_dir(dir.path());
    let mut test = Process::start(command, &dir.path().join("test.log"));
    let ids = eventually("it has started the command", async || {
        let ids = fs::read_to_string(dir.path().join("ids")).ok()?;
        ids.ends_with('\n').then_some(ids)
    })
    .await;
    assert_eq!(test.ends(PATIENCE).await, Some(1), "{}", test.log());
    assert!(test.log().contains("interrupted"), "{}", test.log());
    for id in ids.split_whitespace() {
        eventually("it has ended", async || {
            // What has ended and was not waited for yet is a zombie.
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            (status.is_empty() || status.contains("State:\tZ")).then_some(())
        })
        .await;
    }
}
