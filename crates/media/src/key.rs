//! The name under which a file is kept.

use conversation::{ConversationId, IntegrationName, MessageId};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use object_store::path::Path;

/// In which direction the message of a file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// To the customer.
    Outbound,
    /// To the agent.
    Inbound,
}

impl Way {
    fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "out",
            Self::Inbound => "in",
        }
    }
}

/// The name of a file. It depends on its message alone, so that a file that is fetched once more,
/// perhaps by another node after a crash, replaces itself.
///
/// It begins with the day on which the message was accepted: retention removes whole days, and need
/// not list single files. The conversation follows, because erasing removes a customer's files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    /// The key of the file at place `index` of a message that was accepted at `received`.
    pub fn new(
        integration: &IntegrationName,
        conversation: &ConversationId,
        way: Way,
        message: &MessageId,
        received: Timestamp,
        index: usize,
    ) -> Self {
        let day = day(received);
        let way = way.as_str();
        Self(format!("{day}/{integration}/{conversation}/{way}-{message}-{index}"))
    }

    /// The key that a link names, if it can be one. The link's signature says whether it is.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<_> = text.split('/').collect();
        let [day, rest @ ..] = parts.as_slice() else { return None };
        let plain = |part: &&str| !part.is_empty() && !part.chars().all(|c| c == '.');
        (rest.len() == 3 && rest.iter().all(plain) && day.parse::<Date>().is_ok())
            .then(|| Self(text.to_owned()))
    }

    /// The key as text: four parts, joined by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The integration and the conversation, joined by `/`.
    pub(crate) fn owner(&self) -> &str {
        let end = self.0.rfind('/').unwrap_or_default();
        self.0[..end].split_once('/').unwrap_or_default().1
    }

    pub(crate) fn file(&self) -> Path {
        self.0.split('/').collect()
    }

    /// Where it is noted what became of the file.
    pub(crate) fn note(&self) -> Path {
        format!("{}.json", self.0).split('/').collect()
    }
}

/// The day of a time, in UTC.
pub(crate) fn day(time: Timestamp) -> Date {
    Offset::UTC.to_datetime(time).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_for_the_same_file() {
        let key = |index| {
            Key::new(
                &IntegrationName::new("acme"),
                &ConversationId::new("c01"),
                Way::Outbound,
                &MessageId::new("9f0c"),
                "2026-11-20T23:59:59.999999Z".parse().unwrap(),
                index,
            )
        };
        assert_eq!(key(0), key(0));
        assert_ne!(key(0), key(1));
        assert_eq!(key(0).as_str(), "2026-11-20/acme/c01/out-9f0c-0");
        assert_eq!(key(0).owner(), "acme/c01");
        assert_eq!(Key::parse(key(0).as_str()), Some(key(0)));
        for odd in ["", "a/b/c/d", "2026-11-20/acme/c01", "2026-11-20/../c01/x", "2026-11-20//c/x"]
        {
            assert_eq!(Key::parse(odd), None, "{odd}");
        }
    }
}
