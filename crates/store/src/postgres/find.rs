//! Finds what an id names. Each part of the query uses an index.

use conversation::{ConversationId, IntegrationName, MessageId};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::link::{Error, PgReaders};
use crate::portable::as_key;
use crate::{Direction, Found, FoundBy, StoreError};

/// The columns: conversation, integration, direction, message, and what kind of id it is.
const FIND: &str = "
    select m.conversation, m.integration, m.direction, m.id, 'message'
        from tidegate.message as m where m.id = $2
    union all
    select m.conversation, m.integration, m.direction, m.id, 'service_message'
        from tidegate.service_name as n join tidegate.message as m
            on m.id = n.message and m.integration = n.integration and m.direction = 'outbound'
        where n.service_id = $2
    union all
    select id, integration, null, null, 'conversation' from tidegate.conversation where id = $1
    union all
    select c.id, c.integration, null, null, 'genesys_conversation'
        from tidegate.genesys_conversation as g
            join tidegate.conversation as c on c.id = g.conversation
        where g.id = $2
    limit $3";

pub(super) async fn find(
    readers: &PgReaders,
    id: &str,
    limit: usize,
) -> Result<Vec<Found>, StoreError> {
    // A PostgreSQL text cannot hold this character, and so no id of ours does.
    let ours = if id.contains('\0') { "" } else { id };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let key = as_key(id.to_owned());
    let params = [(&ours as _, Type::TEXT), (&key as _, Type::TEXT), (&limit as _, Type::INT8)];
    readers.query(FIND, &params).await?.iter().map(found).collect()
}

fn found(row: &Row) -> Result<Found, StoreError> {
    let direction: Option<&str> = row.try_get(2)?;
    let message: Option<&str> = row.try_get(3)?;
    Ok(Found {
        conversation: ConversationId::new(row.try_get::<_, &str>(0)?),
        integration: IntegrationName::new(row.try_get::<_, &str>(1)?),
        message: direction
            .zip(message)
            .map(|(direction, id)| (Direction::named(direction), MessageId::new(id))),
        by: FoundBy::named(row.try_get(4)?).unwrap_or(FoundBy::Message),
    })
}

/// Keeps Genesys's ids of conversations: the key, the conversation, and since when it is known.
pub(super) async fn keep_genesys_conversations(
    client: &Client,
    rows: &[(String, &str, i64)],
) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = rows.iter().map(|(key, ..)| key.as_str()).collect();
    let conversations: Vec<&str> = rows.iter().map(|(_, conversation, _)| *conversation).collect();
    let since: Vec<i64> = rows.iter().map(|(.., since)| *since).collect();
    client
        .query_typed(
            "insert into tidegate.genesys_conversation (id, conversation, since)
             select * from unnest($1::text[], $2::text[], $3::int8[]) order by 1, 2
             on conflict do nothing",
            &[
                (&keys, Type::TEXT_ARRAY),
                (&conversations, Type::TEXT_ARRAY),
                (&since, Type::INT8_ARRAY),
            ],
        )
        .await?;
    Ok(())
}

/// Removes the ids from before `before`, except the last one of each conversation.
pub(super) async fn forget_genesys_conversations(
    client: &Client,
    conversations: &[&str],
    before: i64,
) -> Result<(), Error> {
    client
        .query_typed(
            "delete from tidegate.genesys_conversation as old
             where conversation = any($1) and since < $2 and exists (
                select from tidegate.genesys_conversation as newer
                where newer.conversation = old.conversation and newer.since > old.since)",
            &[(&conversations, Type::TEXT_ARRAY), (&before, Type::INT8)],
        )
        .await?;
    Ok(())
}
