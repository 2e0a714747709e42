//! Removes what is older than the retention time, a few conversations at a time.

use jiff::Timestamp;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::find::forget_genesys_conversations;
use super::link::Error;

/// How many conversations one transaction checks.
const PAGE: i64 = 50;
/// How many rows of each kind one transaction of [`forget_events`] removes.
const EVENTS: i64 = 500;

/// Prunes the next conversations after `after`. Returns how many messages it removed, and the
/// cursor to continue from; `None` if there are no more. The caller owns the transaction.
pub(super) async fn prune(
    client: &Client,
    before: Timestamp,
    after: &str,
) -> Result<(u64, Option<String>), Error> {
    let before = before.as_millisecond();
    // A conversation that another transaction has locked is skipped, because it is being changed,
    // or pruned on another node. The next prune tries it again.
    let rows = client
        .query_typed(
            "select id, due is null, snapshot_seq from tidegate.conversation where id > $1 order by id limit $2
             for update skip locked",
            &[(&after, Type::TEXT), (&PAGE, Type::INT8)],
        )
        .await?;
    let Some(last) = rows.last() else { return Ok((0, None)) };
    let last: String = last.try_get(0)?;
    let ids = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<&str>, _>>()?;
    forget_genesys_conversations(client, &ids, before).await?;
    let mut gone = 0;
    for row in rows {
        let (id, nothing_due, snapshot_seq): (String, bool, i64) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        gone += if nothing_due && is_over(client, &id, before).await? {
            remove(client, &id).await?
        } else {
            cut_journal(client, &id, snapshot_seq, before).await?;
            remove_old_messages(client, &id, before).await?
        };
    }
    Ok((gone, Some(last)))
}

/// Removes the ids of old events, old reports that never found their message, and old names that no
/// message has. Returns how many rows it removed.
pub(super) async fn forget_events(client: &Client, before: Timestamp) -> Result<u64, Error> {
    let mut gone = 0;
    for (table, key, also) in [
        ("event", "id, integration", ""),
        ("early", "service_id, integration, event_id", ""),
        ("service_name", "service_id, integration", "and message is null"),
    ] {
        let sql = format!(
            "delete from tidegate.{table} where ({key}) in
                (select {key} from tidegate.{table} where received < $1 {also} order by received limit $2)
             returning 1"
        );
        let params = [(&before.as_millisecond() as _, Type::INT8), (&EVENTS as _, Type::INT8)];
        gone += client.query_typed(&sql, &params).await?.len() as u64;
    }
    Ok(gone)
}

/// Whether nothing is open in a conversation and nothing has happened since `before`. The caller
/// checks that it has no wake-up time, and then removes the whole conversation.
async fn is_over(client: &Client, id: &str, before: i64) -> Result<bool, Error> {
    let rows = client
        .query_typed(
            "select not exists (select from tidegate.inbox where conversation = $1)
                and not exists (select from tidegate.outbox where conversation = $1)
                and not exists (select from tidegate.message
                    where conversation = $1 and (state = 'accepted' or received >= $2 or settled >= $2))
                and coalesce((select at from tidegate.journal where conversation = $1 order by seq desc limit 1), 0) < $2",
            &[(&id, Type::TEXT), (&before, Type::INT8)],
        )
        .await?;
    Ok(rows[0].try_get(0)?)
}

async fn remove(client: &Client, id: &str) -> Result<u64, Error> {
    let sql = "delete from tidegate.message where conversation = $1 returning 1";
    let messages = client.query_typed(sql, &[(&id, Type::TEXT)]).await?.len();
    for sql in [
        "delete from tidegate.journal where conversation = $1",
        "delete from tidegate.service_name where conversation = $1",
        "delete from tidegate.genesys_conversation where conversation = $1",
        "delete from tidegate.conversation where id = $1",
    ] {
        client.query_typed(sql, &[(&id, Type::TEXT)]).await?;
    }
    Ok(messages as u64)
}

/// Cuts a journal, but only as far as a snapshot replaces it, and never past the first record of a
/// message that is still open.
async fn cut_journal(
    client: &Client,
    id: &str,
    snapshot_seq: i64,
    before: i64,
) -> Result<(), Error> {
    client
        .query_typed(
            "with old as (
                select max(seq) as seq from tidegate.journal where conversation = $1 and seq <= $2 and at < $3
             ), cut as (
                select least(old.seq, (
                    select min(j.seq) - 1 from tidegate.journal as j join tidegate.message as m on m.id = j.message
                    where j.conversation = $1 and m.conversation = $1 and m.state = 'accepted')) as seq
                from old where old.seq is not null
             ), gone as (
                delete from tidegate.journal using cut where conversation = $1 and journal.seq <= cut.seq
                returning journal.seq
             )
             update tidegate.conversation set pruned_seq = gone.seq
             from (select max(seq) as seq from gone) as gone where id = $1 and gone.seq is not null",
            &[(&id, Type::TEXT), (&snapshot_seq, Type::INT8), (&before, Type::INT8)],
        )
        .await?;
    Ok(())
}

/// Removes messages that ended long ago and that the rest of the journal no longer mentions. It
/// removes none while an input waits, because that may be an operator's action on one of them.
async fn remove_old_messages(client: &Client, id: &str, before: i64) -> Result<u64, Error> {
    let rows = client
        .query_typed(
            "with gone as (
                delete from tidegate.message where conversation = $1 and state <> 'accepted'
                    and received < $2 and coalesce(settled, received) < $2
                    and not exists (select from tidegate.inbox where conversation = $1)
                    and not exists (select from tidegate.outbox where conversation = $1)
                    and not exists (select from tidegate.journal as j
                        where j.conversation = $1 and j.message = message.id)
                returning id, direction, integration
             ), names as (
                delete from tidegate.service_name as n using gone
                where n.conversation = $1 and n.message = gone.id and gone.direction = 'outbound'
             )
             select 1 from gone",
            &[(&id, Type::TEXT), (&before, Type::INT8)],
        )
        .await?;
    Ok(rows.len() as u64)
}
