//! What came a moment ago, in memory. Nearly every message is handled, forwarded and receipted at once, and to read it back
//! from the file three times would cost more than to write it.
//!
//! The file is the truth. Of the inbox the writer tells here what each commit changed, in the order of the commits, so that
//! what a conversation has here is what it has in the file; where that is not sure, the file is asked. Bodies never
//! change. Both are bounded (I12).

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use conversation::{ConversationId, Input, IntegrationName, MessageId};
use lru::LruCache;

use crate::{Body, Direction, InboxItem};

/// How many rows of the inbox are kept; past this all are left to the file.
const ROWS: usize = 32_768;
/// How much is kept of bodies, in bytes.
const BYTES: usize = 4 << 20;
/// How many bodies are kept.
const BODIES: NonZeroUsize = NonZeroUsize::new(8_192).expect("not zero");

/// What a commit changed in the inbox.
#[derive(Debug)]
pub(super) enum Change {
    Came(ConversationId, u64, Input),
    Went(ConversationId, u64),
    /// Nobody says what.
    Anything,
}

pub(super) struct Recent {
    inbox: Mutex<Inbox>,
    bodies: Mutex<Bodies>,
}

struct Inbox {
    conversations: HashMap<ConversationId, BTreeMap<u64, Input>>,
    rows: usize,
    /// What the file may have beside them.
    older: Older,
}

/// Rows of the inbox that only the file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Older {
    /// There are none.
    None,
    /// There may be some up to this one.
    UpTo(u64),
    /// There may be some up to whatever comes next.
    UpToNext,
}

/// Whether memory can answer for the inbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Whole(Vec<InboxItem>),
    /// The file has to be asked; also whether it still has rows up to this one.
    Ask(Option<u64>),
}

struct Bodies {
    newest: LruCache<Key, Body>,
    bytes: usize,
}

/// Whose, which way, and its id.
pub(super) type Key = (IntegrationName, Direction, MessageId);

impl Recent {
    pub(super) fn new() -> Self {
        let inbox = Inbox { conversations: HashMap::new(), rows: 0, older: Older::UpToNext };
        let bodies = Bodies { newest: LruCache::new(BODIES), bytes: 0 };
        Self { inbox: Mutex::new(inbox), bodies: Mutex::new(bodies) }
    }

    /// A commit has returned, which changed this.
    pub(super) fn committed(&self, changes: impl IntoIterator<Item = Change>) {
        let mut inbox = self.lock();
        for change in changes {
            match change {
                Change::Came(conversation, seq, input) => inbox.came(conversation, seq, input),
                Change::Went(conversation, seq) => inbox.went(&conversation, seq),
                Change::Anything => inbox.forget(),
            }
        }
    }

    /// What a conversation has in its inbox, oldest first, at most `limit`; customers' messages only where they are asked for.
    pub(super) fn inbox(
        &self,
        conversation: &ConversationId,
        customers: bool,
        limit: usize,
    ) -> Answer {
        let inbox = self.lock();
        match inbox.older {
            Older::None => {}
            Older::UpTo(last) => return Answer::Ask(Some(last)),
            Older::UpToNext => return Answer::Ask(None),
        }
        let rows = inbox.conversations.get(conversation).into_iter().flatten();
        let asked_for =
            rows.filter(|(_, input)| customers || !matches!(input, Input::CustomerMessage { .. }));
        Answer::Whole(
            asked_for
                .take(limit)
                .map(|(&seq, input)| InboxItem { seq, input: input.clone() })
                .collect(),
        )
    }

    /// The file has no rows of the inbox up to this one any more.
    pub(super) fn has_none_up_to(&self, last: u64) {
        let mut inbox = self.lock();
        if inbox.older == Older::UpTo(last) {
            inbox.older = Older::None;
        }
    }

    /// Somebody may have changed the inbox without telling what: the file has to be asked.
    pub(super) fn forget(&self) {
        self.lock().forget();
    }

    /// Keeps a body that is in the file.
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

    /// Bodies are about to be removed from the file.
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
        if self.older == Older::UpToNext {
            self.older = Older::UpTo(seq.saturating_sub(1));
        }
        if self.rows >= ROWS {
            self.drop_all();
            self.older = Older::UpTo(seq);
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
        self.older = Older::UpToNext;
    }

    fn drop_all(&mut self) {
        self.conversations = HashMap::new();
        self.rows = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(conversation: &str, seq: u64) -> Change {
        Change::Came(ConversationId::new(conversation), seq, Input::CustomerTyping)
    }

    fn seqs(recent: &Recent, conversation: &str) -> Result<Vec<u64>, Option<u64>> {
        match recent.inbox(&ConversationId::new(conversation), true, 10) {
            Answer::Whole(items) => Ok(items.into_iter().map(|item| item.seq).collect()),
            Answer::Ask(up_to) => Err(up_to),
        }
    }

    #[test]
    fn the_file_is_asked_until_it_has_nothing_that_is_not_here() {
        let recent = Recent::new();
        assert_eq!(seqs(&recent, "a"), Err(None), "the last process may have left something");
        recent.committed(vec![came("a", 8), came("b", 9)]);
        assert_eq!(seqs(&recent, "a"), Err(Some(7)));
        recent.has_none_up_to(6);
        assert_eq!(seqs(&recent, "a"), Err(Some(7)), "that was about another question");
        recent.has_none_up_to(7);
        assert_eq!(
            (seqs(&recent, "a"), seqs(&recent, "b"), seqs(&recent, "c")),
            (Ok(vec![8]), Ok(vec![9]), Ok(vec![]))
        );
        recent.committed(vec![Change::Went(ConversationId::new("a"), 8), came("a", 10)]);
        assert_eq!(seqs(&recent, "a"), Ok(vec![10]));
        recent.committed(vec![Change::Anything]);
        assert_eq!(seqs(&recent, "a"), Err(None));
        recent.committed(vec![came("a", 12)]);
        assert_eq!(seqs(&recent, "a"), Err(Some(11)), "10 is in the file only");
    }

    #[test]
    fn a_flood_is_left_to_the_file() {
        let recent = Recent::new();
        recent.committed(vec![came("a", 1)]);
        recent.has_none_up_to(0);
        recent.committed((2..=ROWS as u64 + 1).map(|seq| came("a", seq)));
        assert_eq!(
            seqs(&recent, "a"),
            Err(Some(ROWS as u64 + 1)),
            "one more than there is room for"
        );
        recent.committed(vec![came("b", ROWS as u64 + 2)]);
        recent.has_none_up_to(ROWS as u64 + 1);
        assert_eq!(seqs(&recent, "b"), Ok(vec![ROWS as u64 + 2]));
        assert_eq!(recent.lock().rows, 1);
    }

    #[test]
    fn customers_messages_are_left_out_where_nobody_asks_for_them() {
        let recent = Recent::new();
        let customers = Input::CustomerMessage { message: MessageId::new("m") };
        recent.committed(vec![Change::Came(ConversationId::new("a"), 1, customers), came("a", 2)]);
        recent.has_none_up_to(0);
        let answer = recent.inbox(&ConversationId::new("a"), false, 1);
        assert_eq!(answer, Answer::Whole(vec![InboxItem { seq: 2, input: Input::CustomerTyping }]));
    }

    #[test]
    fn bodies_have_so_much_room_and_no_more() {
        let recent = Recent::new();
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
