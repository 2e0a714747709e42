//! How files are kept: over crashes, on several nodes, and for how long.

use std::time::Duration;

use conversation::{ConversationId, IntegrationName};

use super::stage::{PNG, Stage, allow, is_note, key, key_of, node, now, obtain, read};
use crate::{BadLink, Kept, Loss, LossCode, Obtained, Outcome, ReadError};

const DAY: Duration = Duration::from_hours(24);

async fn kept(stage: &Stage, key: &crate::Key) -> url::Url {
    let outcome = obtain(&stage.media, key, &stage.server.url("png/"), None).await;
    let Obtained::Kept(kept) = outcome else { panic!("{outcome:?}") };
    stage.media.link(key, &kept, now()).await.unwrap()
}

#[tokio::test]
async fn a_link_of_one_node_works_at_another_until_it_expires() {
    let stage = Stage::start().await;
    let link = kept(&stage, &key(0)).await;
    let other = node(&stage.folder, Vec::new());
    assert_eq!(read(&other, &link, now()).await.unwrap(), PNG);
    let later = now() + Duration::from_hours(1);
    let expired = read(&other, &link, later).await.unwrap_err();
    assert!(matches!(expired, ReadError::Link(BadLink::Expired)), "{expired:?}");
    let changed: url::Url = link.as_str().replace("-0/", "-1/").parse().unwrap();
    let refused = read(&other, &changed, now()).await.unwrap_err();
    assert!(matches!(refused, ReadError::Link(BadLink::Unsigned)), "{refused:?}");
}

#[tokio::test]
async fn a_crash_between_the_file_and_its_note_leaves_one_file() {
    let stage = Stage::start().await;
    kept(&stage, &key(0)).await;
    let before = stage.stored();
    let note = before.iter().find(|name| is_note(name)).unwrap();
    std::fs::remove_file(stage.folder.path().join(note)).unwrap();
    // The next process.
    let next = node(&stage.folder, allow(stage.server.address));
    let outcome = obtain(&next, &key(0), &stage.server.url("png/"), None).await;
    assert!(matches!(outcome, Obtained::Kept(_)), "{outcome:?}");
    assert_eq!(stage.stored(), before);
    assert_eq!(stage.server.hits(), 2);
}

#[tokio::test]
async fn retention_removes_whole_days() {
    let stage = Stage::start().await;
    let old = kept(&stage, &key_of("c01", now() - 3 * DAY, 0)).await;
    let recent = kept(&stage, &key_of("c01", now() - 2 * DAY, 0)).await;
    // What a crash left of a file that was being written.
    let half = stage.folder.path().join("media/2026-11-17/acme/c01/out-x-0#1");
    std::fs::write(&half, PNG).unwrap();
    assert_eq!(stage.media.sweep(now() - 2 * DAY).await.unwrap(), 1);
    assert!(matches!(read(&stage.media, &old, now()).await, Err(ReadError::Removed)));
    assert_eq!(read(&stage.media, &recent, now()).await.unwrap(), PNG);
    assert!(!half.exists());
    assert_eq!(stage.media.sweep(now() - 2 * DAY).await.unwrap(), 0);
}

#[tokio::test]
async fn erasing_a_customer_removes_their_files_and_no_others() {
    let stage = Stage::start().await;
    let first = kept(&stage, &key_of("c01", now() - DAY, 0)).await;
    let second = kept(&stage, &key_of("c01", now(), 1)).await;
    let other = kept(&stage, &key_of("c02", now(), 0)).await;
    let (name, customer) = (IntegrationName::new("acme"), ConversationId::new("c01"));
    stage.media.erase(&name, &customer).await.unwrap();
    for link in [first, second] {
        let gone = read(&stage.media, &link, now()).await;
        assert!(matches!(gone, Err(ReadError::Removed)));
    }
    assert_eq!(read(&stage.media, &other, now()).await.unwrap(), PNG);
    assert!(stage.stored().iter().all(|name| !name.contains("c01")), "{:?}", stage.stored());
}

#[tokio::test]
async fn callers_beyond_a_limit_are_told_to_come_back() {
    let stage = Stage::start().await;
    let link = kept(&stage, &key(0)).await;
    let all = u32::try_from(crate::MAX_DOWNLOADS).unwrap();
    let places = stage.media.inner.downloads.try_acquire_many(all).unwrap();
    let busy = read(&stage.media, &link, now()).await.unwrap_err();
    assert!(matches!(busy, ReadError::Busy), "{busy:?}");
    drop(places);
    assert_eq!(read(&stage.media, &link, now()).await.unwrap(), PNG);
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_may_look_into_the_folder() {
    use std::os::unix::fs::PermissionsExt;

    let stage = Stage::start().await;
    let folder = std::fs::metadata(stage.folder.path().join("media")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
}

/// The first node that needs the secret of links makes it. All nodes use that one.
#[tokio::test]
async fn nodes_that_start_together_have_one_secret() {
    let stage = Stage::start().await;
    let nodes: Vec<_> = (0..8).map(|_| node(&stage.folder, Vec::new())).collect();
    let secrets = nodes.iter().map(|node| node.inner.files.secret());
    let secrets = futures_util::future::join_all(secrets).await;
    let secrets: Vec<_> = secrets.into_iter().map(Result::unwrap).collect();
    assert!(secrets.iter().all(|secret| *secret == secrets[0]), "{secrets:?}");
}

/// A fetch may end after its message has gone without the file.
#[tokio::test]
async fn the_first_note_of_a_loss_stays() {
    let stage = Stage::start().await;
    let files = &stage.media.inner.files;
    let lost = |why: &str| Outcome::Lost(Loss::new(LossCode::Unreachable, why));
    let kept =
        |size| Outcome::Kept(Kept { mime: "image/png".to_owned(), size, name: "a.png".to_owned() });
    for (index, notes, last) in [
        (0, [lost("first"), kept(1)], lost("first")),
        (1, [lost("first"), lost("second")], lost("first")),
        (2, [kept(1), lost("second")], kept(1)),
        // Another node has fetched it once more.
        (3, [kept(1), kept(2)], kept(2)),
    ] {
        let [first, second] = notes;
        assert_eq!(files.set_note(&key(index), first.clone()).await.unwrap(), first);
        assert_eq!(files.set_note(&key(index), second).await.unwrap(), last, "{index}");
        assert_eq!(files.note(&key(index)).await.unwrap(), Some(last), "{index}");
    }
}

#[test]
fn a_store_is_a_folder_or_a_bucket() {
    for url in ["file:media", "file:///var/media", "s3://files", "s3://files/acme/1"] {
        assert!(crate::is_store_url(url), "{url}");
    }
    for url in
        ["", "media", "file:", "file: ", "s3://", "s3:///a", "s3://a@b/c", "s3://a?b", "gs://a"]
    {
        assert!(!crate::is_store_url(url), "{url}");
    }
}
