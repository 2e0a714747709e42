//! Appending a step: fence, journal, inbox, projections and outbox in the writer's transaction.

use conversation::{Input, IntegrationName, MessageId, Owed, Report};
use rusqlite::{Connection, OptionalExtension, params};

use super::accept::{keep_message, put_into_inbox};
use super::find::keep_genesys_conversation;
use super::recent::InboxChange;
use super::written::TxState;
use crate::json::{from_json, json};
use crate::listing::bits;
use crate::mistake::{self, Mistake};
use crate::portable::key;
use crate::projection::{Change, changes};
use crate::types::ceil_to_millis;
use crate::{Append, AtomicOutcome, Direction, NewMessage, OutboxLane};

/// Writes a step. If `message` is given, stores that message first.
pub(super) fn append(
    connection: &Connection,
    message: Option<&NewMessage>,
    append: &Append,
    written: &mut TxState,
) -> rusqlite::Result<AtomicOutcome> {
    let conversation = append.conversation.as_str();
    let last = append.after + append.records.len() as u64;
    let before: Option<Option<i64>> = connection
        .prepare_cached(&mistake::sql(
            Mistake::Fence,
            "select step from conversation where id = ?1 and seq = ?2",
            "seq = ?2",
            "?2 >= 0",
        ))?
        .query_row(params![conversation, append.after], |row| row.get(0))
        .optional()?;
    let Some(before) = before else { return Ok(AtomicOutcome::Fenced) };
    if let Some(message) = message
        && !keep_message(connection, message)?
    {
        return Ok(AtomicOutcome::Repeated);
    }
    let at = append.at.as_millisecond();
    let step = write_step(
        connection,
        conversation,
        before,
        (append.after + 1, at),
        append.records.iter().map(json),
    )?;
    connection
        .prepare_cached(
            "update conversation set seq = ?2, due = ?3, watched = ?4, step = ?5 where id = ?1",
        )?
        .execute(params![
            conversation,
            last,
            append.due.map(ceil_to_millis),
            append.watched,
            step
        ])?;
    if before.is_none() && step.is_some() {
        connection
            .prepare_cached("update conversation set oldest = ?2 where id = ?1")?
            .execute(params![conversation, at])?;
    }
    if let Some(standing) = append.standing {
        connection
            .prepare_cached("update conversation set standing = ?2 where id = ?1")?
            .execute(params![conversation, bits(standing)])?;
    }
    let early = project(connection, append, written)?;
    for seq in &append.taken {
        let sql =
            mistake::sql(Mistake::InboxKept, "delete from inbox where seq = ?1", "= ?1", "= -?1");
        connection.prepare_cached(&sql)?.execute([seq])?;
        written.changes.push(InboxChange::Went(append.conversation.clone(), *seq));
    }
    if let Some(state) = &append.snapshot {
        connection
            .prepare_cached(
                "insert or replace into snapshot (conversation, seq, state) values (?1, ?2, ?3)",
            )?
            .execute(params![conversation, last, json(state)])?;
    }
    Ok(AtomicOutcome::Whole { early })
}

/// Writes the records of one step; the first has the sequence number `seq`. Returns the id of the
/// conversation's last step, which is `before` if there are no records.
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
        .prepare_cached(
            "insert into journal (before, conversation, seq, at, records) values (?1, \
            ?2, ?3, ?4, ?5)",
        )?
        .insert(params![before, conversation, seq, at, lines])
        .map(Some)
}

/// Applies a step to the projections and the outbox. Returns whether that put something into the
/// inbox.
fn project(
    connection: &Connection,
    append: &Append,
    written: &mut TxState,
) -> rusqlite::Result<bool> {
    let Append { integration, conversation, at, records, .. } = append;
    let all: Vec<Change<'_>> = records.iter().flat_map(changes).collect();
    let mut early = false;
    for change in &all {
        match change {
            Change::Ended { direction, message, state, reason } => {
                let name = name_in(&all, *direction, message).map(key);
                connection
                    .prepare_cached(
                        "update message
                         set state = ?4, reason = ?5, settled = ?6, service_id = coalesce(?7, service_id)
                         where id = ?1 and direction = ?2 and integration = ?3",
                    )?
                    .execute(params![
                        message.as_str(),
                        direction.as_str(),
                        integration.as_str(),
                        state,
                        reason,
                        at.as_millisecond(),
                        name.as_ref().map(MessageId::as_str)
                    ])?;
            }
            Change::Reopened { message } => {
                connection
                    .prepare_cached(
                        "update message set state = 'accepted', reason = null, settled = null
                         where id = ?1 and direction = 'inbound' and integration = ?2",
                    )?
                    .execute(params![message.as_str(), integration.as_str()])?;
            }
            Change::Discarded { message } => {
                connection
                    .prepare_cached(
                        "update message set state = 'discarded', settled = ?3
                         where id = ?1 and direction = 'inbound' and integration = ?2",
                    )?
                    .execute(params![
                        message.as_str(),
                        integration.as_str(),
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
                // Nearly always the same step ends the message, and that change writes the name
                // too.
                if !ends_in(&all, message) {
                    name_message(connection, integration, message, service_id)?;
                }
                early |= take_early(connection, append, message, service_id, written)?;
            }
            Change::Genesys { id } => {
                let (conversation, id) = (conversation.as_str(), key(id));
                keep_genesys_conversation(
                    connection,
                    conversation,
                    id.as_str(),
                    at.as_millisecond(),
                )?;
            }
            Change::Owe(owed) => owe(connection, append, owed, written.next_in_outbox())?,
            // Removes any item under the key of `owed`.
            Change::Paid(owed) => {
                connection
                    .prepare_cached("delete from outbox where conversation = ?1 and key = ?2")?
                    .execute(params![conversation.as_str(), owed.key()])?;
            }
            // Removes the item unless it was replaced.
            Change::PaidExactly(owed) => {
                connection
                    .prepare_cached(
                        "delete from outbox where conversation = ?1 and key = ?2 and owed = ?3",
                    )?
                    .execute(params![conversation.as_str(), owed.key(), json(owed)])?;
            }
        }
    }
    Ok(early)
}

/// The chat service's name for a message, if this step contains it.
fn name_in<'a>(
    all: &'a [Change<'_>],
    direction: Direction,
    message: &MessageId,
) -> Option<&'a str> {
    all.iter().find_map(|change| match change {
        Change::Named { message: of, service_id }
            if direction == Direction::Outbound && *of == message =>
        {
            Some(*service_id)
        }
        _ => None,
    })
}

/// Whether an agent's message ends in this step.
fn ends_in(all: &[Change<'_>], message: &MessageId) -> bool {
    all.iter().any(|change| match change {
        Change::Ended { direction: Direction::Outbound, message: of, .. } => *of == message,
        _ => false,
    })
}

/// Stores the chat service's name for a message.
fn name_message(
    connection: &Connection,
    integration: &IntegrationName,
    message: &MessageId,
    service_id: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "update message set service_id = ?3 where id = ?1 and direction = 'outbound' and \
             integration = ?2",
        )?
        .execute(params![message.as_str(), integration.as_str(), key(service_id).as_str()])?;
    Ok(())
}

/// Puts reports into the inbox that came before the store knew this name. Returns whether there
/// were any.
fn take_early(
    connection: &Connection,
    append: &Append,
    message: &MessageId,
    service_id: &str,
    written: &mut TxState,
) -> rusqlite::Result<bool> {
    let Append { integration, conversation, .. } = append;
    // There are almost never any. A `delete … returning` would build a table in memory each time.
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
            put_into_inbox(connection, conversation, input, written)?;
        }
    }
    Ok(true)
}

/// Puts what Genesys is owed into the outbox, replacing the item under the same key.
fn owe(connection: &Connection, append: &Append, owed: &Owed, seq: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "insert or replace into outbox (conversation, key, integration, lazy, seq, since, owed)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            append.conversation.as_str(),
            owed.key(),
            append.integration.as_str(),
            OutboxLane::of(owed).is_lazy(),
            seq,
            append.at.as_millisecond(),
            json(owed)
        ])?;
    Ok(())
}
