//! An agent's files on their way to a chat service.

use std::time::Duration;

use connector::{Capabilities, Rendered, Unavailable};
use conversation::{Clock, Reason};
use futures_util::future::join_all;
use genesys::WebhookMessage;
use media::{Kept, Key, Loss, LossCode, Media, Obtained, Way};
use serde_json::{Map, Value};
use url::Url;

use super::lines::{line, with_lines};
use super::{
    FileOwner, Missing, Named, STORE_PATIENCE, count, link, named, patience, reason, too_many,
};
use crate::attachment::class_of;
use crate::from_genesys;
use crate::metrics::Metrics;
use crate::settings::Integration;

/// A message as its chat service gets it, and the files that it does not get.
#[derive(Default)]
pub(crate) struct Outgoing {
    pub(crate) rendered: Rendered,
    pub(crate) unavailable: Vec<Unavailable>,
}

/// Why nothing of a message can be delivered.
pub(crate) enum Obstructed {
    /// It never can.
    ForGood(Reason),
    /// It is nothing but files, and they may be there later.
    NotYet(Reason),
}

/// An element whose file is missing.
struct MissingFile {
    element: Value,
    key: Key,
    missing: Missing,
}

/// Renders a message with links of the gateway's own. It waits at most `most` for the files, and at
/// most three quarters of that for the store afterwards.
pub(crate) async fn with_links(
    owner: FileOwner<'_>,
    message: &WebhookMessage,
    most: Duration,
    clock: &dyn Clock,
    metrics: &Metrics,
) -> Result<Outgoing, Obstructed> {
    let integration = owner.integration;
    let service = FileRenderer {
        can: integration.connector.capabilities(),
        integration,
        clock,
        store_patience: STORE_PATIENCE.min(most / 4),
    };
    let contents = from_genesys::content(message.contents());
    let text = message.text.as_deref().filter(|text| !text.is_empty());
    let Some(media) = &integration.media else {
        let rendered = service.render(text, &contents).map_err(Obstructed::ForGood)?;
        return Ok(Outgoing { rendered, ..Outgoing::default() });
    };
    let patience = patience(media).min(most);
    let named = named(message.contents(), Way::Outbound);
    let elements = named.zip(contents).enumerate().map(async |(index, (named, element))| {
        let key = owner.key(Way::Outbound, index);
        let obtained = match named {
            Named::Nothing => return Ok(element),
            Named::TooMany => Obtained::Lost(too_many()),
            Named::File(source) => media.obtain(key.clone(), source, patience).await,
        };
        let linked = service.linked(media, &key, &element, obtained).await;
        if !linked.as_ref().is_err_and(Missing::is_open) {
            count(metrics, integration, linked.as_ref().err());
        }
        linked.map_err(|missing| MissingFile { element, key, missing })
    });
    let elements = join_all(elements).await;
    if text.is_none() && elements.iter().all(Result::is_err) {
        let missing = || elements.iter().filter_map(|element| element.as_ref().err());
        let open = || missing().filter(|file| file.missing.is_open());
        for file in open() {
            count(metrics, integration, Some(&file.missing));
        }
        if let Some(open) = open().next() {
            return Err(Obstructed::NotYet(reason(open.missing.loss())));
        }
        if let Some(first) = missing().next() {
            return Err(Obstructed::ForGood(reason(first.missing.loss())));
        }
    }
    let elements = elements.into_iter().map(async |element| match element {
        Err(file) if file.missing.is_open() => {
            let linked = service.give_up(media, file).await;
            count(metrics, integration, linked.as_ref().err().map(|file| &file.missing));
            linked
        }
        decided => decided,
    });
    // At once: a store that hangs must not use up the message's time.
    let elements = join_all(elements).await;
    service.outgoing(text, elements).map_err(Obstructed::ForGood)
}

/// The chat service, and what it can show.
struct FileRenderer<'a> {
    can: &'a Capabilities,
    integration: &'a Integration,
    clock: &'a dyn Clock,
    store_patience: Duration,
}

impl FileRenderer<'_> {
    fn render(&self, text: Option<&str>, contents: &[Value]) -> Result<Rendered, Reason> {
        self.can.render(text, contents, self.integration.fallback)
    }

    /// The element under the gateway's link, if its file is there.
    async fn linked(
        &self,
        media: &Media,
        key: &Key,
        element: &Value,
        obtained: Obtained,
    ) -> Result<Value, Missing> {
        let (now, patience) = (self.clock.now(), self.store_patience);
        let (kept, link) = link(media, key, obtained, now, patience).await?;
        let element = with_link(element.clone(), &kept, &link);
        // The service may take the stated type, but not the one that the file has.
        match self.render(None, std::slice::from_ref(&element)) {
            Ok(_) => Ok(element),
            Err(refused) => Err(Missing::ForGood(Loss::new(LossCode::Type, refused.message))),
        }
    }

    /// Makes it final that the message goes without a file that may be there later: each attempt
    /// must send the same.
    async fn give_up(&self, media: &Media, file: MissingFile) -> Result<Value, MissingFile> {
        let MissingFile { element, key, missing } = file;
        let noted = media.give_up(&key, missing.loss().clone(), self.store_patience).await;
        let linked = self.linked(media, &key, &element, noted).await;
        linked.map_err(|missing| MissingFile { element, key, missing })
    }

    fn outgoing(
        &self,
        text: Option<&str>,
        elements: Vec<Result<Value, MissingFile>>,
    ) -> Result<Outgoing, Reason> {
        let (mut contents, mut unavailable, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        for element in elements {
            match element {
                Ok(element) => contents.push(element),
                Err(MissingFile { element, missing, .. }) => {
                    let lost = unavailable_file(&element, missing.loss());
                    let name = lost.attachment.get("filename").and_then(Value::as_str);
                    lines.push(line(&self.integration.lost_file, name));
                    unavailable.push(lost);
                }
            }
        }
        // The words go, even if there is no room for all of the lines about files.
        while !lines.is_empty() {
            if let Ok(rendered) = self.render(with_lines(text, &lines).as_deref(), &contents) {
                return Ok(Outgoing { rendered, unavailable });
            }
            lines.pop();
        }
        Ok(Outgoing { rendered: self.render(text, &contents)?, unavailable })
    }
}

/// An attachment under the gateway's link, with what its bytes say about it.
fn with_link(mut element: Value, kept: &Kept, link: &Url) -> Value {
    if let Some(Value::Object(attachment)) = element.get_mut("attachment") {
        if attachment.get("mime").and_then(Value::as_str) != Some(&kept.mime) {
            attachment.insert("mediaType".to_owned(), class_of(&kept.mime).as_str().into());
            attachment.insert("mime".to_owned(), kept.mime.as_str().into());
        }
        attachment.insert("url".to_owned(), link.as_str().into());
        attachment.insert("contentSizeBytes".to_owned(), kept.size.into());
    }
    element
}

/// What is known about a file that cannot be had. Its link leads nowhere, so it is left out, unless
/// it asks for a login: the recipient may have one.
fn unavailable_file(element: &Value, loss: &Loss) -> Unavailable {
    let attachment = element.get("attachment").and_then(Value::as_object).cloned();
    let mut attachment: Map<_, _> = attachment.unwrap_or_default();
    if loss.code != LossCode::Denied {
        attachment.remove("url");
    }
    attachment.remove("thumbnail");
    Unavailable { attachment, reason: reason(loss) }
}
