//! Puts the timeline of one message together.

use conversation::MessageId;
use jiff::Timestamp;
use store::Direction;

use crate::agent_message::AgentMessage;
use crate::customer_message::CustomerMessage;
use crate::gaps::Gap;
use crate::limits::limited;
use crate::model::{Cause, MessageLine, MessageTimeline, Next, Outcome, Step, StepKind};
use crate::reading::{Key, Reading};
use crate::words::{clock, count, span};
use crate::{agent_steps, agent_words, customer_message, customer_words, talk_steps};

/// What the two directions have in common.
pub(crate) struct Account {
    outcome: Outcome,
    received: Timestamp,
    settled: Option<Timestamp>,
    cause: Option<Cause>,
    summary: String,
    pub(crate) next: Option<Next>,
    steps: Vec<Step>,
}

/// What the dossier has about a message; `None` if it does not know it.
pub(crate) fn tell(
    reading: &Reading<'_>,
    (direction, id): (Direction, &MessageId),
) -> Option<Account> {
    let (key, life) = reading.lives.get_key_value(&(direction, id))?;
    let mut told = match direction {
        Direction::Outbound => {
            let message = AgentMessage::of(reading, key.1, life);
            Account {
                outcome: message.outcome(),
                received: message.listed.received,
                settled: message.ended(),
                cause: message.cause(),
                summary: agent_words::summary(&message, reading),
                next: agent_words::next(&message, reading),
                steps: agent_steps::steps(&message, reading),
            }
        }
        Direction::Inbound => {
            let message = CustomerMessage::of(reading, key.1, life);
            Account {
                outcome: message.outcome(),
                received: message.listed.received,
                settled: message.settled(),
                cause: message.cause(),
                summary: customer_words::summary(&message, reading),
                next: customer_words::next(&message, reading),
                steps: customer_message::steps(&message, reading),
            }
        }
    };
    told.add_what_is_missing(reading, !life.records.is_empty());
    Some(told)
}

impl Account {
    /// Until when what happens in the conversation explains what becomes of it.
    fn explained_until(&self, now: Timestamp) -> Timestamp {
        let kept = self.outcome == Outcome::Kept;
        self.settled.unwrap_or(if kept { self.received } else { now })
    }

    /// How many records that may concern it cannot be read.
    fn damaged(&self, reading: &Reading<'_>) -> usize {
        reading.damaged_in(self.received, self.explained_until(reading.now))
    }

    /// Says where the account has holes: the gateway did nothing, or records are missing.
    fn add_what_is_missing(&mut self, reading: &Reading<'_>, has_records: bool) {
        let now = reading.now;
        let mut holes = Vec::new();
        if let Some(gap) = self.longest_gap(reading) {
            let lasted = span(gap.from, gap.until.unwrap_or(now));
            let does = if gap.until.is_none() { "has done" } else { "did" };
            holes.push(format!("The gateway {does} nothing for {lasted}."));
            if gap.until.is_none() && self.outcome.is_open() {
                let at = clock(gap.from, now);
                let text = format!(
                    "Something was due at {at}, and no node did it. Check that one is ready \
                     (`/readyz`)."
                );
                self.next = Some(Next { at: None, text });
            }
        }
        let damaged = self.damaged(reading);
        if damaged > 0 {
            let records = count(damaged, "record");
            holes.push(format!("{records} of this time cannot be read."));
        }
        if reading.is_pruned() && !has_records {
            holes.push("Retention has removed its records.".to_owned());
        }
        holes.insert(0, std::mem::take(&mut self.summary));
        self.summary = holes.join(" ");
    }

    /// The longest time in which the gateway did nothing, although something was due.
    fn longest_gap(&self, reading: &Reading<'_>) -> Option<Gap> {
        let now = reading.now;
        let (from, until) = (self.received, self.explained_until(now));
        let own = self.steps.iter().filter(|step| step.kind == StepKind::Gap);
        let own = own.map(|step| Gap { from: step.at, until: step.until });
        let common = reading.gaps.iter().copied();
        let common =
            common.filter(|gap| gap.from <= until && gap.until.is_none_or(|until| from <= until));
        own.chain(common).max_by_key(|gap| gap.until.unwrap_or(now).duration_since(gap.from))
    }

    pub(crate) fn line(self, (direction, id): Key<'_>) -> MessageLine {
        MessageLine {
            message: id.to_string(),
            direction,
            received: self.received,
            outcome: self.outcome,
            summary: self.summary,
        }
    }

    pub(crate) fn timeline(
        self,
        reading: &Reading<'_>,
        (direction, id): Key<'_>,
    ) -> MessageTimeline {
        let common = talk_steps::steps(reading).into_iter();
        let (from, until) = (self.received, self.explained_until(reading.now));
        let damaged = self.damaged(reading);
        let common = common.filter(|step| step.is_in(from, until));
        let (steps, steps_left_out) = limited(self.steps.into_iter().chain(common).collect());
        MessageTimeline {
            integration: reading.dossier.integration.to_string(),
            conversation: reading.dossier.id.to_string(),
            message: id.to_string(),
            direction,
            summary: self.summary,
            outcome: self.outcome,
            received: self.received,
            settled: self.settled,
            cause: self.cause,
            steps,
            steps_left_out,
            next: self.next,
            pruned: reading.is_pruned(),
            damaged,
        }
    }
}
