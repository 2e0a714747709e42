//! Finds what an id names. Each part of the query uses an index.

use conversation::{ConversationId, IntegrationName, MessageId};
use rusqlite::{Connection, params};

use crate::portable::as_key;
use crate::{Direction, Found, FoundBy, StoreError};

/// The columns: conversation, integration, direction, message, and what kind of id it is.
const FIND: &str = "
    select message.conversation, message.integration, direction, message.id, 'message'
        from message where message.id = ?2
    union all
    select message.conversation, message.integration, direction, message.id, 'service_message'
        from message where service_id = ?2
    union all
    select id, integration, null, null, 'conversation' from conversation where id = ?1
    union all
    select conversation.id, integration, null, null, 'genesys_conversation'
        from genesys_conversation
            join conversation on conversation.id = genesys_conversation.conversation
        where genesys_conversation.id = ?2
    limit ?3";

pub(super) fn find(
    connection: &Connection,
    id: &str,
    limit: usize,
) -> Result<Vec<Found>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(FIND)?;
    let rows = statement.query_map(params![id, as_key(id.to_owned()), limit], |row| {
        let direction: Option<String> = row.get(2)?;
        let message: Option<String> = row.get(3)?;
        let by: String = row.get(4)?;
        Ok(Found {
            conversation: ConversationId::new(row.get::<_, String>(0)?),
            integration: IntegrationName::new(row.get::<_, String>(1)?),
            message: direction
                .zip(message)
                .map(|(direction, id)| (Direction::named(&direction), MessageId::new(id))),
            by: FoundBy::named(&by).unwrap_or(FoundBy::Message),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Keeps Genesys's id of a conversation, with the time since when it is known.
pub(super) fn keep_genesys_conversation(
    connection: &Connection,
    conversation: &str,
    genesys: &str,
    since: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "insert into genesys_conversation (id, conversation, since) values (?1, ?2, ?3)
             on conflict do nothing",
        )?
        .execute(params![genesys, conversation, since])?;
    Ok(())
}

/// Removes the ids from before `before`, except the last one.
pub(super) fn forget_genesys_conversations(
    connection: &Connection,
    conversation: &str,
    before: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "delete from genesys_conversation where conversation = ?1 and since < ?2 and since <
                (select max(since) from genesys_conversation where conversation = ?1)",
        )?
        .execute(params![conversation, before])?;
    Ok(())
}
