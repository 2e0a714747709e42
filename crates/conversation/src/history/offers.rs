//! What a history says about offers: an answer names an option that the customer could have read,
//! and each offer is answered at most once.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::invariant::Invariant;
use crate::record::{ClosedBy, Record};
use crate::{Answer, AttemptOutcome, MessageId, Offer};

/// What the records so far say about offers.
#[derive(Debug, Default)]
pub(super) struct Offers {
    made: HashMap<MessageId, Made>,
    /// The offers that the customer may answer: the newest that they can have read, and one whose
    /// attempt is open.
    open: Vec<MessageId>,
    genesys: Option<Box<str>>,
    /// What customers' messages answer that have not been released yet.
    answers: HashMap<MessageId, Answer>,
}

#[derive(Debug)]
struct Made {
    offer: Offer,
    until: Timestamp,
    is_answered: bool,
    /// The outcome of an attempt is unknown: the customer may have read it.
    unsure: bool,
}

impl Offers {
    /// Reads a record. Returns what is wrong with it.
    pub(super) fn read(&mut self, at: Timestamp, record: &Record) -> Vec<(Invariant, String)> {
        match record {
            Record::Offered { message, offer, until } => {
                let (offer, until) = (Offer::clone(offer), *until);
                let made = Made { offer, until, is_answered: false, unsure: false };
                self.made.insert(message.clone(), made);
            }
            Record::AttemptStarted { message, .. }
                if self.made.get(message).is_some_and(|made| !made.is_answered) =>
            {
                self.close(message);
                self.open.push(message.clone());
            }
            Record::AttemptEnded { message, outcome, .. } => self.tried(message, outcome),
            Record::Settled { message, fate, .. } if fate.is_failed() => self.close(message),
            // The report that it arrived may come before the end of its attempt, or during the next
            // message's.
            Record::Settled { message, .. } if self.open.last() == Some(message) => {
                self.can_be_read(message);
            }
            Record::GenesysConversation { id } if self.genesys.replace(id.clone()).is_some() => {
                self.open.clear();
            }
            Record::Ending
            | Record::SessionRefused { .. }
            | Record::SessionClosed { cause: ClosedBy::Service | ClosedBy::Agent, .. } => {
                self.open.clear();
            }
            Record::InboundAccepted { message, answer, tap, .. } => {
                if let Some(tap) = tap {
                    self.end(tap);
                    self.made.entry(tap.clone()).and_modify(|made| made.is_answered = true);
                }
                if let Some(answer) = answer {
                    self.answers.insert(message.clone(), Answer::clone(answer));
                    return self.answered(at, answer);
                }
            }
            // It may be released again without its answer.
            Record::InboundReleased { message, answer: Some(answer) }
                if self.answers.get(message) != Some(&**answer) =>
            {
                let what = "is released with another answer than it was accepted with";
                return vec![(Invariant::OneOwner, what.to_owned())];
            }
            Record::InboundDone { message, .. } => drop(self.answers.remove(message)),
            _ => {}
        }
        Vec::new()
    }

    fn close(&mut self, message: &MessageId) {
        self.open.retain(|open| open != message);
    }

    /// An offer is answered. The customer has read the newest one, so none before it stays open.
    fn end(&mut self, message: &MessageId) {
        if self.open.last() == Some(message) {
            self.open.clear();
        }
        self.close(message);
    }

    fn tried(&mut self, message: &MessageId, outcome: &AttemptOutcome) {
        let Some(made) = self.made.get_mut(message) else { return };
        made.unsure |= matches!(outcome, AttemptOutcome::Unknown { .. });
        match outcome {
            AttemptOutcome::NotTaken { .. } | AttemptOutcome::SessionGone if !made.unsure => {
                self.close(message);
            }
            _ => self.can_be_read(message),
        }
    }

    /// No offer before this one is open any more.
    fn can_be_read(&mut self, message: &MessageId) {
        if self.open.contains(message) {
            self.open.retain(|open| open == message);
        }
    }

    fn answered(&mut self, at: Timestamp, answer: &Answer) -> Vec<(Invariant, String)> {
        let is_open = self.open.contains(&answer.to);
        self.end(&answer.to);
        let Some(made) = self.made.get_mut(&answer.to) else {
            let what = format!("answers {}, which offered nothing", answer.to);
            return vec![(Invariant::OneOwner, what)];
        };
        let twice = std::mem::replace(&mut made.is_answered, true);
        let faults = [
            (twice, Invariant::NoSecondEffect, "which was answered before"),
            (!twice && !is_open, Invariant::OneOwner, "whose offer is not open"),
            (at > made.until, Invariant::OneOwner, "whose time for an answer is over"),
            (
                !made.offer.options.contains(&answer.choice),
                Invariant::OneOwner,
                "which offered nothing like it",
            ),
        ];
        let wrong = faults.into_iter().filter(|(is_wrong, ..)| *is_wrong);
        wrong
            .map(|(_, invariant, what)| (invariant, format!("answers {}, {what}", answer.to)))
            .collect()
    }
}
