//! Deliberate mistakes in the code, which the simulation must find. Without the feature `mutants`
//! there are none: [`is`] is false at compile time.

/// One mistake, named after what the code does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Effects run before their records are durable.
    EffectsBeforeDurable,
    /// A node does not check whether it still holds its lease.
    LeaseUnchecked,
    /// Recovery forgets whether a call was under way when the process died.
    RecoveredForgotten,
    /// An effect that was decided long ago, while the store was away, still runs.
    LateCallsMade,
    /// A receipt that Genesys may already have is sent again without asking.
    DoubtForgotten,
    /// An unanswered question to Genesys counts as a no.
    UnansweredIsNo,
    /// A customer's message that Genesys never takes is never given up.
    PoisonBlocks,
    /// Tries that fail while Genesys takes no customer's words count towards giving up a customer's
    /// message.
    OutageCounts,
    /// Each attempt has an idempotency key of its own.
    NewKeyEachTime,
    /// A message's deadline is a minute later than promised.
    DeadlineMoved,
    /// An attempt with an unknown outcome counts as a success.
    UnknownIsDelivered,
    /// The newest message goes first.
    NewestFirst,
    /// A node keeps using the conversation it has in memory, although another node has driven it
    /// since.
    StaleMemory,
    /// An attempt is still made, although its message was settled before its bytes left.
    NotCalledOff,
    /// A message on the fast path does not check whether others wait in the inbox.
    FastPathOvertakes,
    /// The check whether a call may still be made runs before its connection exists, and not again
    /// before the first byte.
    LookBeforeConnect,
    /// An attempt may take the full attempt timeout, however little time its message has left.
    AttemptOutlivesMessage,
    /// A message's place in the order is never later than its arrival by our own clock.
    OrderByOurClock,
    /// Observations of leases on one server count on the server that takes its place.
    ObservationKept,
    /// A lease that was given up is taken at once, on a server that may lack a later take.
    FreeOnAnyServer,
    /// A customer who leaves before there is a session is not noticed.
    LeftIsIgnored,
    /// A message whose session is gone waits out a pause although there is another session.
    PauseAfterGone,
    /// A handshake that does not end is never asked about.
    PendingForever,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::EffectsBeforeDurable,
        Self::LeaseUnchecked,
        Self::RecoveredForgotten,
        Self::LateCallsMade,
        Self::DoubtForgotten,
        Self::UnansweredIsNo,
        Self::PoisonBlocks,
        Self::OutageCounts,
        Self::NewKeyEachTime,
        Self::DeadlineMoved,
        Self::UnknownIsDelivered,
        Self::NewestFirst,
        Self::StaleMemory,
        Self::NotCalledOff,
        Self::FastPathOvertakes,
        Self::LookBeforeConnect,
        Self::AttemptOutlivesMessage,
        Self::OrderByOurClock,
        Self::ObservationKept,
        Self::FreeOnAnyServer,
        Self::LeftIsIgnored,
        Self::PauseAfterGone,
        Self::PendingForever,
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
