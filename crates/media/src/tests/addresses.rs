//! Addresses that must never be dialled, whatever a message says.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::stage::{FileServer, Scripted, Stage, allow, decoy, key, node, obtain, with_lookup};
use crate::fetch::Lookup;
use crate::{LossCode, Obtained};

fn is_refused(outcome: &Obtained) -> bool {
    matches!(outcome, Obtained::Lost(loss) if loss.code == LossCode::Address)
}

#[tokio::test]
async fn no_spelling_of_a_closed_address_is_dialled() {
    let (address, dialled) = decoy("127.0.0.1:0".parse().unwrap()).await;
    let folder = tempfile::tempdir().unwrap();
    let media = node(&folder, Vec::new());
    let port = address.port();
    for (index, host) in [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "user:pass@127.0.0.1",
        "①②⑦.0.0.1",
    ]
    .into_iter()
    .enumerate()
    {
        let outcome = obtain(&media, &key(index), &format!("http://{host}:{port}/"), None).await;
        assert!(is_refused(&outcome), "{host}: {outcome:?}");
    }
    for (index, url) in [
        "file:///etc/passwd",
        "ftp://f.example/a",
        "data:,a",
        "/a",
        "",
        "http://169.254.169.254/latest/",
    ]
    .into_iter()
    .enumerate()
    {
        let outcome = obtain(&media, &key(100 + index), url, None).await;
        assert!(is_refused(&outcome), "{url}: {outcome:?}");
    }
    assert_eq!(dialled.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_redirect_is_checked_like_a_link() {
    let stage = Stage::start().await;
    let (address, dialled) = decoy("127.0.0.1:0".parse().unwrap()).await;
    let outcome = stage.obtain(&format!("to/{address}/"), None).await;
    assert!(is_refused(&outcome), "{outcome:?}");
    assert_eq!(dialled.load(Ordering::SeqCst), 0);
    // The control: the same redirect to an address that is allowed.
    let allowed = stage.server.address;
    let outcome = stage.obtain(&format!("to/{allowed}/png/"), None).await;
    assert!(matches!(outcome, Obtained::Kept(_)), "{outcome:?}");
    let hits = stage.server.hits();
    let outcome = stage.obtain("round/", None).await;
    assert!(matches!(&outcome, Obtained::Lost(loss) if loss.code == LossCode::Gone), "{outcome:?}");
    assert_eq!(stage.server.hits() - hits, 6, "the link, and five redirects");
}

/// A client that looks a name up again after the check dials the second answer.
#[tokio::test]
async fn a_name_that_changes_its_address_gains_nothing() {
    let server = FileServer::start().await;
    let closed = format!("127.0.0.2:{}", server.address.port()).parse().unwrap();
    let (_, dialled) = decoy(closed).await;
    let (open, closed) = (server.address.ip(), closed.ip());
    let folder = tempfile::tempdir().unwrap();
    let lookup = Arc::new(Scripted {
        answers: vec![vec![open], vec![closed], vec![closed, open], vec![closed]],
        asked: 0.into(),
    });
    let asked: Arc<dyn Lookup> = lookup.clone();
    let media = with_lookup(&folder, allow(server.address), &asked);
    let url = format!("http://files.example:{}/png/", server.address.port());
    for (index, kept) in [true, false, true, false].into_iter().enumerate() {
        let outcome = obtain(&media, &key(index), &url, None).await;
        assert_eq!(matches!(outcome, Obtained::Kept(_)), kept, "{index}: {outcome:?}");
        assert!(kept || is_refused(&outcome), "{index}: {outcome:?}");
    }
    assert_eq!(lookup.asked.load(Ordering::SeqCst), 4, "one question for each connection");
    assert_eq!(dialled.load(Ordering::SeqCst), 0);
    assert_eq!(server.hits(), 2);
}
