//! A cache of recent inbox rows and bodies. Nearly every message is handled, forwarded and
//! receipted at once, and reading it back from the file three times would cost more than writing
//! it.
//!
//! The file is authoritative. The writer reports the inbox changes of each commit here, in commit
//! order. So the cache has exactly the rows that the file has for a conversation. If that is
//! uncertain, the caller reads the file. Bodies never change. Both caches are bounded (I12).

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use conversation::{ConversationId, Input, IntegrationName, MessageId};
use lru::LruCache;

use crate::{Body, Direction, InboxItem};

/// The most inbox rows that are cached. If there are more, the cache is emptied.
const ROWS: usize = 32_768;
/// The most bytes of bodies that are cached.
const BYTES: usize = 4 << 20;
/// The most bodies that are cached.
const BODIES: NonZeroUsize = NonZeroUsize::new(8_192).expect("not zero");

/// What a commit changed in the inbox.
#[derive(Debug)]
pub(super) enum InboxChange {
    Came(ConversationId, u64, Input),
    Went(ConversationId, u64),
    /// The inbox may have changed in an unknown way.
    Anything,
}

pub(super) struct HotCache {
    inbox: Mutex<Inbox>,
    bodies: Mutex<Bodies>,
}

struct Inbox {
    conversations: HashMap<ConversationId, BTreeMap<u64, Input>>,
    rows: usize,
    /// Which rows only the file may have.
    older: RowsOnDisk,
}

/// Inbox rows that may be in the file and not in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowsOnDisk {
    /// There are none.
    None,
    /// There may be some with numbers up to this one.
    UpTo(u64),
    /// There may be some with numbers below that of the next row that comes.
    UpToNext,
}

/// The cache's answer about a conversation's inbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CachedInbox {
    Whole(Vec<InboxItem>),
    /// The caller must read the file. With a number, it should also check whether the file still
    /// has rows up to that one, and if not, call [`HotCache::has_none_up_to`].
    Ask(Option<u64>),
}

struct Bodies {
    newest: LruCache<Key, Body>,
    bytes: usize,
}

/// The integration, the direction and the id.
pub(super) type Key = (IntegrationName, Direction, MessageId);

impl HotCache {
    pub(super) fn new() -> Self {
        let inbox = Inbox { conversations: HashMap::new(), rows: 0, older: RowsOnDisk::UpToNext };
        let bodies = Bodies { newest: LruCache::new(BODIES), bytes: 0 };
        Self { inbox: Mutex::new(inbox), bodies: Mutex::new(bodies) }
    }

    /// Applies the changes of a commit that has returned.
    pub(super) fn committed(&self, changes: impl IntoIterator<Item = InboxChange>) {
        let mut inbox = self.lock();
        for change in changes {
            match change {
                InboxChange::Came(conversation, seq, input) => inbox.came(conversation, seq, input),
                InboxChange::Went(conversation, seq) => inbox.went(&conversation, seq),
                InboxChange::Anything => inbox.forget(),
            }
        }
    }

    /// What a conversation has in its inbox, oldest first, at most `limit`; customers' messages
    /// only on request.
    pub(super) fn inbox(
        &self,
        conversation: &ConversationId,
        customers: bool,
        limit: usize,
    ) -> CachedInbox {
        let inbox = self.lock();
        match inbox.older {
            RowsOnDisk::None => {}
            RowsOnDisk::UpTo(last) => return CachedInbox::Ask(Some(last)),
            RowsOnDisk::UpToNext => return CachedInbox::Ask(None),
        }
        let rows = inbox.conversations.get(conversation).into_iter().flatten();
        let asked_for = rows.filter(|(_, input)| customers || !input.is_customers());
        CachedInbox::Whole(
            asked_for
                .take(limit)
                .map(|(&seq, input)| InboxItem { seq, input: input.clone() })
                .collect(),
        )
    }

    /// The file no longer has inbox rows up to this one.
    pub(super) fn has_none_up_to(&self, last: u64) {
        let mut inbox = self.lock();
        if inbox.older == RowsOnDisk::UpTo(last) {
            inbox.older = RowsOnDisk::None;
        }
    }

    /// Empties the cache of inbox rows, because the inbox may have changed in an unknown way.
    pub(super) fn forget(&self) {
        self.lock().forget();
    }

    /// Caches a body that is in the file.
    pub(super) fn keep(&self, key: Key, body: Body) {
        let mut bodies = self.bodies();
        bodies.bytes += body.bytes.len();
        if let Some((_, old)) = bodies.newest.push(key, body) {
            bodies.bytes -= old.bytes.len();
        }
        while bodies.bytes > BYTES
            && let Some((_, old)) = bodies.newest.pop_lru()
        {
            bodies.bytes -= old.bytes.len();
        }
    }

    pub(super) fn body(
        &self,
        integration: &IntegrationName,
        direction: Direction,
        id: &MessageId,
    ) -> Option<Body> {
        self.bodies().newest.get(&(integration.clone(), direction, id.clone())).cloned()
    }

    /// Empties the cache of bodies, because some are about to be removed from the file.
    pub(super) fn drop_bodies(&self) {
        let mut bodies = self.bodies();
        bodies.newest.clear();
        bodies.bytes = 0;
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bodies(&self) -> MutexGuard<'_, Bodies> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    fn came(&mut self, conversation: ConversationId, seq: u64, input: Input) {
        if self.older == RowsOnDisk::UpToNext {
            self.older = RowsOnDisk::UpTo(seq.saturating_sub(1));
        }
        if self.rows >= ROWS {
            self.drop_all();
            self.older = RowsOnDisk::UpTo(seq);
            return;
        }
        self.rows += 1;
        self.conversations.entry(conversation).or_default().insert(seq, input);
    }

    fn went(&mut self, conversation: &ConversationId, seq: u64) {
        let Some(rows) = self.conversations.get_mut(conversation) else { return };
        self.rows -= usize::from(rows.remove(&seq).is_some());
        if rows.is_empty() {
            self.conversations.remove(conversation);
        }
    }

    fn forget(&mut self) {
        self.drop_all();
        self.older = RowsOnDisk::UpToNext;
    }

    fn drop_all(&mut self) {
        self.conversations = HashMap::new();
        self.rows = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(conversation: &str, seq: u64) -> InboxChange {
        InboxChange::Came(ConversationId::new(conversation), seq, Input::CustomerTyping)
    }

    fn seqs(recent: &HotCache, conversation: &str) -> Result<Vec<u64>, Option<u64>> {
        match recent.inbox(&ConversationId::new(conversation), true, 10) {
            CachedInbox::Whole(items) => Ok(items.into_iter().map(|item| item.seq).collect()),
            CachedInbox::Ask(up_to) => Err(up_to),
        }
    }

    #[test]
    fn the_file_is_asked_until_it_has_nothing_that_is_not_here() {
        let recent = HotCache::new();
        assert_eq!(seqs(&recent, "a"), Err(None), "the last process may have left rows");
        recent.committed(vec![came("a", 8), came("b", 9)]);
        assert_eq!(seqs(&recent, "a"), Err(Some(7)));
        recent.has_none_up_to(6);
        assert_eq!(seqs(&recent, "a"), Err(Some(7)), "this answer was about other rows");
        recent.has_none_up_to(7);
        assert_eq!(
            (seqs(&recent, "a"), seqs(&recent, "b"), seqs(&recent, "c")),
            (Ok(vec![8]), Ok(vec![9]), Ok(vec![]))
        );
        recent.committed(vec![InboxChange::Went(ConversationId::new("a"), 8), came("a", 10)]);
        assert_eq!(seqs(&recent, "a"), Ok(vec![10]));
        recent.committed(vec![InboxChange::Anything]);
        assert_eq!(seqs(&recent, "a"), Err(None));
        recent.committed(vec![came("a", 12)]);
        assert_eq!(seqs(&recent, "a"), Err(Some(11)), "row 10 is only in the file");
    }

    #[test]
    fn a_flood_is_left_to_the_file() {
        let recent = HotCache::new();
        recent.committed(vec![came("a", 1)]);
        recent.has_none_up_to(0);
        recent.committed((2..=ROWS as u64 + 1).map(|seq| came("a", seq)));
        assert_eq!(seqs(&recent, "a"), Err(Some(ROWS as u64 + 1)), "one row more than the limit");
        recent.committed(vec![came("b", ROWS as u64 + 2)]);
        recent.has_none_up_to(ROWS as u64 + 1);
        assert_eq!(seqs(&recent, "b"), Ok(vec![ROWS as u64 + 2]));
        assert_eq!(recent.lock().rows, 1);
    }

    #[test]
    fn customers_messages_are_left_out_where_nobody_asks_for_them() {
        let recent = HotCache::new();
        let customers =
            Input::CustomerMessage { message: MessageId::new("m"), text: None, tap: None };
        recent.committed(vec![
            InboxChange::Came(ConversationId::new("a"), 1, customers),
            came("a", 2),
        ]);
        recent.has_none_up_to(0);
        let answer = recent.inbox(&ConversationId::new("a"), false, 1);
        assert_eq!(
            answer,
            CachedInbox::Whole(vec![InboxItem { seq: 2, input: Input::CustomerTyping }])
        );
    }

    #[test]
    fn bodies_have_so_much_room_and_no_more() {
        let recent = HotCache::new();
        let (acme, id) =
            (IntegrationName::new("acme"), |number: usize| MessageId::new(format!("m{number}")));
        let big = Body {
            foreign_id: "m".into(),
            received: jiff::Timestamp::UNIX_EPOCH,
            bytes: vec![b'x'; BYTES / 4].into(),
        };
        for number in 0..10 {
            recent.keep((acme.clone(), Direction::Outbound, id(number)), big.clone());
        }
        let there = (0..10)
            .filter(|number| recent.body(&acme, Direction::Outbound, &id(*number)).is_some());
        assert_eq!(there.collect::<Vec<_>>(), [6, 7, 8, 9]);
        assert_eq!(recent.body(&acme, Direction::Inbound, &id(9)), None);
        recent.drop_bodies();
        assert_eq!(recent.body(&acme, Direction::Outbound, &id(9)), None);
    }
}
