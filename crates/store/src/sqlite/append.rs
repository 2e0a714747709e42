//! What a conversation decided: fence, journal, inbox, projections and outbox in the writer's transaction.

use conversation::{AttemptOutcome, Fate, Input, IntegrationName, MessageId, Owed, PostResult, Record, Report};
use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::accept::put_into_inbox;
use super::read::{from_json, json};
use crate::Append;

/// Returns whether the inbox got something by it; none, where the fence did not hold and nothing has changed.
pub(super) fn append(connection: &Connection, append: &Append) -> rusqlite::Result<Option<bool>> {
    let conversation = append.conversation.as_str();
    let last = append.after + append.records.len() as u64;
    let held = connection
        .prepare_cached("update conversation set seq = ?3, due = ?4, watched = ?5 where id = ?1 and seq = ?2")?
        .execute(params![conversation, append.after, last, append.due.map(ceil_to_millis), append.watched])?;
    if held == 0 {
        return Ok(None);
    }
    let mut early = false;
    let at = append.at.as_millisecond();
    for (seq, record) in (append.after + 1..).zip(&append.records) {
        connection
            .prepare_cached("insert into journal (conversation, seq, at, record) values (?1, ?2, ?3, ?4)")?
            .execute(params![conversation, seq, at, json(record)])?;
        if let Some((message, service_id)) = named(record) {
            early |= name_message(connection, &append.integration, conversation, message, service_id)?;
        }
        project(connection, &append.integration, conversation, append.at, record)?;
    }
    for seq in &append.taken {
        connection.prepare_cached("delete from inbox where seq = ?1")?.execute([seq])?;
    }
    if let Some(state) = &append.snapshot {
        connection
            .prepare_cached("update conversation set snapshot = ?2, snapshot_seq = ?3 where id = ?1")?
            .execute(params![conversation, json(state), last])?;
    }
    Ok(Some(early))
}

/// A wake-up may come a little late, never early: it would find nothing to do.
fn ceil_to_millis(at: Timestamp) -> i64 {
    let millis = at.as_millisecond();
    if at.as_nanosecond() > i128::from(millis) * 1_000_000 { millis + 1 } else { millis }
}

/// Carries one record into what people, dedupe and the outbox ask.
fn project(
    connection: &Connection,
    integration: &IntegrationName,
    conversation: &str,
    at: Timestamp,
    record: &Record,
) -> rusqlite::Result<()> {
    let outbox = Outbox { connection, integration, conversation, at };
    match record {
        Record::Settled { message, fate, receipt } => {
            let (state, reason) = match fate {
                Fate::Delivered => ("delivered", None),
                Fate::Sent => ("sent", None),
                Fate::Failed { reason } => ("failed", Some(reason.to_string())),
            };
            connection
                .prepare_cached(
                    "update message set state = ?3, reason = ?4, settled = ?5
                     where id = ?1 and direction = 'outbound' and integration = ?2",
                )?
                .execute(params![message.as_str(), integration.as_str(), state, reason, at.as_millisecond()])?;
            if *receipt {
                let fate = Some(fate.clone());
                outbox.put(&Owed::Receipt { message: message.clone(), fate })?;
            }
            Ok(())
        }
        Record::SentDue { message } => outbox.put(&Owed::Receipt { message: message.clone(), fate: None }),
        Record::ReceiptDone { message, last: true, result } => {
            connection
                .prepare_cached(
                    "update message set receipt = ?3 where id = ?1 and direction = 'outbound' and integration = ?2",
                )?
                .execute(params![message.as_str(), integration.as_str(), word(result)])?;
            outbox.take(&Owed::Receipt { message: message.clone(), fate: None })
        }
        // A `Sent` that was replaced before it left is not in the outbox any more; what replaced it stays.
        Record::ReceiptDone { message, last: false, .. } => {
            outbox.take_exactly(&Owed::Receipt { message: message.clone(), fate: None })
        }
        Record::InboundReleased { message } => outbox.put(&Owed::Inbound { message: message.clone() }),
        Record::InboundDone { message, result } => {
            let why = match result {
                PostResult::Posted { .. } => None,
                PostResult::Refused { why } => Some(why.as_ref()),
            };
            connection
                .prepare_cached(
                    "update message set state = ?3, reason = ?4, settled = ?5
                     where id = ?1 and direction = 'inbound' and integration = ?2",
                )?
                .execute(params![message.as_str(), integration.as_str(), word(result), why, at.as_millisecond()])?;
            outbox.take(&Owed::Inbound { message: message.clone() })
        }
        Record::NoticeDue { message, notice } => {
            outbox.put(&Owed::Notice { message: message.clone(), notice: *notice })
        }
        Record::NoticeDone { message, notice, .. } => {
            outbox.take(&Owed::Notice { message: message.clone(), notice: *notice })
        }
        Record::DisconnectDue { id } => outbox.put(&Owed::Disconnect { id: id.clone() }),
        // The key is the same whichever of Genesys's conversations it was.
        Record::DisconnectDone { .. } => outbox.take(&Owed::Disconnect { id: Box::default() }),
        Record::Accepted { .. }
        | Record::AttemptStarted { .. }
        | Record::AttemptEnded { .. }
        | Record::Reported { .. }
        | Record::HandshakeStarted { .. }
        | Record::HandshakePending { .. }
        | Record::HandshakeFailed { .. }
        | Record::SessionOpened { .. }
        | Record::SessionRefused { .. }
        | Record::SessionClosed { .. }
        | Record::Paused
        | Record::Resumed
        | Record::InboundAccepted { .. }
        | Record::GenesysConversation { .. }
        | Record::CustomerLeft
        | Record::Ending => Ok(()),
    }
}

fn word(result: &PostResult) -> &'static str {
    if result.is_posted() { "posted" } else { "refused" }
}

/// What the chat service calls a message, where the record says.
fn named(record: &Record) -> Option<(&MessageId, &str)> {
    match record {
        Record::AttemptEnded {
            message,
            outcome:
                AttemptOutcome::Delivered { service_id: Some(id) } | AttemptOutcome::Accepted { service_id: Some(id) },
            ..
        } => Some((message, id)),
        _ => None,
    }
}

/// Learns what the chat service calls a message, and puts the reports that came before into the inbox. Returns whether
/// there were any.
fn name_message(
    connection: &Connection,
    integration: &IntegrationName,
    conversation: &str,
    message: &MessageId,
    service_id: &str,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "update message set service_id = ?3 where id = ?1 and direction = 'outbound' and integration = ?2",
        )?
        .execute(params![message.as_str(), integration.as_str(), service_id])?;
    let early: Vec<String> = connection
        .prepare_cached("delete from early where service_id = ?1 and integration = ?2 returning report")?
        .query_map(params![service_id, integration.as_str()], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let some = !early.is_empty();
    for report in early {
        if let Ok(report) = from_json::<Report>(&report) {
            put_into_inbox(connection, conversation, &Input::Reported { message: message.clone(), report })?;
        }
    }
    Ok(some)
}

struct Outbox<'a> {
    connection: &'a Connection,
    integration: &'a IntegrationName,
    conversation: &'a str,
    at: Timestamp,
}

impl Outbox<'_> {
    fn put(&self, owed: &Owed) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "insert or replace into outbox (integration, conversation, key, lazy, since, owed)
                 values (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                self.integration.as_str(),
                self.conversation,
                owed.key(),
                !owed.is_urgent(),
                self.at.as_millisecond(),
                json(owed)
            ])?;
        Ok(())
    }

    /// Whatever stands there under the key of `owed`.
    fn take(&self, owed: &Owed) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("delete from outbox where conversation = ?1 and key = ?2")?
            .execute(params![self.conversation, owed.key()])?;
        Ok(())
    }

    /// Unless it was replaced.
    fn take_exactly(&self, owed: &Owed) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("delete from outbox where conversation = ?1 and key = ?2 and owed = ?3")?
            .execute(params![self.conversation, owed.key(), json(owed)])?;
        Ok(())
    }
}
