//! Export from the file, and import into it.

use async_trait::async_trait;
use conversation::ConversationId;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, params};

use super::SqliteStore;
use super::accept::keep_body;
use super::append::write_step;
use super::find::keep_genesys_conversation;
use super::prune::{remove_messages, remove_steps};
use super::read::{CHAIN, has_every_message, steps};
use super::written::TxState;
use crate::StoreError;
use crate::portable::{
    ConversationExport, Early, EventCursor, ExportedMessage, Fingerprint, OutboxRow, Portable,
    SeenEvent, as_key,
};

#[async_trait]
impl Portable for SqliteStore {
    async fn is_in_use(&self) -> Result<bool, StoreError> {
        // A process that may write holds the lock. If this process has a writer, it holds the lock
        // itself.
        Ok(self.writer.is_none() && super::lock::is_held(&self.path))
    }

    async fn mark(&self, conversation: &ConversationId) -> Result<Option<Fingerprint>, StoreError> {
        let id = conversation.clone();
        self.readers.query_on_pool(move |connection| Ok(mark(connection, id.as_str())?)).await
    }

    async fn export(
        &self,
        conversation: &ConversationId,
    ) -> Result<Option<ConversationExport>, StoreError> {
        let id = conversation.clone();
        self.readers
            .query_on_pool(move |connection| {
                let reading = connection.unchecked_transaction()?;
                has_every_message(&reading, id.as_str())?;
                Ok(export(&reading, id.as_str())?)
            })
            .await
    }

    async fn import(
        &self,
        bundles: Vec<(ConversationId, Option<ConversationExport>)>,
    ) -> Result<(), StoreError> {
        self.work(move |connection, written| {
            for (id, bundle) in bundles {
                remove(connection, id.as_str())?;
                if let Some(bundle) = bundle {
                    import(connection, &bundle, written)?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn events(
        &self,
        after: &EventCursor,
        limit: usize,
    ) -> Result<(Vec<SeenEvent>, Option<EventCursor>), StoreError> {
        let (id, integration) = after.clone();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.readers
            .query_on_pool(move |connection| {
                let mut statement = connection.prepare_cached(
                    "select id, integration, received from event where (id, integration) > (?1, ?2)
                     order by id, integration limit ?3",
                )?;
                let rows = statement.query_map(params![id, integration, limit], |row| {
                    Ok(SeenEvent {
                        id: row.get(0)?,
                        integration: row.get(1)?,
                        received: row.get(2)?,
                    })
                })?;
                let mut events: Vec<SeenEvent> = rows.collect::<rusqlite::Result<_>>()?;
                let next = events.last().map(|last| (last.id.clone(), last.integration.clone()));
                for event in &mut events {
                    event.id = as_key(std::mem::take(&mut event.id));
                }
                Ok((events, next))
            })
            .await
    }

    async fn import_events(&self, events: Vec<SeenEvent>) -> Result<(), StoreError> {
        self.work(move |connection, _| {
            for event in events {
                connection
                    .prepare_cached(
                        "insert into event (id, integration, received) values (?1, ?2, ?3) on \
                         conflict do nothing",
                    )?
                    .execute(params![event.id, event.integration, event.received])?;
            }
            Ok(())
        })
        .await
    }

    async fn early(&self) -> Result<Vec<Early>, StoreError> {
        self.readers
            .query_on_pool(|connection| {
                let mut statement = connection.prepare_cached(
                    "select service_id, integration, event_id, received, report from early",
                )?;
                let rows = statement.query_map([], |row| {
                    let (service_id, event_id): (String, String) = (row.get(0)?, row.get(2)?);
                    Ok(Early {
                        service_id: as_key(service_id),
                        integration: row.get(1)?,
                        event_id: as_key(event_id),
                        received: row.get(3)?,
                        report: row.get(4)?,
                    })
                })?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn import_early(&self, early: Vec<Early>) -> Result<(), StoreError> {
        self.work(move |connection, _| {
            connection.execute("delete from early", [])?;
            for one in early {
                connection
                    .prepare_cached(
                        "insert into early (service_id, integration, event_id, received, report)
                         values (?1, ?2, ?3, ?4, ?5)",
                    )?
                    .execute(params![
                        one.service_id,
                        one.integration,
                        one.event_id,
                        one.received,
                        one.report
                    ])?;
            }
            Ok(())
        })
        .await
    }
}

fn mark(connection: &Connection, id: &str) -> rusqlite::Result<Option<Fingerprint>> {
    let sql = format!(
        "{CHAIN} select seq, pruned_seq, (select count(*) from chain),
                (select count(*) from inbox where conversation = ?1)
         from conversation where id = ?1"
    );
    connection
        .prepare_cached(&sql)?
        .query_row([id], |row| {
            Ok(Fingerprint {
                seq: row.get(0)?,
                pruned_seq: row.get(1)?,
                messages: row.get(2)?,
                waiting: row.get(3)?,
            })
        })
        .optional()
}

fn export(connection: &Connection, id: &str) -> rusqlite::Result<Option<ConversationExport>> {
    let bundle = connection
        .prepare_cached(
            "select integration, customer, conversation.seq, due, watched, snapshot.state, coalesce(snapshot.seq, 0),
                    pruned_seq, created, standing
             from conversation left join snapshot on snapshot.conversation = id where id = ?1",
        )?
        .query_row([id], |row| {
            Ok(ConversationExport {
                id: id.to_owned(),
                integration: row.get(0)?,
                customer: row.get(1)?,
                seq: row.get(2)?,
                due: row.get(3)?,
                watched: row.get(4)?,
                snapshot: row.get(5)?,
                snapshot_seq: row.get(6)?,
                pruned_seq: row.get(7)?,
                created: row.get(8)?,
                standing: row.get(9)?,
                messages: Vec::new(),
                inbox: Vec::new(),
                journal: Vec::new(),
                outbox: Vec::new(),
                genesys: Vec::new(),
            })
        })
        .optional()?;
    let Some(mut bundle) = bundle else { return Ok(None) };
    bundle.messages = export_messages(connection, id)?;
    bundle.inbox = connection
        .prepare_cached("select customers, input from inbox where conversation = ?1 order by seq")?
        .query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    bundle.journal = export_journal(connection, id)?;
    bundle.outbox = export_outbox(connection, id)?;
    bundle.genesys = connection
        .prepare_cached(
            "select id, since from genesys_conversation where conversation = ?1 order by id",
        )?
        .query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(bundle))
}

/// The messages of a conversation, oldest first.
fn export_messages(connection: &Connection, id: &str) -> rusqlite::Result<Vec<ExportedMessage>> {
    let sql = format!(
        "{CHAIN} select integration, direction, id, foreign_id, received, state, reason, receipt, settled,
                (select body from body where seq = message.seq), service_id
         from message where seq in (select seq from chain) order by seq"
    );
    connection
        .prepare_cached(&sql)?
        .query_map([id], |row| {
            Ok(ExportedMessage {
                integration: row.get(0)?,
                direction: row.get(1)?,
                id: row.get(2)?,
                foreign_id: row.get(3)?,
                received: row.get(4)?,
                state: row.get(5)?,
                reason: row.get(6)?,
                receipt: row.get(7)?,
                settled: row.get(8)?,
                body: row.get(9)?,
                service_id: row.get::<_, Option<String>>(10)?.map(as_key),
            })
        })?
        .collect()
}

/// The records of a conversation, each with its number and time.
fn export_journal(connection: &Connection, id: &str) -> rusqlite::Result<Vec<(u64, i64, String)>> {
    let mut journal = Vec::new();
    for step in steps(connection, id, 0)? {
        for (seq, record) in (step.seq..).zip(step.records) {
            let record = String::from_utf8(record).map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(3, Type::Text, Box::new(error))
            })?;
            journal.push((seq, step.at, record));
        }
    }
    Ok(journal)
}

/// What Genesys is owed about a conversation, oldest first.
fn export_outbox(connection: &Connection, id: &str) -> rusqlite::Result<Vec<OutboxRow>> {
    connection
        .prepare_cached(
            "select integration, key, lazy, since, owed from outbox where \
            conversation = ?1 order by seq",
        )?
        .query_map([id], |row| {
            let (integration, key, lazy) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(OutboxRow { integration, key, lazy, since: row.get(3)?, owed: row.get(4)? })
        })?
        .collect()
}

fn remove(connection: &Connection, id: &str) -> rusqlite::Result<()> {
    remove_messages(connection, id)?;
    remove_steps(connection, id)?;
    for sql in [
        "delete from outbox where conversation = ?1",
        "delete from inbox where conversation = ?1",
        "delete from snapshot where conversation = ?1",
        "delete from genesys_conversation where conversation = ?1",
        "delete from conversation where id = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([id])?;
    }
    Ok(())
}

fn import(
    connection: &Connection,
    bundle: &ConversationExport,
    written: &mut TxState,
) -> rusqlite::Result<()> {
    let step = import_journal(connection, bundle)?;
    let message = import_messages(connection, bundle)?;
    connection
        .prepare_cached(
            "insert into conversation (id, integration, customer, seq, due, watched, pruned_seq, step, oldest,
                                       message, created, standing)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            bundle.id,
            bundle.integration,
            bundle.customer,
            bundle.seq,
            bundle.due,
            bundle.watched,
            bundle.pruned_seq,
            step,
            bundle.journal.first().map_or(0, |(_, at, _)| *at),
            message,
            bundle.created,
            bundle.standing
        ])?;
    if let Some(state) = &bundle.snapshot {
        connection
            .prepare_cached("insert into snapshot (conversation, seq, state) values (?1, ?2, ?3)")?
            .execute(params![bundle.id, bundle.snapshot_seq, state])?;
    }
    for (genesys, since) in &bundle.genesys {
        keep_genesys_conversation(connection, &bundle.id, genesys, *since)?;
    }
    import_inbox_and_outbox(connection, bundle, written)
}

/// Writes the journal. Returns the id of its last step, which the conversation must name.
fn import_journal(
    connection: &Connection,
    bundle: &ConversationExport,
) -> rusqlite::Result<Option<i64>> {
    let mut step = None;
    // Records with the same time become one step, even if they were several. Nothing depends on the
    // difference.
    for records in bundle.journal.chunk_by(|(_, one, _), (_, other, _)| one == other) {
        let (seq, at, _) = records[0];
        step = write_step(
            connection,
            &bundle.id,
            step,
            (seq, at),
            records.iter().map(|(_, _, record)| record.clone()),
        )?;
    }
    Ok(step)
}

/// Writes the messages, each of which names the one before it. Returns the row of the last, which
/// the conversation must name.
fn import_messages(
    connection: &Connection,
    bundle: &ConversationExport,
) -> rusqlite::Result<Option<i64>> {
    let mut last = None;
    for message in &bundle.messages {
        connection
            .prepare_cached(
                "insert into message (integration, direction, id, foreign_id, conversation, received, state, reason,
                                      receipt, settled, service_id, before)
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute(params![
                message.integration,
                message.direction,
                message.id,
                message.foreign_id,
                bundle.id,
                message.received,
                message.state,
                message.reason,
                message.receipt,
                message.settled,
                message.service_id,
                last
            ])?;
        last = Some(keep_body(connection, &message.body)?);
    }
    Ok(last)
}

fn import_inbox_and_outbox(
    connection: &Connection,
    bundle: &ConversationExport,
    written: &mut TxState,
) -> rusqlite::Result<()> {
    for (customers, input) in &bundle.inbox {
        connection
            .prepare_cached(
                "insert into inbox (seq, conversation, customers, input) values (?1, ?2, ?3, ?4)",
            )?
            .execute(params![written.next_in_inbox(), bundle.id, customers, input])?;
    }
    for row in &bundle.outbox {
        connection
            .prepare_cached(
                "insert into outbox (conversation, key, integration, lazy, seq, since, owed)
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                bundle.id,
                row.key,
                row.integration,
                row.lazy,
                written.next_in_outbox(),
                row.since,
                row.owed
            ])?;
    }
    Ok(())
}
