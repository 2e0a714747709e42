//! Checks the invariants from the store alone: journal, projections, inbox and outbox must agree.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use conversation::{
    Conversation, Fate, History, Input, Invariant, MessageId, Owed, Record, Written,
};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::Value;

use crate::{Direction, Dossier, MessageRow, Store, StoreError};

/// How many bodies are requested at once.
const BODIES: usize = 16;

/// What an audit found.
#[derive(Debug, Default)]
pub struct Audit {
    /// How many conversations it read.
    pub conversations: u64,
    /// How many messages, in both directions.
    pub messages: u64,
    /// How many records.
    pub records: u64,
    /// Agents' messages that are in the journal and whose fate is still open.
    pub open: u64,
    /// Final receipts that are decided and have not reached Genesys yet.
    pub owed: u64,
    /// Agents' messages whose order (I3) was not checked, because their bodies are gone or
    /// unreadable.
    pub unjudged: u64,
    /// Customers' messages that Genesys will never accept. The store keeps them; they are not a
    /// breach.
    pub dead_letters: u64,
    /// The first dead letters, at most 100: which message, and why.
    pub named_dead_letters: Vec<String>,
    /// How often operators had a dead letter posted again.
    pub retried: u64,
    /// How many dead letters operators have discarded. They are not among [`Self::dead_letters`].
    pub discarded: u64,
    /// The first of these actions, at most 100: which message, who did it, and when.
    pub named_actions: Vec<String>,
    /// How many dead letters the chat service has not been told about yet.
    pub untold: u64,
    /// How many dead letters the chat service will never be told about.
    pub never_told: u64,
    /// Every breach, by invariant: the row, and what is wrong with it.
    pub breaches: BTreeMap<Invariant, Vec<String>>,
}

/// The invariants that a store can prove or refute, with what each says.
const CHECKED: [(Invariant, &str); 10] = [
    (Invariant::Durable, "what was accepted is in the inbox or in the journal"),
    (Invariant::OneFinalReceipt, "exactly one final receipt, nothing after it"),
    (Invariant::InOrder, "forwarded in order"),
    (Invariant::NothingAfterFailed, "nothing forwarded after it was failed"),
    (Invariant::NoSecondEffect, "nothing handled twice"),
    (Invariant::TrueReceipts, "Delivered only after the chat service said so"),
    (Invariant::AttemptsJournaled, "an attempt is journaled before it is made, and ended once"),
    (Invariant::InTime, "no attempt after its time was up"),
    (Invariant::OneOwner, "one writer at a time: no gap and no repetition in the journal"),
    (Invariant::InboundInOrder, "customers' messages in order, one at a time"),
];

impl Audit {
    /// Whether every invariant holds.
    pub fn passed(&self) -> bool {
        self.breaches.is_empty()
    }

    fn breach(&mut self, invariant: Invariant, row: impl fmt::Display, what: impl fmt::Display) {
        self.breaches.entry(invariant).or_default().push(format!("{row}: {what}"));
    }
}

/// How many dead letters an audit names.
const MAX_NAMED: usize = 100;

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} conversations, {} messages, {} records; {} messages open, {} receipts owed",
            self.conversations, self.messages, self.records, self.open, self.owed
        )?;
        for (invariant, what) in CHECKED {
            let mark = if self.breaches.contains_key(&invariant) { "BROKEN" } else { "holds " };
            writeln!(f, "{invariant:<4} {mark}  {what}")?;
        }
        if self.unjudged > 0 {
            writeln!(
                f,
                "I3 was not judged for {} messages: their bodies are gone or cannot be read",
                self.unjudged
            )?;
        }
        if self.dead_letters > 0 {
            writeln!(
                f,
                "{} dead letters: customers' messages that Genesys will never have",
                self.dead_letters
            )?;
        }
        if self.untold > 0 {
            writeln!(f, "{} of them the chat service has not heard of yet", self.untold)?;
        }
        if self.never_told > 0 {
            writeln!(f, "{} of them the chat service will never hear of", self.never_told)?;
        }
        if self.retried + self.discarded > 0 {
            let Self { retried, discarded, .. } = self;
            writeln!(
                f,
                "operators retried dead letters {retried} times, and discarded {discarded}"
            )?;
        }
        for action in &self.named_actions {
            writeln!(f, "operator: {action}")?;
        }
        for letter in &self.named_dead_letters {
            writeln!(f, "dead letter: {letter}")?;
        }
        for (invariant, rows) in &self.breaches {
            for row in rows {
                writeln!(f, "{invariant}: {row}")?;
            }
        }
        Ok(())
    }
}

/// Reads and checks everything. The store may be in use meanwhile.
///
/// # Errors
/// [`StoreError`] if the store does not answer, or holds a row that the audit needs and cannot
/// read. There is then no result, not even about the conversations that were checked before. A
/// broken invariant and a record that cannot be read are no errors: they stand in the [`Audit`].
pub async fn audit(store: &dyn Store) -> Result<Audit, StoreError> {
    let mut audit = Audit::default();
    let mut after = None;
    loop {
        let page = store.conversations(after.as_ref(), 200).await?;
        let Some(last) = page.last() else { return Ok(audit) };
        after = Some(last.clone());
        for id in page {
            // A conversation that was pruned meanwhile has nothing left to prove.
            if let Some(dossier) = store.dossier(&id).await? {
                let written = written(store, &dossier).await?;
                one(&mut audit, &dossier, written);
            }
        }
    }
}

/// What Genesys wrote as the time of each agent's message, from the original bodies. The journal
/// has a time too, but the state machine wrote it, so the audit does not trust it.
async fn written(
    store: &dyn Store,
    row: &Dossier,
) -> Result<Vec<(MessageId, Written)>, StoreError> {
    let outbound = row.messages.iter().filter(|message| message.direction == Direction::Outbound);
    let asked = outbound.filter(|message| message.state != "kept").map(async |message| {
        let found = store.message(&row.integration, Direction::Outbound, &message.id).await?;
        Ok::<_, StoreError>(
            found
                .and_then(|found| written_in(&found.body))
                .map(|written| (message.id.clone(), written)),
        )
    });
    let mut bodies = futures_util::stream::iter(asked).buffered(BODIES);
    let mut all = Vec::new();
    while let Some(found) = bodies.next().await {
        all.extend(found?);
    }
    Ok(all)
}

/// Reads `channel.time` and nothing else. Returns `None` if the body is not JSON.
fn written_in(body: &[u8]) -> Option<Written> {
    #[derive(Deserialize)]
    struct Message {
        channel: Option<Channel>,
    }
    #[derive(Deserialize)]
    struct Channel {
        time: Option<Value>,
    }
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}');
    let time = match serde_json::from_str::<Value>(text) {
        Ok(message) => message.pointer("/channel/time").cloned(),
        // A lone surrogate in a text must not prevent reading the time beside it.
        Err(_) => {
            serde_json::from_str::<Message>(text).ok()?.channel.and_then(|channel| channel.time)
        }
    };
    let time = time.as_ref().and_then(Value::as_str).and_then(|time| time.parse().ok());
    Some(time.map_or(Written::NoTime, Written::At))
}

fn one(audit: &mut Audit, row: &Dossier, written: Vec<(MessageId, Written)>) {
    audit.conversations += 1;
    audit.messages += row.messages.len() as u64;
    audit.records += row.journal.len() as u64;
    let at = |seq: u64| format!("journal row ({}, {seq})", row.id);
    let mut history = if row.pruned_seq > 0 { History::pruned() } else { History::default() };
    for (message, written) in written {
        history.wrote(&message, written);
    }
    let mut records = Vec::with_capacity(row.journal.len());
    let mut before = row.pruned_seq;
    for entry in &row.journal {
        if entry.seq != before + 1 {
            audit.breach(Invariant::OneOwner, at(entry.seq), format!("follows seq {before}"));
        }
        before = entry.seq;
        match &entry.record {
            Ok(record) => {
                history.read(entry.seq, entry.at, record);
                records.push((entry.at, record.clone()));
            }
            Err(error) => {
                audit.breach(Invariant::Durable, at(entry.seq), format!("cannot be read: {error}"));
            }
        }
    }
    if before != row.seq {
        audit.breach(
            Invariant::OneOwner,
            format!("conversation {}", row.id),
            format!("is at seq {}, its journal ends at {before}", row.seq),
        );
    }
    for breach in history.breaches() {
        let who =
            breach.message.as_ref().map_or(String::new(), |message| format!("message {message} "));
        audit.breach(breach.invariant, at(breach.seq), format!("{who}{}", breach.what));
    }
    audit.open += history.unsettled().count() as u64;
    audit.owed += history.unreceipted().count() as u64;
    audit.unjudged += history.unjudged() as u64;
    check_messages(audit, row, &records, &history);
    count_dead_letters(audit, row, &history);
    count_actions(audit, row, &records);
    if row.pruned_seq == 0 {
        check_outbox(audit, row, records);
    }
}

/// Counts and names the customers' messages that Genesys refused or that were given up, and counts
/// which of them the chat service does not know about.
fn count_dead_letters(audit: &mut Audit, row: &Dossier, history: &History) {
    let untold: HashSet<_> = history.untold().collect();
    let never_told: HashSet<_> = history.never_told().collect();
    let dead = |message: &&MessageRow| {
        message.direction == Direction::Inbound && message.state == "refused"
    };
    for letter in row.messages.iter().filter(dead) {
        audit.dead_letters += 1;
        audit.untold += u64::from(untold.contains(&letter.id));
        audit.never_told += u64::from(never_told.contains(&letter.id));
        if audit.named_dead_letters.len() < MAX_NAMED {
            let why = letter.reason.as_deref().unwrap_or_default();
            audit
                .named_dead_letters
                .push(format!("message {} of conversation {}: {why}", letter.id, row.id));
        }
    }
}

/// Counts and names what operators did.
fn count_actions(audit: &mut Audit, row: &Dossier, records: &[(jiff::Timestamp, Record)]) {
    for (at, record) in records {
        let (message, by, what) = match record {
            Record::InboundRetried { message, by, .. } => {
                audit.retried += 1;
                (message, by, "retried")
            }
            Record::InboundDiscarded { message, by, .. } => {
                audit.discarded += 1;
                (message, by, "discarded")
            }
            _ => continue,
        };
        if audit.named_actions.len() < MAX_NAMED {
            let by: String = by.chars().filter(|c| !c.is_control()).collect();
            audit.named_actions.push(format!(
                "message {message} of conversation {}: {what} by {by} at {at}",
                row.id
            ));
        }
    }
}

/// I1: each message is in the inbox or in the journal, and its row agrees with the journal.
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
            Input::AgentMessage { message, .. } | Input::CustomerMessage { message, .. } => {
                Some(message)
            }
            _ => None,
        })
        .collect();
    let (taken, inbound) = customers_messages(records);
    for message in row.messages.iter().filter(|message| message.state != "kept") {
        let name = format!("message row ({}, {})", message.direction.as_str(), message.id);
        let in_journal = match message.direction {
            Direction::Outbound => history.fate(&message.id).is_some(),
            Direction::Inbound => taken.contains(&message.id),
        };
        let in_inbox = waiting.contains(&message.id);
        if in_inbox && in_journal {
            audit.breach(
                Invariant::NoSecondEffect,
                &name,
                "is in the inbox although it was handled",
            );
        }
        if !in_inbox && !in_journal && row.pruned_seq == 0 {
            audit.breach(
                Invariant::Durable,
                &name,
                "is neither in the inbox nor in the journal: it was lost",
            );
        }
        let state = match message.direction {
            Direction::Outbound => match history.fate(&message.id) {
                Some(Some(Fate::Delivered)) => "delivered",
                Some(Some(Fate::Sent)) => "sent",
                Some(Some(Fate::Failed { .. })) => "failed",
                Some(None) | None => "accepted",
            },
            Direction::Inbound => inbound.get(&message.id).copied().unwrap_or("accepted"),
        };
        if message.state != state && (in_journal || row.pruned_seq == 0) {
            audit.breach(
                Invariant::OneFinalReceipt,
                &name,
                format!("says `{}`, the journal says `{state}`", message.state),
            );
        }
    }
}

/// The customer's messages that the conversation took, and the last state of each that has had an
/// outcome.
fn customers_messages(
    records: &[(jiff::Timestamp, Record)],
) -> (HashSet<&MessageId>, HashMap<&MessageId, &str>) {
    let (mut taken, mut states) = (HashSet::new(), HashMap::new());
    for (_, record) in records {
        match record {
            Record::InboundAccepted { message, .. } => drop(taken.insert(message)),
            Record::InboundDone { message, result } => {
                let state = if result.is_posted() { "posted" } else { "refused" };
                states.insert(message, state);
            }
            Record::InboundRetried { message, .. } => drop(states.remove(message)),
            Record::InboundDiscarded { message, .. } => drop(states.insert(message, "discarded")),
            _ => {}
        }
    }
    (taken, states)
}

/// I2, I11: the outbox holds exactly what, by the journal, Genesys is owed.
fn check_outbox(audit: &mut Audit, row: &Dossier, records: Vec<(jiff::Timestamp, Record)>) {
    let replayed = Conversation::replay(Conversation::default(), records);
    // An item may have a customer's answer, so only its key is printed.
    let key = |owed: &Owed| (serde_json::to_string(owed).unwrap_or_default(), owed.key());
    let journal: HashSet<_> = replayed.owed().iter().map(key).collect();
    let outbox: HashSet<_> = row.owed.iter().map(|item| key(&item.owed)).collect();
    for (_, missing) in journal.difference(&outbox) {
        audit.breach(
            Invariant::OneFinalReceipt,
            format!("outbox of {}", row.id),
            format!("lacks {missing}"),
        );
    }
    for (_, extra) in outbox.difference(&journal) {
        audit.breach(
            Invariant::OneFinalReceipt,
            format!("outbox of {}", row.id),
            format!("holds {extra}, which is not owed"),
        );
    }
}

#[cfg(test)]
mod tests {
    use conversation::{Answer, Choice, ConversationId, IntegrationName, OptionKind};

    use super::*;

    /// What a customer chose is theirs: a report may be shown to anyone who operates the gateway.
    #[test]
    fn a_breach_does_not_quote_an_answer() {
        let (label, payload) = ("a private matter".into(), "private".into());
        let choice = Choice { kind: OptionKind::Button, label, payload, numbered: true };
        let answer = Some(Box::new(Answer { to: MessageId::new("q"), choice }));
        let released = Record::InboundReleased { message: MessageId::new("m"), answer };
        let row = Dossier {
            id: ConversationId::new("c"),
            integration: IntegrationName::new("acme"),
            customer: "{}".to_owned(),
            seq: 1,
            pruned_seq: 0,
            inbox: Vec::new(),
            journal: Vec::new(),
            messages: Vec::new(),
            owed: Vec::new(),
        };
        let mut audit = Audit::default();
        check_outbox(&mut audit, &row, vec![(jiff::Timestamp::UNIX_EPOCH, released)]);
        let told = format!("{audit:?}");
        assert!(told.contains("lacks inbound/m") && !told.contains("private"), "{told}");
    }

    /// What an operator has acted on is no dead letter, so it counts as none.
    #[test]
    fn only_dead_letters_are_untold() {
        use Record::{InboundDiscarded, InboundDone, InboundRetried, RefusalDue, RefusalTold};
        let at = jiff::Timestamp::UNIX_EPOCH;
        let reason = conversation::Reason::new(conversation::ReasonCode::ServerError, "500");
        let dies = |id: &str| {
            let message = MessageId::new(id);
            let result = conversation::PostResult::Refused { why: "500".into() };
            [
                InboundDone { message: message.clone(), result },
                RefusalDue { message, reason: reason.clone() },
            ]
        };
        let given_up = |id: &str| RefusalTold {
            message: MessageId::new(id),
            outcome: conversation::TellOutcome::GivenUp { why: "too long".into() },
            retry_at: None,
        };
        let (by, ids) = (|| "ops".into(), ["waits", "never", "discarded", "never too", "retried"]);
        let mut records: Vec<_> = ids.iter().flat_map(|id| dies(id)).collect();
        records.extend(["never", "never too", "retried"].map(given_up));
        for id in ["discarded", "never too"] {
            records.push(InboundDiscarded { message: MessageId::new(id), died: at, by: by() });
        }
        let message = MessageId::new("retried");
        records.push(InboundRetried { message, died: at, by: by() });
        records.extend(dies("retried"));
        let numbered = (11..).zip(records);
        let journal: Vec<_> = numbered
            .map(|(seq, record)| crate::JournalRow { seq, at, record: Ok(record) })
            .collect();
        let states = ["refused", "refused", "discarded", "discarded", "refused"];
        let rows = ids.iter().zip(states).map(|(id, state)| MessageRow {
            id: MessageId::new(*id),
            direction: Direction::Inbound,
            conversation: ConversationId::new("c"),
            foreign_id: (*id).to_owned(),
            received: at,
            state: state.to_owned(),
            reason: None,
            receipt: None,
            settled: Some(at),
            body: Vec::new(),
        });
        let row = Dossier {
            id: ConversationId::new("c"),
            integration: IntegrationName::new("acme"),
            customer: "{}".to_owned(),
            seq: 10 + journal.len() as u64,
            pruned_seq: 10,
            inbox: Vec::new(),
            messages: rows.collect(),
            journal,
            owed: Vec::new(),
        };
        let mut audit = Audit::default();
        one(&mut audit, &row, Vec::new());
        assert!(audit.passed(), "{audit}");
        assert_eq!((audit.dead_letters, audit.untold, audit.never_told), (3, 2, 1), "{audit}");
    }

    #[test]
    fn the_time_is_read_from_whatever_genesys_wrote() {
        let at = |time: &str| Some(Written::At(time.parse().expect("a time")));
        for (body, expected) in [
            (
                &br#"{"channel":{"time":"2026-11-20T09:14:03.482Z"}}"#[..],
                at("2026-11-20T09:14:03.482Z"),
            ),
            (
                br#"{"channel":{"time":"2026-11-20T10:14:03.4821234+01:00"}}"#,
                at("2026-11-20T09:14:03.4821234Z"),
            ),
            (
                b"\xef\xbb\xbf{\"channel\":{\"time\":\"2026-11-20T09:14:03Z\"}}",
                at("2026-11-20T09:14:03Z"),
            ),
            (
                b"{\"text\":\"\xff\",\"channel\":{\"time\":\"2026-11-20T09:14:03Z\"}}",
                at("2026-11-20T09:14:03Z"),
            ),
            (
                br#"{"text":"\ud83d","channel":{"to":"\ud83d","time":"2026-11-20T09:14:03Z"}}"#,
                at("2026-11-20T09:14:03Z"),
            ),
            (br#"{"channel":{"time":"yesterday"}}"#, Some(Written::NoTime)),
            (br#"{"channel":{"time":1795165443482}}"#, Some(Written::NoTime)),
            (br#"{"channel":["time"]}"#, Some(Written::NoTime)),
            (b"{}", Some(Written::NoTime)),
            (b"[]", Some(Written::NoTime)),
            (b"not JSON", None),
            (b"", None),
        ] {
            assert_eq!(written_in(body), expected, "{}", String::from_utf8_lossy(body));
        }
    }
}
