//! Files that agents attach: uploaded, validated, kept in memory, and served to those who may have
//! them.
//!
//! A medium is first announced and then uploaded, as at Genesys; the desktop does both in one step.
//! When there is no more room, the oldest files are removed.

use std::collections::VecDeque;

use bytes::Bytes;
use http::HeaderValue;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::{later, wire_time};
use crate::span::Span;

/// The largest file (25 MB in Genesys's agent interface).
pub(crate) const MAX_FILE: usize = 25 * 1024 * 1024;
/// The total size of the files that are kept; the oldest are removed first.
const MAX_KEPT: usize = 128 * 1024 * 1024;
/// How many announced media are remembered; the oldest are removed first.
const MAX_UPLOADS: usize = 10_000;

/// The files and the announced media, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Media {
    files: VecDeque<File>,
    bytes: usize,
    uploads: VecDeque<Upload>,
}

/// A stored file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) mime: HeaderValue,
    pub(crate) bytes: Bytes,
    pub(crate) url: String,
    pub(crate) created: Timestamp,
    /// Whether an agent has sent it: Genesys lists such files as cached media.
    pub(crate) sent: bool,
}

/// The progress of a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Uploading,
    Valid,
    Invalid,
}

impl Progress {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Uploading => "uploading",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }
}

/// A medium that was announced.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) conversation: String,
    pub(crate) communication: String,
    pub(crate) url: String,
    /// How many bytes were announced, if any.
    pub(crate) length: Option<u64>,
    /// The MD5 that was announced, in Base64 or hex.
    pub(crate) md5: Option<String>,
    pub(crate) progress: Progress,
}

impl File {
    /// The attachment as it appears in a message's content.
    pub(crate) fn attachment(&self) -> Value {
        let mime = self.mime.to_str().unwrap_or_default();
        json!({
            "id": self.id,
            "mediaType": media_type(mime),
            "url": self.url,
            "mime": mime,
            "filename": self.name,
            "contentSizeBytes": self.bytes.len(),
        })
    }

    /// The file as a cached media item; a `life` of 0 means forever.
    pub(crate) fn cached(&self, life: Span) -> Value {
        let mut item = json!({
            "id": self.id,
            "url": self.url,
            "downloadUrl": self.url,
            "mediaType": self.mime.to_str().unwrap_or_default(),
            "contentLengthBytes": self.bytes.len(),
            "dateCreated": wire_time(self.created),
            "selfUri": format!("/api/v2/conversations/messages/cachedmedia/{}", self.id),
        });
        if !life.0.is_zero() {
            item["dateExpires"] = wire_time(later(self.created, life.0)).into();
        }
        item
    }

    /// Whether its URL still works.
    pub(crate) fn lives(&self, life: Span, now: Timestamp) -> bool {
        life.0.is_zero() || now < later(self.created, life.0)
    }
}

impl Upload {
    /// The medium as Genesys shows it; `file` is given once it is valid.
    pub(crate) fn to_json(&self, file: Option<&File>) -> Value {
        let Self { id, name, conversation, communication, .. } = self;
        let path = path_of(conversation, communication);
        let mut answer = json!({
            "id": id,
            "name": name,
            "status": self.progress.as_str(),
            "conversationId": conversation,
            "communicationId": communication,
            "selfUri": format!("{path}/{id}"),
        });
        match file {
            Some(file) => {
                answer["url"] = file.url.clone().into();
                answer["mediaType"] = file.mime.to_str().unwrap_or_default().into();
                answer["contentLengthBytes"] = file.bytes.len().into();
            }
            None if self.progress == Progress::Uploading => {
                answer["uploadUrl"] = self.url.clone().into();
            }
            None => {}
        }
        answer
    }
}

impl Media {
    /// Keeps a file.
    pub(crate) fn add(&mut self, file: File) {
        self.add_within(file, MAX_KEPT);
    }

    fn add_within(&mut self, file: File, most: usize) {
        // Two simultaneous uploads to one address are possible.
        self.remove(&file.id);
        self.bytes += file.bytes.len();
        self.files.push_back(file);
        while self.bytes > most {
            let Some(oldest) = self.files.pop_front() else { return };
            self.bytes -= oldest.bytes.len();
        }
    }

    pub(crate) fn file(&self, id: &str) -> Option<&File> {
        self.files.iter().find(|file| file.id == id)
    }

    /// Marks a file as sent by an agent: it is cached from now on.
    pub(crate) fn sent(&mut self, id: &str) {
        if let Some(file) = self.files.iter_mut().find(|file| file.id == id) {
            file.sent = true;
        }
    }

    /// The files that agents have sent, oldest first.
    pub(crate) fn cached(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.sent)
    }

    pub(crate) fn remove(&mut self, id: &str) {
        if let Some(at) = self.files.iter().position(|file| file.id == id)
            && let Some(file) = self.files.remove(at)
        {
            self.bytes -= file.bytes.len();
        }
    }

    /// Remembers a medium that will be uploaded.
    pub(crate) fn announce(&mut self, upload: Upload) {
        self.uploads.push_back(upload);
        if self.uploads.len() > MAX_UPLOADS {
            self.uploads.pop_front();
        }
    }

    pub(crate) fn upload(&self, id: &str) -> Option<&Upload> {
        self.uploads.iter().find(|each| each.id == id)
    }

    /// The media of an agent's stay in a conversation, oldest first.
    pub(crate) fn uploads_of(
        &self,
        conversation: &str,
        communication: &str,
    ) -> impl Iterator<Item = &Upload> {
        self.uploads.iter().filter(move |each| {
            each.conversation == conversation && each.communication == communication
        })
    }

    /// Sets the progress of a medium; `name` is the actual name of the file.
    pub(crate) fn set_progress(&mut self, id: &str, progress: Progress, name: Option<&str>) {
        if let Some(upload) = self.uploads.iter_mut().find(|each| each.id == id) {
            upload.progress = progress;
            if let Some(name) = name.filter(|_| upload.name.is_empty()) {
                name.clone_into(&mut upload.name);
            }
        }
    }
}

/// The path of the media of an agent's stay in a conversation.
pub(crate) fn path_of(conversation: &str, communication: &str) -> String {
    let stay = format!("{conversation}/communications/{communication}");
    format!("/api/v2/conversations/messages/{stay}/messages/media")
}

fn media_type(mime: &str) -> &'static str {
    match mime.split('/').next() {
        Some("image") => "Image",
        Some("video") => "Video",
        Some("audio") => "Audio",
        _ => "File",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_files_go_first() {
        let mut media = Media::default();
        for id in ["a", "b", "c"] {
            let file = File {
                id: id.to_owned(),
                name: String::new(),
                mime: HeaderValue::from_static("image/png"),
                bytes: Bytes::from_static(&[0; 400]),
                url: String::new(),
                created: Timestamp::UNIX_EPOCH,
                sent: false,
            };
            media.add_within(file, 1_000);
        }
        assert!(
            media.file("a").is_none() && media.file("b").is_some() && media.file("c").is_some()
        );
        assert_eq!(media.bytes, 800);
        let again = media.file("b").cloned().unwrap();
        media.add_within(again, 1_000);
        assert_eq!((media.files.len(), media.bytes), (2, 800), "what comes again is there once");
        media.remove("b");
        assert_eq!(media.bytes, 400);
    }
}
