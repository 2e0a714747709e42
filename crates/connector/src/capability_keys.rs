//! The keys of `[integration.connector]` for what a chat service can do. Every kind whose chat
//! services speak the connector protocol has them.

use std::ops::RangeInclusive;

use crate::{Capabilities, ContentKinds, Keys, MediaRange, Setting, SettingDefault, SettingValue};

/// The longest text of a chat service, in characters.
const MAX_TEXT: RangeInclusive<usize> = 1..=1_000_000;

pub(crate) const REPORTS_DELIVERY: Setting = Setting {
    key: "reports_delivery",
    value: SettingValue::Flag,
    default: Some(SettingDefault::Is("false")),
    meaning: "The service sends `message.delivered` for the messages that it accepted.",
    example: "true",
};

pub(crate) const IDEMPOTENT: Setting = Setting {
    key: "idempotent",
    value: SettingValue::Flag,
    default: Some(SettingDefault::Is("true")),
    meaning: "The service recognizes a repeated idempotency key. `on_unknown = \"auto\"` goes by \
              it.",
    example: "false",
};

pub(crate) const TYPING: Setting = Setting {
    key: "typing",
    value: SettingValue::Flag,
    default: Some(SettingDefault::Is("true")),
    meaning: "The service wants to know when the agent is typing.",
    example: "false",
};

pub(crate) const LONGEST_TEXT: Setting = Setting {
    key: "max_text",
    value: SettingValue::Count(MAX_TEXT),
    default: Some(SettingDefault::Nothing),
    meaning: "The longest text that the service accepts, in characters. A longer one fails at \
              once. From 1 to 1000000.",
    example: "4000",
};

pub(crate) const MEDIA: Setting = Setting {
    key: "media",
    value: SettingValue::List,
    default: Some(SettingDefault::Is("[]")),
    meaning: "The attachments that the service displays, by MIME type: `[\"image/*\", \
              \"application/pdf\"]`. `\"*/*\"` means all. Other attachments fail with \
              `MediaTypeNotAllowed`.",
    example: "[\"image/*\", \"application/pdf\"]",
};

pub(crate) const CONTENT: Setting = Setting {
    key: "content",
    value: SettingValue::List,
    default: Some(SettingDefault::Is("[]")),
    meaning: "The other Genesys content types that the service displays: `[\"QuickReply\", \
              \"Carousel\"]`. `\"*\"` means all. Others become text, as \
              `[integration.content]` says.",
    example: "[\"QuickReply\"]",
};

/// What a chat service of the connector protocol can do if no key says otherwise.
pub(crate) fn default() -> Capabilities {
    Capabilities { idempotent: true, typing: true, ..Capabilities::text_only() }
}

/// Asks for every key above, in their order.
pub(crate) fn read(keys: &dyn Keys) -> Capabilities {
    let (reports_delivery, idempotent) =
        (keys.flag(REPORTS_DELIVERY.key), keys.flag(IDEMPOTENT.key));
    let typing = keys.flag(TYPING.key);
    let max_text = keys.count(LONGEST_TEXT.key, MAX_TEXT);
    let media = keys
        .list(MEDIA.key, |range| range.parse::<MediaRange>().map_err(|error| error.to_string()));
    let content = keys.list(CONTENT.key, |kind| Ok(kind.to_owned()));
    let content = content.map(|kinds| {
        if kinds.iter().any(|kind| kind == "*") {
            ContentKinds::Any
        } else {
            ContentKinds::Only(kinds.into_iter().collect())
        }
    });
    let default = default();
    Capabilities {
        reports_delivery: reports_delivery.unwrap_or(default.reports_delivery),
        idempotent: idempotent.unwrap_or(default.idempotent),
        typing: typing.unwrap_or(default.typing),
        max_text: max_text.or(default.max_text),
        media: media.unwrap_or(default.media),
        content: content.unwrap_or(default.content),
    }
}
