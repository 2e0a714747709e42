//! Customers' messages with files.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use conversation::Policy;
use media::{Media, MediaSettings};
use serde_json::json;
use tokio::time::Instant;

use crate::stage::{Said, Stage, lock};

const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
/// No server listens at this port.
const AWAY: &str = "127.0.0.1:1";

fn media(folder: &tempfile::TempDir) -> Media {
    // An error only means that a provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let media = Media::open(MediaSettings {
        url: format!("file:{}", folder.path().display()),
        base: "https://gateway.invalid".parse().expect("a URL"),
        link_life: Duration::from_hours(1),
        max_size: 1_000_000,
        fetch_timeout: FETCH_TIMEOUT,
        allow: vec![AWAY.parse().expect("an address")],
        aws: Vec::new(),
    });
    media.expect("a folder")
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
