//! `[media]`: where the files of messages are kept.

use std::time::Duration;

use gateway::LOST_FILE;
use media::Allowed;

use super::sections::Server;
use super::walk::Table;

/// The files of messages. Without it, links to files pass unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaSection {
    /// `file:` and a folder, or `s3://` and a bucket.
    pub(crate) url: String,
    /// How long a link works.
    pub(crate) link_life: Duration,
    /// The largest file, in bytes.
    pub(crate) max_size: usize,
    /// How long fetching one file may take.
    pub(crate) fetch_timeout: Duration,
    /// Addresses that are dialled although they are not public.
    pub(crate) allow: Vec<Allowed>,
    /// What stands for a file that cannot be had.
    pub(crate) lost: String,
}

const DAY: Duration = Duration::from_hours(24);

/// Reads `[media]`. Links begin with `server.public_url`.
pub(super) fn media(table: &Table<'_>, server: &Server) -> Option<MediaSection> {
    let (url, link_life) = (table.field("url"), table.field("link_life"));
    let (max_size, timeout) = (table.field("max_size"), table.field("fetch_timeout"));
    let (allow, lost) = (table.field("allow"), table.field("lost"));
    if !url.is_given() {
        for key in [&link_life, &max_size, &timeout, &allow, &lost] {
            if key.is_given() {
                key.problem("has no effect without media.url: add url = \"file:media\"");
            }
        }
    } else if server.public_url.is_none() && !server.listen.ip().is_loopback() {
        url.problem("needs server.public_url: links to files begin with it");
    }
    let section = MediaSection {
        url: String::new(),
        link_life: link_life.duration(Duration::from_mins(1)..=3_650 * DAY).unwrap_or(DAY),
        max_size: max_size.size(1 << 10..=1 << 30).unwrap_or(25 << 20),
        fetch_timeout: timeout
            .duration(Duration::from_secs(1)..=Duration::from_mins(2))
            .unwrap_or(Duration::from_secs(30)),
        allow: allow.list(str::parse).unwrap_or_default(),
        lost: lost.text().unwrap_or_else(|| LOST_FILE.to_owned()),
    };
    let url = url.parsed(|text| {
        if media::is_store_url(text) {
            Ok(text.to_owned())
        } else {
            Err("is not a store for files: write \"file:media\" or \"s3://bucket/prefix\""
                .to_owned())
        }
    })?;
    Some(MediaSection { url, ..section })
}
