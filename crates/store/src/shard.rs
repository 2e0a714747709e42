//! The shards that the conversations are split into. Each has a lease of its own.

use std::fmt;

use conversation::ConversationId;

/// The number of shards.
pub(crate) const SHARDS: usize = 256;

/// A shard: the first byte of the hash in its conversations' ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShardId(u8);

impl ShardId {
    /// All of them, in order.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }

    /// The shard of a conversation; `None` if the id is not a valid [`ConversationId`] of ours.
    pub(crate) fn of(conversation: &ConversationId) -> Option<Self> {
        conversation.as_str().get(1..3).and_then(Self::named)
    }

    /// The shard that the database calls by this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        u8::from_str_radix(name, 16).ok().map(Self)
    }

    /// Its place among all of them.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The database's name of the shard: the second and third character of its conversations' ids.
impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use conversation::IntegrationName;

    use super::*;

    #[test]
    fn a_shard_has_the_name_that_its_conversations_ids_begin_with() {
        let conversation = ConversationId::of(&IntegrationName::new("acme"), "noor");
        let shard = ShardId::of(&conversation).expect("a valid id");
        assert_eq!(conversation.as_str().get(1..3), Some(shard.to_string().as_str()));
        assert!(ShardId::all().all(|each| ShardId::named(&each.to_string()) == Some(each)));
        assert!(ShardId::all().map(ShardId::index).eq(0..SHARDS));
    }
}
