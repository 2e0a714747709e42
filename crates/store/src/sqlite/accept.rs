//! What comes in at the door: deduplicated, then put into the inbox, in the writer's transaction.

use conversation::{ConversationId, Input, IntegrationName, MessageId, MessageRef, Report};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::recent::Change;
use super::written::Written;
use crate::json::json;
use crate::portable::key;
use crate::{Arrival, Direction, NewMessage, Stored};

pub(super) fn accept(
    connection: &Connection,
    arrival: Arrival,
    written: &mut Written,
) -> rusqlite::Result<Stored> {
    match arrival {
        Arrival::Message(message) => accept_message(connection, message, written),
        Arrival::Event { integration, id, received, conversation, input } => {
            let known = connection
                .prepare_cached("select 1 from conversation where id = ?1 and integration = ?2")?
                .exists(params![conversation.as_str(), integration.as_str()])?;
            if !known {
                return Ok(Stored::Unknown);
            }
            if !is_new_event(connection, &integration, &id, received)? {
                return Ok(Stored::Repeated);
            }
            put_into_inbox(connection, &conversation, input, written)?;
            Ok(Stored::New(conversation))
        }
        Arrival::Report { integration, id, received, of, report } => {
            accept_report(connection, &integration, &id, received, (of, report), written)
        }
    }
}

fn accept_message(
    connection: &Connection,
    message: NewMessage,
    written: &mut Written,
) -> rusqlite::Result<Stored> {
    if !keep_message(connection, &message)? {
        return Ok(Stored::Repeated);
    }
    let Some(input) = message.input else { return Ok(Stored::Kept) };
    put_into_inbox(connection, &message.conversation, input, written)?;
    Ok(Stored::New(message.conversation))
}

/// Writes a message and its conversation down. Returns whether it is new; nothing is changed where it is not.
pub(super) fn keep_message(
    connection: &Connection,
    message: &NewMessage,
) -> rusqlite::Result<bool> {
    let state = if message.input.is_some() { "accepted" } else { "kept" };
    let new = connection
        .prepare_cached(
            "insert into message (integration, direction, id, foreign_id, conversation, received, state, before)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, (select message from conversation where id = ?5))
             on conflict do nothing",
        )?
        .execute(params![
            message.integration.as_str(),
            message.direction.as_str(),
            message.id.as_str(),
            message.foreign_id,
            message.conversation.as_str(),
            message.received.as_millisecond(),
            state,
        ])?;
    if new == 0 {
        return Ok(false);
    }
    let seq = keep_body(connection, &message.body)?;
    // What the customer says of himself is better than what Genesys repeats.
    let sql = match message.direction {
        Direction::Inbound => {
            "insert into conversation (id, integration, customer, message) values (?1, ?2, ?3, ?4)
             on conflict (id) do update set customer = excluded.customer, message = excluded.message"
        }
        Direction::Outbound => {
            "insert into conversation (id, integration, customer, message) values (?1, ?2, ?3, ?4)
             on conflict (id) do update set message = excluded.message"
        }
    };
    connection.prepare_cached(sql)?.execute(params![
        message.conversation.as_str(),
        message.integration.as_str(),
        message.customer,
        seq
    ])?;
    Ok(true)
}

/// Keeps the body of the message that was just inserted. Returns their number.
pub(super) fn keep_body(connection: &Connection, body: &[u8]) -> rusqlite::Result<i64> {
    let seq = connection.last_insert_rowid();
    connection
        .prepare_cached("insert into body (seq, body) values (?1, ?2)")?
        .execute(params![seq, body])?;
    Ok(seq)
}

fn accept_report(
    connection: &Connection,
    integration: &IntegrationName,
    event: &str,
    received: Timestamp,
    (of, report): (MessageRef, Report),
    written: &mut Written,
) -> rusqlite::Result<Stored> {
    let found: Option<(String, String)> = match &of {
        MessageRef::Ours(id) => connection
            .prepare_cached(
                "select conversation, id from message where id = ?1 and direction = 'outbound' and integration = ?2",
            )?
            .query_row(params![id.as_str(), integration.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?,
        MessageRef::Service(id) => connection
            .prepare_cached("select conversation, id from message where service_id = ?1 and integration = ?2")?
            .query_row(params![key(id).as_str(), integration.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?,
    };
    if found.is_none() && matches!(of, MessageRef::Ours(_)) {
        return Ok(Stored::Unknown);
    }
    if !is_new_event(connection, integration, event, received)? {
        return Ok(Stored::Repeated);
    }
    match (found, of) {
        (Some((conversation, message)), _) => {
            let input = Input::Reported { message: MessageId::new(message), report };
            let conversation = ConversationId::new(conversation);
            put_into_inbox(connection, &conversation, input, written)?;
            Ok(Stored::New(conversation))
        }
        // The report has overtaken the answer that tells us the service's name for the message.
        (None, MessageRef::Service(service_id)) => {
            connection
                .prepare_cached("insert into early (service_id, integration, event_id, received, report) values (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![key(&service_id).as_str(), integration.as_str(), key(event).as_str(), received.as_millisecond(), json(&report)])?;
            Ok(Stored::Early)
        }
        (None, MessageRef::Ours(_)) => Ok(Stored::Unknown),
    }
}

/// Remembers an event's id. Returns whether it was seen for the first time.
fn is_new_event(
    connection: &Connection,
    integration: &IntegrationName,
    id: &str,
    received: Timestamp,
) -> rusqlite::Result<bool> {
    let new = connection
        .prepare_cached("insert into event (id, integration, received) values (?1, ?2, ?3) on conflict do nothing")?
        .execute(params![key(id).as_str(), integration.as_str(), received.as_millisecond()])?;
    Ok(new > 0)
}

pub(super) fn put_into_inbox(
    connection: &Connection,
    conversation: &ConversationId,
    input: Input,
    written: &mut Written,
) -> rusqlite::Result<()> {
    let seq = written.next_in_inbox();
    connection
        .prepare_cached(
            "insert into inbox (seq, conversation, customers, input) values (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            seq,
            conversation.as_str(),
            matches!(input, Input::CustomerMessage { .. }),
            json(&input)
        ])?;
    written.changes.push(Change::Came(conversation.clone(), seq, input));
    Ok(())
}
