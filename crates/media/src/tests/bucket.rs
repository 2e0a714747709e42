//! Files in a bucket, on a real server that speaks S3.

use std::time::Duration;

use conversation::{ConversationId, IntegrationName};
use futures_util::{StreamExt, TryStreamExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use super::stage::{
    FileServer, PATIENCE, PNG, allow, follow, key, key_of, now, obtain, read, settings, source,
};
use crate::{Loss, LossCode, Media, Obtained, ReadError};
use moto::Moto;

#[path = "../../../../tests/s3/mod.rs"]
mod moto;
#[path = "../../../../tests/ports.rs"]
mod ports;

fn node(moto: &Moto, server: &FileServer) -> Media {
    let mut settings = settings("s3://files/one/two".to_owned(), allow(server.address));
    settings.max_size = 25 << 20;
    settings.fetch_timeout = Duration::from_secs(20);
    let aws = moto.variables().into_iter();
    settings.aws = aws.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Media::open(settings).unwrap()
}

#[tokio::test]
async fn nodes_share_a_bucket() {
    let server = FileServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let moto = Moto::start(ports::free_port(), "files", &folder.path().join("moto.log")).await;
    let (one, two) = (node(&moto, &server), node(&moto, &server));
    // Both need the secret of links for the first time, and at once.
    let (old, new, other) =
        (key_of("c01", now() - Duration::from_hours(72), 0), key(0), key_of("c02", now(), 0));
    let mut links = Vec::new();
    for (media, key) in [(&one, &old), (&two, &new), (&one, &other)] {
        let Obtained::Kept(kept) = obtain(media, key, &server.url("png/"), None).await else {
            panic!("it is lost")
        };
        links.push((kept, key));
    }
    let (first, second) = tokio::join!(
        one.link(links[0].1, &links[0].0, now()),
        two.link(links[1].1, &links[1].0, now())
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    let third = one.link(links[2].1, &links[2].0, now()).await.unwrap();
    assert_eq!(read(&two, &first, now()).await.unwrap(), PNG);
    assert_eq!(read(&one, &second, now()).await.unwrap(), PNG);
    // What one node has fetched, the other does not fetch.
    assert!(matches!(obtain(&one, &new, &server.url("png/"), None).await, Obtained::Kept(_)));
    assert_eq!(server.hits(), 3);

    assert_eq!(two.sweep(now() - Duration::from_hours(24)).await.unwrap(), 1);
    assert!(matches!(read(&one, &first, now()).await, Err(ReadError::Removed)));
    let (name, customer) = (IntegrationName::new("acme"), ConversationId::new("c01"));
    two.erase(&name, &customer).await.unwrap();
    assert!(matches!(read(&one, &second, now()).await, Err(ReadError::Removed)));
    assert_eq!(read(&two, &third, now()).await.unwrap(), PNG);
}

/// Larger than one part of an upload: it goes in several.
#[tokio::test]
async fn a_large_file_is_uploaded_in_parts_and_a_broken_one_leaves_nothing() {
    let server = FileServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let moto = Moto::start(ports::free_port(), "files", &folder.path().join("moto.log")).await;
    let media = node(&moto, &server);
    let size = 12 << 20;
    let outcome = obtain(&media, &key(0), &server.url(&format!("sized/{size}")), None).await;
    let Obtained::Kept(kept) = outcome else { panic!("{outcome:?}") };
    assert_eq!(kept.size, size);
    let link = media.link(&key(0), &kept, now()).await.unwrap();
    let bytes = read(&media, &link, now()).await.unwrap();
    assert_eq!(bytes.len() as u64, size);
    let outcome = obtain(&media, &key(1), &server.url("endless/"), None).await;
    assert!(matches!(outcome, Obtained::Lost(_)), "{outcome:?}");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for question in ["uploads", "list-type=2"] {
        let found = client.get(format!("{}/files?{question}", moto.url)).send().await.unwrap();
        let found = found.text().await.unwrap();
        let lost = "out-9f0c-1</Key>";
        assert!(!found.contains(lost) && !found.contains("<UploadId>"), "{question}: {found}");
    }
}

/// A caller may take longer than any single call to the bucket may hang.
#[tokio::test]
async fn a_slow_caller_gets_a_whole_file_in_one_call_to_the_bucket() {
    let server = FileServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("moto.log");
    let moto = Moto::start(ports::free_port(), "files", &log).await;
    let media = node(&moto, &server);
    let size = 12 << 20;
    let outcome = obtain(&media, &key(0), &server.url(&format!("sized/{size}")), None).await;
    let Obtained::Kept(kept) = outcome else { panic!("{outcome:?}") };
    let link = media.link(&key(0), &kept, now()).await.unwrap();
    let mut bytes = follow(&media, &link, now()).await.unwrap().bytes;
    let mut taken = 0;
    for _ in 0..4 {
        taken += bytes.next().await.expect("it goes on").unwrap().len();
        // Nothing waits for the network while the time is stopped.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(20)).await;
        tokio::time::resume();
    }
    let rest: Vec<_> = bytes.try_collect().await.unwrap();
    assert_eq!(taken + rest.iter().map(bytes::Bytes::len).sum::<usize>(), size);
    // The client resumes what breaks off, but only within `RETRY`, and that time did not pass.
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("out-9f0c-0 HTTP/1.1\" 200"), "{log}");
    assert!(!log.contains("HTTP/1.1\" 206"), "it broke off: {log}");
}

/// A node whose bucket is at this port of this machine.
fn node_at(port: u16, server: &FileServer) -> Media {
    let mut settings = settings("s3://files".to_owned(), allow(server.address));
    let endpoint = format!("http://127.0.0.1:{port}");
    settings.aws =
        [("AWS_ENDPOINT", endpoint.as_str()), ("AWS_ALLOW_HTTP", "true"), ("AWS_REGION", "x")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .chain([("AWS_SKIP_SIGNATURE".to_owned(), "true".to_owned())])
            .collect();
    Media::open(settings).unwrap()
}

/// Its bucket accepts connections, and never answers.
#[tokio::test]
async fn a_bucket_that_hangs_does_not_delay_a_message_whose_files_are_given_up() {
    let server = FileServer::start().await;
    let bucket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let media = node_at(bucket.local_addr().unwrap().port(), &server);
    let (began, most) = (Instant::now(), Duration::from_millis(200));
    let loss = Loss::new(LossCode::Unreachable, "the link answered 503");
    let given_up = timeout(PATIENCE, media.give_up(&key(0), loss.clone(), most)).await;
    assert_eq!(given_up, Ok(Obtained::Lost(loss)), "after {:?}", began.elapsed());
}

#[tokio::test]
async fn a_bucket_that_does_not_answer_is_no_reason_to_stop() {
    let server = FileServer::start().await;
    let port = ports::free_port();
    let (media, unused) = (node_at(port, &server), format!("127.0.0.1:{port}"));
    let file = source(&server.url("png/"), None);
    // A call to a bucket is retried for 10 s, and the last pause may begin just before that.
    let outcome = media.obtain(key(0), file, Duration::from_secs(20)).await;
    let Obtained::NotYet(loss) = outcome else { panic!("{outcome:?}") };
    assert_eq!(loss.code, LossCode::Storage, "{loss:?}");
    assert!(!loss.why.contains(&unused), "{loss:?}");
}
