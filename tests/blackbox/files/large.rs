//! A file of 25 MB passes through, and is never in memory as a whole.

use std::time::Duration;

use axum::body::Bytes;
use futures_util::Stream;
use serde_json::json;

use super::{Stage, fetched, picture, said};

const SIZE: usize = 25 << 20;
const CHUNK: usize = 32 << 10;
/// What a file may add to the gateway's memory: buffers, and what the allocator keeps.
const MOST: usize = 12 << 20;

/// A file whose bytes differ, so that a part in the wrong place is found.
pub(super) fn chunks() -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    futures_util::stream::iter((0..SIZE / CHUNK).map(|number| Ok(chunk(number))))
}

fn chunk(number: usize) -> Bytes {
    let mark = number.to_be_bytes();
    let mut bytes: Vec<_> = mark.iter().copied().cycle().take(CHUNK).collect();
    if number == 0 {
        // What files of this type begin with.
        bytes[..8].copy_from_slice(b"\x89PNG\r\n\x1a\n");
    }
    bytes.into()
}

/// How large a file is that comes in pieces of one byte.
const DRIPS: usize = 500_000;

/// A file in pieces of one byte.
pub(super) fn drips() -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    let first = chunk(0);
    futures_util::stream::iter((0..DRIPS).map(move |at| {
        let at = if at < 8 { at } else { 8 };
        Ok(first.slice(at..=at))
    }))
}

#[tokio::test]
async fn a_file_that_comes_byte_by_byte_costs_no_more_memory_than_another() {
    let all = Stage::start(Duration::ZERO).await;
    all.customer_writes(&said("c-1", &[])).await;
    all.inbound(1).await;
    let (before, _) = all.gateway.process.memory();
    let file = picture(&all.chat.link("drips.png"));
    let message = all.agent_sends(Some("All of it."), &[file]).await;
    let got = all.chat.message(&message).await;
    assert_eq!(got["content"][0]["attachment"]["contentSizeBytes"], DRIPS, "{got}");
    let (_, peak) = all.gateway.process.memory();
    let added = peak.saturating_sub(before);
    println!("a file of {DRIPS} bytes, each by itself, added {added} bytes of memory");
    assert!(added < MOST, "the peak rose by {added} bytes");
}

#[tokio::test]
async fn a_large_file_streams_through_both_ways() {
    let all = Stage::start(Duration::ZERO).await;
    let file = json!({ "mediaType": "Image", "mime": "image/png", "filename": "large.png",
        "url": all.chat.link("large.png") });
    all.customer_writes(&said("c-1", &[])).await;
    all.inbound(1).await;
    let (before, _) = all.gateway.process.memory();
    let message = all.agent_sends(Some("All of it."), std::slice::from_ref(&file)).await;
    let got = all.chat.message(&message).await;
    let outbound =
        got["content"][0]["attachment"]["url"].as_str().unwrap_or_else(|| panic!("{got}"));
    all.customer_writes(&said("c-2", std::slice::from_ref(&file))).await;
    let inbound = all.inbound(2).await;
    let inbound = inbound[1]["content"][0]["attachment"]["url"].as_str().expect("a link");
    for link in [outbound, inbound] {
        let (status, headers, bytes) = fetched(link).await;
        assert_eq!((status, bytes.len()), (200, SIZE));
        assert_eq!(headers["content-length"], SIZE.to_string());
        for (number, part) in bytes.chunks(CHUNK).enumerate() {
            assert_eq!(part, chunk(number), "part {number}");
        }
    }
    let (_, peak) = all.gateway.process.memory();
    let added = peak.saturating_sub(before);
    println!("a file of {SIZE} bytes, twice in and twice out, added {added} bytes of memory");
    assert!(added < MOST, "the peak rose by {added} bytes");
}
