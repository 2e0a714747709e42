//! The proof of the invariants from the store alone: journal, projections, inbox and outbox must tell the same story.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use conversation::{Conversation, Fate, History, Input, MessageId, Owed, Record};

use crate::{Direction, Dossier, Store, StoreError};

/// What an audit found.
#[derive(Debug, Default)]
pub struct Audit {
    /// How many conversations it read.
    pub conversations: u64,
    /// How many messages, both ways.
    pub messages: u64,
    /// How many records.
    pub records: u64,
    /// Agents' messages whose fate is still open, each with its place in the inbox or the journal.
    pub open: u64,
    /// Final receipts that are decided and have not reached Genesys yet.
    pub owed: u64,
    /// Every breach, by invariant: the row and what is wrong with it.
    pub breaches: BTreeMap<String, Vec<String>>,
}

/// The invariants that a store can prove or refute, with what each says.
const CHECKED: [(&str, &str); 10] = [
    ("I1", "what was accepted is in the inbox or in the journal"),
    ("I2", "exactly one final receipt, nothing after it"),
    ("I3", "forwarded in order"),
    ("I4", "nothing forwarded after it was failed"),
    ("I5", "nothing handled twice"),
    ("I6", "Delivered only after the chat service said so"),
    ("I7", "an attempt is journaled before it is made, and ended once"),
    ("I8", "no attempt after its time was up"),
    ("I9", "one writer at a time: no gap and no repetition in the journal"),
    ("I11", "customers' messages in order, one at a time"),
];

impl Audit {
    /// Whether every invariant holds.
    pub fn passed(&self) -> bool {
        self.breaches.is_empty()
    }

    fn breach(&mut self, invariant: &str, row: impl fmt::Display, what: impl fmt::Display) {
        self.breaches.entry(invariant.to_owned()).or_default().push(format!("{row}: {what}"));
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} conversations, {} messages, {} records; {} messages open, {} receipts owed",
            self.conversations, self.messages, self.records, self.open, self.owed
        )?;
        for (invariant, what) in CHECKED {
            let mark = if self.breaches.contains_key(invariant) { "BROKEN" } else { "holds " };
            writeln!(f, "{invariant:<4} {mark}  {what}")?;
        }
        for (invariant, rows) in &self.breaches {
            for row in rows {
                writeln!(f, "{invariant}: {row}")?;
            }
        }
        Ok(())
    }
}

/// Reads everything and checks it. The store may be in use meanwhile.
pub async fn audit(store: &dyn Store) -> Result<Audit, StoreError> {
    let mut audit = Audit::default();
    let mut after = None;
    loop {
        let page = store.conversations(after.as_ref(), 200).await?;
        let Some(last) = page.last() else { return Ok(audit) };
        after = Some(last.clone());
        for id in page {
            // One that was pruned meanwhile has nothing left to prove.
            if let Some(dossier) = store.dossier(&id).await? {
                one(&mut audit, &dossier);
            }
        }
    }
}

fn one(audit: &mut Audit, row: &Dossier) {
    audit.conversations += 1;
    audit.messages += row.messages.len() as u64;
    audit.records += row.journal.len() as u64;
    let at = |seq: u64| format!("journal row ({}, {seq})", row.id);
    let mut history = if row.pruned_seq > 0 { History::pruned() } else { History::default() };
    let mut records = Vec::with_capacity(row.journal.len());
    let mut before = row.pruned_seq;
    for entry in &row.journal {
        if entry.seq != before + 1 {
            audit.breach("I9", at(entry.seq), format!("follows seq {before}"));
        }
        before = entry.seq;
        match &entry.record {
            Ok(record) => {
                history.read(entry.seq, entry.at, record);
                records.push((entry.at, record.clone()));
            }
            Err(error) => audit.breach("I1", at(entry.seq), format!("cannot be read: {error}")),
        }
    }
    if before != row.seq {
        audit.breach(
            "I9",
            format!("conversation {}", row.id),
            format!("is at seq {}, its journal ends at {before}", row.seq),
        );
    }
    for breach in history.breaches() {
        let invariant = if breach.invariant == "journal" { "I9" } else { breach.invariant };
        let who =
            breach.message.as_ref().map_or(String::new(), |message| format!("message {message} "));
        audit.breach(invariant, at(breach.seq), format!("{who}{}", breach.what));
    }
    audit.open += history.unsettled().count() as u64;
    audit.owed += history.unreceipted().count() as u64;
    check_messages(audit, row, &records, &history);
    if row.pruned_seq == 0 {
        check_outbox(audit, row, records);
    }
}

/// I1: each message is in the inbox or in the journal, and its row says what the journal says.
fn check_messages(
    audit: &mut Audit,
    row: &Dossier,
    records: &[(jiff::Timestamp, Record)],
    history: &History,
) {
    let waiting: HashSet<&MessageId> = row
        .inbox
        .iter()
        .filter_map(|item| match &item.input {
            Input::AgentMessage { message, .. } | Input::CustomerMessage { message } => {
                Some(message)
            }
            _ => None,
        })
        .collect();
    let mut taken: HashSet<&MessageId> = HashSet::new();
    let mut posted: HashSet<(&MessageId, bool)> = HashSet::new();
    for (_, record) in records {
        match record {
            Record::InboundAccepted { message, .. } => drop(taken.insert(message)),
            Record::InboundDone { message, result } => {
                drop(posted.insert((message, result.is_posted())))
            }
            _ => {}
        }
    }
    for message in row.messages.iter().filter(|message| message.state != "kept") {
        let name = format!("message row ({}, {})", message.direction.as_str(), message.id);
        let in_journal = match message.direction {
            Direction::Outbound => history.fate(&message.id).is_some(),
            Direction::Inbound => taken.contains(&message.id),
        };
        let in_inbox = waiting.contains(&message.id);
        if in_inbox && in_journal {
            audit.breach("I5", &name, "is in the inbox although it was handled");
        }
        if !in_inbox && !in_journal && row.pruned_seq == 0 {
            audit.breach("I1", &name, "is neither in the inbox nor in the journal: it was lost");
        }
        let state = match message.direction {
            Direction::Outbound => match history.fate(&message.id) {
                Some(Some(Fate::Delivered)) => "delivered",
                Some(Some(Fate::Sent)) => "sent",
                Some(Some(Fate::Failed { .. })) => "failed",
                Some(None) | None => "accepted",
            },
            Direction::Inbound if posted.contains(&(&message.id, true)) => "posted",
            Direction::Inbound if posted.contains(&(&message.id, false)) => "refused",
            Direction::Inbound => "accepted",
        };
        if message.state != state && (in_journal || row.pruned_seq == 0) {
            audit.breach(
                "I2",
                &name,
                format!("says `{}`, the journal says `{state}`", message.state),
            );
        }
    }
}

/// I2, I11: what the journal owes Genesys is in the outbox, and nothing else is.
fn check_outbox(audit: &mut Audit, row: &Dossier, records: Vec<(jiff::Timestamp, Record)>) {
    let replayed = Conversation::replay(Conversation::default(), records);
    let key = |owed: &Owed| serde_json::to_string(owed).unwrap_or_default();
    let journal: HashSet<String> = replayed.owed().iter().map(key).collect();
    let outbox: HashSet<String> = row.owed.iter().map(|item| key(&item.owed)).collect();
    for missing in journal.difference(&outbox) {
        audit.breach("I2", format!("outbox of {}", row.id), format!("lacks {missing}"));
    }
    for extra in outbox.difference(&journal) {
        audit.breach(
            "I2",
            format!("outbox of {}", row.id),
            format!("holds {extra}, which is not owed"),
        );
    }
}
