//! Lists for operators. Each page is read from one index that has nothing else in it.

use conversation::{ConversationId, IntegrationName};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::append::{signed, unsigned};
use super::link::PgReaders;
use super::read::{message_row, time};
use super::text::unescape;
use crate::damage;
use crate::listing::standing;
use crate::{
    ConversationList, ConversationPlace, ListedConversation, ListedMessage, MessageList, StoreError,
};

pub(super) async fn conversations(
    readers: &PgReaders,
    integration: &IntegrationName,
    list: ConversationList,
    before: Option<&ConversationPlace>,
    limit: usize,
) -> Result<Vec<ListedConversation>, StoreError> {
    let (created, id) = ConversationPlace::before(before);
    let also = match list {
        ConversationList::All => String::new(),
        list => format!("standing & {} > 0 and", list.bit()),
    };
    let sql = format!(
        "select id, created, standing, watched from tidegate.conversation
         where {also} integration = $1 and (created, id) < ($2, $3)
         order by created desc, id desc limit $4"
    );
    let params = [
        (&integration.as_str() as _, Type::TEXT),
        (&created as _, Type::INT8),
        (&id as _, Type::TEXT),
        (&damage::most(limit) as _, Type::INT8),
    ];
    let rows = readers.query(&sql, &params).await?;
    damage::readable(rows.iter().map(conversation), limit)
}

fn conversation(row: &Row) -> Result<ListedConversation, StoreError> {
    let conversation = ConversationId::new(row.try_get::<_, &str>(0)?);
    let genesys: Option<String> = row.try_get(3)?;
    Ok(ListedConversation {
        place: ConversationPlace { created: time(row, 1)?, conversation },
        standing: standing(row.try_get(2)?),
        genesys: genesys.map(|genesys| unescape(genesys).into()),
    })
}

pub(super) async fn messages(
    readers: &PgReaders,
    integration: &IntegrationName,
    list: MessageList,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<ListedMessage>, StoreError> {
    let (direction, _) = list.of();
    let rows = readers
        .query(
            "select m.id, m.direction, m.conversation, m.foreign_id, m.received, m.state, m.reason,
                    m.receipt, ''::bytea, m.settled, u.place
             from (
                select id, direction, integration, place from tidegate.undelivered
                where direction = $1 and integration = $2 and place < $3
                order by place desc limit $4
             ) as u join tidegate.message as m using (id, direction, integration)
             order by u.place desc",
            &[
                (&direction.as_str(), Type::TEXT),
                (&integration.as_str(), Type::TEXT),
                (&signed(before.unwrap_or(u64::MAX)), Type::INT8),
                (&damage::most(limit), Type::INT8),
            ],
        )
        .await?;
    let listed = |row: &Row| {
        Ok(ListedMessage { place: unsigned(row.try_get(10)?)?, row: message_row(row)? })
    };
    damage::readable(rows.iter().map(listed), limit)
}
