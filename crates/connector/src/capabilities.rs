//! What a chat service can do, and whether it can take a given message.
//!
//! The gateway checks this before it forwards a message, so that an agent learns at once what
//! cannot be delivered. It forwards a message whole or not at all.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use conversation::{Reason, ReasonCode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

/// What a chat service can do.
///
/// ```
/// use connector::{Capabilities, ContentKinds, Fallback};
/// use conversation::ReasonCode;
/// use serde_json::json;
///
/// let service = Capabilities {
///     reports_delivery: true,
///     idempotent: true,
///     typing: true,
///     max_text: Some(20),
///     media: vec!["image/*".parse()?],
///     content: ContentKinds::default(),
/// };
/// let message = service.render(Some("Good morning!"), &[], Fallback::Text);
/// assert_eq!(message.unwrap().text.as_deref(), Some("Good morning!"));
/// let video = json!({"contentType": "Attachment", "attachment": {"mime": "video/mp4"}});
/// let reason = service.render(Some("Look"), &[video], Fallback::Text).unwrap_err();
/// assert_eq!(reason.code, ReasonCode::MediaTypeNotAllowed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Whether it reports later that an accepted message reached the customer.
    pub reports_delivery: bool,
    /// Whether it recognizes a message by its id, so that two attempts have the effect of one.
    pub idempotent: bool,
    /// Whether it can show that the agent types.
    pub typing: bool,
    /// The longest text that it takes, in characters (Unicode scalar values). `None` means no
    /// limit.
    pub max_text: Option<usize>,
    /// The media types that it takes as attachments.
    pub media: Vec<MediaRange>,
    /// The other types of content elements that it takes.
    pub content: ContentKinds,
}

impl Capabilities {
    /// A chat service that takes texts of any length and nothing else.
    pub fn text_only() -> Self {
        Self {
            reports_delivery: false,
            idempotent: false,
            typing: false,
            max_text: None,
            media: Vec::new(),
            content: ContentKinds::default(),
        }
    }

    /// Whether the service takes an attachment of this MIME type.
    pub(crate) fn takes_media(&self, mime: &str) -> bool {
        self.media.iter().any(|range| range.contains(mime))
    }

    pub(crate) fn can_carry_text(&self, text: Option<&str>) -> Result<(), Reason> {
        if let (Some(text), Some(max)) = (text, self.max_text) {
            let length = text.chars().count();
            if length > max {
                let message = format!(
                    "the text has {length} characters, and the chat service takes at most {max}"
                );
                return Err(Reason::new(ReasonCode::UnsupportedMessage, message));
            }
        }
        Ok(())
    }

    pub(crate) fn can_carry_element(&self, element: &Value) -> Result<(), Reason> {
        let kind = element.get("contentType").and_then(Value::as_str);
        match (kind, element.get("attachment")) {
            (Some("Attachment") | None, Some(attachment)) => self.can_carry_attachment(attachment),
            (Some("Attachment") | None, None) => {
                let message =
                    "a content element says neither its contentType nor has an attachment";
                Err(Reason::new(ReasonCode::InvalidMessageStructure, message))
            }
            (Some(kind), _) if self.content.contains(kind) => Ok(()),
            (Some(kind), _) => {
                let kind = Reason::quotable(kind).unwrap_or("that it names");
                let message = format!(
                    "the chat service does not take content of the type {kind}; the key \
                     `content` of its connector lists what it takes"
                );
                Err(Reason::new(ReasonCode::UnsupportedMessage, message))
            }
        }
    }

    fn can_carry_attachment(&self, attachment: &Value) -> Result<(), Reason> {
        let mime = attachment.get("mime").and_then(Value::as_str).filter(|mime| !mime.is_empty());
        // Without a MIME type, Genesys's `mediaType` still distinguishes images, videos and audio.
        // It does not name the subtype, so only a range over all subtypes is certain to include it.
        let media = match (mime, attachment.get("mediaType").and_then(Value::as_str)) {
            (Some(mime), _) => mime.to_owned(),
            (None, Some(class))
                if ["image", "video", "audio"]
                    .iter()
                    .any(|known| class.eq_ignore_ascii_case(known)) =>
            {
                format!("{}/*", class.to_ascii_lowercase())
            }
            (None, _) => "*/*".to_owned(),
        };
        if self.takes_media(&media) {
            return Ok(());
        }
        let media = Reason::quotable(&media).unwrap_or("that it names");
        let message = format!(
            "the chat service does not take media of the type {media}; the key `media` of its \
             connector lists what it takes"
        );
        Err(Reason::new(ReasonCode::MediaTypeNotAllowed, message))
    }
}

/// A range of media types, as in HTTP's `Accept`: `image/png`, `image/*` or `*/*`. Stored in lower
/// case.
///
/// ```
/// use connector::MediaRange;
///
/// let images: MediaRange = "Image/*".parse()?;
/// assert_eq!(images.to_string(), "image/*");
/// assert!(images.contains("IMAGE/png; q=1"));
/// assert!(!images.contains("video/mp4"));
/// # Ok::<(), connector::NotAMediaRange>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MediaRange {
    class: Box<str>,
    kind: Box<str>,
}

impl MediaRange {
    /// The range `*/*`, which contains every media type.
    pub fn any() -> Self {
        Self { class: "*".into(), kind: "*".into() }
    }

    /// Whether the range contains this MIME type. Parameters (`; charset=…`) and case are ignored.
    pub fn contains(&self, mime: &str) -> bool {
        let mime = mime.split(';').next().unwrap_or_default().trim();
        let (class, kind) = mime.split_once('/').unwrap_or((mime, ""));
        let covers = |mine: &str, theirs: &str| mine == "*" || mine.eq_ignore_ascii_case(theirs);
        covers(&self.class, class) && covers(&self.kind, kind)
    }
}

impl FromStr for MediaRange {
    type Err = NotAMediaRange;

    fn from_str(range: &str) -> Result<Self, NotAMediaRange> {
        let token = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_graphic() && !"/;,".contains(c))
        };
        match range.split_once('/') {
            Some((class, kind)) if token(class) && token(kind) && (class != "*" || kind == "*") => {
                Ok(Self {
                    class: class.to_ascii_lowercase().into(),
                    kind: kind.to_ascii_lowercase().into(),
                })
            }
            _ => Err(NotAMediaRange(range.to_owned())),
        }
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.class, self.kind)
    }
}

impl<'de> Deserialize<'de> for MediaRange {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for MediaRange {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// The error for a text that is not a range of media types.
///
/// ```
/// use connector::MediaRange;
///
/// let error = "images".parse::<MediaRange>().unwrap_err();
/// assert!(error.to_string().starts_with("'images' is not a range of media types"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a range of media types such as \"image/*\", \"application/pdf\" or \"*/*\"")]
pub struct NotAMediaRange(String);

/// The types of Genesys's content elements that a chat service takes. Attachments are separate: see
/// [`Capabilities::media`].
///
/// ```
/// use connector::ContentKinds;
///
/// let kinds: ContentKinds = serde_json::from_str(r#"["QuickReply", "Card"]"#)?;
/// assert!(kinds.contains("Card") && !kinds.contains("Carousel"));
/// assert_eq!(serde_json::from_str::<ContentKinds>(r#"["*"]"#)?, ContentKinds::Any);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentKinds {
    /// All types, including those that Genesys may add.
    Any,
    /// Only these types, as Genesys spells them, such as `QuickReply` or `Carousel`.
    Only(BTreeSet<String>),
}

/// No types.
impl Default for ContentKinds {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

impl ContentKinds {
    /// Whether this content type is one of them. Case matters.
    pub fn contains(&self, kind: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(kinds) => kinds.contains(kind),
        }
    }
}

/// Reads a list of content types. `"*"` in it means all types.
impl<'de> Deserialize<'de> for ContentKinds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let kinds = BTreeSet::<String>::deserialize(from)?;
        Ok(if kinds.contains("*") { Self::Any } else { Self::Only(kinds) })
    }
}

impl Serialize for ContentKinds {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any => ["*"].serialize(to),
            Self::Only(kinds) => kinds.serialize(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Fallback;

    fn service(media: &[&str], content: ContentKinds) -> Capabilities {
        Capabilities {
            reports_delivery: false,
            idempotent: false,
            typing: false,
            max_text: Some(5),
            media: media.iter().map(|range| range.parse().unwrap()).collect(),
            content,
        }
    }

    /// Whether the service takes the message as it is.
    fn carry(service: &Capabilities, text: Option<&str>, content: &[Value]) -> Result<(), Reason> {
        service.render(text, content, Fallback::Fail).map(|_| ())
    }

    fn code(outcome: Result<(), Reason>) -> Option<ReasonCode> {
        outcome.err().map(|reason| reason.code)
    }

    #[test]
    fn a_text_is_measured_in_characters_and_the_reason_names_both_figures() {
        let service = service(&[], ContentKinds::Any);
        assert_eq!(carry(&service, Some("žluťá"), &[]), Ok(()));
        let reason = carry(&service, Some("žlutá!"), &[]).unwrap_err();
        assert_eq!(reason.code, ReasonCode::UnsupportedMessage);
        assert!(reason.message.contains('6') && reason.message.contains('5'), "{reason}");
        assert!(!reason.message.contains("lut"), "the text itself stays out of the reason");
    }

    #[test]
    fn a_message_of_nothing_is_broken() {
        let service = service(&["*/*"], ContentKinds::Any);
        for text in [None, Some("")] {
            assert_eq!(code(carry(&service, text, &[])), Some(ReasonCode::InvalidMessageStructure));
        }
        for element in
            [json!("x"), json!({}), json!({"contentType": "Attachment"}), json!({"contentType": 3})]
        {
            assert_eq!(
                code(carry(&service, Some("a"), &[element])),
                Some(ReasonCode::InvalidMessageStructure)
            );
        }
    }

    #[test]
    fn attachments_go_by_their_mime_type() {
        let attachment = |mime: Option<&str>, media_type: &str| {
            let attachment = json!({"mediaType": media_type, "mime": mime, "url": "u"});
            json!({"contentType": "Attachment", "attachment": attachment})
        };
        let images = service(&["image/*", "application/pdf"], ContentKinds::Any);
        let carried =
            [(Some("Image/PNG"), "Image"), (Some("application/pdf; v=1"), "File"), (None, "Image")];
        for (mime, media_type) in carried {
            assert_eq!(
                carry(&images, None, &[attachment(mime, media_type)]),
                Ok(()),
                "{mime:?} {media_type}"
            );
        }
        let refused = [
            (Some("video/mp4"), "Video"),
            (Some("application/zip"), "File"),
            (None, "File"),
            (None, "Link"),
        ];
        for (mime, media_type) in refused {
            let outcome = carry(&images, Some("look"), &[attachment(mime, media_type)]);
            assert_eq!(
                code(outcome),
                Some(ReasonCode::MediaTypeNotAllowed),
                "{mime:?} {media_type}"
            );
        }
        let all = service(&["*/*"], ContentKinds::Any);
        assert_eq!(carry(&all, None, &[attachment(None, "Link")]), Ok(()));
        assert!(!service(&["image/png"], ContentKinds::Any).media[0].contains("image/*"));
    }

    #[test]
    fn content_that_is_not_listed_is_not_dropped_from_a_text() {
        let service = service(&["*/*"], ContentKinds::Only(["QuickReply".to_owned()].into()));
        let element = |kind: &str| json!({"contentType": kind, "quickReply": {"text": "Yes"}});
        assert_eq!(carry(&service, Some("Well?"), &[element("QuickReply")]), Ok(()));
        let reason = carry(&service, Some("Well?"), &[element("QuickReply"), element("Carousel")])
            .unwrap_err();
        assert_eq!(reason.code, ReasonCode::UnsupportedMessage);
        assert!(reason.message.contains("Carousel"));
    }

    #[test]
    fn ranges_and_kinds_are_read_from_configuration() {
        for bad in ["", "image", "image/", "/png", "*/png", "image/png/x", "a b/c"] {
            assert!(bad.parse::<MediaRange>().is_err(), "{bad}");
        }
        let kinds: ContentKinds = serde_json::from_value(json!(["*"])).unwrap();
        assert_eq!(kinds, ContentKinds::Any);
        let kinds: ContentKinds = serde_json::from_value(json!([])).unwrap();
        assert!(!kinds.contains("Card"));
    }
}
