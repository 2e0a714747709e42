//! Mistakes that are planted in the database.

/// A deliberate mistake of the database, to see whether a simulation finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Every append is accepted, whatever the conversation's sequence number is by now.
    NoFence,
    /// What came in is remembered by the node that took it, for as long as it runs.
    DedupeInMemory,
    /// A step's records are kept, and what Genesys is owed by it is not.
    OutboxForgotten,
    /// A step takes its inputs out of the inbox although it is refused.
    InboxTakenBeforeFence,
    /// The time at which a conversation wants to be woken is not kept.
    DueForgotten,
    /// A snapshot says that it stands for one record more than it does.
    SnapshotOffByOne,
    /// The inbox is read newest first.
    InboxBackwards,
    /// The outbox forgets who was told before this node had the right to.
    NoDoubt,
    /// A lease that has not expired is given to any node that asks.
    LeaseStolen,
    /// A lease runs out by the database's wall clock.
    LeaseByClock,
    /// A webhook is answered before it is durable; the database forgets it with the node that took
    /// it.
    AnsweredBeforeDurable,
    /// A message that comes with its step is taken although it was here before.
    RepeatedWithStep,
    /// A node counts only its own customers who wait for Genesys.
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
