//! Hands a file's bytes to a caller, who must take them at a pace.
//!
//! A caller who stops reading would otherwise keep a place, and a connection to the bucket, for as
//! long as their own connection lasts.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, timeout_at};

/// How long a caller may take nothing.
const STALL: Duration = Duration::from_secs(30);
/// The time for any file.
const START: Duration = Duration::from_mins(1);
/// The slowest pace at which a whole file goes from the store to a caller, in bytes per second:
/// 25 MiB in 27 minutes.
const PACE: u64 = 16 << 10;

type Piece = Result<Bytes, object_store::Error>;

/// The bytes of a file of this size, and the place of its caller. Both are given up when the caller
/// has all bytes or goes, or when the caller or the store is too slow. In the last case the bytes
/// end before the file does.
pub(crate) fn paced(
    mut bytes: BoxStream<'static, Piece>,
    size: u64,
    place: OwnedSemaphorePermit,
) -> BoxStream<'static, Piece> {
    let (sender, mut receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let _place = place;
        let until = Instant::now() + START + Duration::from_secs(size / PACE);
        loop {
            let next = tokio::select! {
                biased;
                // A store that hangs must not keep the place of a caller who has gone.
                () = sender.closed() => return,
                next = timeout_at(until, bytes.next()) => next,
            };
            // If the store is too slow, the caller's connection is closed, because bytes are
            // missing. The same if the caller is.
            let Ok(Some(bytes)) = next else { return };
            let until = until.min(Instant::now() + STALL);
            if !matches!(timeout_at(until, sender.send(bytes)).await, Ok(Ok(()))) {
                return;
            }
        }
    });
    futures_util::stream::poll_fn(move |context| receiver.poll_recv(context)).boxed()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;
    use futures_util::stream;
    use tokio::sync::Semaphore;
    use tokio::time::sleep;

    use super::*;

    const PIECE: Bytes = Bytes::from_static(&[0; 1 << 10]);

    fn download(pieces: usize) -> (BoxStream<'static, Piece>, Arc<Semaphore>) {
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        let bytes = stream::iter((0..pieces).map(|_| Ok(PIECE))).boxed();
        (paced(bytes, (pieces * PIECE.len()) as u64, place), places)
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_gets_all_bytes_and_gives_the_place_back() {
        let (bytes, places) = download(100);
        let pieces: Vec<_> = bytes.collect().await;
        assert_eq!(pieces.len(), 100);
        assert!(places.acquire().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_stops_reading_loses_the_place() {
        let (mut bytes, places) = download(100);
        assert!(bytes.next().await.is_some());
        let began = Instant::now();
        let _place = places.acquire().await.unwrap();
        assert_eq!(began.elapsed().as_secs(), STALL.as_secs());
        assert!(bytes.count().await < 99, "the rest does not come");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_reads_a_little_now_and_then_loses_the_place_too() {
        let (mut bytes, places) = download(100);
        let began = Instant::now();
        while bytes.next().await.is_some() {
            sleep(STALL * 9 / 10).await;
        }
        let allowed = START + Duration::from_secs(100 * PIECE.len() as u64 / PACE);
        assert!(began.elapsed() < allowed + 2 * STALL, "{:?}", began.elapsed());
        assert!(places.acquire().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_goes_gives_the_place_back_at_once() {
        let (bytes, places) = download(100);
        let began = Instant::now();
        drop(bytes);
        let _place = places.acquire().await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_goes_while_the_store_hangs_gives_the_place_back_at_once() {
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        let mut bytes = paced(stream::pending().boxed(), 1, place);
        let began = Instant::now();
        assert!(bytes.next().now_or_never().is_none(), "nothing has come");
        drop(bytes);
        let _place = places.acquire().await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_does_not_keep_a_caller_for_good() {
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        let bytes = paced(stream::pending().boxed(), 1, place);
        let began = Instant::now();
        assert_eq!(bytes.count().await, 0);
        assert_eq!(began.elapsed(), START);
        assert!(places.acquire().now_or_never().is_some());
    }
}
