//! Queries. Each sees exactly one commit.

use std::collections::BTreeMap;

use conversation::{Conversation, ConversationId, IntegrationName, MessageId, Record};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::json::from_json;
use crate::mistake::{self, Mistake};
use crate::portable::key;
use crate::{
    Direction, Dossier, Due, InboxItem, JournalRow, Loaded, MessageRow, OutboxItem, StoreError,
    WatchedConversation,
};

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..) => Self::Corrupt(error.to_string()),
            error => Self::Unavailable(error.to_string()),
        }
    }
}

pub(super) fn load(
    connection: &Connection,
    id: &ConversationId,
) -> Result<Option<Loaded>, StoreError> {
    // There are several statements, so a transaction keeps them on the same commit.
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
            StoreError::Corrupt(format!("journal of {id}, seq {}: {error}", row.seq))
        })?;
        records.push((row.at, record));
    }
    if snapshot_seq.checked_add(records.len() as u64) != Some(seq) {
        return Err(StoreError::Corrupt(format!(
            "journal of {id}: steps are missing behind seq {snapshot_seq}"
        )));
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
            StoreError::Corrupt(format!("inbox row {seq} of {conversation}: {error}"))
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
                              (select body from body where seq = message.seq) as body from message";
/// Without the body, but with whether there is one.
const MESSAGE_HEAD: &str = "select id, direction, conversation, foreign_id, received, state, reason, receipt, x'',
                                   exists (select 1 from body where seq = message.seq) from message";

fn message_row(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    let direction: String = row.get(1)?;
    Ok(MessageRow {
        id: MessageId::new(row.get::<_, String>(0)?),
        direction: if direction == "inbound" { Direction::Inbound } else { Direction::Outbound },
        conversation: ConversationId::new(row.get::<_, String>(2)?),
        foreign_id: row.get(3)?,
        received: time(row, 4)?,
        state: row.get(5)?,
        reason: row.get(6)?,
        receipt: row.get(7)?,
        body: row.get(8)?,
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

/// The start of a statement that reads from `chain`: the numbers of the messages of the
/// conversation `?1`. They are found from the last to the first, as each names the one before it.
/// The chain never enters another conversation's messages, even in a damaged file.
pub(super) const CHAIN: &str = "with recursive chain (seq, before) as (
    select seq, before from message where seq = (select message from conversation where id = ?1) and conversation = ?1
    union all
    select message.seq, message.before from chain join message on message.seq = chain.before
        where message.seq < chain.seq and message.conversation = ?1
)";

/// The number of a conversation's message that is named but missing. The messages before it cannot
/// be found either.
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

/// Returns an error if some message of a conversation cannot be found.
pub(super) fn has_every_message(
    connection: &Connection,
    conversation: &str,
) -> Result<(), StoreError> {
    match missing_message(connection, conversation)? {
        None => Ok(()),
        Some(seq) => {
            Err(StoreError::Corrupt(format!("message row {seq} of {conversation}: it is missing")))
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
    let rows =
        statement.query_map([conversation.as_str()], |row| Ok((message_row(row)?, row.get(9)?)))?;
    rows.map(|row| match row? {
        (message, true) => Ok(message),
        (MessageRow { direction, id, .. }, false) => Err(StoreError::Corrupt(format!(
            "message row ({}, {id}) of {conversation}: its body is missing",
            direction.as_str()
        ))),
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
    let rows = statement.query_map(params![after, most(limit)], |row| {
        Ok(ConversationId::new(row.get::<_, String>(0)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
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
    let rows =
        statement.query_map(params![at, id, until.as_millisecond(), most(limit)], |row| {
            Ok(Due {
                conversation: ConversationId::new(row.get::<_, String>(0)?),
                at: time(row, 1)?,
            })
        })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn outbox(
    connection: &Connection,
    integration: &IntegrationName,
    urgent: bool,
    after: u64,
    limit: usize,
) -> Result<Vec<OutboxItem>, StoreError> {
    let mut statement = connection.prepare_cached(&mistake::sql(
        Mistake::OutboxOrder,
        "select seq, conversation, since, owed from outbox
         where integration = ?1 and lazy = ?2 and seq > ?3 order by seq limit ?4",
        "order by seq",
        "order by seq desc",
    ))?;
    let rows = statement
        .query_map(params![integration.as_str(), !urgent, after, most(limit)], outbox_row)?;
    rows.map(outbox_item).collect()
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
    let rows = statement.query_map(params![integration.as_str(), after, most(limit)], |row| {
        let genesys: String = row.get(1)?;
        Ok(WatchedConversation {
            conversation: ConversationId::new(row.get::<_, String>(0)?),
            genesys: genesys.into(),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A conversation with a session is watched, and one that asks for a session wants to be woken.
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
) -> Result<bool, StoreError> {
    let mut statement =
        connection.prepare_cached("select 1 from event where id = ?1 and integration = ?2")?;
    Ok(statement.exists(params![key(id).as_str(), integration.as_str()])?)
}

fn owed(
    connection: &Connection,
    conversation: &ConversationId,
) -> Result<Vec<OutboxItem>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select seq, conversation, since, owed from outbox where conversation = ?1 order by seq",
    )?;
    let rows = statement.query_map([conversation.as_str()], outbox_row)?;
    rows.map(outbox_item).collect()
}

type OutboxColumns = (u64, String, Timestamp, String);

fn outbox_row(row: &Row<'_>) -> rusqlite::Result<OutboxColumns> {
    Ok((row.get(0)?, row.get(1)?, time(row, 2)?, row.get(3)?))
}

fn outbox_item(row: rusqlite::Result<OutboxColumns>) -> Result<OutboxItem, StoreError> {
    let (seq, conversation, since, owed) = row?;
    let damaged = |error: serde_json::Error| {
        StoreError::Corrupt(format!("outbox row {seq} of {conversation}: {error}"))
    };
    let owed = serde_json::from_str(&owed).map_err(damaged)?;
    Ok(OutboxItem {
        seq,
        conversation: ConversationId::new(conversation),
        since,
        owed,
        doubt: false,
        epoch: 0,
    })
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
    // Several statements, one commit.
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
            // Damaged bytes affect only this record: an audit must be able to read the others.
            let record =
                serde_json::from_slice::<Record>(&record).map_err(|error| error.to_string());
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
            -- Back in time only, and through nobody else's journal, whatever a damaged file says.
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

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let millis: i64 = row.get(column)?;
    Timestamp::from_millisecond(millis)
        .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, millis))
}

fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
