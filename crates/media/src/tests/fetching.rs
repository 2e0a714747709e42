//! What is fetched, and what is refused.

use std::time::Duration;

use super::stage::{
    MAX_SIZE, PATIENCE, PNG, Stage, is_note, key, key_of, now, obtain, read, sizes, source,
};
use crate::obtain::MAX_WAITING_OF_ONE;
use crate::{Kept, Loss, LossCode, Obtained, Source};

/// Shorter than one fetch with its tries may take.
const BRIEF: Duration = Duration::from_secs(1);

fn lost(outcome: &Obtained) -> (LossCode, &str) {
    match outcome {
        Obtained::Lost(loss) => (loss.code, &loss.why),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_file_is_fetched_once_and_read_under_its_link() {
    let stage = Stage::start().await;
    let (media, url) = (&stage.media, stage.server.url("png/"));
    let first = key(0);
    let (one, two) = tokio::join!(
        obtain(media, &first, &url, Some("image/png")),
        obtain(media, &first, &url, Some("image/png"))
    );
    assert_eq!(one, two);
    let Obtained::Kept(kept) = one else { panic!("{one:?}") };
    let expected =
        Kept { mime: "image/png".into(), size: PNG.len() as u64, name: "file.png".into() };
    assert_eq!(kept, expected);
    assert_eq!(obtain(media, &key(0), &url, None).await, two);
    assert_eq!(stage.server.hits(), 1);
    let link = media.link(&key(0), &kept, now()).await.unwrap();
    assert_eq!(read(media, &link, now()).await.unwrap(), PNG);
    assert_eq!(sizes(media, &key(0)).await, [PNG.len()]);
}

#[tokio::test]
async fn a_file_is_refused_for_its_size_or_its_type() {
    let stage = Stage::start().await;
    for (path, stated, code, why) in [
        ("large/", None, LossCode::Size, "larger than 1048576 bytes"),
        ("endless/", None, LossCode::Size, "larger than 1048576 bytes"),
        ("program/", Some("image/png"), LossCode::Type, "program"),
        ("page/", Some("image/png"), LossCode::Type, "text/html"),
    ] {
        let outcome = stage.obtain(path, stated).await;
        let (found, said) = lost(&outcome);
        assert!(found == code && said.contains(why), "{path}: {outcome:?}");
    }
    let notes = stage.stored();
    assert_eq!(notes.len(), 4, "{notes:?}");
    assert!(notes.iter().all(|name| is_note(name)), "no part of a file stays: {notes:?}");
}

#[tokio::test]
async fn a_recipients_limit_counts_if_it_is_lower_than_the_operators() {
    let stage = Stage::start().await;
    for (index, (path, recipients, kept)) in
        [("sized/8192", 8_191, false), ("sized/8192", 8_192, true), ("large/", MAX_SIZE * 4, false)]
            .into_iter()
            .enumerate()
    {
        let source = Source { max_size: Some(recipients), ..source(&stage.server.url(path), None) };
        let outcome = stage.media.obtain(key(index), source, PATIENCE).await;
        assert_eq!(matches!(outcome, Obtained::Kept(_)), kept, "{path}: {outcome:?}");
        assert!(kept || lost(&outcome).0 == LossCode::Size, "{path}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_link_has_a_limit() {
    let stage = Stage::start().await;
    let outcome = stage.obtain(&format!("png/{}", "x".repeat(9_000)), None).await;
    let (code, why) = lost(&outcome);
    assert!(code == LossCode::Address && why.contains("too long"), "{outcome:?}");
    assert_eq!(stage.server.hits(), 0);
}

#[tokio::test]
async fn a_file_that_comes_byte_by_byte_is_whole() {
    let stage = Stage::start().await;
    let Obtained::Kept(kept) = stage.obtain("drips/20000", None).await else { panic!("lost") };
    assert_eq!((kept.size, kept.mime.as_str()), (20_000, "text/plain"));
    let link = stage.media.link(&key(0), &kept, now()).await.unwrap();
    assert_eq!(read(&stage.media, &link, now()).await.unwrap(), vec![b'x'; 20_000]);
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again_and_a_dead_link_is_not() {
    let stage = Stage::start().await;
    assert!(matches!(stage.obtain("busy/2", None).await, Obtained::Kept(_)));
    assert_eq!(stage.server.hits(), 3);
    for (status, code) in [
        (401, LossCode::Denied),
        (403, LossCode::Denied),
        (404, LossCode::Gone),
        (410, LossCode::Gone),
    ] {
        let outcome = stage.obtain(&format!("status/{status}"), None).await;
        let (found, why) = lost(&outcome);
        assert!(found == code && why.contains(&status.to_string()), "{outcome:?}");
        // The outcome is kept, and nothing is asked for again.
        let again = obtain(&stage.media, &key(stage.server.hits() - 1), "no URL", None).await;
        assert_eq!(again, outcome);
    }
    assert_eq!(stage.server.hits(), 7, "a refusal is final");
}

/// A server that is away for longer than one fetch may take.
#[tokio::test]
async fn what_may_be_there_later_is_not_given_up_until_its_message_goes_without_it() {
    let stage = Stage::start().await;
    for (index, path) in
        ["breaks/", "status/503", "status/408", "status/429"].into_iter().enumerate()
    {
        let (key, url) = (key(index), stage.server.url(path));
        let hits = stage.server.hits();
        let outcome = stage.media.obtain(key.clone(), source(&url, None), BRIEF).await;
        let Obtained::NotYet(loss) = outcome else { panic!("{path}: {outcome:?}") };
        assert_eq!(loss.code, LossCode::Unreachable, "{path}: {loss:?}");
        assert!(stage.server.hits() > hits + 1, "{path}: it is tried again");
        assert!(stage.stored().is_empty(), "{path}: nothing says that it is lost");
    }
    // The first one is there now.
    let url = stage.server.url("png/");
    let kept = obtain(&stage.media, &key(0), &url, None).await;
    assert!(matches!(kept, Obtained::Kept(_)), "{kept:?}");
    let loss = Loss::new(LossCode::Unreachable, "it was away");
    assert_eq!(stage.media.give_up(&key(0), loss.clone(), PATIENCE).await, kept, "it came in time");
    // The message of the second one goes without it, and so does each further attempt.
    let given_up = Obtained::Lost(loss.clone());
    assert_eq!(stage.media.give_up(&key(1), loss, PATIENCE).await, given_up);
    assert_eq!(obtain(&stage.media, &key(1), &url, None).await, given_up);
}

#[tokio::test]
async fn an_outage_of_the_store_is_waited_for() {
    let stage = Stage::start().await;
    let day = stage.folder.path().join("media/2026-11-20");
    std::fs::write(&day, "no folder").unwrap();
    let url = stage.server.url("png/");
    let outcome = stage.media.obtain(key(0), source(&url, None), BRIEF).await;
    let Obtained::NotYet(loss) = outcome else { panic!("{outcome:?}") };
    assert_eq!(loss.code, LossCode::Storage, "{loss:?}");
    let key = key(0);
    let (outcome, ()) = tokio::join!(obtain(&stage.media, &key, &url, None), async {
        std::fs::remove_file(&day).unwrap();
    });
    assert!(matches!(outcome, Obtained::Kept(_)), "{outcome:?}");
}

#[tokio::test]
async fn the_files_of_one_customer_do_not_keep_those_of_others_waiting() {
    let stage = Stage::start().await;
    for index in 0..MAX_WAITING_OF_ONE + 10 {
        stage.media.start(key(index), source(&stage.server.url("hangs/"), None));
    }
    assert_eq!(stage.media.inner.fetches.count(), MAX_WAITING_OF_ONE);
    let other = key_of("c02", now(), 0);
    let outcome = obtain(&stage.media, &other, &stage.server.url("png/"), None).await;
    assert!(matches!(outcome, Obtained::Kept(_)), "{outcome:?}");
    assert!(stage.server.hits() <= 3, "at most two for the first: {}", stage.server.hits());
}
