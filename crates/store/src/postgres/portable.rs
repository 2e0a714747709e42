//! Export from the database, and import into it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use conversation::ConversationId;
use serde::Deserialize;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::PostgresStore;
use super::append::{signed, unsigned};
use super::find::keep_genesys_conversations;
use super::link::Error;
use super::text::{escape, unescape};
use super::writer::transaction;
use crate::StoreError;
use crate::json::from_json;
use crate::portable::{
    ConversationExport, Early, EventCursor, ExportedMessage, Fingerprint, OutboxRow, Portable,
    SeenEvent,
};

/// The message that a copied record is about. The record may be of a later version, so only this
/// field is read.
#[derive(Deserialize)]
struct RecordSubject {
    message: Option<String>,
}

#[async_trait]
impl Portable for PostgresStore {
    async fn is_in_use(&self) -> Result<bool, StoreError> {
        let sql = "select exists (select from tidegate.node where until > now())";
        Ok(self.0.readers.query(sql, &[]).await?[0].try_get(0)?)
    }

    async fn mark(&self, conversation: &ConversationId) -> Result<Option<Fingerprint>, StoreError> {
        let sql = "select seq, pruned_seq, (select count(*) from tidegate.message where conversation = $1),
                          (select count(*) from tidegate.inbox where conversation = $1)
                   from tidegate.conversation where id = $1";
        let rows = self.0.readers.query(sql, &[(&conversation.as_str(), Type::TEXT)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let number = |column| unsigned(row.try_get(column)?);
        Ok(Some(Fingerprint {
            seq: number(0)?,
            pruned_seq: number(1)?,
            messages: number(2)?,
            waiting: number(3)?,
        }))
    }

    async fn export(
        &self,
        conversation: &ConversationId,
    ) -> Result<Option<ConversationExport>, StoreError> {
        let read = self.0.aside.alone(async |client| {
            client
                .batch_execute("begin transaction isolation level repeatable read read only")
                .await?;
            let bundle = export(&client, conversation.as_str()).await?;
            client.batch_execute("commit").await?;
            Ok(bundle)
        });
        Ok(read.await?)
    }

    async fn import(
        &self,
        bundles: Vec<(ConversationId, Option<ConversationExport>)>,
    ) -> Result<(), StoreError> {
        let done = transaction(&self.0.aside, async |client| {
            let ids: Vec<&str> = bundles.iter().map(|(id, _)| id.as_str()).collect();
            remove(client, &ids).await?;
            let new: Vec<&ConversationExport> =
                bundles.iter().filter_map(|(_, bundle)| bundle.as_ref()).collect();
            import(client, &new).await
        });
        Ok(done.await?)
    }

    async fn events(
        &self,
        after: &EventCursor,
        limit: usize,
    ) -> Result<(Vec<SeenEvent>, Option<EventCursor>), StoreError> {
        let (id, integration) = after;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "select id, integration, received from tidegate.event where (id, integration) > ($1, $2)
                   order by id, integration limit $3";
        let params =
            [(id as _, Type::TEXT), (integration as _, Type::TEXT), (&limit as _, Type::INT8)];
        let rows = self.0.readers.query(sql, &params).await?;
        let seen = rows.iter().map(|row| {
            Ok(SeenEvent {
                id: row.try_get(0)?,
                integration: row.try_get(1)?,
                received: row.try_get(2)?,
            })
        });
        let events = seen.collect::<Result<Vec<_>, StoreError>>()?;
        let next = events.last().map(|last| (last.id.clone(), last.integration.clone()));
        Ok((events, next))
    }

    async fn import_events(&self, events: Vec<SeenEvent>) -> Result<(), StoreError> {
        let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
        let integrations: Vec<&str> =
            events.iter().map(|event| event.integration.as_str()).collect();
        let received: Vec<i64> = events.iter().map(|event| event.received).collect();
        let done = transaction(&self.0.aside, async |client| {
            let sql = "insert into tidegate.event (id, integration, received)
                       select * from unnest($1::text[], $2::text[], $3::int8[]) on conflict do nothing";
            let params = [
                (&ids as _, Type::TEXT_ARRAY),
                (&integrations as _, Type::TEXT_ARRAY),
                (&received as _, Type::INT8_ARRAY),
            ];
            client.query_typed(sql, &params).await?;
            Ok(())
        });
        Ok(done.await?)
    }

    async fn early(&self) -> Result<Vec<Early>, StoreError> {
        let sql = "select service_id, integration, event_id, received, report from tidegate.early";
        let rows = self.0.readers.query(sql, &[]).await?;
        let early = rows.iter().map(|row| {
            Ok(Early {
                service_id: row.try_get(0)?,
                integration: row.try_get(1)?,
                event_id: row.try_get(2)?,
                received: row.try_get(3)?,
                report: row.try_get(4)?,
            })
        });
        early.collect()
    }

    async fn import_early(&self, early: Vec<Early>) -> Result<(), StoreError> {
        let done = transaction(&self.0.aside, async |client| {
            client.batch_execute("delete from tidegate.early").await?;
            let column = |of: fn(&Early) -> &str| -> Vec<&str> { early.iter().map(of).collect() };
            let received: Vec<i64> = early.iter().map(|one| one.received).collect();
            let sql = "insert into tidegate.early (service_id, integration, event_id, received, report)
                       select * from unnest($1::text[], $2::text[], $3::text[], $4::int8[], $5::text[])";
            let params = [
                (&column(|one| &one.service_id) as _, Type::TEXT_ARRAY),
                (&column(|one| &one.integration) as _, Type::TEXT_ARRAY),
                (&column(|one| &one.event_id) as _, Type::TEXT_ARRAY),
                (&received as _, Type::INT8_ARRAY),
                (&column(|one| &one.report) as _, Type::TEXT_ARRAY),
            ];
            client.query_typed(sql, &params).await?;
            Ok(())
        });
        Ok(done.await?)
    }
}

async fn export(client: &Client, id: &str) -> Result<Option<ConversationExport>, Error> {
    let of = [(&id as _, Type::TEXT)];
    let sql = "select integration, customer, seq, due, watched, snapshot, snapshot_seq, pruned_seq,
                      created, standing
               from tidegate.conversation where id = $1";
    let Some(row) = client.query_typed(sql, &of).await?.pop() else { return Ok(None) };
    let mut bundle = ConversationExport {
        id: id.to_owned(),
        integration: row.try_get(0)?,
        customer: row.try_get(1)?,
        seq: unsigned(row.try_get(2)?)?,
        due: row.try_get(3)?,
        watched: row.try_get::<_, Option<String>>(4)?.map(unescape),
        snapshot: row.try_get(5)?,
        snapshot_seq: unsigned(row.try_get(6)?)?,
        pruned_seq: unsigned(row.try_get(7)?)?,
        created: row.try_get(8)?,
        standing: row.try_get(9)?,
        messages: Vec::new(),
        inbox: Vec::new(),
        journal: Vec::new(),
        outbox: Vec::new(),
        genesys: Vec::new(),
    };
    let sql = "select message, service_id from tidegate.service_name where conversation = $1";
    let mut names = BTreeMap::new();
    for row in client.query_typed(sql, &of).await? {
        names.insert(row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?);
    }
    let sql = "select integration, direction, id, foreign_id, received, state, reason, receipt, settled, body
               from tidegate.message where conversation = $1 order by place";
    for row in client.query_typed(sql, &of).await? {
        let (direction, id): (String, String) = (row.try_get(1)?, row.try_get(2)?);
        bundle.messages.push(ExportedMessage {
            integration: row.try_get(0)?,
            service_id: names.get(&id).filter(|_| direction == "outbound").cloned(),
            direction,
            id,
            foreign_id: unescape(row.try_get(3)?),
            received: row.try_get(4)?,
            state: row.try_get(5)?,
            reason: row.try_get::<_, Option<String>>(6)?.map(unescape),
            receipt: row.try_get(7)?,
            settled: row.try_get(8)?,
            body: row.try_get(9)?,
        });
    }
    let sql = "select customers, input from tidegate.inbox where conversation = $1 order by seq";
    for row in client.query_typed(sql, &of).await? {
        bundle.inbox.push((row.try_get(0)?, row.try_get(1)?));
    }
    let sql = "select seq, at, record from tidegate.journal where conversation = $1 order by seq";
    for row in client.query_typed(sql, &of).await? {
        bundle.journal.push((unsigned(row.try_get(0)?)?, row.try_get(1)?, row.try_get(2)?));
    }
    let sql = "select integration, key, lazy, since, owed from tidegate.outbox where conversation \
        = $1 order by seq";
    for row in client.query_typed(sql, &of).await? {
        let (integration, key, lazy) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        bundle.outbox.push(OutboxRow {
            integration,
            key,
            lazy,
            since: row.try_get(3)?,
            owed: row.try_get(4)?,
        });
    }
    bundle.genesys = export_genesys_conversations(client, id).await?;
    Ok(Some(bundle))
}

/// Genesys's ids of the conversation, ordered as every store exports them.
async fn export_genesys_conversations(
    client: &Client,
    id: &str,
) -> Result<Vec<(String, i64)>, Error> {
    let sql = "select id, since from tidegate.genesys_conversation where conversation = $1";
    let rows = client.query_typed(sql, &[(&id as _, Type::TEXT)]).await?;
    let mut genesys = Vec::with_capacity(rows.len());
    for row in rows {
        genesys.push((row.try_get(0)?, row.try_get(1)?));
    }
    genesys.sort();
    Ok(genesys)
}

async fn remove(client: &Client, ids: &[&str]) -> Result<(), Error> {
    for table in ["outbox", "journal", "inbox", "service_name", "genesys_conversation", "message"] {
        let sql = format!("delete from tidegate.{table} where conversation = any($1)");
        client.query_typed(&sql, &[(&ids, Type::TEXT_ARRAY)]).await?;
    }
    client
        .query_typed(
            "delete from tidegate.conversation where id = any($1)",
            &[(&ids, Type::TEXT_ARRAY)],
        )
        .await?;
    Ok(())
}

async fn import(client: &Client, bundles: &[&ConversationExport]) -> Result<(), Error> {
    if bundles.is_empty() {
        return Ok(());
    }
    import_conversations(client, bundles).await?;
    import_messages(client, bundles).await?;
    import_journals(client, bundles).await?;
    let genesys = bundles.iter().flat_map(|bundle| {
        bundle.genesys.iter().map(|(id, since)| (id.clone(), bundle.id.as_str(), *since))
    });
    keep_genesys_conversations(client, &genesys.collect::<Vec<_>>()).await?;
    let rows =
        || bundles.iter().flat_map(|bundle| bundle.inbox.iter().map(move |row| (bundle, row)));
    let ids: Vec<&str> = rows().map(|(bundle, _)| bundle.id.as_str()).collect();
    let customers: Vec<bool> = rows().map(|(_, (customers, _))| *customers).collect();
    let inputs: Vec<&str> = rows().map(|(_, (_, input))| input.as_str()).collect();
    client
        .query_typed(
            "insert into tidegate.inbox (conversation, customers, input)
             select conversation, customers, input from unnest($1::text[], $2::bool[], $3::text[])
                with ordinality as a (conversation, customers, input, place) order by place",
            &[
                (&ids, Type::TEXT_ARRAY),
                (&customers, Type::BOOL_ARRAY),
                (&inputs, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    let rows =
        || bundles.iter().flat_map(|bundle| bundle.outbox.iter().map(move |row| (bundle, row)));
    let ids: Vec<&str> = rows().map(|(bundle, _)| bundle.id.as_str()).collect();
    let integrations: Vec<&str> = rows().map(|(_, owed)| owed.integration.as_str()).collect();
    let keys: Vec<&str> = rows().map(|(_, owed)| owed.key.as_str()).collect();
    let lazy: Vec<bool> = rows().map(|(_, owed)| owed.lazy).collect();
    let since: Vec<i64> = rows().map(|(_, owed)| owed.since).collect();
    let owed: Vec<&str> = rows().map(|(_, owed)| owed.owed.as_str()).collect();
    client
        .query_typed(
            "insert into tidegate.outbox (conversation, integration, key, lazy, since, owed)
             select conversation, integration, key, lazy, since, owed
             from unnest($1::text[], $2::text[], $3::text[], $4::bool[], $5::int8[], $6::text[])
                with ordinality as a (conversation, integration, key, lazy, since, owed, place) order by place",
            &[
                (&ids, Type::TEXT_ARRAY),
                (&integrations, Type::TEXT_ARRAY),
                (&keys, Type::TEXT_ARRAY),
                (&lazy, Type::BOOL_ARRAY),
                (&since, Type::INT8_ARRAY),
                (&owed, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    Ok(())
}

async fn import_conversations(
    client: &Client,
    bundles: &[&ConversationExport],
) -> Result<(), Error> {
    let column = |of: fn(&ConversationExport) -> &str| -> Vec<&str> {
        bundles.iter().map(|bundle| of(bundle)).collect()
    };
    let number = |of: fn(&ConversationExport) -> u64| -> Vec<i64> {
        bundles.iter().map(|bundle| signed(of(bundle))).collect()
    };
    let due: Vec<Option<i64>> = bundles.iter().map(|bundle| bundle.due).collect();
    let watched: Vec<_> =
        bundles.iter().map(|bundle| bundle.watched.as_deref().map(escape)).collect();
    let watched: Vec<Option<&str>> = watched.iter().map(Option::as_deref).collect();
    let created: Vec<i64> = bundles.iter().map(|bundle| bundle.created).collect();
    let standing: Vec<i16> = bundles.iter().map(|bundle| bundle.standing).collect();
    let snapshots: Vec<Option<&str>> =
        bundles.iter().map(|bundle| bundle.snapshot.as_deref()).collect();
    client
        .query_typed(
            "insert into tidegate.conversation
                (id, integration, customer, seq, due, watched, snapshot, snapshot_seq, pruned_seq,
                 created, standing)
             select * from unnest($1::text[], $2::text[], $3::text[], $4::int8[], $5::int8[], $6::text[], $7::text[],
                                  $8::int8[], $9::int8[], $10::int8[], $11::int2[])",
            &[
                (&column(|bundle| &bundle.id), Type::TEXT_ARRAY),
                (&column(|bundle| &bundle.integration), Type::TEXT_ARRAY),
                (&column(|bundle| &bundle.customer), Type::TEXT_ARRAY),
                (&number(|bundle| bundle.seq), Type::INT8_ARRAY),
                (&due, Type::INT8_ARRAY),
                (&watched, Type::TEXT_ARRAY),
                (&snapshots, Type::TEXT_ARRAY),
                (&number(|bundle| bundle.snapshot_seq), Type::INT8_ARRAY),
                (&number(|bundle| bundle.pruned_seq), Type::INT8_ARRAY),
                (&created, Type::INT8_ARRAY),
                (&standing, Type::INT2_ARRAY),
            ],
        )
        .await?;
    Ok(())
}

async fn import_messages(client: &Client, bundles: &[&ConversationExport]) -> Result<(), Error> {
    let all: Vec<(&str, &ExportedMessage)> = bundles
        .iter()
        .flat_map(|bundle| bundle.messages.iter().map(|message| (bundle.id.as_str(), message)))
        .collect();
    let ids: Vec<&str> = all.iter().map(|(id, _)| *id).collect();
    let column = |of: fn(&ExportedMessage) -> &str| -> Vec<&str> {
        all.iter().map(|(_, message)| of(message)).collect()
    };
    let foreign: Vec<_> = all.iter().map(|(_, message)| escape(&message.foreign_id)).collect();
    let foreign: Vec<&str> = foreign.iter().map(AsRef::as_ref).collect();
    let reasons: Vec<_> =
        all.iter().map(|(_, message)| message.reason.as_deref().map(escape)).collect();
    let reasons: Vec<Option<&str>> = reasons.iter().map(Option::as_deref).collect();
    let receipts: Vec<Option<&str>> =
        all.iter().map(|(_, message)| message.receipt.as_deref()).collect();
    let received: Vec<i64> = all.iter().map(|(_, message)| message.received).collect();
    let settled: Vec<Option<i64>> = all.iter().map(|(_, message)| message.settled).collect();
    let bodies: Vec<&[u8]> = all.iter().map(|(_, message)| message.body.as_slice()).collect();
    client
        .query_typed(
            "insert into tidegate.message (conversation, integration, direction, id, foreign_id, received, state, reason,
                                           receipt, settled, body)
             select conversation, integration, direction, id, foreign_id, received, state, reason, receipt, settled, body
             from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int8[], $7::text[], $8::text[],
                         $9::text[], $10::int8[], $11::bytea[]) with ordinality
                as a (conversation, integration, direction, id, foreign_id, received, state, reason, receipt, settled,
                      body, place)
             order by place",
            &[
                (&ids, Type::TEXT_ARRAY),
                (&column(|message| &message.integration), Type::TEXT_ARRAY),
                (&column(|message| &message.direction), Type::TEXT_ARRAY),
                (&column(|message| &message.id), Type::TEXT_ARRAY),
                (&foreign, Type::TEXT_ARRAY),
                (&received, Type::INT8_ARRAY),
                (&column(|message| &message.state), Type::TEXT_ARRAY),
                (&reasons, Type::TEXT_ARRAY),
                (&receipts, Type::TEXT_ARRAY),
                (&settled, Type::INT8_ARRAY),
                (&bodies, Type::BYTEA_ARRAY),
            ],
        )
        .await?;
    import_undelivered(client, &ids).await?;
    import_service_names(client, &all).await
}

/// Lists the messages of these conversations that did not arrive.
async fn import_undelivered(client: &Client, conversations: &[&str]) -> Result<(), Error> {
    let sql = "insert into tidegate.undelivered (direction, integration, place, id)
               select direction, integration, place, id from tidegate.message
               where conversation = any($1) and ((direction = 'inbound' and state = 'refused')
                    or (direction = 'outbound' and state = 'failed')) on conflict do nothing";
    client.query_typed(sql, &[(&conversations, Type::TEXT_ARRAY)]).await?;
    Ok(())
}

/// Stores the chat service's ids for these messages, each with its conversation.
async fn import_service_names(
    client: &Client,
    all: &[(&str, &ExportedMessage)],
) -> Result<(), Error> {
    let named = || {
        all.iter().filter_map(|(id, message)| Some((id, message, message.service_id.as_deref()?)))
    };
    let ids: Vec<&str> = named().map(|(id, ..)| *id).collect();
    let messages: Vec<&str> = named().map(|(_, message, _)| message.id.as_str()).collect();
    let integrations: Vec<&str> =
        named().map(|(_, message, _)| message.integration.as_str()).collect();
    let received: Vec<i64> = named().map(|(_, message, _)| message.received).collect();
    let service_ids: Vec<&str> = named().map(|(.., name)| name).collect();
    client
        .query_typed(
            "insert into tidegate.service_name (service_id, integration, received, message, conversation)
             select distinct on (1, 2) *
             from unnest($1::text[], $2::text[], $3::int8[], $4::text[], $5::text[]) as a (service_id, integration)
             on conflict (service_id, integration) do update
             set message = excluded.message, conversation = excluded.conversation",
            &[
                (&service_ids, Type::TEXT_ARRAY),
                (&integrations, Type::TEXT_ARRAY),
                (&received, Type::INT8_ARRAY),
                (&messages, Type::TEXT_ARRAY),
                (&ids, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    Ok(())
}

async fn import_journals(client: &Client, bundles: &[&ConversationExport]) -> Result<(), Error> {
    let rows = || {
        bundles
            .iter()
            .flat_map(|bundle| bundle.journal.iter().map(move |row| (bundle.id.as_str(), row)))
    };
    let ids: Vec<&str> = rows().map(|(id, _)| id).collect();
    let seqs: Vec<i64> = rows().map(|(_, (seq, ..))| signed(*seq)).collect();
    let ats: Vec<i64> = rows().map(|(_, (_, at, _))| *at).collect();
    let records: Vec<&str> = rows().map(|(_, (.., record))| record.as_str()).collect();
    let about: Vec<Option<String>> = records
        .iter()
        .map(|record| from_json::<RecordSubject>(record).ok().and_then(|about| about.message))
        .collect();
    client
        .query_typed(
            "insert into tidegate.journal (conversation, seq, at, message, record)
             select * from unnest($1::text[], $2::int8[], $3::int8[], $4::text[], $5::text[])",
            &[
                (&ids, Type::TEXT_ARRAY),
                (&seqs, Type::INT8_ARRAY),
                (&ats, Type::INT8_ARRAY),
                (&about, Type::TEXT_ARRAY),
                (&records, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    Ok(())
}
