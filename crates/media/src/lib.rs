//! The files of messages: fetched once, kept, and offered under links of the gateway's own.
//!
//! The gateway calls [`Media::start`] when a message has come, [`Media::obtain`] before it passes
//! the message on, and [`Media::read`] when somebody follows a link. This crate knows nothing of
//! messages but their ids, and never decides what becomes of one.
//!
//! It is the only place that dials addresses which strangers name.

#![warn(clippy::missing_errors_doc)]

mod address;
mod download;
mod fetch;
mod files;
mod key;
mod kind;
mod link;
mod obtain;
mod outcome;
mod slots;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conversation::{ConversationId, IntegrationName};
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use tokio::sync::{OnceCell, Semaphore};
use url::Url;

pub use address::Allowed;
pub use files::is_store_url;
pub use key::{Key, Way};
pub use link::BadLink;
pub use outcome::{Kept, Loss, LossCode, Obtained, Outcome};

use address::AddressPolicy;
use fetch::{Fetcher, Lookup, SystemLookup};
use files::Files;
use link::Signer;
use obtain::Fetches;

/// How many files may be read by callers at once. Each holds a connection and a small buffer.
const MAX_DOWNLOADS: usize = 256;

/// What the operator chooses.
#[derive(Clone)]
pub struct MediaSettings {
    /// Where files are kept: `file:` and a folder, or `s3://` and a bucket.
    pub url: String,
    /// The URL under which callers reach the gateway. Links begin with it.
    pub base: Url,
    /// How long a link works.
    pub link_life: Duration,
    /// The largest file, in bytes.
    pub max_size: u64,
    /// How long fetching one file may take, with all of its tries.
    pub fetch_timeout: Duration,
    /// Addresses that may be dialled although they are not public.
    pub allow: Vec<Allowed>,
    /// The variables of the environment that begin with `AWS_`: credentials, region and endpoint
    /// of a bucket.
    pub aws: Vec<(String, String)>,
}

/// Where a file is, in the words of the message that names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The URL.
    pub url: String,
    /// The type that its sender states.
    pub mime: Option<String>,
    /// The name that its sender gives it.
    pub name: Option<String>,
    /// The largest size that its recipient takes, in bytes, if there is a limit. The operator's
    /// limit applies as well.
    pub max_size: Option<u64>,
}

/// The files. Copies share everything.
#[derive(Clone)]
pub struct Media {
    inner: Arc<Inner>,
}

struct Inner {
    settings: MediaSettings,
    files: Files,
    fetcher: Fetcher,
    fetches: Fetches,
    signer: OnceCell<Signer>,
    downloads: Arc<Semaphore>,
}

/// Why files cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no store for files.
    #[error("the URL is neither \"file:\" and a folder nor \"s3://\" and a bucket")]
    Url,
    /// The folder cannot be made.
    #[error("the folder cannot be used")]
    Folder(#[source] std::io::Error),
    /// The settings for the bucket are wrong or incomplete.
    #[error("the bucket cannot be used")]
    Store(#[from] object_store::Error),
    /// No HTTP client can be made.
    #[error("no HTTP client can be made")]
    Client(#[from] reqwest::Error),
}

/// Why a link gives no file.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The link is not valid.
    #[error(transparent)]
    Link(#[from] BadLink),
    /// The file was removed, by retention or because its customer was erased.
    #[error("the file is no longer kept")]
    Removed,
    /// Too many callers read files.
    #[error("too many files are being read; ask again")]
    Busy,
    /// The store does not answer.
    #[error("the file cannot be read now; ask again")]
    Unavailable(#[source] object_store::Error),
}

/// A file on its way to a caller.
pub struct Download {
    /// What it is.
    pub kept: Kept,
    /// Its bytes. While they are read, the caller counts towards a limit. A caller who is too slow
    /// does not get all of them.
    pub bytes: BoxStream<'static, Result<Bytes, object_store::Error>>,
}

impl Media {
    /// Opens the store. A bucket is not called before it is needed, so that the gateway starts
    /// without it: messages without files do not need it.
    ///
    /// # Errors
    /// If the URL names no store, or the folder cannot be made.
    pub fn open(settings: MediaSettings) -> Result<Self, OpenError> {
        Self::open_with(settings, &(Arc::new(SystemLookup) as Arc<dyn Lookup>))
    }

    fn open_with(settings: MediaSettings, lookup: &Arc<dyn Lookup>) -> Result<Self, OpenError> {
        let files = Files::open(&settings.url, &settings.aws)?;
        let fetcher = Fetcher::new(AddressPolicy::new(settings.allow.clone()), lookup)?;
        let inner = Inner {
            settings,
            files,
            fetcher,
            fetches: Fetches::default(),
            signer: OnceCell::new(),
            downloads: Arc::new(Semaphore::new(MAX_DOWNLOADS)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// How long fetching one file may take, with all of its tries.
    pub fn fetch_timeout(&self) -> Duration {
        self.inner.settings.fetch_timeout
    }

    /// A link to a file that is kept.
    ///
    /// # Errors
    /// If the store does not answer. It holds the secret of links, which is read once.
    pub async fn link(
        &self,
        key: &Key,
        kept: &Kept,
        now: Timestamp,
    ) -> Result<Url, object_store::Error> {
        let MediaSettings { base, link_life, .. } = &self.inner.settings;
        Ok(self.signer().await?.link(base, key, &kept.name, now, *link_life))
    }

    /// Opens the file of a link. `key`, `expires` (Unix time in seconds) and `signature` are the
    /// link's parts.
    ///
    /// # Errors
    /// If the link is not valid, or the file cannot be read: see [`ReadError`].
    pub async fn read(
        &self,
        key: &str,
        expires: &str,
        signature: &str,
        now: Timestamp,
    ) -> Result<Download, ReadError> {
        let key = Key::parse(key).ok_or(BadLink::Unsigned)?;
        let expires = expires.parse().map_err(|_| BadLink::Unsigned)?;
        let signer = self.signer().await.map_err(ReadError::Unavailable)?;
        signer.check(&key, expires, signature, now)?;
        let downloads = Arc::clone(&self.inner.downloads);
        let permit = downloads.try_acquire_owned().map_err(|_| ReadError::Busy)?;
        let files = &self.inner.files;
        let kept = match files.note(&key).await.map_err(ReadError::Unavailable)? {
            Some(Outcome::Kept(kept)) => kept,
            Some(Outcome::Lost(_)) | None => return Err(ReadError::Removed),
        };
        match files.read(&key).await {
            Ok(bytes) => {
                let bytes = download::paced(bytes, kept.size, permit);
                Ok(Download { kept, bytes })
            }
            Err(object_store::Error::NotFound { .. }) => Err(ReadError::Removed),
            Err(error) => Err(ReadError::Unavailable(error)),
        }
    }

    /// Removes the files of messages that were accepted before this time. Whole days are removed, so
    /// a file may stay up to a day longer. Returns how many days it removed. It can be dropped at
    /// any time; the rest is removed the next time.
    ///
    /// # Errors
    /// If the store does not answer. What was removed until then stays removed.
    pub async fn sweep(&self, before: Timestamp) -> Result<usize, object_store::Error> {
        self.inner.files.sweep(key::day(before)).await
    }

    /// Removes all files of one customer. Their links answer from now on that the file is gone.
    ///
    /// # Errors
    /// If the store does not answer; call it again then.
    pub async fn erase(
        &self,
        integration: &IntegrationName,
        conversation: &ConversationId,
    ) -> Result<(), object_store::Error> {
        self.inner.files.erase(integration.as_str(), conversation.as_str()).await
    }

    async fn signer(&self) -> Result<&Signer, object_store::Error> {
        let inner = &self.inner;
        inner
            .signer
            .get_or_try_init(|| async { Ok(Signer::new(inner.files.secret().await?)) })
            .await
    }
}
