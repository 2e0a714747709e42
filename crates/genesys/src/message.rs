//! The parts of a message, in both directions: channel, party, content, event.
//!
//! Used by every type that contains a message. Nothing here judges a message; it only reads and
//! writes it.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::record::{record, text_of_number, words};

words! {
    /// What a message is (`type`).
    ///
    /// ```
    /// use genesys::message::MessageType;
    ///
    /// assert_eq!(MessageType::from("Structured"), MessageType::Structured);
    /// // Genesys may add words: an unknown one is kept, and written back as it was.
    /// let new: MessageType = serde_json::from_str(r#""Hologram""#)?;
    /// assert_eq!(new, MessageType::Other("Hologram".to_owned()));
    /// assert_eq!(serde_json::to_string(&new)?, r#""Hologram""#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    MessageType {
        /// Words, an attachment, or both.
        Text = "Text",
        /// Cards, quick replies, templates and the like.
        Structured = "Structured",
        /// Typing and the like.
        Event = "Event",
        /// The status of another message.
        Receipt = "Receipt",
        /// Part of the shared model; not seen on Open Messaging.
        Message = "Message",
    }
}

words! {
    /// The direction of a message, from Genesys's point of view.
    ///
    /// ```
    /// use genesys::message::Direction;
    ///
    /// assert_eq!(Direction::from("Outbound"), Direction::Outbound);
    /// assert_eq!(Direction::Inbound.as_str(), "Inbound");
    /// ```
    Direction {
        /// From the customer.
        Inbound = "Inbound",
        /// To the customer.
        Outbound = "Outbound",
    }
}

words! {
    /// Who wrote an outbound message.
    ///
    /// ```
    /// use genesys::message::OriginatingEntity;
    ///
    /// assert_eq!(OriginatingEntity::from("Bot"), OriginatingEntity::Bot);
    /// assert_ne!(OriginatingEntity::from("bot"), OriginatingEntity::Bot, "case matters");
    /// ```
    OriginatingEntity {
        /// An agent.
        Human = "Human",
        /// A bot.
        Bot = "Bot",
    }
}

words! {
    /// The type of a party's id. The inbound calls also accept the lower-case spelling.
    ///
    /// ```
    /// use genesys::message::IdType;
    ///
    /// assert_eq!(IdType::from("Email"), IdType::Email);
    /// assert_eq!(IdType::Opaque.to_string(), "Opaque");
    /// ```
    IdType {
        /// An e-mail address.
        Email = "Email",
        /// A phone number.
        Phone = "Phone",
        /// Anything; compared, never parsed.
        Opaque = "Opaque",
    }
}

words! {
    /// The kind of an event.
    ///
    /// ```
    /// use genesys::message::EventType;
    ///
    /// assert_eq!(EventType::from("Typing"), EventType::Typing);
    /// assert_eq!(EventType::from("Reaction").as_str(), "Reaction", "an unknown word is kept");
    /// ```
    EventType {
        /// A participant types.
        Typing = "Typing",
        /// A participant came or went; documented for web messaging only.
        Presence = "Presence",
        /// Documented for web messaging only.
        CoBrowse = "CoBrowse",
        /// Documented for web messaging only.
        Video = "Video",
    }
}

words! {
    /// The kind of an attachment.
    ///
    /// ```
    /// use genesys::message::MediaType;
    ///
    /// assert_eq!(MediaType::from("Image"), MediaType::Image);
    /// assert!(MediaType::KNOWN.contains(&MediaType::Link));
    /// ```
    MediaType {
        /// An image.
        Image = "Image",
        /// A video.
        Video = "Video",
        /// A recording.
        Audio = "Audio",
        /// Any other file.
        File = "File",
        /// A link.
        Link = "Link",
    }
}

record! {
    /// One end of a message: the customer, or the integration.
    ///
    /// ```
    /// use genesys::Party;
    ///
    /// let customer: Party = serde_json::from_str(r#"{"id": 48213, "nickName": "Noor"}"#)?;
    /// assert_eq!(customer.id, "48213", "a number is read as its text");
    /// assert_eq!(customer.nickname.as_deref(), Some("Noor"), "either spelling is read");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant Party {
        needs {
            /// For a customer, the id that the middleware gave; for an integration, its id. A
            /// number is read as text.
            id: String = "id" by text_of_number,
        }
        may {
            /// The type of the id.
            id_type: IdType = "idType",
            /// A name to show; some messages spell the field `nickName`.
            nickname: String = "nickname" or "nickName",
            /// First name.
            first_name: String = "firstName",
            /// Last name.
            last_name: String = "lastName",
            /// URL of a picture.
            image: String = "image",
            /// E-mail address.
            email: String = "email",
        }
    }
}

impl Party {
    /// A party of which only the id is known.
    pub fn new(id: impl Into<String>, id_type: IdType) -> Self {
        Self { id: id.into(), id_type: Some(id_type), ..Self::default() }
    }
}

record! {
    /// The channel of a message: the integration, the sender, the recipient, and the time.
    ///
    /// ```
    /// use genesys::Channel;
    ///
    /// let channel: Channel = serde_json::from_str(
    ///     r#"{"to": {"id": "cust-48213"}, "time": "2026-11-20T09:14:03.482Z", "via": "sms"}"#,
    /// )?;
    /// assert_eq!(channel.to.as_ref().map(|to| to.id.as_str()), Some("cust-48213"));
    /// assert_eq!(channel.timestamp(), "2026-11-20T09:14:03.482Z".parse().ok());
    /// assert_eq!(channel.other["via"], "sms", "unknown fields are kept");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant Channel {
        may {
            /// The integration's id.
            id: String = "id",
            /// `Open`.
            platform: String = "platform",
            /// `Private`; `Public` belongs to social listening.
            r#type: String = "type",
            /// The provider's id of the message; on agents' messages equal to the message's own id.
            message_id: String = "messageId",
            /// The recipient: the customer for outbound messages.
            to: Party = "to",
            /// The sender: the integration (not the agent) for outbound messages.
            from: Party = "from",
            /// When it was written, ISO 8601 in UTC with milliseconds; see [`Self::timestamp`].
            time: String = "time",
            /// More about it; [`Self::custom_attributes`] of an inbound message becomes participant
            /// data.
            metadata: Map<String, Value> = "metadata",
        }
    }
}

impl Channel {
    /// [`Self::time`] as a time, if it is one.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.time.as_deref().and_then(parse_time)
    }

    /// `metadata.customAttributes`: what Architect reads as participant data.
    pub fn custom_attributes(&self) -> Option<&Map<String, Value>> {
        self.metadata.as_ref()?.get("customAttributes")?.as_object()
    }
}

record! {
    /// One element of a message's content.
    ///
    /// ```
    /// use genesys::Content;
    ///
    /// let element = r#"{"contentType": "QuickReply", "quickReply": {"text": "Yes"}}"#;
    /// let element: Content = serde_json::from_str(element)?;
    /// assert_eq!(element.body().map(|reply| &reply["text"]), Some(&"Yes".into()));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant Content {
        may {
            /// The type of the element (`Attachment`, `QuickReply`, `Card`, ...); may be absent in
            /// inbound requests.
            content_type: String = "contentType",
            /// The attachment, if the element is one.
            attachment: Attachment = "attachment",
        }
    }
}

impl Content {
    /// An element that holds an attachment.
    pub fn attachment(attachment: Attachment) -> Self {
        Self {
            content_type: Some("Attachment".to_owned()),
            attachment: Some(attachment),
            other: Map::new(),
        }
    }

    /// The value under the property that belongs to its `contentType`, except for attachments:
    /// `quickReply` for `QuickReply`, `template` for `Notification`.
    pub fn body(&self) -> Option<&Value> {
        let kind = self.content_type.as_deref()?;
        if kind == "Notification" {
            return self.other.get("template").or_else(|| self.other.get("notification"));
        }
        let mut letters = kind.chars();
        let property: String = letters.next()?.to_lowercase().chain(letters).collect();
        self.other.get(&property)
    }
}

record! {
    /// A file that is part of a message.
    ///
    /// ```
    /// use genesys::Content;
    /// use genesys::message::{Attachment, MediaType};
    ///
    /// let content = Content::attachment(Attachment {
    ///     media_type: Some(MediaType::Image),
    ///     url: Some("https://files.example.net/label.png".to_owned()),
    ///     mime: Some("image/png".to_owned()),
    ///     ..Attachment::default()
    /// });
    /// assert_eq!(serde_json::to_value(&content)?["attachment"]["mediaType"], "Image");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant Attachment {
        may {
            /// Genesys's id of the medium.
            id: String = "id",
            /// The kind of file; required by Genesys.
            media_type: MediaType = "mediaType",
            /// The URL of the file; required in inbound requests. Genesys fetches it itself.
            url: String = "url",
            /// MIME type; required in inbound requests.
            mime: String = "mime",
            /// A caption.
            text: String = "text",
            /// Hash of the content.
            sha256: String = "sha256",
            /// Name of the file.
            filename: String = "filename",
            /// Size in bytes; outbound only.
            content_size_bytes: u64 = "contentSizeBytes",
        }
    }
}

record! {
    /// An event other than a message.
    ///
    /// ```
    /// use genesys::message::Event;
    ///
    /// let body = serde_json::to_string(&Event::typing())?;
    /// assert_eq!(body, r#"{"eventType":"Typing"}"#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant Event {
        may {
            /// What happened.
            event_type: EventType = "eventType",
            /// Details, if the event is typing.
            typing: Typing = "typing",
        }
    }
}

impl Event {
    /// An event that a participant types.
    pub fn typing() -> Self {
        Self { event_type: Some(EventType::Typing), ..Self::default() }
    }
}

record! {
    /// A participant types.
    ///
    /// ```
    /// use genesys::message::Typing;
    ///
    /// let typing: Typing = serde_json::from_str(r#"{"type": "On", "duration": 5000}"#)?;
    /// assert_eq!(typing.duration, Some(5_000));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant Typing {
        may {
            /// `On`.
            r#type: String = "type",
            /// For how long to show it, in milliseconds.
            duration: u64 = "duration",
        }
    }
}

/// Reads a time in Genesys's format, if it is valid.
///
/// ```
/// let time = genesys::message::parse_time("2026-11-20T10:14:03.482+0100");
/// assert_eq!(time, "2026-11-20T09:14:03.482Z".parse().ok());
/// assert_eq!(genesys::message::parse_time("yesterday"), None);
/// ```
pub fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// Writes a time in Genesys's format: UTC, with milliseconds.
///
/// ```
/// let time = "2026-11-20T10:14:03+01:00".parse()?;
/// assert_eq!(genesys::message::format_time(time), "2026-11-20T09:14:03.000Z");
/// # Ok::<(), jiff::Error>(())
/// ```
pub fn format_time(time: Timestamp) -> String {
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_go_both_ways_and_hostile_ones_are_none() {
        let time = "2026-11-20T09:14:03.482Z";
        assert_eq!(parse_time(time).map(format_time).as_deref(), Some(time));
        assert_eq!(
            parse_time("2026-11-20T09:14:03Z").map(format_time).as_deref(),
            Some("2026-11-20T09:14:03.000Z")
        );
        assert_eq!(
            parse_time("2026-11-20T10:14:03.482+0100").map(format_time).as_deref(),
            Some(time)
        );
        for hostile in
            ["", "yesterday", "99999-01-01T00:00:00Z", "2026-13-45T99:99:99Z", &"9".repeat(100_000)]
        {
            assert_eq!(parse_time(hostile), None);
        }
    }

    #[test]
    fn the_body_of_an_element_is_found_by_its_type() {
        for (element, body) in [
            (
                json!({"contentType": "QuickReply", "quickReply": {"text": "Yes"}}),
                Some(json!({"text": "Yes"})),
            ),
            (
                json!({"contentType": "Notification", "template": {"id": "t"}}),
                Some(json!({"id": "t"})),
            ),
            (json!({"contentType": "Hologram", "hologram": 3}), Some(json!(3))),
            (json!({"contentType": "", "": 3}), None),
            (json!({"quickReply": 3}), None),
        ] {
            let content: Content = serde_json::from_value(element).unwrap();
            assert_eq!(content.body(), body.as_ref());
        }
    }

    #[test]
    fn a_party_without_an_id_is_kept_raw() {
        let raw = json!({"to": {"nickname": "nobody"}, "time": 12});
        let channel: Channel = serde_json::from_value(raw.clone()).unwrap();
        assert_eq!((&channel.to, channel.timestamp()), (&None, None));
        assert_eq!(serde_json::to_value(&channel).unwrap(), raw);
    }
}
