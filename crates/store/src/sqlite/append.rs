//! What a conversation decided: fence, journal, inbox, projections and outbox in the writer's transaction.

use conversation::{Input, IntegrationName, MessageId, Owed, Record, Report};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::accept::put_into_inbox;
use super::recent::Change as InboxChange;
use crate::Append;
use crate::json::{from_json, json};
use crate::portable::key;
use crate::projection::{Change, changes};
use crate::types::ceil_to_millis;

/// Returns whether the inbox got something by it; none, where the fence did not hold and nothing has changed.
pub(super) fn append(
    connection: &Connection,
    append: &Append,
    inbox: &mut Vec<InboxChange>,
) -> rusqlite::Result<Option<bool>> {
    let conversation = append.conversation.as_str();
    let last = append.after + append.records.len() as u64;
    let before: Option<Option<i64>> = connection
        .prepare_cached("select step from conversation where id = ?1 and seq = ?2")?
        .query_row(params![conversation, append.after], |row| row.get(0))
        .optional()?;
    let Some(before) = before else { return Ok(None) };
    let at = append.at.as_millisecond();
    let step = write_step(connection, conversation, before, (append.after + 1, at), append.records.iter().map(json))?;
    connection
        .prepare_cached("update conversation set seq = ?2, due = ?3, watched = ?4, step = ?5 where id = ?1")?
        .execute(params![conversation, last, append.due.map(ceil_to_millis), append.watched, step])?;
    if before.is_none() && step.is_some() {
        connection
            .prepare_cached("update conversation set oldest = ?2 where id = ?1")?
            .execute(params![conversation, at])?;
    }
    let mut early = false;
    for record in &append.records {
        early |= project(connection, append, record, inbox)?;
    }
    for seq in &append.taken {
        connection.prepare_cached("delete from inbox where seq = ?1")?.execute([seq])?;
        inbox.push(InboxChange::Went(append.conversation.clone(), *seq));
    }
    if let Some(state) = &append.snapshot {
        connection
            .prepare_cached("update conversation set snapshot = ?2, snapshot_seq = ?3 where id = ?1")?
            .execute(params![conversation, json(state), last])?;
    }
    Ok(Some(early))
}

/// Writes the records of one step, of which the first has the sequence number `seq`. Returns the conversation's last step.
pub(super) fn write_step(
    connection: &Connection,
    conversation: &str,
    before: Option<i64>,
    (seq, at): (u64, i64),
    records: impl Iterator<Item = String>,
) -> rusqlite::Result<Option<i64>> {
    let mut lines = String::new();
    for record in records {
        if !lines.is_empty() {
            lines.push('\n');
        }
        lines.push_str(&record);
    }
    if lines.is_empty() {
        return Ok(before);
    }
    connection
        .prepare_cached("insert into journal (before, conversation, seq, at, records) values (?1, ?2, ?3, ?4, ?5)")?
        .insert(params![before, conversation, seq, at, lines])
        .map(Some)
}

/// Carries one record into what people, dedupe and the outbox ask. Returns whether the inbox got something by it.
fn project(
    connection: &Connection,
    append: &Append,
    record: &Record,
    inbox: &mut Vec<InboxChange>,
) -> rusqlite::Result<bool> {
    let Append { integration, conversation, at, .. } = append;
    let outbox = Outbox { connection, integration, conversation: conversation.as_str(), at: *at };
    let mut early = false;
    for change in changes(record) {
        match change {
            Change::Ended { direction, message, state, reason } => {
                connection
                    .prepare_cached(
                        "update message set state = ?4, reason = ?5, settled = ?6
                         where id = ?1 and direction = ?2 and integration = ?3",
                    )?
                    .execute(params![
                        message.as_str(),
                        direction.as_str(),
                        integration.as_str(),
                        state,
                        reason,
                        at.as_millisecond()
                    ])?;
            }
            Change::Receipted { message, word } => {
                connection
                    .prepare_cached(
                        "update message set receipt = ?3
                         where id = ?1 and direction = 'outbound' and integration = ?2",
                    )?
                    .execute(params![message.as_str(), integration.as_str(), word])?;
            }
            Change::Named { message, service_id } => {
                early |= name_message(connection, append, message, service_id, inbox)?;
            }
            Change::Owe(owed) => outbox.put(&owed)?,
            Change::Paid(owed) => outbox.take(&owed)?,
            Change::PaidExactly(owed) => outbox.take_exactly(&owed)?,
        }
    }
    Ok(early)
}

/// Learns what the chat service calls a message, and puts the reports that came before into the inbox. Returns whether
/// there were any.
fn name_message(
    connection: &Connection,
    append: &Append,
    message: &MessageId,
    service_id: &str,
    inbox: &mut Vec<InboxChange>,
) -> rusqlite::Result<bool> {
    let Append { integration, conversation, .. } = append;
    connection
        .prepare_cached(
            "update message set service_id = ?3 where id = ?1 and direction = 'outbound' and integration = ?2",
        )?
        .execute(params![message.as_str(), integration.as_str(), key(service_id).as_str()])?;
    // There are none, nearly always; a `delete … returning` would build a table in memory to say so.
    let early: Vec<String> = connection
        .prepare_cached("select report from early where service_id = ?1 and integration = ?2")?
        .query_map(params![key(service_id).as_str(), integration.as_str()], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    if early.is_empty() {
        return Ok(false);
    }
    connection
        .prepare_cached("delete from early where service_id = ?1 and integration = ?2")?
        .execute(params![key(service_id).as_str(), integration.as_str()])?;
    for report in early {
        if let Ok(report) = from_json::<Report>(&report) {
            let input = Input::Reported { message: message.clone(), report };
            put_into_inbox(connection, conversation, input, inbox)?;
        }
    }
    Ok(true)
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
