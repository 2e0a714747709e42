//! Why a message failed, with Genesys's reason codes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The reason codes of Genesys's receipts: a closed list (SDK model `ConversationReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReasonCode {
    /// The message expired, for example because no handshake ended in time.
    MessageExpired,
    /// The chat service, or a limit of ours, throttled it.
    RateLimited,
    /// A policy refused it.
    MessageNotAllowed,
    /// Anything else.
    GeneralError,
    /// The chat service cannot take this kind of message.
    UnsupportedMessage,
    /// The message is not known.
    UnknownMessage,
    /// The message could not be read.
    InvalidMessageStructure,
    /// There is no such recipient, or it is gone.
    InvalidDestination,
    /// The chat service failed.
    ServerError,
    /// The type of a medium is refused.
    MediaTypeNotAllowed,
    /// A medium is too large.
    InvalidMediaContentLength,
    /// The recipient does not want messages.
    RecipientOptedOut,
}

impl ReasonCode {
    /// Every code, in the order of the enum.
    pub const ALL: [Self; 12] = [
        Self::MessageExpired,
        Self::RateLimited,
        Self::MessageNotAllowed,
        Self::GeneralError,
        Self::UnsupportedMessage,
        Self::UnknownMessage,
        Self::InvalidMessageStructure,
        Self::InvalidDestination,
        Self::ServerError,
        Self::MediaTypeNotAllowed,
        Self::InvalidMediaContentLength,
        Self::RecipientOptedOut,
    ];

    /// The code as Genesys spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MessageExpired => "MessageExpired",
            Self::RateLimited => "RateLimited",
            Self::MessageNotAllowed => "MessageNotAllowed",
            Self::GeneralError => "GeneralError",
            Self::UnsupportedMessage => "UnsupportedMessage",
            Self::UnknownMessage => "UnknownMessage",
            Self::InvalidMessageStructure => "InvalidMessageStructure",
            Self::InvalidDestination => "InvalidDestination",
            Self::ServerError => "ServerError",
            Self::MediaTypeNotAllowed => "MediaTypeNotAllowed",
            Self::InvalidMediaContentLength => "InvalidMediaContentLength",
            Self::RecipientOptedOut => "RecipientOptedOut",
        }
    }

    /// The code called `name`, if it is in the closed list. Case and word separators do not matter:
    /// `RECIPIENT_OPTED_OUT` is `RecipientOptedOut`.
    pub fn from_name(name: &str) -> Option<Self> {
        let letters = |text: &str| {
            let parts = |c: &char| !matches!(c, '_' | '-' | '.') && !c.is_whitespace();
            text.chars().filter(parts).map(|c| c.to_ascii_lowercase()).collect::<String>()
        };
        let name = letters(name);
        Self::ALL.into_iter().find(|code| letters(code.as_str()) == name)
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a message failed: a code for Genesys, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// One of the closed list.
    pub code: ReasonCode,
    /// A sentence for the person who reads the conversation's `errorInfo`; never the message's own
    /// text.
    pub message: String,
}

impl Reason {
    /// The longest sentence that is kept, in characters. Chat services write these sentences, so
    /// longer ones are cut.
    pub const MAX_CHARS: usize = 300;

    /// A reason. A sentence longer than [`Self::MAX_CHARS`] is cut, and control characters become
    /// spaces.
    pub fn new(code: ReasonCode, message: impl AsRef<str>) -> Self {
        let clean = message.as_ref().chars().take(Self::MAX_CHARS);
        Self { code, message: clean.map(|c| if c.is_control() { ' ' } else { c }).collect() }
    }

    /// Returns the word if a sentence may quote it: if it looks like a protocol word, such as a
    /// content type. A longer word, or one with other characters, may be text that people wrote.
    pub fn quotable(word: &str) -> Option<&str> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '+' | '.' | '*');
        (1..=40).contains(&word.len()).then_some(word).filter(|word| word.chars().all(plain))
    }

    /// A reason as a chat service gave it. A code outside the closed list becomes `fallback`, and
    /// the sentence keeps it.
    pub fn from_service(code: Option<&str>, message: Option<&str>, fallback: ReasonCode) -> Self {
        let known = code.and_then(ReasonCode::from_name);
        let sentence = match (known, code, message) {
            (Some(code), _, None) => code.as_str().to_owned(),
            (Some(_), _, Some(message)) | (None, None, Some(message)) => message.to_owned(),
            (None, Some(code), Some(message)) => format!("{code}: {message}"),
            (None, Some(code), None) => code.to_owned(),
            (None, None, None) => "the chat service gave no reason".to_owned(),
        };
        Self::new(known.unwrap_or(fallback), sentence)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} - {}", self.code, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_known_however_its_words_are_written() {
        for code in ReasonCode::ALL {
            assert_eq!(ReasonCode::from_name(code.as_str()), Some(code));
        }
        for name in [
            "recipientoptedout",
            "RECIPIENT_OPTED_OUT",
            "recipient-opted-out",
            " Recipient opted out ",
        ] {
            assert_eq!(ReasonCode::from_name(name), Some(ReasonCode::RecipientOptedOut), "{name}");
        }
        for other in ["", "RecipientOptedOut2", "OptedOut", "_"] {
            assert_eq!(ReasonCode::from_name(other), None, "{other}");
        }
    }
}
