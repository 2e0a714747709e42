//! The files of messages: which ones a message names, and what takes their place.
//!
//! The endpoints call [`start`] once a message is durable, because links die. The engine and egress
//! ask for the files before they pass a message on. A file that cannot be had never holds up the
//! words beside it for long. Without `[media]`, nothing here does anything, and links pass
//! unchanged.

pub(crate) mod inbound;
mod lines;
pub(crate) mod outbound;

use std::time::Duration;

use axum::body::Bytes;
use conversation::{ConversationId, Input, MessageId, Reason, ReasonCode};
use genesys::WebhookMessage;
use genesys::message::{Attachment, Content, MediaType};
use jiff::Timestamp;
use media::{Kept, Key, Loss, LossCode, Media, Obtained, Source, Way};
use store::{Direction, NewMessage};
use tokio::time::timeout;
use url::Url;

use crate::attachment::MAX_FILE;
use crate::customer_message::Part;
use crate::metrics::Metrics;
use crate::settings::Integration;

/// How many files of one message are fetched. The others are lost.
const MAX_FILES: usize = 20;
/// How long a message that is about to go waits for one call to the store.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// The message whose files are asked for.
#[derive(Clone, Copy)]
pub(crate) struct FileOwner<'a> {
    pub(crate) integration: &'a Integration,
    pub(crate) conversation: &'a ConversationId,
    pub(crate) message: &'a MessageId,
    /// When the message was accepted. It is part of the files' names.
    pub(crate) received: Timestamp,
}

impl FileOwner<'_> {
    fn key(&self, way: Way, index: usize) -> Key {
        let Self { integration, conversation, message, received } = *self;
        Key::new(&integration.name, conversation, way, message, received, index)
    }
}

/// What must be known of a message that is about to be stored, in order to find its files later.
pub(crate) struct MayHaveFiles {
    conversation: ConversationId,
    id: MessageId,
    received: Timestamp,
    way: Way,
    body: Bytes,
}

impl MayHaveFiles {
    /// `None` if the message has no files, or if files are not kept. The message is read only once
    /// it is durable: most have no file, and some are not new.
    pub(crate) fn of(integration: &Integration, message: &NewMessage) -> Option<Self> {
        integration.media.as_ref()?;
        let way = match (message.direction, &message.input) {
            (Direction::Outbound, Some(Input::AgentMessage { unsuited: None, .. })) => {
                Way::Outbound
            }
            (Direction::Inbound, Some(_)) => Way::Inbound,
            _ => return None,
        };
        std::str::from_utf8(&message.body).ok().filter(|body| body.contains("attachment"))?;
        Some(Self {
            conversation: message.conversation.clone(),
            id: message.id.clone(),
            received: message.received,
            way,
            body: message.body.clone(),
        })
    }

    /// The message's elements.
    fn contents(&self) -> Option<Vec<Content>> {
        match self.way {
            Way::Outbound => Some(WebhookMessage::read(&self.body).ok()?.contents().to_vec()),
            Way::Inbound => match inbound::of_event(&self.body)? {
                Part::Words { content, .. } => Some(content),
                Part::Tap { .. } => None,
            },
        }
    }
}

/// Begins to fetch the files of a message that is durable, and was not there before.
pub(crate) fn start(integration: &Integration, message: Option<MayHaveFiles>) {
    let (Some(media), Some(message)) = (&integration.media, message) else { return };
    let MayHaveFiles { conversation, id, received, way, .. } = &message;
    let owner = FileOwner { integration, conversation, message: id, received: *received };
    for (index, named) in named(&message.contents().unwrap_or_default(), *way).enumerate() {
        if let Named::File(source) = named {
            media.start(owner.key(*way, index), source);
        }
    }
}

/// What a content element names.
enum Named {
    /// No file: its links pass unchanged.
    Nothing,
    /// A file that is fetched.
    File(Source),
    /// One file too many.
    TooMany,
}

/// What each of a message's elements names.
fn named(contents: &[Content], way: Way) -> impl Iterator<Item = Named> {
    let mut files = 0;
    contents.iter().map(move |content| {
        let Some(source) = content.attachment.as_ref().and_then(|file| source(file, way)) else {
            return Named::Nothing;
        };
        files += 1;
        if files > MAX_FILES { Named::TooMany } else { Named::File(source) }
    })
}

/// Where an attachment's file is. A link to a page is no file.
fn source(attachment: &Attachment, way: Way) -> Option<Source> {
    if attachment.media_type == Some(MediaType::Link) {
        return None;
    }
    Some(Source {
        url: attachment.url.clone()?,
        mime: attachment.mime.clone(),
        name: attachment.filename.clone(),
        max_size: match way {
            Way::Outbound => None,
            Way::Inbound => Some(MAX_FILE),
        },
    })
}

fn too_many() -> Loss {
    Loss::new(LossCode::Count, format!("a message may have at most {MAX_FILES} files"))
}

/// How long words wait for the files beside them. A server or a store that is away is asked again
/// and again in this time.
fn patience(media: &Media) -> Duration {
    media.fetch_timeout() * 2
}

/// A link to a file, once it is kept. It waits at most `patience` for the store.
async fn link(
    media: &Media,
    key: &Key,
    obtained: Obtained,
    now: Timestamp,
    patience: Duration,
) -> Linked {
    let kept = match obtained {
        Obtained::Kept(kept) => kept,
        Obtained::Lost(loss) => return Err(Missing::ForGood(loss)),
        Obtained::NotYet(loss) => return Err(Missing::NotYet(loss)),
    };
    match timeout(patience, media.link(key, &kept, now)).await {
        Ok(Ok(link)) => return Ok((kept, link)),
        Ok(Err(error)) => tracing::warn!(%error, "the secret of links cannot be read"),
        Err(_) => tracing::warn!("the store is too slow to read the secret of links"),
    }
    Err(Missing::NotYet(Loss::new(LossCode::Storage, "the gateway could not offer it")))
}

type Linked = Result<(Kept, Url), Missing>;

/// Why a file is missing.
enum Missing {
    /// It will never be there.
    ForGood(Loss),
    /// A later call may return it.
    NotYet(Loss),
}

impl Missing {
    fn loss(&self) -> &Loss {
        let (Self::ForGood(loss) | Self::NotYet(loss)) = self;
        loss
    }

    fn is_open(&self) -> bool {
        matches!(self, Self::NotYet(_))
    }
}

/// Why a file cannot be had, in Genesys's words.
fn reason(loss: &Loss) -> Reason {
    let code = match loss.code {
        LossCode::Size => ReasonCode::InvalidMediaContentLength,
        LossCode::Type => ReasonCode::MediaTypeNotAllowed,
        LossCode::Address | LossCode::Count => ReasonCode::MessageNotAllowed,
        LossCode::Denied | LossCode::Gone | LossCode::Unreachable | LossCode::Storage => {
            ReasonCode::GeneralError
        }
    };
    Reason::new(code, format!("the file cannot be had: {}", loss.why))
}

/// Counts a file that is passed on, or that is lost. A file that may be there later is counted only
/// when its message goes, or fails, without it.
fn count(metrics: &Metrics, integration: &Integration, missing: Option<&Missing>) {
    let word = missing.map_or("kept", |missing| missing.loss().code.as_str());
    metrics.file(integration.name.as_str(), word);
}
