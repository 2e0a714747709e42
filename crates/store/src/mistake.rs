//! Deliberate mistakes in the stores and their SQL, which tests must find (`tests/mistakes.rs`).
//! Without the feature `mutants`, no mistake is ever made, and [`sql`] returns its input.
//!
//! Stores work on their own threads, so a mistake applies to the whole process.

use std::borrow::Cow;
#[cfg(feature = "mutants")]
use std::sync::Mutex;

/// One mistake, named after the part that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Every append is accepted, whatever the conversation's sequence number is by then.
    Fence,
    /// An append reads the conversation's row without locking it.
    RowLock,
    /// A message whose id is known is accepted again.
    Dedupe,
    /// An event whose id is known is accepted again.
    EventDedupe,
    /// A step leaves its inputs in the inbox.
    InboxKept,
    /// The inbox is read newest first.
    InboxOrder,
    /// The outbox is read newest first.
    OutboxOrder,
    /// The conversation that is to be woken last comes first.
    DueOrder,
    /// The journal is read newest first.
    JournalOrder,
    /// A commit returns before it is on the disk.
    NotSynced,
    /// A handover waits for work in progress, however long that takes.
    HandOverWaits,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Fence,
        Self::RowLock,
        Self::Dedupe,
        Self::EventDedupe,
        Self::InboxKept,
        Self::InboxOrder,
        Self::OutboxOrder,
        Self::DueOrder,
        Self::JournalOrder,
        Self::NotSynced,
        Self::HandOverWaits,
    ];
}

#[cfg(feature = "mutants")]
static MADE: Mutex<Option<Mistake>> = Mutex::new(None);

/// Makes this mistake from now on, in all threads; with `None`, no mistake.
#[cfg(feature = "mutants")]
pub fn make(mistake: Option<Mistake>) {
    *MADE.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = mistake;
}

/// Whether this mistake is made.
#[cfg(feature = "mutants")]
pub(crate) fn is_made(mistake: Mistake) -> bool {
    *MADE.lock().unwrap_or_else(std::sync::PoisonError::into_inner) == Some(mistake)
}

/// Whether this mistake is made: never.
#[cfg(not(feature = "mutants"))]
pub(crate) const fn is_made(_: Mistake) -> bool {
    false
}

/// A statement. If the mistake is made, `good` in it is replaced with `bad`.
///
/// # Panics
///
/// If `good` does not occur in `sql`: no test could find a mistake that changes nothing.
#[cfg(feature = "mutants")]
pub(crate) fn sql<'a>(mistake: Mistake, sql: &'a str, good: &str, bad: &str) -> Cow<'a, str> {
    assert!(sql.contains(good), "{mistake:?}: there is no `{good}` in {sql}");
    if is_made(mistake) { sql.replace(good, bad).into() } else { sql.into() }
}

/// The statement, unchanged.
#[cfg(not(feature = "mutants"))]
pub(crate) fn sql<'a>(_: Mistake, sql: &'a str, _: &str, _: &str) -> Cow<'a, str> {
    sql.into()
}
