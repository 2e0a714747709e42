//! Messages with files.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::get;
use conversation::{ConversationId, IntegrationName, MessageId, Policy};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use media::{Key, Media, MediaSettings, Obtained, Source, Way};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::stage::{Said, Stage, lock};

const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
/// No server listens at this port.
const AWAY: &str = "127.0.0.1:1";

fn media(folder: &tempfile::TempDir) -> Media {
    Media::open(settings(format!("file:{}", folder.path().display()))).expect("a folder")
}

fn settings(url: String) -> MediaSettings {
    // An error only means that a provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    MediaSettings {
        url,
        base: "https://gateway.invalid".parse().expect("a URL"),
        link_life: Duration::from_hours(1),
        max_size: 1_000_000,
        fetch_timeout: FETCH_TIMEOUT,
        allow: vec!["127.0.0.1".parse().expect("an address")],
        aws: Vec::new(),
    }
}

/// The words wait for their file once. Genesys then fails for a while.
#[tokio::test(start_paused = true)]
async fn a_file_that_words_went_without_is_given_up_so_each_attempt_sends_the_same_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let stage = Stage::with_files(Policy::default(), media(&folder));
    let posts = Arc::<Mutex<Vec<Instant>>>::default();
    let noted = Arc::clone(&posts);
    stage.genesys.answer(move |call| {
        if call.what != "POST message" {
            return Said::Json(200, json!({ "id": "b3f0", "name": "acme" }));
        }
        lock(&noted).push(Instant::now());
        if lock(&noted).len() < 3 {
            return Said::Json(503, json!({}));
        }
        Said::Json(202, json!({ "id": "x", "conversationId": "g" }))
    });
    let began = Instant::now();
    stage.sends_file("noor", "look", &format!("http://{AWAY}/a.png")).await;
    stage.until_done().await;
    let posts = lock(&posts).clone();
    assert_eq!(posts.len(), 3);
    assert!(posts[0] - began > FETCH_TIMEOUT, "the server may come back: {posts:?}");
    assert!(posts[2] - posts[0] < FETCH_TIMEOUT, "it waits once: {posts:?}");
    let bodies = stage.genesys.bodies("POST message");
    assert!(bodies[0]["text"].as_str().is_some_and(|text| text.contains("a.png")), "{bodies:?}");
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    stage.shutdown().await;
}

/// More messages wait for their files than have room to wait.
#[tokio::test(start_paused = true)]
async fn messages_without_room_to_wait_for_their_files_do_not_ask_the_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let stage = Stage::with_files(Policy::default(), media(&folder));
    for customer in 0..300 {
        let id = format!("look-{customer}");
        stage.sends_file(&format!("noor-{customer}"), &id, &format!("http://{AWAY}/a.png")).await;
    }
    let began = Instant::now();
    tokio::time::sleep(FETCH_TIMEOUT / 2).await;
    assert_eq!(stage.genesys.texts().len(), 0, "they wait");
    let requests = stage.requests();
    tokio::time::sleep(FETCH_TIMEOUT / 2).await;
    let requests = stage.requests() - requests;
    assert_eq!(stage.genesys.texts().len(), 0, "they still wait");
    assert!(requests < 40, "{requests} requests in {:?}", FETCH_TIMEOUT / 2);
    stage.until_done().await;
    assert_eq!(stage.genesys.texts().len(), 300);
    assert!(began.elapsed() < FETCH_TIMEOUT * 8, "they wait for each other: {:?}", began.elapsed());
    stage.shutdown().await;
}

/// The bucket accepts connections and never answers. Each of the files is given up.
#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_does_not_use_up_the_time_of_an_agents_words() {
    let bucket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", bucket.local_addr().expect("an address"));
    let aws = [
        ("AWS_ENDPOINT", endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "x"),
        ("AWS_SKIP_SIGNATURE", "true"),
    ];
    let aws = aws.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let settings = MediaSettings { aws, ..settings("s3://files".to_owned()) };
    let mut policy = Policy::default();
    policy.delivery.give_up_after = Duration::from_secs(40);
    let stage = Stage::with_files(policy, Media::open(settings).expect("a bucket"));
    let file =
        json!({ "mediaType": "Image", "mime": "image/png", "url": "http://127.0.0.1/a.png" });
    let file = json!({ "contentType": "Attachment", "attachment": file });
    stage.agent_writes("words", "Text", json!(vec![file; 5])).await;
    stage.until("there is a receipt", |stage| stage.genesys.count("POST receipt") > 0).await;
    let receipts = stage.genesys.bodies("POST receipt");
    assert_eq!(
        receipts.last().map(|last| &last["status"]),
        Some(&json!("Delivered")),
        "{receipts:?}"
    );
    let counted = stage.metrics("tidegate_files_total").await;
    assert_eq!(counted, [r#"tidegate_files_total{integration="acme",result="unreachable"} 5"#]);
    stage.shutdown().await;
}

/// A server whose file comes one byte every few seconds, and at once when `is_fast`.
async fn drips(is_fast: &Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/a.png", listener.local_addr().expect("an address"));
    let is_fast = Arc::clone(is_fast);
    let answer = move || async move {
        if is_fast.load(Ordering::Relaxed) {
            return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".into_response();
        }
        let slowly = stream::repeat("x").then(async |byte| {
            sleep(Duration::from_secs(2)).await;
            Ok::<_, std::io::Error>(byte)
        });
        Body::from_stream(slowly).into_response()
    };
    let router = Router::new().route("/a.png", get(answer));
    tokio::spawn(axum::serve(listener, router).into_future());
    url
}

/// Another node has fetched it when this one gives it up.
#[tokio::test(start_paused = true)]
async fn a_file_that_comes_while_it_is_given_up_is_passed_on_and_counted_as_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let is_fast = Arc::new(AtomicBool::new(false));
    let url = drips(&is_fast).await;
    let stage = Stage::with_files(Policy::default(), media(&folder));
    stage.sends_file("noor", "look", &url).await;
    // Its second fetch has looked for a note.
    sleep(FETCH_TIMEOUT * 3 / 2).await;
    is_fast.store(true, Ordering::Relaxed);
    let integration = IntegrationName::new("acme");
    let conversation = ConversationId::of(&integration, "noor");
    let (message, day) = (MessageId::from_foreign("look"), Timestamp::from_second(1_795_165_200));
    let day = day.expect("in range");
    let key = Key::new(&integration, &conversation, Way::Inbound, &message, day, 0);
    let source = Source { url, name: Some("a.png".to_owned()), ..Source::default() };
    let other = media(&folder).obtain(key, source, FETCH_TIMEOUT).await;
    assert!(matches!(other, Obtained::Kept(_)), "{other:?}");
    assert_eq!(stage.genesys.count("POST message"), 0, "it waits");
    stage.until_done().await;
    let posted = stage.genesys.bodies("POST message");
    assert_eq!(posted[0]["content"][0]["attachment"]["filename"], "a.png", "{posted:?}");
    let counted = stage.metrics("tidegate_files_total").await;
    assert_eq!(counted, [r#"tidegate_files_total{integration="acme",result="kept"} 1"#]);
    stage.shutdown().await;
}
