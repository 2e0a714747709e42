//! Accepting arrivals: deduplicates them and puts them into the inbox, in the writer's transaction.

use conversation::{ConversationId, Input, IntegrationName, MessageId, MessageRef, Report};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::read;
use super::recent::InboxChange;
use super::written::TxState;
use crate::json::json;
use crate::mistake::{self, Mistake};
use crate::portable::key;
use crate::{Acceptance, Arrival, Direction, NewMessage};

pub(super) fn accept(
    connection: &Connection,
    arrival: Arrival,
    written: &mut TxState,
) -> rusqlite::Result<Acceptance> {
    match arrival {
        Arrival::Message(message) => accept_message(connection, message, written),
        Arrival::Event { integration, id, received, conversation, input } => {
            let known = connection
                .prepare_cached("select 1 from conversation where id = ?1 and integration = ?2")?
                .exists(params![conversation.as_str(), integration.as_str()])?;
            if !known {
                return Ok(Acceptance::Unknown);
            }
            if !is_still_dead(connection, &integration, &input)? {
                let repeated = read::has_event(connection, &integration, &id)?;
                return Ok(if repeated { Acceptance::Repeated } else { Acceptance::Unknown });
            }
            if !is_new_event(connection, &integration, &id, received)? {
                return Ok(Acceptance::Repeated);
            }
            put_into_inbox(connection, &conversation, input, written)?;
            Ok(Acceptance::New(conversation))
        }
        Arrival::Report { integration, id, received, of, report } => {
            accept_report(connection, &integration, &id, received, (of, report), written)
        }
        Arrival::Noted { integration, id, received } => {
            let new = is_new_event(connection, &integration, &id, received)?;
            Ok(if new { Acceptance::Kept } else { Acceptance::Repeated })
        }
    }
}

fn accept_message(
    connection: &Connection,
    message: NewMessage,
    written: &mut TxState,
) -> rusqlite::Result<Acceptance> {
    if !keep_message(connection, &message)? {
        return Ok(Acceptance::Repeated);
    }
    let Some(input) = message.input else { return Ok(Acceptance::Kept) };
    put_into_inbox(connection, &message.conversation, input, written)?;
    Ok(Acceptance::New(message.conversation))
}

/// Stores a message and its conversation. Returns whether the message is new; if not, it changes
/// nothing.
pub(super) fn keep_message(
    connection: &Connection,
    message: &NewMessage,
) -> rusqlite::Result<bool> {
    let state = if message.input.is_some() { "accepted" } else { "kept" };
    let new = connection
        .prepare_cached(&mistake::sql(
            Mistake::Dedupe,
            "insert into message (integration, direction, id, foreign_id, conversation, received, state, before)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, (select message from conversation where id = ?5))
             on conflict do nothing",
            "values (?1, ?2, ?3,",
            "values (?1, ?2, ?3 || hex(randomblob(4)),",
        ))?
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
    // The customer data of an inbound message is better than Genesys's copy in an outbound one.
    let sql = match message.direction {
        Direction::Inbound => {
            "insert into conversation (id, integration, customer, message, created)
             values (?1, ?2, ?3, ?4, ?5)
             on conflict (id) do update set customer = excluded.customer, message = excluded.message"
        }
        Direction::Outbound => {
            "insert into conversation (id, integration, customer, message, created)
             values (?1, ?2, ?3, ?4, ?5)
             on conflict (id) do update set message = excluded.message"
        }
    };
    connection.prepare_cached(sql)?.execute(params![
        message.conversation.as_str(),
        message.integration.as_str(),
        message.customer,
        seq,
        message.received.as_millisecond()
    ])?;
    Ok(true)
}

/// Stores the body of the message that was just inserted. Returns the number that they share.
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
    written: &mut TxState,
) -> rusqlite::Result<Acceptance> {
    let found: Option<(String, String)> = match &of {
        MessageRef::Ours(id) => connection
            .prepare_cached(
                "select conversation, id from message where id = ?1 and direction = 'outbound' \
                 and integration = ?2",
            )?
            .query_row(params![id.as_str(), integration.as_str()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?,
        MessageRef::Service(id) => connection
            .prepare_cached(
                "select conversation, id from message where service_id = ?1 and \
                integration = ?2",
            )?
            .query_row(params![key(id).as_str(), integration.as_str()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?,
    };
    if found.is_none() && matches!(of, MessageRef::Ours(_)) {
        return Ok(Acceptance::Unknown);
    }
    if !is_new_event(connection, integration, event, received)? {
        return Ok(Acceptance::Repeated);
    }
    match (found, of) {
        (Some((conversation, message)), _) => {
            let input = Input::Reported { message: MessageId::new(message), report };
            let conversation = ConversationId::new(conversation);
            put_into_inbox(connection, &conversation, input, written)?;
            Ok(Acceptance::New(conversation))
        }
        // The report overtook the answer that contains the service's id for the message.
        (None, MessageRef::Service(service_id)) => {
            connection
                .prepare_cached(
                    "insert into early (service_id, integration, event_id, received, \
                    report) values (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![
                    key(&service_id).as_str(),
                    integration.as_str(),
                    key(event).as_str(),
                    received.as_millisecond(),
                    json(&report)
                ])?;
            Ok(Acceptance::Early)
        }
        (None, MessageRef::Ours(_)) => Ok(Acceptance::Unknown),
    }
}

/// Whether the message that an operator acts on is still the dead letter that the operator saw. A
/// prune may have removed it since. `true` for any other input.
fn is_still_dead(
    connection: &Connection,
    integration: &IntegrationName,
    input: &Input,
) -> rusqlite::Result<bool> {
    let Input::DeadLetter { message, died, .. } = input else { return Ok(true) };
    connection
        .prepare_cached(
            "select 1 from message where id = ?1 and direction = 'inbound' and integration = ?2
             and state = 'refused' and coalesce(settled, received) = ?3",
        )?
        .exists(params![message.as_str(), integration.as_str(), died.as_millisecond()])
}

/// Stores an event's id. Returns whether it is new.
fn is_new_event(
    connection: &Connection,
    integration: &IntegrationName,
    id: &str,
    received: Timestamp,
) -> rusqlite::Result<bool> {
    let new = connection
        .prepare_cached(&mistake::sql(
            Mistake::EventDedupe,
            "insert into event (id, integration, received) values (?1, ?2, ?3) on conflict do \
             nothing",
            "do nothing",
            "do update set received = excluded.received",
        ))?
        .execute(params![key(id).as_str(), integration.as_str(), received.as_millisecond()])?;
    Ok(new > 0)
}

pub(super) fn put_into_inbox(
    connection: &Connection,
    conversation: &ConversationId,
    input: Input,
    written: &mut TxState,
) -> rusqlite::Result<()> {
    let seq = written.next_in_inbox();
    connection
        .prepare_cached(
            "insert into inbox (seq, conversation, customers, input) values (?1, ?2, ?3, ?4)",
        )?
        .execute(params![seq, conversation.as_str(), input.is_customers(), json(&input)])?;
    written.changes.push(InboxChange::Came(conversation.clone(), seq, input));
    Ok(())
}
