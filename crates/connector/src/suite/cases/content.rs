//! Attachments and other content: whole, or refused.

use serde_json::{Value, json};

use crate::suite::claims::Claims;
use crate::suite::stage::{OutgoingMessage, Stage, is_success};
use crate::suite::verdict::{Outcome, failed, not_claimed};

/// Media types that chat services often take, to find one that is claimed or one that is not.
const MEDIA: [(&str, &str); 5] = [
    ("image/png", "Image"),
    ("application/pdf", "File"),
    ("video/mp4", "Video"),
    ("audio/mpeg", "Audio"),
    ("application/x-tidegate-suite", "File"),
];

/// Content types of Genesys, and one that does not exist.
const CONTENT: [&str; 4] = ["QuickReply", "Card", "Carousel", "TidegateSuite"];

fn attachment(mime: &str, media_type: &str) -> Value {
    let url = format!("https://files.example.com/{mime}?a=1&b=%20");
    json!({ "contentType": "Attachment", "attachment": {
        "mediaType": media_type, "mime": mime, "filename": "file",
        "url": url, "contentSizeBytes": 20_480 } })
}

fn first_claimed(claims: &Claims) -> Option<Value> {
    let known = MEDIA.into_iter().map(|(mime, media_type)| attachment(mime, media_type));
    let own = claims.capabilities.media.iter().map(|range| {
        let mime = range.to_string().replace("/*", "/x-suite").replace("*/", "application/");
        attachment(&mime, "File")
    });
    known.chain(own).find(|element| claims.must_refuse(element).is_none())
}

pub(super) async fn media_is_kept(stage: &Stage) -> Outcome {
    let chat = stage.open().await?;
    let Some(element) = first_claimed(&stage.claims) else {
        return not_claimed("the suite has no attachment of the types in `media`");
    };
    let second = {
        let mut second = element.clone();
        second["attachment"]["url"] = json!("https://files.example.com/second");
        second
    };
    let content = vec![element, second];
    let message = OutgoingMessage { content: content.clone(), ..stage.message("Two files.") };
    stage.taken(&chat, &message).await?;
    let view = stage.all_seen(&chat, std::slice::from_ref(&message)).await?;
    let seen = view.messages.iter().find(|seen| seen.id == message.id);
    let seen = seen.map(|seen| seen.content.as_slice()).unwrap_or_default();
    if seen.len() != content.len() {
        return failed(
            format!("{} of {} attachments are seen", seen.len(), content.len()),
            "all of them, or a refusal of the message",
        );
    }
    for (sent, seen) in content.iter().zip(seen) {
        for field in ["url", "mime", "contentSizeBytes"] {
            if sent["attachment"][field] != seen["attachment"][field] {
                return failed(
                    format!("the `{field}` of an attachment was changed or is missing"),
                    "the element as it was sent",
                );
            }
        }
    }
    Ok(())
}

/// The gateway never sends such a message, as long as its configuration agrees with the connector.
pub(super) async fn unclaimed_is_refused(stage: &Stage) -> Outcome {
    let media = MEDIA.into_iter().map(|(mime, media_type)| attachment(mime, media_type));
    let others = CONTENT.into_iter().map(|kind| json!({ "contentType": kind, "x": {} }));
    let unclaimed = |element: &Value| stage.claims.must_refuse(element).is_some();
    let media: Option<Value> = media.into_iter().find(unclaimed);
    let other: Option<Value> = others.into_iter().find(unclaimed);
    if media.is_none() && other.is_none() {
        return not_claimed("`media` and `content` claim everything");
    }
    let chat = stage.open().await?;
    for (what, element) in [("an attachment", media), ("a content element", other)] {
        let Some(element) = element else { continue };
        let message = OutgoingMessage { content: vec![element], ..stage.message("Look:") };
        let reply = stage.send(&chat, &message).await;
        let is_refused = reply.status().is_some_and(|status| (400..500).contains(&status));
        if is_success(&reply) || !(is_refused || reply.status() == Some(200)) {
            return failed(
                format!("{what} of a type that is not claimed: {}", reply.told()),
                "a 4xx, or 200 with the `status` `failed`",
            );
        }
    }
    Ok(())
}
