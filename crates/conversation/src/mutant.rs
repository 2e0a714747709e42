//! Deliberate mistakes in the code, which the simulation must find. Without the feature `mutants`,
//! [`is`] is false at compile time.

/// One mistake, named after what the code does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Effects run before their records are durable.
    EffectsBeforeDurable,
    /// A node does not check whether it still holds its lease.
    LeaseUnchecked,
    /// Recovery forgets whether a call was under way when the process died.
    RecoveredForgotten,
    /// An effect still runs although it was decided long ago, while the store was unavailable.
    LateCallsMade,
    /// A receipt that Genesys may already have is sent again without asking.
    DoubtForgotten,
    /// An unanswered question to Genesys counts as a no.
    UnansweredIsNo,
    /// A customer's message that Genesys never takes is never given up.
    PoisonBlocks,
    /// Tries that fail while Genesys takes no customer's messages count towards giving up a
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
    /// The fast path does not check whether other messages wait in the inbox.
    FastPathOvertakes,
    /// The check whether a call may still be made runs before its connection exists, and not again
    /// before the first byte.
    LookBeforeConnect,
    /// An attempt may take the full attempt timeout, however little time its message has left.
    AttemptOutlivesMessage,
    /// A message's time in the order is capped at its arrival by our own clock.
    OrderByOurClock,
    /// Observations of leases on one server count on the server that replaces it.
    ObservationKept,
    /// A released lease is taken at once, even on a server that may lack a later take.
    FreeOnAnyServer,
    /// A customer who leaves before there is a session is not noticed.
    LeftIsIgnored,
    /// A message whose session is gone waits out a pause although there is another session.
    PauseAfterGone,
    /// The gateway never asks again about a handshake that does not end.
    PendingForever,
    /// An offer that was answered can be answered again.
    AnsweredTwice,
    /// A new question does not replace the one before it.
    OldQuestionStays,
    /// An offer outlives the chat in which it was made.
    OfferOutlivesChat,
    /// Another option counts as chosen than the one that the customer named.
    WrongOption,
    /// An operator's action that comes again has a second effect.
    ActionForgotten,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 28] = [
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
        Self::AnsweredTwice,
        Self::OldQuestionStays,
        Self::OfferOutlivesChat,
        Self::WrongOption,
        Self::ActionForgotten,
    ];
}

#[cfg(feature = "mutants")]
thread_local! {
    static MADE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Makes this mistake from now on, in this thread; with `None`, no mistake.
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
