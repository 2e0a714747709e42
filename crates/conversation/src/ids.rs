//! Ids. Every kind of id has its own type, so that they cannot be mixed up.
//!
//! Ids from outside are opaque: they are compared and passed on, never parsed.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the id unchanged.
            pub fn new(id: impl AsRef<str>) -> Self {
                Self(id.as_ref().into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", &self.0)
            }
        }
    };
}

id! {
    /// The name of an `[[integration]]` of the configuration; it appears in URLs, logs and metrics.
    IntegrationName
}

id! {
    /// All traffic of one customer of one integration, whatever Genesys's current conversation id
    /// is. Chat services see it in URLs, so it consists of URL-safe characters only.
    ConversationId
}

id! {
    /// A message in either direction, as chat services, the store and people see it. It is also the
    /// idempotency key of every attempt to forward that message.
    MessageId
}

id! {
    /// What a chat service calls the session that a handshake opened. Opaque.
    SessionId
}

impl ConversationId {
    /// The conversation of `customer` (Genesys's `channel.to.id`) at `integration`.
    ///
    /// It is computed, not looked up, so that every node finds the same one, also after a restart.
    pub fn of(integration: &IntegrationName, customer: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(integration.as_str());
        hash.update([0]);
        hash.update(customer);
        Self::new(format!("c{}", hex::encode(&hash.finalize()[..15])))
    }
}

impl MessageId {
    /// The longest foreign id that is kept as it is.
    const MAX: usize = 64;

    /// The id for a message that another system calls `foreign`.
    ///
    /// If the foreign id is short and URL-safe (as Genesys's are), it is kept, so that one id
    /// appears in all logs. Any other id, however long and with whatever characters, is replaced by
    /// its hash.
    pub fn from_foreign(foreign: &str) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let dots = foreign.chars().all(|c| c == '.');
        if foreign.len() <= Self::MAX
            && !dots
            && foreign.chars().all(plain)
            && !foreign.starts_with("sha256-")
        {
            Self::new(foreign)
        } else {
            Self::new(format!("sha256-{}", hex::encode(Sha256::digest(foreign))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_one_customer_of_one_integration() {
        let a = IntegrationName::new("acme");
        let b = IntegrationName::new("acm");
        assert_eq!(ConversationId::of(&a, "noor"), ConversationId::of(&a, "noor"));
        assert_ne!(ConversationId::of(&a, "noor"), ConversationId::of(&a, "nour"));
        assert_ne!(ConversationId::of(&a, "x"), ConversationId::of(&b, "ex"));
    }

    #[test]
    fn a_genesys_id_is_kept_and_a_hostile_one_is_hashed() {
        let genesys = "9f0c1b7a5e3d4286b1c0a9d8e7f60514";
        assert_eq!(MessageId::from_foreign(genesys).as_str(), genesys);
        for hostile in ["", "..", "a/b", "a b", "ü", &"x".repeat(10_000), "sha256-cafe"] {
            let id = MessageId::from_foreign(hostile);
            assert_eq!(id.as_str().len(), 71, "{hostile:.20}");
        }
    }
}
