//! Queries. Each is one statement, so it sees the data of one commit. Only a dossier needs several
//! statements.

use std::collections::BTreeMap;

use conversation::{Conversation, ConversationId, IntegrationName, MessageId, Record};
use jiff::Timestamp;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::append::{signed, unsigned};
use super::link::{Error, PgReaders};
use super::text::{escape, key, unescape};
use crate::damage;
use crate::json::from_json;
use crate::mistake::{self, Mistake};
use crate::{
    Direction, Dossier, Due, InboxItem, JournalRow, Loaded, MessageRow, OutboxItem, OutboxLane,
    StoreError, WatchedConversation,
};

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        // A column does not have the type that the schema says.
        Self::Corrupt(error.into())
    }
}

pub(super) async fn load(
    readers: &PgReaders,
    id: &ConversationId,
) -> Result<Option<Loaded>, StoreError> {
    let rows = readers
        .query(
            &mistake::sql(
                Mistake::JournalOrder,
                "select c.integration, c.customer, c.snapshot_seq, c.seq, j.seq, j.at, j.record,
                        case when j.seq is null or j.seq = c.snapshot_seq + 1 then c.snapshot end
                 from tidegate.conversation as c
                 left join tidegate.journal as j on j.conversation = c.id and j.seq > c.snapshot_seq
                 where c.id = $1 order by j.seq",
                "order by j.seq",
                "order by j.seq desc",
            ),
            &[(&id.as_str(), Type::TEXT)],
        )
        .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let snapshot: Option<&str> = first.try_get(7)?;
    let snapshot: Conversation = snapshot.map_or(Ok(Conversation::default()), from_json)?;
    let mut records = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(seq) = row.try_get::<_, Option<i64>>(4)? else { break };
        let record = from_json::<Record>(row.try_get(6)?).map_err(|error| {
            StoreError::corrupt_at(format!("journal of {id}, seq {seq}"), error)
        })?;
        records.push((time(row, 5)?, record));
    }
    Ok(Some(Loaded {
        integration: IntegrationName::new(first.try_get::<_, &str>(0)?),
        customer: first.try_get(1)?,
        state: Conversation::replay(snapshot, records),
        seq: unsigned(first.try_get(3)?)?,
        snapshot_seq: unsigned(first.try_get(2)?)?,
    }))
}

const INBOX: &str =
    "select seq, input from tidegate.inbox where conversation = $1 and (not customers or $2)
                     order by seq limit $3";

pub(super) async fn inbox(
    readers: &PgReaders,
    id: &ConversationId,
    customers: bool,
    limit: usize,
) -> Result<Vec<InboxItem>, StoreError> {
    let params = [
        (&id.as_str() as _, Type::TEXT),
        (&customers as _, Type::BOOL),
        (&most(limit) as _, Type::INT8),
    ];
    let sql = mistake::sql(Mistake::InboxOrder, INBOX, "order by seq", "order by seq desc");
    readers.query(&sql, &params).await?.iter().map(|row| inbox_item(row, id)).collect()
}

fn inbox_item(row: &Row, id: &ConversationId) -> Result<InboxItem, StoreError> {
    let seq = unsigned(row.try_get(0)?)?;
    let input = from_json(row.try_get(1)?)
        .map_err(|error| StoreError::corrupt_at(format!("inbox row {seq} of {id}"), error))?;
    Ok(InboxItem { seq, input })
}

pub(super) async fn message(
    readers: &PgReaders,
    integration: &IntegrationName,
    direction: Direction,
    id: &MessageId,
) -> Result<Option<MessageRow>, StoreError> {
    let rows = readers
        .query(
            "select id, direction, conversation, foreign_id, received, state, reason, receipt, body,
                    settled
             from tidegate.message where id = $1 and direction = $2 and integration = $3",
            &[
                (&id.as_str(), Type::TEXT),
                (&direction.as_str(), Type::TEXT),
                (&integration.as_str(), Type::TEXT),
            ],
        )
        .await?;
    rows.first().map(message_row).transpose()
}

pub(super) fn message_row(row: &Row) -> Result<MessageRow, StoreError> {
    Ok(MessageRow {
        id: MessageId::new(row.try_get::<_, &str>(0)?),
        direction: Direction::named(row.try_get(1)?),
        conversation: ConversationId::new(row.try_get::<_, &str>(2)?),
        foreign_id: unescape(row.try_get(3)?),
        received: time(row, 4)?,
        state: row.try_get(5)?,
        reason: row.try_get::<_, Option<String>>(6)?.map(unescape),
        receipt: row.try_get(7)?,
        body: row.try_get(8)?,
        settled: row.try_get::<_, Option<i64>>(9)?.map(moment).transpose()?,
    })
}

fn ids(rows: &[Row]) -> Result<Vec<ConversationId>, StoreError> {
    rows.iter().map(|row| Ok(ConversationId::new(row.try_get::<_, &str>(0)?))).collect()
}

// Ids are plain ASCII, and must be ordered by their bytes, whatever the database's collation is.
pub(super) async fn with_pending_input(
    readers: &PgReaders,
    shards: &[String],
    after: Option<&ConversationId>,
    limit: usize,
) -> Result<Vec<ConversationId>, StoreError> {
    let after = after.map_or("", ConversationId::as_str);
    let rows = readers
        .query(
            "select distinct conversation from tidegate.inbox
             where conversation > $1 and substr(conversation, 2, 2) = any($3) order by conversation limit $2",
            &[(&after, Type::TEXT), (&most(limit), Type::INT8), (&shards, Type::TEXT_ARRAY)],
        )
        .await?;
    ids(&rows)
}

pub(super) async fn conversations(
    readers: &PgReaders,
    after: Option<&ConversationId>,
    limit: usize,
) -> Result<Vec<ConversationId>, StoreError> {
    let after = after.map_or("", ConversationId::as_str);
    let sql = "select id from tidegate.conversation where id > $1 order by id limit $2";
    ids(&readers.query(sql, &[(&after, Type::TEXT), (&most(limit), Type::INT8)]).await?)
}

pub(super) async fn due(
    readers: &PgReaders,
    shards: &[String],
    after: Option<&Due>,
    until: Timestamp,
    limit: usize,
) -> Result<Vec<Due>, StoreError> {
    let (at, id) = Due::place(after);
    let rows = readers
        .query(
            &mistake::sql(
                Mistake::DueOrder,
                "select id, due from tidegate.conversation
                 where due >= $1 and (due, id) > ($1, $2) and due <= $3 and substr(id, 2, 2) = any($5)
                 order by due, id limit $4",
                "order by due",
                "order by due desc",
            ),
            &[
                (&at, Type::INT8),
                (&id, Type::TEXT),
                (&until.as_millisecond(), Type::INT8),
                (&damage::most(limit), Type::INT8),
                (&shards, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    let due = |row: &Row| {
        Ok(Due { conversation: ConversationId::new(row.try_get::<_, &str>(0)?), at: time(row, 1)? })
    };
    damage::readable(rows.iter().map(due), limit)
}

pub(super) async fn outbox(
    readers: &PgReaders,
    shards: &[String],
    integration: &IntegrationName,
    lane: OutboxLane,
    after: u64,
    limit: usize,
) -> Result<Vec<OutboxItem>, StoreError> {
    let rows = readers
        .query(
            &mistake::sql(
                Mistake::OutboxOrder,
                "select seq, conversation, since, owed,
                    (select customer from tidegate.conversation where id = outbox.conversation)
                 from tidegate.outbox
                 where integration = $1 and lazy = $2 and seq > $3 and substr(conversation, 2, 2) = any($5)
                 order by seq limit $4",
                "order by seq",
                "order by seq desc",
            ),
            &[
                (&integration.as_str(), Type::TEXT),
                (&lane.is_lazy(), Type::BOOL),
                (&signed(after), Type::INT8),
                (&damage::most(limit), Type::INT8),
                (&shards, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    damage::readable(rows.iter().map(outbox_item), limit)
}

fn outbox_item(row: &Row) -> Result<OutboxItem, StoreError> {
    let (seq, conversation) =
        (unsigned(row.try_get(0)?)?, ConversationId::new(row.try_get::<_, &str>(1)?));
    let owed = from_json(row.try_get(3)?).map_err(|error| {
        StoreError::corrupt_at(format!("outbox row {seq} of {conversation}"), error)
    })?;
    let customer = row.try_get::<_, Option<&str>>(4)?.unwrap_or_default().into();
    let since = time(row, 2)?;
    Ok(OutboxItem { seq, conversation, customer, since, owed, doubt: false, epoch: 0 })
}

pub(super) async fn watched(
    readers: &PgReaders,
    shards: &[String],
    integration: &IntegrationName,
    after: Option<&ConversationId>,
    limit: usize,
) -> Result<Vec<WatchedConversation>, StoreError> {
    let after = after.map_or("", ConversationId::as_str);
    let rows = readers
        .query(
            "select id, watched from tidegate.conversation
             where integration = $1 and id > $2 and watched is not null and substr(id, 2, 2) = any($4)
             order by id limit $3",
            &[
                (&integration.as_str(), Type::TEXT),
                (&after, Type::TEXT),
                (&most(limit), Type::INT8),
                (&shards, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    let watched = |row: &Row| {
        let genesys = unescape(row.try_get(1)?).into();
        Ok(WatchedConversation {
            conversation: ConversationId::new(row.try_get::<_, &str>(0)?),
            genesys,
        })
    };
    rows.iter().map(watched).collect()
}

/// A conversation with a session is watched, and one that asks for a session has a wake-up time.
pub(super) async fn in_touch(
    readers: &PgReaders,
    integration: &IntegrationName,
    after: Option<&ConversationId>,
    limit: usize,
) -> Result<Vec<ConversationId>, StoreError> {
    let after = after.map_or("", ConversationId::as_str);
    let rows = readers
        .query(
            "select id from tidegate.conversation
             where integration = $1 and id > $2 and (watched is not null or due is not null) order by id limit $3",
            &[(&integration.as_str(), Type::TEXT), (&after, Type::TEXT), (&most(limit), Type::INT8)],
        )
        .await?;
    rows.iter().map(|row| Ok(ConversationId::new(row.try_get::<_, &str>(0)?))).collect()
}

pub(super) async fn undelivered_besides(
    readers: &PgReaders,
    integration: &IntegrationName,
    besides: &ConversationId,
    enough: usize,
) -> Result<usize, StoreError> {
    let sql = "select count(*) from (
                   select distinct conversation from tidegate.outbox
                   where integration = $1 and not lazy and key like 'inbound/%' and conversation <> $2 limit $3
               ) as other";
    let params = [
        (&integration.as_str() as _, Type::TEXT),
        (&besides.as_str() as _, Type::TEXT),
        (&most(enough) as _, Type::INT8),
    ];
    let rows = readers.query(sql, &params).await?;
    let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
    Ok(usize::try_from(count).unwrap_or_default())
}

pub(super) async fn dead_letters(
    readers: &PgReaders,
) -> Result<BTreeMap<IntegrationName, u64>, StoreError> {
    let sql = "select integration, count(*) from tidegate.undelivered where direction = 'inbound' \
        group by integration";
    let rows = readers.query(sql, &[]).await?;
    let count = |row: &Row| -> Result<_, Error> {
        let (name, count): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        Ok((IntegrationName::new(name), u64::try_from(count).unwrap_or_default()))
    };
    Ok(rows.iter().map(count).collect::<Result<_, _>>()?)
}

pub(super) async fn has_conversation(
    readers: &PgReaders,
    integration: &IntegrationName,
    id: &ConversationId,
) -> Result<bool, StoreError> {
    let sql = "select 1 from tidegate.conversation where id = $1 and integration = $2";
    // A foreign id may contain anything; escaping changes none of our own ids.
    let named = escape(id.as_str());
    let params = [(&named.as_ref() as _, Type::TEXT), (&integration.as_str() as _, Type::TEXT)];
    Ok(!readers.query(sql, &params).await?.is_empty())
}

pub(super) async fn has_event(
    readers: &PgReaders,
    integration: &IntegrationName,
    id: &str,
) -> Result<bool, StoreError> {
    let id = key(id);
    let sql = "select 1 from tidegate.event where id = $1 and integration = $2";
    let params = [(&id.as_str() as _, Type::TEXT), (&integration.as_str() as _, Type::TEXT)];
    Ok(!readers.query(sql, &params).await?.is_empty())
}

/// The caller must run this within a transaction that sees the data of one commit.
pub(super) async fn dossier(
    client: &Client,
    id: &ConversationId,
) -> Result<Option<Dossier>, Error> {
    let of = [(&id.as_str() as _, Type::TEXT)];
    let sql =
        "select integration, customer, seq, pruned_seq from tidegate.conversation where id = $1";
    let Some(row) = client.query_typed(sql, &of).await?.pop() else { return Ok(None) };
    let params =
        [(&id.as_str() as _, Type::TEXT), (&true as _, Type::BOOL), (&i64::MAX as _, Type::INT8)];
    let inbox = client.query_typed(INBOX, &params).await?;
    let sql = "select seq, at, record from tidegate.journal where conversation = $1 order by seq";
    let journal = client.query_typed(sql, &of).await?;
    let sql = "select id, direction, conversation, foreign_id, received, state, reason, receipt,
                      ''::bytea, settled
               from tidegate.message where conversation = $1 order by received, place";
    let messages = client.query_typed(sql, &of).await?;
    let sql = "select seq, conversation, since, owed, (select customer from tidegate.conversation \
        where id = outbox.conversation) from tidegate.outbox where conversation = $1 \
        order by seq";
    let owed = client.query_typed(sql, &of).await?;
    Ok(Some(Dossier {
        id: id.clone(),
        integration: IntegrationName::new(row.try_get::<_, &str>(0)?),
        customer: row.try_get(1)?,
        seq: unsigned(row.try_get(2)?)?,
        pruned_seq: unsigned(row.try_get(3)?)?,
        inbox: inbox.iter().map(|row| inbox_item(row, id)).collect::<Result<_, _>>()?,
        journal: journal.iter().map(journal_row).collect::<Result<_, _>>()?,
        messages: messages.iter().map(message_row).collect::<Result<_, _>>()?,
        owed: owed.iter().map(outbox_item).collect::<Result<_, _>>()?,
    }))
}

fn journal_row(row: &Row) -> Result<JournalRow, StoreError> {
    let record = from_json(row.try_get(2)?).map_err(|error| error.to_string());
    Ok(JournalRow { seq: unsigned(row.try_get(0)?)?, at: time(row, 1)?, record })
}

pub(super) fn time(row: &Row, column: usize) -> Result<Timestamp, StoreError> {
    moment(row.try_get(column)?)
}

fn moment(millis: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(millis)
        .map_err(|_| StoreError::Corrupt(format!("a time is {millis} ms").into()))
}

fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
