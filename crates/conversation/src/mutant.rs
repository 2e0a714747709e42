//! Deliberate mistakes in the code, for the simulation that has to find them. Without the feature `mutants` there are none:
//! [`is`] is false at compile time.

/// A mistake, where it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// What was decided is done before it is durable.
    EffectsBeforeDurable,
    /// A node whose append was refused goes on as if it had not been.
    FenceIgnored,
    /// A node does not look whether its lease is still there.
    LeaseUnchecked,
    /// Whether a call was under way when a process died is forgotten.
    RecoveredForgotten,
    /// What was decided long ago, while the store was away, is done all the same.
    LateCallsMade,
    /// Nobody looks whether a commit came true whose answer was lost.
    UnheardForgotten,
    /// A receipt that Genesys may have is sent again without asking.
    DoubtForgotten,
    /// Each attempt has an idempotency key of its own.
    NewKeyEachTime,
    /// A message's time is not looked at again while it waits.
    DeadlineNotRechecked,
    /// Where nobody knows what became of an attempt, it is taken for a success.
    UnknownIsDelivered,
    /// The newest message goes first.
    NewestFirst,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::EffectsBeforeDurable,
        Self::FenceIgnored,
        Self::LeaseUnchecked,
        Self::RecoveredForgotten,
        Self::LateCallsMade,
        Self::UnheardForgotten,
        Self::DoubtForgotten,
        Self::NewKeyEachTime,
        Self::DeadlineNotRechecked,
        Self::UnknownIsDelivered,
        Self::NewestFirst,
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
