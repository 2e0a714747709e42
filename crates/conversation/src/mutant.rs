//! Deliberate mistakes in the code, for the simulation that has to find them. Without the feature `mutants` there are none:
//! [`is`] is false at compile time.

/// A mistake, where it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// What was decided is done before it is durable.
    EffectsBeforeDurable,
    /// A node does not look whether its lease is still there.
    LeaseUnchecked,
    /// Whether a call was under way when a process died is forgotten.
    RecoveredForgotten,
    /// What was decided long ago, while the store was away, is done all the same.
    LateCallsMade,
    /// A receipt that Genesys may have is sent again without asking.
    DoubtForgotten,
    /// Each attempt has an idempotency key of its own.
    NewKeyEachTime,
    /// A message's time is up a minute later than was said.
    DeadlineMoved,
    /// Where nobody knows what became of an attempt, it is taken for a success.
    UnknownIsDelivered,
    /// The newest message goes first.
    NewestFirst,
    /// A conversation that was in memory before another node drove it is gone on with as it was.
    StaleMemory,
    /// An attempt whose message was settled before its bytes left is made all the same.
    NotCalledOff,
    /// A message that goes straight to its conversation does not look whether others wait in the inbox.
    StraightOvertakes,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::EffectsBeforeDurable,
        Self::LeaseUnchecked,
        Self::RecoveredForgotten,
        Self::LateCallsMade,
        Self::DoubtForgotten,
        Self::NewKeyEachTime,
        Self::DeadlineMoved,
        Self::UnknownIsDelivered,
        Self::NewestFirst,
        Self::StaleMemory,
        Self::NotCalledOff,
        Self::StraightOvertakes,
    ];
}

#[cfg(feature = "mutants")]
thread_local! {
    static MADE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Makes this mistake from now on, in this thread.
#[cfg(feature = "mutants")]
pub fn set(mutant: Option<Mutant>) {
    MADE.set(mutant);
}

/// Whether this mistake is made.
#[cfg(feature = "mutants")]
pub fn is(mutant: Mutant) -> bool {
    MADE.get() == Some(mutant)
}

/// Whether this mistake is made: never.
#[cfg(not(feature = "mutants"))]
pub const fn is(_: Mutant) -> bool {
    false
}
