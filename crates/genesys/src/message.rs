//! The parts of a message in either direction: its channel, parties, content and events.
//!
//! These types only read and write a message. They do not check whether Genesys accepts it.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::record::{record, text_of_number, words};

words! {
    /// The type of a message (`type`).
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
        /// A text, attachments, or both.
        Text = "Text",
        /// Cards, quick replies, templates and the like.
        Structured = "Structured",
        /// Something other than a message, such as typing.
        Event = "Event",
        /// The status of another message.
        Receipt = "Receipt",
        /// A type that Genesys's models name. It was not seen on Open Messaging.
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
        /// Any text. It is compared and never parsed.
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
        /// A participant came or went. Documented for web messaging only.
        Presence = "Presence",
        /// A co-browsing session. Documented for web messaging only.
        CoBrowse = "CoBrowse",
        /// A video call. Documented for web messaging only.
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
    /// The sender or the recipient of a message: the customer, or the integration.
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
            /// For a customer, the id that the middleware chose. For an integration, its id. A
            /// number is read as its text.
            id: String = "id" by text_of_number,
        }
        may {
            /// The type of the id.
            id_type: IdType = "idType",
            /// The name that agents see. Some messages spell the field `nickName`.
            nickname: String = "nickname" or "nickName",
            /// The first name.
            first_name: String = "firstName",
            /// The last name.
            last_name: String = "lastName",
            /// The URL of a picture.
            image: String = "image",
            /// The e-mail address.
            email: String = "email",
        }
    }
}

impl Party {
    /// Creates a party of which only the id is known.
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
            /// The platform: `Open` for Open Messaging.
            platform: String = "platform",
            /// `Private` for conversations. Genesys uses `Public` for social listening.
            r#type: String = "type",
            /// The provider's id of the message. On agents' messages it equals the message's own
            /// id.
            message_id: String = "messageId",
            /// The recipient: the customer for outbound messages.
            to: Party = "to",
            /// The sender: the integration (not the agent) for outbound messages.
            from: Party = "from",
            /// When it was written, ISO 8601 in UTC with milliseconds; see [`Self::timestamp`].
            time: String = "time",
            /// Further data. [`Self::custom_attributes`] of an inbound message become participant
            /// data.
            metadata: Map<String, Value> = "metadata",
        }
    }
}

impl Channel {
    /// [`Self::time`] as a timestamp. `None` if it is absent or not a time in ISO 8601.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.time.as_deref().and_then(parse_time)
    }

    /// `metadata.customAttributes`, which Architect flows read as participant data.
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
            /// The type of the element, such as `Attachment`, `QuickReply` or `Card`. It may be
            /// absent in inbound requests.
            content_type: String = "contentType",
            /// The attachment, if the element is one.
            attachment: Attachment = "attachment",
        }
    }
}

impl Content {
    /// Creates an element that holds an attachment.
    pub fn attachment(attachment: Attachment) -> Self {
        Self {
            content_type: Some("Attachment".to_owned()),
            attachment: Some(attachment),
            other: Map::new(),
        }
    }

    /// The value of the property that belongs to the `contentType`: `quickReply` for `QuickReply`,
    /// `template` for `Notification`. `None` for attachments, which have a field of their own.
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
            /// Genesys's id of the file.
            id: String = "id",
            /// The kind of file. Genesys requires it.
            media_type: MediaType = "mediaType",
            /// The URL of the file, required in inbound requests. Genesys downloads the file
            /// itself.
            url: String = "url",
            /// The MIME type, required in inbound requests.
            mime: String = "mime",
            /// The caption.
            text: String = "text",
            /// The SHA-256 hash of the file.
            sha256: String = "sha256",
            /// The name of the file.
            filename: String = "filename",
            /// The size in bytes; outbound only.
            content_size_bytes: u64 = "contentSizeBytes",
        }
    }
}

record! {
    /// Something other than a message that happens in a conversation, such as typing.
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
            /// The kind of event.
            event_type: EventType = "eventType",
            /// The state of typing, if the event is `Typing`.
            typing: Typing = "typing",
        }
    }
}

impl Event {
    /// Creates an event that a participant types.
    pub fn typing() -> Self {
        Self { event_type: Some(EventType::Typing), ..Self::default() }
    }
}

record! {
    /// The state of typing.
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
            /// `On` if the participant types.
            r#type: String = "type",
            /// How long to show it, in milliseconds.
            duration: u64 = "duration",
        }
    }
}

/// Reads a time in ISO 8601, with any offset from UTC. Returns `None` if the text is not such a
/// time.
///
/// ```
/// let time = genesys::message::parse_time("2026-11-20T10:14:03.482+0100");
/// assert_eq!(time, "2026-11-20T09:14:03.482Z".parse().ok());
/// assert_eq!(genesys::message::parse_time("yesterday"), None);
/// ```
pub fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// Writes a time as Genesys does: ISO 8601 in UTC, with milliseconds.
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
