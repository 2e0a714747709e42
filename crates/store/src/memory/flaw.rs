//! Deliberate mistakes in the memory store.

/// A deliberate mistake, which the simulation must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Every append is accepted, whatever the conversation's sequence number is by then.
    NoFence,
    /// Arrivals are deduplicated only by the node that accepted them, for as long as it runs.
    DedupeInMemory,
    /// Some steps put nothing into the outbox.
    OutboxForgotten,
    /// A fenced step takes its inputs out of the inbox.
    InboxTakenBeforeFence,
    /// The time at which a conversation is to be woken is not stored.
    DueForgotten,
    /// A snapshot's sequence number is too large by one.
    SnapshotOffByOne,
    /// The inbox is read newest first.
    InboxBackwards,
    /// No item of the outbox is ever in doubt.
    NoDoubt,
    /// Any node that asks gets a lease, although it has not expired.
    LeaseStolen,
    /// Leases expire by the database's wall clock.
    LeaseByClock,
    /// A webhook is answered before its message is durable. If the node dies in between, the
    /// message is lost.
    AnsweredBeforeDurable,
    /// A message that comes with its step is accepted although its id is known.
    RepeatedWithStep,
    /// A node counts undelivered customers' messages only in its own shards.
    CountsOwnShards,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::NoFence,
        Self::DedupeInMemory,
        Self::OutboxForgotten,
        Self::InboxTakenBeforeFence,
        Self::DueForgotten,
        Self::SnapshotOffByOne,
        Self::InboxBackwards,
        Self::NoDoubt,
        Self::LeaseStolen,
        Self::LeaseByClock,
        Self::AnsweredBeforeDurable,
        Self::RepeatedWithStep,
        Self::CountsOwnShards,
    ];
}
