//! Lists for operators. Each page is read from one index that has nothing else in it.

use conversation::{ConversationId, IntegrationName};
use rusqlite::{Connection, Row, params};

use super::read::{message_row, time};
use crate::damage;
use crate::listing::standing;
use crate::{
    ConversationList, ConversationPlace, ListedConversation, ListedMessage, MessageList, StoreError,
};

/// The query for a page of conversations.
pub(super) fn conversations_sql(list: ConversationList) -> String {
    let (index, also) = match list {
        ConversationList::All => ("conversation_created", ""),
        ConversationList::Open => ("conversation_open", "standing & 1 and"),
        ConversationList::Held => ("conversation_held", "standing & 2 and"),
        ConversationList::Failing => ("conversation_failing", "standing & 4 and"),
    };
    format!(
        "select id, created, standing, watched from conversation indexed by {index}
         where {also} integration = ?1 and created <= ?2 and (created < ?2 or id < ?3)
         order by created desc, id desc limit ?4"
    )
}

pub(super) fn conversations(
    connection: &Connection,
    integration: &IntegrationName,
    list: ConversationList,
    before: Option<&ConversationPlace>,
    limit: usize,
) -> Result<Vec<ListedConversation>, StoreError> {
    let mut statement = connection.prepare_cached(&conversations_sql(list))?;
    let (created, id) = ConversationPlace::before(before);
    let params = params![integration.as_str(), created, id, damage::most(limit)];
    let rows = statement.query_map(params, conversation)?;
    damage::readable(rows.map(|row| row.map_err(StoreError::from)), limit)
}

fn conversation(row: &Row<'_>) -> rusqlite::Result<ListedConversation> {
    let conversation = ConversationId::new(row.get::<_, String>(0)?);
    let genesys: Option<String> = row.get(3)?;
    Ok(ListedConversation {
        place: ConversationPlace { created: time(row, 1)?, conversation },
        standing: standing(row.get(2)?),
        genesys: genesys.map(Into::into),
    })
}

/// The query for a page of messages.
pub(super) fn messages_sql(list: MessageList) -> String {
    let index = match list {
        MessageList::Failed => "message_failed",
        MessageList::DeadLetters => "message_refused",
    };
    let (direction, state) = list.of();
    let direction = direction.as_str();
    format!(
        "select id, direction, conversation, foreign_id, received, state, reason, receipt, x'',
                settled, seq
         from message indexed by {index}
         where direction = '{direction}' and state = '{state}' and integration = ?1 and seq < ?2
         order by seq desc limit ?3"
    )
}

pub(super) fn messages(
    connection: &Connection,
    integration: &IntegrationName,
    list: MessageList,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<ListedMessage>, StoreError> {
    let mut statement = connection.prepare_cached(&messages_sql(list))?;
    let before = before.and_then(|place| i64::try_from(place).ok()).unwrap_or(i64::MAX);
    let params = params![integration.as_str(), before, damage::most(limit)];
    let rows = statement.query_map(params, |row| {
        Ok(ListedMessage { place: row.get(10)?, row: message_row(row)? })
    })?;
    damage::readable(rows.map(|row| row.map_err(StoreError::from)), limit)
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::sqlite::open::MIGRATIONS;

    /// A tenth of a percent of the rows is in a list.
    const MANY: &str = "
        with recursive n (n) as (select 0 union all select n + 1 from n where n < 199999)
        insert into conversation (id, integration, customer, created, standing)
            select printf('c%07d', n), iif(n % 2, 'acme', 'other'), '{}', n / 3,
                   iif(n % 1000 < 2, 7, 0) from n;
        with recursive n (n) as (select 0 union all select n + 1 from n where n < 199999)
        insert into message (integration, direction, id, foreign_id, conversation, received, state)
            select iif(n % 2, 'acme', 'other'), iif(n % 4 < 2, 'inbound', 'outbound'), n, n, 'c', n,
                   iif(n % 1000 < 4, iif(n % 4 < 2, 'refused', 'failed'), 'delivered') from n;";

    #[test]
    fn a_page_reads_its_own_rows_and_no_others() {
        let connection = Connection::open_in_memory().expect("it opens");
        for sql in MIGRATIONS {
            connection.execute_batch(sql).expect("a migration");
        }
        connection.execute_batch(MANY).expect("rows");
        let conversations = [
            ConversationList::All,
            ConversationList::Open,
            ConversationList::Held,
            ConversationList::Failing,
        ];
        for list in conversations {
            let page = conversations_sql(list);
            for (created, id) in [(i64::MAX, ""), (30_000, "c0090001")] {
                reads_only_its_page(&connection, &page, &[&"acme", &created, &id, &50]);
            }
        }
        for list in [MessageList::Failed, MessageList::DeadLetters] {
            for before in [i64::MAX, 150_000] {
                reads_only_its_page(&connection, &messages_sql(list), &[&"acme", &before, &50]);
            }
        }
    }

    fn reads_only_its_page(connection: &Connection, sql: &str, params: &[&dyn rusqlite::ToSql]) {
        let mut statement = connection.prepare(sql).expect("SQL");
        let rows = statement.query_map(params, |_| Ok(())).expect("rows").count();
        assert_eq!(rows, 50, "{sql}");
        let count = |status| statement.get_status(status);
        assert_eq!(count(StatementStatus::FullscanStep), 0, "{sql}");
        assert_eq!(count(StatementStatus::Sort), 0, "{sql}");
        // About twenty instructions for each row.
        let steps = count(StatementStatus::VmStep);
        assert!(steps < 50 * 50, "{steps} steps: {sql}");
    }
}
