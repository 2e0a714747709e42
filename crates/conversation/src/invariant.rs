//! The invariants that Tidegate keeps, with the numbers of docs/invariants.md.

use std::fmt;

/// An invariant. Its `Display` is its number, such as `I2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// I1: what was answered with a 2xx is never lost.
    Durable,
    /// I2: exactly one final receipt for each message, and nothing after it.
    OneFinalReceipt,
    /// I3: messages are forwarded in order.
    InOrder,
    /// I4: no message is forwarded after it was failed.
    NothingAfterFailed,
    /// I5: nothing takes effect twice.
    NoSecondEffect,
    /// I6: receipts report what happened.
    TrueReceipts,
    /// I7: an attempt is journaled before it is made, and ended once.
    AttemptsJournaled,
    /// I8: a message is forwarded or failed by its deadline.
    InTime,
    /// I9: one node drives a conversation at a time, so its journal has no gap and no repetition.
    OneOwner,
    /// I10: a chat service or a poisoned message affects only its own conversation.
    Isolated,
    /// I11: customers' messages reach Genesys in order and at least once.
    InboundInOrder,
    /// I12: memory is bounded for any input.
    BoundedMemory,
}

impl Invariant {
    /// Every invariant, by its number.
    pub const ALL: [Self; 12] = [
        Self::Durable,
        Self::OneFinalReceipt,
        Self::InOrder,
        Self::NothingAfterFailed,
        Self::NoSecondEffect,
        Self::TrueReceipts,
        Self::AttemptsJournaled,
        Self::InTime,
        Self::OneOwner,
        Self::Isolated,
        Self::InboundInOrder,
        Self::BoundedMemory,
    ];

    /// Its number, from 1.
    pub fn number(self) -> usize {
        self as usize + 1
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("I{}", self.number()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_documentation() {
        let page = include_str!("../../../docs/invariants.md");
        for (index, invariant) in Invariant::ALL.into_iter().enumerate() {
            assert_eq!(invariant.number(), index + 1);
            assert!(page.lines().any(|line| line.starts_with(&format!("| {invariant} "))));
        }
    }
}
