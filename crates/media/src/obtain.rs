//! Gets files: each once, a few at a time, with retries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::fetch::{FetchError, refused};
use crate::files::FileWriter;
use crate::key::Key;
use crate::kind;
use crate::outcome::{Kept, Loss, LossCode, Obtained, Outcome};
use crate::slots::Slots;
use crate::{Inner, Media, Source};

/// How many files may be on their way before anybody asks for them, in all and of one conversation.
/// Beyond it, a file is fetched when its message is passed on.
const MAX_WAITING: usize = 1_024;
pub(crate) const MAX_WAITING_OF_ONE: usize = 64;
/// The first pause before another try. It doubles up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(4);
/// The longest name of a file, in characters.
const MAX_NAME: usize = 120;

/// The files that are being fetched.
#[derive(Default)]
pub(crate) struct Fetches {
    running: Mutex<HashMap<Key, watch::Receiver<Option<Obtained>>>>,
    slots: Slots,
}

impl Fetches {
    fn running(&self) -> MutexGuard<'_, HashMap<Key, watch::Receiver<Option<Obtained>>>> {
        // Nothing panics while the lock is held, so the data is consistent.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.running().len()
    }

    /// Whether a file of this conversation may be fetched before anybody asks for it.
    fn has_room(&self, owner: &str) -> bool {
        let running = self.running();
        running.len() < MAX_WAITING
            && running.keys().filter(|key| key.owner() == owner).count() < MAX_WAITING_OF_ONE
    }
}

/// Takes a fetch out of the list when it ends, also by a panic.
struct Running {
    inner: Arc<Inner>,
    key: Key,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.inner.fetches.running().remove(&self.key);
    }
}

impl Media {
    /// Begins to fetch a file, because its link may soon be dead. Does nothing if too many wait: it
    /// is fetched later then.
    pub fn start(&self, key: Key, source: Source) {
        if self.inner.fetches.has_room(key.owner()) {
            self.begin(key, source);
        }
    }

    /// Returns the file, which it fetches if that has not been done. A fetch that fails, but may
    /// succeed later, is repeated. It waits at most `patience`; a fetch in progress continues after
    /// that.
    pub async fn obtain(&self, key: Key, source: Source, patience: Duration) -> Obtained {
        let until = Instant::now() + patience;
        let mut pause = FIRST_PAUSE;
        let mut last = Loss::new(LossCode::Unreachable, "it did not come in time");
        loop {
            let mut running = self.begin(key.clone(), source.clone());
            // `None` if the task panicked.
            let ended = async { running.wait_for(Option::is_some).await.ok()?.clone() };
            let Ok(found) = timeout_at(until, ended).await else {
                return Obtained::NotYet(last);
            };
            last = match found {
                Some(Obtained::NotYet(loss)) => loss,
                Some(found) => return found,
                None => Loss::new(LossCode::Storage, "the gateway failed to fetch it"),
            };
            if Instant::now() + pause >= until {
                return Obtained::NotYet(last);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Makes it final that a file cannot be had, because its message is passed on without it: each
    /// attempt then sends the same. If the file has come meanwhile, that is the answer. If this
    /// cannot be noted within `patience`, a later attempt may send the file.
    pub async fn give_up(&self, key: &Key, loss: Loss, patience: Duration) -> Obtained {
        match timeout(patience, self.inner.note(key, Outcome::Lost(loss.clone()))).await {
            Ok(noted @ (Obtained::Kept(_) | Obtained::Lost(_))) => noted,
            Ok(Obtained::NotYet(_)) => Obtained::Lost(loss),
            Err(_) => {
                tracing::warn!(key = key.as_str(), "the store is too slow to note a lost file");
                Obtained::Lost(loss)
            }
        }
    }

    fn begin(&self, key: Key, source: Source) -> watch::Receiver<Option<Obtained>> {
        let mut running = self.inner.fetches.running();
        if let Some(running) = running.get(&key) {
            return running.clone();
        }
        let (done, receiver) = watch::channel(None);
        running.insert(key.clone(), receiver.clone());
        drop(running);
        let running = Running { inner: Arc::clone(&self.inner), key };
        tokio::spawn(async move {
            let outcome = running.inner.look_or_fetch(&running.key, &source).await;
            let key = running.key.as_str();
            match &outcome {
                Obtained::Kept(_) => {}
                Obtained::Lost(Loss { code, why }) => {
                    tracing::warn!(key, code = code.as_str(), why, "a file is lost");
                }
                Obtained::NotYet(Loss { code, why }) => {
                    tracing::info!(key, code = code.as_str(), why, "a file cannot be had yet");
                }
            }
            drop(running);
            // The caller may have gone.
            let _ = done.send(Some(outcome));
        });
        receiver
    }
}

impl Inner {
    async fn look_or_fetch(&self, key: &Key, source: &Source) -> Obtained {
        match self.files.note(key).await {
            Ok(Some(outcome)) => return outcome.into(),
            Ok(None) => {}
            Err(error) => return Obtained::NotYet(not_stored(&error)),
        }
        let outcome = match self.fetch(key, source).await {
            Ok(kept) => Outcome::Kept(kept),
            Err(FetchError::Final(loss)) => Outcome::Lost(loss),
            Err(FetchError::Temporary(loss)) => return Obtained::NotYet(loss),
        };
        self.note(key, outcome).await
    }

    /// Makes an outcome final, for all nodes and later attempts alike. Returns what is final now.
    async fn note(&self, key: &Key, outcome: Outcome) -> Obtained {
        match self.files.set_note(key, outcome).await {
            Ok(noted) => noted.into(),
            Err(error) => Obtained::NotYet(not_stored(&error)),
        }
    }

    /// Fetches a file, with retries, within the time that the operator allows. The time begins with
    /// the first try. No place is held during a pause.
    async fn fetch(&self, key: &Key, source: &Source) -> Result<Kept, FetchError> {
        let mut pause = FIRST_PAUSE;
        let mut until = None;
        loop {
            let slot = self.fetches.slots.take(key.owner()).await;
            let until = *until.get_or_insert_with(|| Instant::now() + self.settings.fetch_timeout);
            let outcome = self.try_fetch(key, source, until).await;
            drop(slot);
            let may_retry = Instant::now() + pause < until;
            if !may_retry || !matches!(outcome, Err(FetchError::Temporary(_))) {
                return outcome;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Fetches a file once. What was written of a file that is not whole is discarded.
    async fn try_fetch(
        &self,
        key: &Key,
        source: &Source,
        until: Instant,
    ) -> Result<Kept, FetchError> {
        let response = timeout_at(until, self.fetcher.get(&source.url)).await;
        let response = response.unwrap_or_else(|_| Err(too_slow()))?;
        let allowed = self.settings.max_size;
        let most = source.max_size.map_or(allowed, |most| most.min(allowed));
        if response.content_length().is_some_and(|size| size > most) {
            return Err(too_large(most));
        }
        let mut body = Body { stream: response.bytes_stream().boxed(), until, size: 0, most };
        // Copied, and not kept as it came: the bytes of a file may come one by one.
        let mut first = Vec::with_capacity(kind::SAMPLE);
        while first.len() < kind::SAMPLE
            && let Some(bytes) = body.next().await?
        {
            first.extend_from_slice(&bytes);
        }
        let sample = &first[..first.len().min(kind::SAMPLE)];
        let mime =
            kind::of(sample, source.mime.as_deref()).map_err(|why| refused(LossCode::Type, why))?;
        let mut writer = self.files.writer(key);
        if let Err(error) = write(&mut writer, &first, &mut body).await {
            writer.discard().await;
            return Err(error);
        }
        writer.finish().await.map_err(|error| FetchError::Temporary(not_stored(&error)))?;
        Ok(Kept { name: name(source.name.as_deref(), &mime), mime, size: body.size })
    }
}

/// A file's bytes as they come, within the limits of time and size.
struct Body {
    stream: BoxStream<'static, reqwest::Result<Bytes>>,
    until: Instant,
    /// How many bytes have come.
    size: u64,
    most: u64,
}

impl Body {
    async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        let bytes = match timeout_at(self.until, self.stream.next()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(bytes))) => bytes,
            Ok(Some(Err(_))) => {
                let why = "the file broke off";
                return Err(FetchError::Temporary(Loss::new(LossCode::Unreachable, why)));
            }
            Err(_) => return Err(too_slow()),
        };
        self.size += bytes.len() as u64;
        if self.size > self.most { Err(too_large(self.most)) } else { Ok(Some(bytes)) }
    }
}

/// Writes what was read already, and the rest.
async fn write(writer: &mut FileWriter, first: &[u8], body: &mut Body) -> Result<(), FetchError> {
    let store = |error: std::io::Error| FetchError::Temporary(not_stored(&error));
    writer.write(first).await.map_err(store)?;
    while let Some(bytes) = body.next().await? {
        writer.write(&bytes).await.map_err(store)?;
    }
    Ok(())
}

fn too_large(most: u64) -> FetchError {
    refused(LossCode::Size, format!("the file is larger than {most} bytes"))
}

fn too_slow() -> FetchError {
    let why = "the file did not come in time";
    FetchError::Temporary(Loss::new(LossCode::Unreachable, why))
}

/// The store's error is for operators: it may name its address.
fn not_stored(error: &dyn std::error::Error) -> Loss {
    tracing::warn!(%error, "a file could not be stored");
    Loss::new(LossCode::Storage, "the gateway could not store it")
}

/// The file's name, without a path and without characters that confuse people or programs. Without
/// a name it gets one by its type.
fn name(given: Option<&str>, mime: &str) -> String {
    let given = given.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    let odd =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain: String = given.chars().filter(|c| !odd(*c)).take(MAX_NAME).collect();
    let plain = plain.trim_matches(['.', ' ']);
    if !plain.is_empty() {
        return plain.to_owned();
    }
    let extension = mime_guess::get_mime_extensions_str(mime).and_then(|all| all.first());
    extension.map_or_else(|| "file".to_owned(), |extension| format!("file.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_name_is_plain() {
        for (given, mime, expected) in [
            (Some("photo.png"), "image/png", "photo.png"),
            (Some("../../etc/passwd"), "text/plain", "passwd"),
            (Some("C:\\a\\b.txt"), "text/plain", "b.txt"),
            (Some("a\r\nb\u{202e}gnp.exe"), "image/png", "abgnp.exe"),
            (Some(".."), "application/pdf", "file.pdf"),
            (None, "application/pdf", "file.pdf"),
            (None, "application/x-unheard-of", "file"),
        ] {
            assert_eq!(name(given, mime), expected, "{given:?}");
        }
        assert_eq!(name(Some(&"ü".repeat(500)), "image/png").chars().count(), 120);
    }
}
