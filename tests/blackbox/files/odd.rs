//! Attachments that are no files, too many files, files behind a login, and what the text has room
//! for.

use std::time::Duration;

use serde_json::{Value, json};

use super::{PNG, Stage, fetched, message_with, picture, said};
use crate::support::{eventually, free_port};

#[tokio::test]
async fn a_link_to_a_page_is_no_file() {
    let all = Stage::start(Duration::ZERO).await;
    let page = json!({ "mediaType": "Link", "mime": "text/html", "url": all.chat.link("page") });
    all.customer_writes(&said("c-1", std::slice::from_ref(&page))).await;
    let got = &all.inbound(1).await[0];
    assert_eq!(got["content"][0]["attachment"]["url"], page["url"], "{got}");
    all.sandbox.accept_unknown_receipts().await;
    let webhook = message_with("m-1", "Read this.", std::slice::from_ref(&page));
    assert_eq!(all.gateway.webhook(&webhook).await, 200);
    let got = all.chat.message("m-1").await;
    assert_eq!(got["content"][0]["attachment"]["url"], page["url"], "{got}");
    assert_eq!(got["text"], "Read this.");
    assert_eq!(*all.chat.inside.asked.borrow(), 0, "nothing is fetched");
}

#[tokio::test]
async fn a_recipient_gets_the_link_of_a_file_that_asks_for_a_login() {
    let all = Stage::start(Duration::ZERO).await;
    all.sandbox.accept_unknown_receipts().await;
    all.customer_writes(&said("c-1", &[])).await;
    let link = format!("{}/files/another-token/a.png", all.chat.url);
    let (denied, gone) = (picture(&link), picture(&all.chat.link("gone.png")));
    let webhook = message_with("m-1", "Two files.", &[denied, gone]);
    assert_eq!(all.gateway.webhook(&webhook).await, 200);
    let got = all.chat.message("m-1").await;
    let urls: Vec<_> = got["unavailable"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|lost| lost["attachment"].get("url").cloned())
        .collect();
    assert_eq!(urls, [Some(Value::from(link)), None], "{got}");
}

#[tokio::test]
async fn the_files_of_a_message_have_a_limit() {
    let all = Stage::start(Duration::ZERO).await;
    all.sandbox.accept_unknown_receipts().await;
    all.customer_writes(&said("c-1", &[])).await;
    let files = vec![picture(&all.chat.link("a.png")); 22];
    assert_eq!(all.gateway.webhook(&message_with("m-1", "Many.", &files)).await, 200);
    let got = all.chat.message("m-1").await;
    assert_eq!(got["content"].as_array().map(Vec::len), Some(20), "{got}");
    let reason = json!({ "code": "MessageNotAllowed",
        "message": "the file cannot be had: a message may have at most 20 files" });
    let lost = got["unavailable"].as_array().expect("an array");
    assert!(lost.len() == 2 && lost.iter().all(|lost| lost["reason"] == reason), "{got}");
}

/// The operator allows larger files to customers.
#[tokio::test]
async fn genesys_gets_no_file_that_it_would_refuse() {
    let all = Stage::configured(Duration::ZERO, "", "max_size = \"30MiB\"\n").await;
    all.customer_writes(&said("c-1", &[picture(&all.chat.link("huge.png"))])).await;
    let got = &all.inbound(1).await[0];
    let line = "[File not available: a.png] (the file is larger than 26214400 bytes)";
    assert_eq!(got["text"], format!("words of c-1\n{line}"), "{got}");
}

#[tokio::test]
async fn a_line_about_a_file_never_makes_a_text_too_long() {
    let all = Stage::configured(Duration::ZERO, "max_text = 100", "").await;
    all.sandbox.accept_unknown_receipts().await;
    all.customer_writes(&said("c-1", &[])).await;
    let mut gone = picture(&all.chat.link("gone.png"));
    gone["filename"] = "n".repeat(500).into();
    let line = format!("[File not available: {}…]", "n".repeat(59));
    let words = "w".repeat(60);
    for (id, text, files, expected) in [
        ("m-1", "Look.", 1, format!("Look.\n{line}")),
        ("m-2", "Look.", 2, format!("Look.\n{line}")),
        ("m-3", words.as_str(), 1, words.clone()),
    ] {
        let files = vec![gone.clone(); files];
        assert_eq!(all.gateway.webhook(&message_with(id, text, &files)).await, 200);
        let got = all.chat.message(id).await;
        assert_eq!(got["text"], expected, "{got}");
        assert_eq!(got["unavailable"].as_array().map(Vec::len), Some(files.len()), "{got}");
    }
}

/// A proxy would choose the address, and could reach what the gateway must not.
#[tokio::test]
async fn no_proxy_is_asked_for_a_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = format!("file:{}", dir.path().join("media").display());
    let proxy = format!("http://127.0.0.1:{}", free_port());
    let env = [("http_proxy", proxy.as_str()), ("no_proxy", "127.0.0.1")];
    let all = Stage::start_with(dir, Duration::ZERO, &store, "", &env).await;
    let link = all.chat.link("a.png").replace("127.0.0.1", "localhost");
    all.customer_writes(&said("c-1", &[picture(&link)])).await;
    let got = &all.inbound(1).await[0];
    let ours = got["content"][0]["attachment"]["url"].as_str().unwrap_or_else(|| panic!("{got}"));
    assert_eq!(fetched(ours).await.2.as_ref(), PNG);
}

#[tokio::test]
async fn files_go_with_the_days_that_are_over() {
    let dir = tempfile::tempdir().expect("a folder");
    let (over, next) = ("media/2020-01-01/acme/c01", "media/2999-01-01/acme/c01");
    for day in [over, next] {
        std::fs::create_dir_all(dir.path().join(day)).expect("a folder");
        std::fs::write(dir.path().join(day).join("out-m-0"), PNG).expect("a file");
    }
    let store = format!("file:{}", dir.path().join("media").display());
    let all = Stage::start_with(dir, Duration::ZERO, &store, "", &[]).await;
    eventually("the old day is removed", async || {
        (!all.dir.path().join("media/2020-01-01").exists()).then_some(())
    })
    .await;
    assert!(all.dir.path().join(next).join("out-m-0").exists());
}
