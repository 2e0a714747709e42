//! Queries. Each sees the data of exactly one commit.

use std::collections::BTreeMap;

use conversation::{Conversation, ConversationId, IntegrationName, MessageId};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::cause::JsonError;
use crate::damage;
use crate::json::from_json;
use crate::mistake::{self, Mistake};
use crate::portable::key;
use crate::{
    Direction, Dossier, Due, InboxItem, JournalRow, Loaded, MessageRow, OutboxItem, OutboxLane,
    StoreError, WatchedConversation,
};

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..) => Self::Corrupt(error.into()),
            error => Self::Unavailable(error.into()),
        }
    }
}

pub(super) fn load(
    connection: &Connection,
    id: &ConversationId,
) -> Result<Option<Loaded>, StoreError> {
    // A transaction, so that the several statements see the same commit.
    let reading = connection.unchecked_transaction()?;
    let found = reading
        .prepare_cached(
            "select integration, customer, snapshot.state, coalesce(snapshot.seq, 0), conversation.seq
             from conversation left join snapshot on snapshot.conversation = id where id = ?1",
        )?
        .query_row([id.as_str()], |row| {
            let integration: String = row.get(0)?;
            let snapshot: Option<String> = row.get(2)?;
            Ok((integration, row.get::<_, String>(1)?, snapshot, row.get::<_, u64>(3)?, row.get::<_, u64>(4)?))
        })
        .optional()?;
    let Some((integration, customer, snapshot, snapshot_seq, seq)) = found else { return Ok(None) };
    let snapshot: Conversation =
        snapshot.map_or(Ok(Conversation::default()), |json| from_json(&json))?;
    let mut records = Vec::new();
    for row in rows_of_journal(&reading, id, snapshot_seq)? {
        let record = row.record.map_err(|error| {
            StoreError::corrupt_at(format!("journal of {id}, seq {}", row.seq), error)
        })?;
        records.push((row.at, record));
    }
    if snapshot_seq.checked_add(records.len() as u64) != Some(seq) {
        let missing = format!("steps are missing behind seq {snapshot_seq}");
        return Err(StoreError::corrupt_at(format!("journal of {id}"), missing));
    }
    let state = Conversation::replay(snapshot, records);
    Ok(Some(Loaded {
        integration: IntegrationName::new(integration),
        customer,
        state,
        seq,
        snapshot_seq,
    }))
}

pub(super) fn inbox(
    connection: &Connection,
    conversation: &ConversationId,
    customers: bool,
    limit: usize,
) -> Result<Vec<InboxItem>, StoreError> {
    let mut statement = connection.prepare_cached(&mistake::sql(
        Mistake::InboxOrder,
        "select seq, input from inbox where conversation = ?1 and customers <= ?2 order by seq \
         limit ?3",
        "order by seq",
        "order by seq desc",
    ))?;
    let rows = statement
        .query_map(params![conversation.as_str(), customers, most(limit)], |row| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?))
        })?;
    rows.map(|row| {
        let (seq, input) = row?;
        let damaged = |error: serde_json::Error| {
            StoreError::corrupt_at(format!("inbox row {seq} of {conversation}"), error)
        };
        Ok(InboxItem { seq, input: serde_json::from_str(&input).map_err(damaged)? })
    })
    .collect()
}

/// Whether any inbox has a row with at most this number.
pub(super) fn has_inbox_up_to(connection: &Connection, last: u64) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached("select 1 from inbox where seq <= ?1 limit 1")?.exists([last])?)
}

const MESSAGE: &str =
    "select id, direction, conversation, foreign_id, received, state, reason, receipt,
                              (select body from body where seq = message.seq) as body, settled
                       from message";
/// Without the body, but with a flag that says whether there is one.
const MESSAGE_HEAD: &str = "
    select id, direction, conversation, foreign_id, received, state, reason, receipt, x'', settled,
        exists (select 1 from body where seq = message.seq)
    from message";

pub(super) fn message_row(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    let direction: String = row.get(1)?;
    Ok(MessageRow {
        id: MessageId::new(row.get::<_, String>(0)?),
        direction: Direction::named(&direction),
        conversation: ConversationId::new(row.get::<_, String>(2)?),
        foreign_id: row.get(3)?,
        received: time(row, 4)?,
        state: row.get(5)?,
        reason: row.get(6)?,
        receipt: row.get(7)?,
        body: row.get(8)?,
        settled: row.get::<_, Option<i64>>(9)?.map(|millis| moment(9, millis)).transpose()?,
    })
}

pub(super) fn message(
    connection: &Connection,
    integration: &IntegrationName,
    direction: Direction,
    id: &MessageId,
) -> Result<Option<MessageRow>, StoreError> {
    let sql = format!("{MESSAGE} where id = ?1 and direction = ?2 and integration = ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement
        .query_row(params![id.as_str(), direction.as_str(), integration.as_str()], message_row);
    Ok(found.optional()?)
}

/// The start of a statement that reads from `chain`: the sequence numbers of the messages of the
/// conversation `?1`. Each message names the one before it, so they are found from the last to the
/// first. Even in a damaged file, the chain never enters another conversation's messages.
pub(super) const CHAIN: &str = "with recursive chain (seq, before) as (
    select seq, before from message where seq = (select message from conversation where id = ?1) and conversation = ?1
    union all
    select message.seq, message.before from chain join message on message.seq = chain.before
        where message.seq < chain.seq and message.conversation = ?1
)";

/// The sequence number of a message of the conversation that is named but missing. The messages
/// before it cannot be found either.
pub(super) fn missing_message(
    connection: &Connection,
    conversation: &str,
) -> rusqlite::Result<Option<i64>> {
    let sql = format!(
        "{CHAIN} select named from (select message as named from conversation where id = ?1 union all select before from chain)
         where named is not null and named not in (select seq from chain)"
    );
    connection.prepare_cached(&sql)?.query_row([conversation], |row| row.get(0)).optional()
}

/// Fails if a message of the conversation is missing.
pub(super) fn has_every_message(
    connection: &Connection,
    conversation: &str,
) -> Result<(), StoreError> {
    match missing_message(connection, conversation)? {
        None => Ok(()),
        Some(seq) => {
            let row = format!("message row {seq} of {conversation}");
            Err(StoreError::corrupt_at(row, "it is missing"))
        }
    }
}

fn messages(
    connection: &Connection,
    conversation: &ConversationId,
) -> Result<Vec<MessageRow>, StoreError> {
    has_every_message(connection, conversation.as_str())?;
    let sql = format!("{CHAIN} {MESSAGE_HEAD} where seq in (select seq from chain) order by seq");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement
        .query_map([conversation.as_str()], |row| Ok((message_row(row)?, row.get(10)?)))?;
    rows.map(|row| match row? {
        (message, true) => Ok(message),
        (MessageRow { direction, id, .. }, false) => {
            let row = format!("message row ({}, {id}) of {conversation}", direction.as_str());
            Err(StoreError::corrupt_at(row, "its body is missing"))
        }
    })
    .collect()
}

pub(super) fn with_pending_input(
    connection: &Connection,
    after: Option<&ConversationId>,
    limit: usize,
) -> Result<Vec<ConversationId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select distinct conversation from inbox where conversation > ?1 order by conversation \
         limit ?2",
    )?;
    let after = after.map_or("", ConversationId::as_str);
    let rows = statement.query_map(params![after, damage::most(limit)], |row| {
        Ok(ConversationId::new(row.get::<_, String>(0)?))
    })?;
    damage::readable(rows.map(|row| row.map_err(StoreError::from)), limit)
}

pub(super) fn due(
    connection: &Connection,
    after: Option<&Due>,
    until: Timestamp,
    limit: usize,
) -> Result<Vec<Due>, StoreError> {
    let mut statement = connection.prepare_cached(&mistake::sql(
        Mistake::DueOrder,
        "select id, due from conversation where due >= ?1 and (due, id) > (?1, ?2) and due <= ?3
         order by due, id limit ?4",
        "order by due",
        "order by due desc",
    ))?;
    let (at, id) = Due::place(after);
    let rows = statement.query_map(
        params![at, id, until.as_millisecond(), damage::most(limit)],
        |row| {
            Ok(Due {
                conversation: ConversationId::new(row.get::<_, String>(0)?),
                at: time(row, 1)?,
            })
        },
    )?;
    damage::readable(rows.map(|row| row.map_err(StoreError::from)), limit)
}

pub(super) fn outbox(
    connection: &Connection,
    integration: &IntegrationName,
    lane: OutboxLane,
    after: u64,
    limit: usize,
) -> Result<Vec<OutboxItem>, StoreError> {
    let mut statement = connection.prepare_cached(&mistake::sql(
        Mistake::OutboxOrder,
        "select seq, conversation, since, owed,
            (select customer from conversation where id = outbox.conversation) from outbox
         where integration = ?1 and lazy = ?2 and seq > ?3 order by seq limit ?4",
        "order by seq",
        "order by seq desc",
    ))?;
    let params = params![integration.as_str(), lane.is_lazy(), after, damage::most(limit)];
    let rows = statement.query_map(params, outbox_row)?;
    damage::readable(rows.map(outbox_item), limit)
}

pub(super) fn watched(
    connection: &Connection,
    integration: &IntegrationName,
    after: Option<&ConversationId>,
    limit: usize,
) -> Result<Vec<WatchedConversation>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select id, watched from conversation
         where integration = ?1 and id > ?2 and watched is not null order by id limit ?3",
    )?;
    let after = after.map_or("", ConversationId::as_str);
    let rows =
        statement.query_map(params![integration.as_str(), after, damage::most(limit)], |row| {
            let genesys: String = row.get(1)?;
            Ok(WatchedConversation {
                conversation: ConversationId::new(row.get::<_, String>(0)?),
                genesys: genesys.into(),
            })
        })?;
    damage::readable(rows.map(|row| row.map_err(StoreError::from)), limit)
}

/// A conversation with a session is watched, and one that asks for a session has a wake-up time.
pub(super) fn in_touch(
    connection: &Connection,
    integration: &IntegrationName,
    after: Option<&ConversationId>,
    limit: usize,
) -> Result<Vec<ConversationId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select id from conversation
         where integration = ?1 and id > ?2 and (watched is not null or due is not null) order by id limit ?3",
    )?;
    let after = after.map_or("", ConversationId::as_str);
    let rows = statement.query_map(params![integration.as_str(), after, most(limit)], |row| {
        row.get::<_, String>(0)
    })?;
    Ok(rows.map(|id| Ok(ConversationId::new(id?))).collect::<rusqlite::Result<_>>()?)
}

pub(super) fn undelivered_besides(
    connection: &Connection,
    integration: &IntegrationName,
    besides: &ConversationId,
    enough: usize,
) -> Result<usize, StoreError> {
    let mut statement = connection.prepare_cached(
        "select count(*) from (
             select distinct conversation from outbox
             where integration = ?1 and lazy = 0 and key like 'inbound/%' and conversation <> ?2 limit ?3
         )",
    )?;
    Ok(statement
        .query_row(params![integration.as_str(), besides.as_str(), most(enough)], |row| {
            row.get(0)
        })?)
}

/// Uses an index that contains only dead letters.
pub(super) fn dead_letters(
    connection: &Connection,
) -> Result<BTreeMap<IntegrationName, u64>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select integration, count(*) from message indexed by message_refused
         where direction = 'inbound' and state = 'refused' group by integration",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    rows.map(|row| row.map(|(name, count)| (IntegrationName::new(name), count)).map_err(Into::into))
        .collect()
}

pub(super) fn has_event(
    connection: &Connection,
    integration: &IntegrationName,
    id: &str,
) -> rusqlite::Result<bool> {
    let mut statement =
        connection.prepare_cached("select 1 from event where id = ?1 and integration = ?2")?;
    statement.exists(params![key(id).as_str(), integration.as_str()])
}

fn owed(
    connection: &Connection,
    conversation: &ConversationId,
) -> Result<Vec<OutboxItem>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select seq, conversation, since, owed,
            (select customer from conversation where id = outbox.conversation) from outbox
         where conversation = ?1 order by seq",
    )?;
    let rows = statement.query_map([conversation.as_str()], outbox_row)?;
    rows.map(outbox_item).collect()
}

type OutboxColumns = (u64, String, Timestamp, String, Option<String>);

fn outbox_row(row: &Row<'_>) -> rusqlite::Result<OutboxColumns> {
    Ok((row.get(0)?, row.get(1)?, time(row, 2)?, row.get(3)?, row.get(4)?))
}

fn outbox_item(row: rusqlite::Result<OutboxColumns>) -> Result<OutboxItem, StoreError> {
    let (seq, conversation, since, owed, customer) = row?;
    let damaged = |error: serde_json::Error| {
        StoreError::corrupt_at(format!("outbox row {seq} of {conversation}"), error)
    };
    let owed = serde_json::from_str(&owed).map_err(damaged)?;
    Ok(OutboxItem {
        seq,
        conversation: ConversationId::new(conversation),
        customer: customer.unwrap_or_default().into(),
        since,
        owed,
        doubt: false,
        epoch: 0,
    })
}

pub(super) fn has_conversation(
    connection: &Connection,
    integration: &IntegrationName,
    id: &ConversationId,
) -> Result<bool, StoreError> {
    let mut statement = connection
        .prepare_cached("select 1 from conversation where id = ?1 and integration = ?2")?;
    Ok(statement.exists(params![id.as_str(), integration.as_str()])?)
}

pub(super) fn conversations(
    connection: &Connection,
    after: Option<&ConversationId>,
    limit: usize,
) -> Result<Vec<ConversationId>, StoreError> {
    let mut statement = connection
        .prepare_cached("select id from conversation where id > ?1 order by id limit ?2")?;
    let after = after.map_or("", ConversationId::as_str);
    let rows = statement.query_map(params![after, most(limit)], |row| {
        Ok(ConversationId::new(row.get::<_, String>(0)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn dossier(
    connection: &Connection,
    id: &ConversationId,
) -> Result<Option<Dossier>, StoreError> {
    // A transaction, so that the several statements see the same commit.
    let reading = connection.unchecked_transaction()?;
    let row = reading
        .prepare_cached(
            "select integration, customer, seq, pruned_seq from conversation where id = ?1",
        )?
        .query_row([id.as_str()], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, u64>(2)?,
                row.get::<_, u64>(3)?,
            ))
        })
        .optional()?;
    let Some((integration, customer, seq, pruned_seq)) = row else { return Ok(None) };
    Ok(Some(Dossier {
        id: id.clone(),
        integration: IntegrationName::new(integration),
        customer,
        seq,
        pruned_seq,
        inbox: inbox(&reading, id, true, usize::MAX)?,
        journal: rows_of_journal(&reading, id, 0)?,
        messages: messages(&reading, id)?,
        owed: owed(&reading, id)?,
    }))
}

fn rows_of_journal(
    connection: &Connection,
    conversation: &ConversationId,
    after: u64,
) -> Result<Vec<JournalRow>, StoreError> {
    let mut rows = Vec::new();
    for step in steps(connection, conversation.as_str(), after)? {
        let at = Timestamp::from_millisecond(step.at)
            .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(2, step.at))?;
        for (seq, record) in (step.seq..).zip(step.records).filter(|(seq, _)| *seq > after) {
            // Damaged bytes affect only this record, because an audit must be able to read the
            // others.
            let record =
                serde_json::from_slice(&record).map_err(|error| JsonError::from(error).to_string());
            rows.push(JournalRow { seq, at, record });
        }
    }
    Ok(rows)
}

/// One step's decisions, as the journal stores them.
pub(super) struct JournalStep {
    pub(super) id: i64,
    /// The sequence number of the first record.
    pub(super) seq: u64,
    pub(super) at: i64,
    pub(super) records: Vec<Vec<u8>>,
}

impl JournalStep {
    /// The sequence number of the last record.
    pub(super) fn last(&self) -> u64 {
        self.seq + self.records.len() as u64 - 1
    }
}

/// The steps of a conversation that have records after `after`, in order.
pub(super) fn steps(
    connection: &Connection,
    conversation: &str,
    after: u64,
) -> rusqlite::Result<Vec<JournalStep>> {
    let mut statement = connection.prepare_cached(&mistake::sql(
        Mistake::JournalOrder,
        "with recursive steps (step, before, seq, at, records) as (
            select step, before, seq, at, records from journal
                where step = (select step from conversation where id = ?1 and seq > ?2) and conversation = ?1
            union all
            -- Even in a damaged file, go only to earlier steps of this conversation.
            select journal.step, journal.before, journal.seq, journal.at, journal.records
                from steps join journal on journal.step = steps.before
                where steps.seq > ?2 + 1 and journal.step < steps.step and journal.conversation = ?1
         ) select step, seq, at, records from steps order by seq",
        "from steps order by seq",
        "from steps order by seq desc",
    ))?;
    let steps = statement.query_map(params![conversation, after], |row| {
        let records =
            row.get_ref(3)?.as_bytes()?.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        Ok(JournalStep { id: row.get(0)?, seq: row.get(1)?, at: row.get(2)?, records })
    })?;
    steps.collect()
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    moment(column, row.get(column)?)
}

fn moment(column: usize, millis: i64) -> rusqlite::Result<Timestamp> {
    Timestamp::from_millisecond(millis)
        .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, millis))
}

fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
