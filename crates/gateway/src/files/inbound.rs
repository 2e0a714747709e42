//! A customer's files on their way to Genesys.
//!
//! Genesys gets links of the gateway's own only. A chat service's link may contain a token, and so
//! may a picture of the customer and a thumbnail, which are left out.

use connector::{Customer, Event};
use conversation::Clock;
use futures_util::future::join_all;
use genesys::message::{Attachment, Content};
use media::{Key, Media, Obtained, Way};
use serde_json::Map;

use super::lines::{line, line_with_reason, with_lines};
use super::{FileOwner, Missing, Named, STORE_PATIENCE, count, link, named, patience, too_many};
use crate::attachment::class_of;
use crate::customer_message::{self, MAX_TEXT, Part};
use crate::metrics::Metrics;

/// The part that a stored event has.
pub(super) fn of_event(bytes: &[u8]) -> Option<Part> {
    let event = connector::protocol::parse(bytes).ok()?.into_iter().next()?.ok()?;
    let Event::Message { text, content, .. } = event.event else { return None };
    customer_message::stored_part(text.as_deref(), &content).ok()
}

/// A customer without links of the chat service, if files are kept.
pub(crate) fn customer(media: Option<&Media>, customer: Customer) -> Customer {
    match media {
        Some(_) => Customer { image: None, ..customer },
        None => customer,
    }
}

/// Whether [`with_links`] changes this part, and may wait for files.
pub(crate) fn is_due(media: Option<&Media>, part: &Part) -> bool {
    media.is_some() && matches!(part, Part::Words { content, .. } if !content.is_empty())
}

/// A customer's words with links of the gateway's own. A line of text stands for each file that
/// cannot be had. The caller must hold nothing that others need, because this may take a minute.
pub(crate) async fn with_links(
    owner: FileOwner<'_>,
    part: Part,
    clock: &dyn Clock,
    metrics: &Metrics,
) -> Part {
    let integration = owner.integration;
    let (media, text, content) = match (&integration.media, part) {
        (Some(media), Part::Words { text, content }) if !content.is_empty() => {
            (media, text, content)
        }
        (_, part) => return part,
    };
    let all_named: Vec<_> = named(&content, Way::Inbound).collect();
    let elements = content.into_iter().zip(all_named).enumerate();
    let elements = elements.map(async |(index, (element, named))| {
        let Some(attachment) = element.attachment.clone() else { return Ok(element) };
        let key = owner.key(Way::Inbound, index);
        let obtained = match named {
            Named::Nothing => return Ok(without_thumbnail(element)),
            Named::TooMany => Obtained::Lost(too_many()),
            Named::File(source) => media.obtain(key.clone(), source, patience(media)).await,
        };
        let linked = linked(media, &key, &attachment, obtained, clock).await;
        if !linked.as_ref().is_err_and(Missing::is_open) {
            count(metrics, integration, linked.as_ref().err());
        }
        linked.map_err(|missing| (attachment, key, missing))
    });
    // No file is given up before the words can go.
    let elements = join_all(elements).await.into_iter().map(async |element| match element {
        // Each attempt must send the same.
        Err((attachment, key, Missing::NotYet(loss))) => {
            let noted = media.give_up(&key, loss, STORE_PATIENCE).await;
            let linked = linked(media, &key, &attachment, noted, clock).await;
            count(metrics, integration, linked.as_ref().err());
            linked.map_err(|missing| (attachment.filename, missing))
        }
        Err((attachment, _, missing)) => Err((attachment.filename, missing)),
        Ok(element) => Ok(element),
    });
    let (mut content, mut lost) = (Vec::new(), Vec::new());
    for element in join_all(elements).await {
        match element {
            Ok(element) => content.push(element),
            Err((name, missing)) => {
                lost.push((line(&integration.lost_file, name.as_deref()), missing));
            }
        }
    }
    Part::Words { text: noted(text, &lost), content }
}

/// The attachment under the gateway's link, if its file is there.
async fn linked(
    media: &Media,
    key: &Key,
    attachment: &Attachment,
    obtained: Obtained,
    clock: &dyn Clock,
) -> Result<Content, Missing> {
    let (kept, link) = link(media, key, obtained, clock.now(), STORE_PATIENCE).await?;
    let attachment = attachment.clone();
    let same = attachment.mime.as_deref() == Some(&kept.mime);
    Ok(Content::attachment(Attachment {
        media_type: if same { attachment.media_type } else { Some(class_of(&kept.mime)) },
        url: Some(link.into()),
        mime: Some(kept.mime),
        content_size_bytes: Some(kept.size),
        filename: Some(kept.name),
        other: Map::new(),
        ..attachment
    }))
}

/// A text with a line for each file that is lost, as far as there is room: Genesys might refuse a
/// longer text, and with it the customer's words.
fn noted(text: Option<String>, lost: &[(String, Missing)]) -> Option<String> {
    let mut noted = text;
    for (line, missing) in lost {
        let lines = [line_with_reason(line, &missing.loss().why), line.clone()];
        let longer = lines.map(|line| with_lines(noted.as_deref(), &[line]));
        let fits = |text: &String| text.chars().count() <= MAX_TEXT;
        if let Some(longer) = longer.into_iter().flatten().find(fits) {
            noted = Some(longer);
        } else {
            tracing::warn!("the agent is not told of a lost file: the text is too long");
        }
    }
    noted
}

/// An attachment that is no file: its link is for people.
fn without_thumbnail(element: Content) -> Content {
    let attachment =
        element.attachment.map(|attachment| Attachment { other: Map::new(), ..attachment });
    Content { attachment, ..element }
}

#[cfg(test)]
mod tests {
    use media::{Loss, LossCode};

    use super::*;

    fn lost(count: usize) -> Vec<(String, Missing)> {
        let missing = || Missing::ForGood(Loss::new(LossCode::Gone, "the link answered 404"));
        (0..count).map(|_| (line("[lost: {name}]", Some("a.png")), missing())).collect()
    }

    #[test]
    fn lines_about_files_never_make_a_text_too_long() {
        let short = "[lost: a.png]";
        let whole = format!("{short} (the link answered 404)");
        let room = |text: &str, left: usize| "x".repeat(MAX_TEXT - text.len() - left);
        assert_eq!(noted(None, &lost(1)).as_deref(), Some(whole.as_str()));
        let text = room(&whole, 1);
        assert_eq!(noted(Some(text.clone()), &lost(1)), Some(format!("{text}\n{whole}")));
        // The reason has no room.
        let text = room(&whole, 0);
        assert_eq!(noted(Some(text.clone()), &lost(1)), Some(format!("{text}\n{short}")));
        // Nothing has.
        let text = room(short, 0);
        assert_eq!(noted(Some(text.clone()), &lost(1)), Some(text));
        let many = noted(None, &lost(1_000)).unwrap();
        assert!(many.chars().count() <= MAX_TEXT, "{}", many.len());
    }
}
