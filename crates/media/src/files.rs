//! Where files are kept: a folder, or a bucket.
//!
//! Beside each file lies a note: what the file is, or why it cannot be had. The note is written
//! last, so a file without one does not count.

use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use jiff::civil::Date;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, Result, RetryConfig,
};
use tokio::io::AsyncWriteExt;

use crate::OpenError;
use crate::key::Key;
use crate::link::SECRET;
use crate::outcome::Outcome;

/// How much of a file is in memory while it is written to a folder, in bytes. At most twice as
/// much is used.
const PART_ON_DISK: usize = 512 << 10;
/// The same for a bucket: S3 allows no smaller part.
const PART_IN_BUCKET: usize = 5 << 20;
/// How long a call to a bucket is retried.
const RETRY: Duration = Duration::from_secs(10);
/// How long a bucket may send nothing. There is no limit for a whole call, because a caller may
/// take a file slowly.
const STALL: Duration = Duration::from_secs(30);

/// Variables of the environment.
type Variables = [(String, String)];

/// The files, and the notes about them.
#[derive(Clone)]
pub(crate) struct Files {
    store: Arc<dyn ObjectStore>,
    /// The folder, if it is one.
    folder: Option<PathBuf>,
    part: usize,
}

impl Files {
    /// Opens the store at `url`: `file:` and a folder, or `s3://` and a bucket with an optional
    /// prefix.
    pub(crate) fn open(url: &str, aws: &Variables) -> std::result::Result<Self, OpenError> {
        match Location::parse(url).ok_or(OpenError::Url)? {
            Location::Folder(folder) => Self::in_folder(&folder),
            Location::Bucket { bucket, prefix } => Self::in_bucket(&bucket, prefix, aws),
        }
    }

    fn in_folder(folder: &FsPath) -> std::result::Result<Self, OpenError> {
        make_folder(folder).map_err(OpenError::Folder)?;
        let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        let folder = std::fs::canonicalize(folder).map_err(OpenError::Folder)?;
        Ok(Self { store: Arc::new(store), folder: Some(folder), part: PART_ON_DISK })
    }

    fn in_bucket(
        bucket: &str,
        prefix: Path,
        aws: &Variables,
    ) -> std::result::Result<Self, OpenError> {
        let retry = RetryConfig { retry_timeout: RETRY, ..RetryConfig::default() };
        let client = ClientOptions::new().with_timeout_disabled().with_read_timeout(STALL);
        let mut store = AmazonS3Builder::new().with_retry(retry).with_client_options(client);
        for (name, value) in aws {
            // Variables of other programs of AWS are no settings of a bucket.
            if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                store = store.with_config(key, value);
            }
        }
        let store = store.with_bucket_name(bucket);
        let store = PrefixStore::new(store.build()?, prefix);
        Ok(Self { store: Arc::new(store), folder: None, part: PART_IN_BUCKET })
    }

    /// A writer for a file. Nothing can be read before it is shut down.
    pub(crate) fn writer(&self, key: &Key) -> FileWriter {
        let writer = BufWriter::with_capacity(Arc::clone(&self.store), key.file(), self.part);
        FileWriter(writer.with_max_concurrency(1))
    }

    /// The file's bytes.
    pub(crate) async fn read(&self, key: &Key) -> Result<BoxStream<'static, Result<Bytes>>> {
        Ok(self.store.get(&key.file()).await?.into_stream())
    }

    /// What became of a file, if that is known. A note that cannot be read counts as none: the file
    /// is fetched again.
    pub(crate) async fn note(&self, key: &Key) -> Result<Option<Outcome>> {
        match self.store.get(&key.note()).await {
            Ok(found) => Ok(serde_json::from_slice(&found.bytes().await?).ok()),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Notes what became of a file, and returns what the note says now. The first note stays, but a
    /// file that was fetched once more, perhaps by another node, may have replaced the first one.
    pub(crate) async fn set_note(&self, key: &Key, outcome: Outcome) -> Result<Outcome> {
        let note = serde_json::to_vec(&outcome)
            .map_err(|error| Error::Generic { store: "note", source: error.into() })?;
        let note = PutPayload::from(note);
        match self.store.put_opts(&key.note(), note.clone(), PutMode::Create.into()).await {
            Ok(_) => return Ok(outcome),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {}
            Err(error) => return Err(error),
        }
        match (self.note(key).await?, &outcome) {
            (Some(first @ Outcome::Lost(_)), _) | (Some(first), Outcome::Lost(_)) => Ok(first),
            // A note that cannot be read counts as none.
            (Some(Outcome::Kept(_)) | None, _) => {
                self.store.put(&key.note(), note).await?;
                Ok(outcome)
            }
        }
    }

    /// The secret of links. The first node that needs it makes it. It lies beside the files, so all
    /// nodes have the same, and anyone who can read it can read the files anyway.
    pub(crate) async fn secret(&self) -> Result<[u8; SECRET]> {
        let path = Path::from("link-secret");
        let odd = || Error::Generic {
            store: "link-secret",
            source: "it is damaged: delete it, and the gateway makes another".into(),
        };
        for _ in 0..2 {
            match self.store.get(&path).await {
                Ok(found) => {
                    let bytes = STANDARD.decode(found.bytes().await?).map_err(|_| odd())?;
                    return bytes.try_into().map_err(|_| odd());
                }
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
            let mut secret = [0; SECRET];
            getrandom::fill(&mut secret)
                .map_err(|error| Error::Generic { store: "link-secret", source: error.into() })?;
            let made = PutPayload::from(STANDARD.encode(secret));
            match self.store.put_opts(&path, made, PutMode::Create.into()).await {
                Ok(_) => return Ok(secret),
                // Another node was first: its secret is read.
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(odd())
    }

    /// Removes all files of days before `day`, and returns how many days it removed.
    pub(crate) async fn sweep(&self, before: Date) -> Result<usize> {
        let mut swept = 0;
        for day in self.days().await? {
            if day.parse::<Date>().is_ok_and(|day| day < before) {
                self.remove(&Path::from(day)).await?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// Removes all files of one conversation.
    pub(crate) async fn erase(&self, integration: &str, conversation: &str) -> Result<()> {
        for day in self.days().await? {
            self.remove(&Path::from_iter([day.as_str(), integration, conversation])).await?;
        }
        Ok(())
    }

    async fn days(&self) -> Result<Vec<String>> {
        let found = self.store.list_with_delimiter(None).await?;
        let names = found.common_prefixes.iter().filter_map(|path| path.filename());
        Ok(names.map(str::to_owned).collect())
    }

    /// Removes everything below a path. In a folder this includes what a crash left half written,
    /// which no listing shows.
    async fn remove(&self, path: &Path) -> Result<()> {
        if let Some(folder) = &self.folder {
            let folder = path.parts().fold(folder.clone(), |at, part| at.join(part.as_ref()));
            return match remove_folder(&folder).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::Generic { store: "folder", source: error.into() })
                }
                _ => Ok(()),
            };
        }
        let paths = self.store.list(Some(path)).map_ok(|object| object.location).boxed();
        self.store.delete_stream(paths).try_for_each(|_| async { Ok(()) }).await
    }
}

/// Where files are kept, by its URL.
enum Location {
    Folder(PathBuf),
    Bucket { bucket: String, prefix: Path },
}

impl Location {
    fn parse(url: &str) -> Option<Self> {
        if let Some(folder) = url.strip_prefix("file:") {
            let folder = folder.strip_prefix("//").unwrap_or(folder);
            return (!folder.trim().is_empty()).then(|| Self::Folder(folder.into()));
        }
        let place = url.strip_prefix("s3://")?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let prefix = Path::parse(prefix).ok()?;
        (!bucket.is_empty() && bucket.chars().all(plain))
            .then(|| Self::Bucket { bucket: bucket.to_owned(), prefix })
    }
}

/// Whether a text is the URL of a store for files.
pub fn is_store_url(url: &str) -> bool {
    Location::parse(url).is_some()
}

/// Makes the folder. Only its owner may look into it: it holds customers' files.
fn make_folder(folder: &FsPath) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// Removes a folder, one conversation at a time. What has begun on the disk cannot be stopped, and
/// the end of the process waits for it, so each step is small.
async fn remove_folder(folder: &FsPath) -> std::io::Result<()> {
    let mut integrations = tokio::fs::read_dir(folder).await?;
    while let Some(integration) = integrations.next_entry().await? {
        let Ok(mut conversations) = tokio::fs::read_dir(integration.path()).await else {
            continue;
        };
        while let Some(conversation) = conversations.next_entry().await? {
            // The last call reports what cannot be removed.
            let _ = tokio::fs::remove_dir_all(conversation.path()).await;
        }
    }
    tokio::fs::remove_dir_all(folder).await
}

/// Writes one file, part by part.
pub(crate) struct FileWriter(BufWriter);

impl FileWriter {
    /// Copies the bytes. A writer that takes them over keeps each piece by itself, and a file may
    /// come in pieces of one byte.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes).await
    }

    /// Makes the file durable and readable.
    pub(crate) async fn finish(mut self) -> std::io::Result<()> {
        self.0.shutdown().await
    }

    /// Discards what was written. If that fails, retention removes it from a folder, and the
    /// bucket's rule for incomplete uploads from a bucket.
    pub(crate) async fn discard(mut self) {
        if let Err(error) = self.0.abort().await {
            tracing::debug!(%error, "what was written of a file could not be discarded");
        }
    }
}
