//! Removes what is older than the retention time, a few conversations at a time, so that the writer
//! can do other work in between.

use std::collections::HashSet;

use conversation::ConversationId;
use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::find::forget_genesys_conversations;
use super::read::{CHAIN, JournalStep, missing_message, steps};
use crate::StoreError;

/// How many conversations one transaction prunes.
pub(super) const PAGE: usize = 20;
/// How many conversations one query lists.
const LOOKED_AT: usize = 1_000;
/// How many events one transaction forgets.
const EVENTS: usize = 500;

/// The time of a conversation's oldest record, and its id. Conversations are examined in this
/// order.
pub(super) type PruneCursor = (i64, String);

/// The next conversations after the cursor that may have something to prune, and the cursor to
/// continue from; `None` if there are no more. It does not read conversations without old records,
/// of which there may be millions.
pub(super) fn candidates(
    connection: &Connection,
    before: Timestamp,
    (oldest, id): PruneCursor,
) -> Result<Option<(Vec<ConversationId>, PruneCursor)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select oldest, id from conversation where oldest >= ?1 and (oldest, id) > (?1, ?2) and oldest < ?3
         order by oldest, id limit ?4",
    )?;
    let params = params![oldest, id, before.as_millisecond(), LOOKED_AT];
    let rows = statement.query_map(params, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows = rows.collect::<rusqlite::Result<Vec<PruneCursor>>>()?;
    let Some(last) = rows.last().cloned() else { return Ok(None) };
    Ok(Some((rows.into_iter().map(|(_, id)| ConversationId::new(id)).collect(), last)))
}

/// Removes what was finished before `before`. Returns how many messages it removed.
pub(super) fn prune(
    connection: &Connection,
    before: Timestamp,
    conversations: &[ConversationId],
) -> rusqlite::Result<u64> {
    let mut gone = 0;
    for conversation in conversations {
        let id = conversation.as_str();
        // If the chain has a gap, the messages beyond it may be open. They must stay unchanged for
        // an investigation.
        if missing_message(connection, id)?.is_some() {
            continue;
        }
        forget_genesys_conversations(connection, id, before.as_millisecond())?;
        gone += if is_over(connection, id, before.as_millisecond())? {
            remove(connection, id)?
        } else {
            let rest = cut_journal(connection, id, before.as_millisecond())?;
            remove_old_messages(connection, id, before.as_millisecond(), &rest)?
        };
    }
    Ok(gone as u64)
}

/// Removes the ids of old events, and old reports that never found their message. Returns how many
/// rows it removed, at most [`EVENTS`] of each kind.
pub(super) fn forget_events(connection: &Connection, before: Timestamp) -> rusqlite::Result<u64> {
    let mut gone = 0;
    for sql in [
        "delete from event where (id, integration) in
            (select id, integration from event where received < ?1 order by received limit ?2)",
        "delete from early where (service_id, integration, event_id) in
            (select service_id, integration, event_id from early where received < ?1 order by received limit ?2)",
    ] {
        gone += connection.prepare_cached(sql)?.execute(params![before.as_millisecond(), EVENTS])?;
    }
    Ok(gone as u64)
}

/// Whether nothing is open in a conversation and nothing has happened since `before`. The caller
/// then removes the whole conversation.
fn is_over(connection: &Connection, id: &str, before: i64) -> rusqlite::Result<bool> {
    let sql = format!(
        "{CHAIN} select 1 from conversation where id = ?1 and due is null
            and not exists (select 1 from inbox where conversation = ?1)
            and not exists (select 1 from outbox where conversation = ?1)
            and not exists (select 1 from chain join message using (seq)
                where state = 'accepted' or received >= ?2 or settled >= ?2)
            and coalesce((select at from journal where step = conversation.step), 0) < ?2"
    );
    connection.prepare_cached(&sql)?.exists(params![id, before])
}

fn remove(connection: &Connection, id: &str) -> rusqlite::Result<usize> {
    let messages = remove_messages(connection, id)?;
    remove_steps(connection, id)?;
    for sql in [
        "delete from snapshot where conversation = ?1",
        "delete from genesys_conversation where conversation = ?1",
        "delete from conversation where id = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([id])?;
    }
    Ok(messages)
}

/// Cuts a journal, but only as far as a snapshot replaces it, and never past the first record of a
/// message that is still open. Removes only whole steps. Returns the remaining steps.
fn cut_journal(
    connection: &Connection,
    id: &str,
    before: i64,
) -> rusqlite::Result<Vec<JournalStep>> {
    let snapshot: u64 = connection
        .prepare_cached("select coalesce((select seq from snapshot where conversation = ?1), 0)")?
        .query_row([id], |row| row.get(0))?;
    let sql =
        format!("{CHAIN} select id from chain join message using (seq) where state = 'accepted'");
    let mut open = connection.prepare_cached(&sql)?;
    let open =
        open.query_map([id], |row| row.get(0))?.collect::<rusqlite::Result<HashSet<String>>>()?;
    let is_open =
        |record: &Vec<u8>| message_of(record).is_some_and(|message| open.contains(&message));
    let goes = |step: &JournalStep| {
        step.last() <= snapshot && step.at < before && !step.records.iter().any(is_open)
    };
    let mut going = steps(connection, id, 0)?;
    let staying = going.split_off(going.iter().take_while(|step| goes(step)).count());
    let Some(last) = going.last().map(JournalStep::last) else { return Ok(staying) };
    for step in going {
        connection.prepare_cached("delete from journal where step = ?1")?.execute([step.id])?;
    }
    // If no step remains, the number of the last one may be reused for another conversation's step.
    connection
        .prepare_cached(
            "update conversation set pruned_seq = ?2, oldest = ?3, step = ?4 where id = ?1",
        )?
        .execute(params![
            id,
            last,
            staying.first().map_or(0, |first| first.at),
            staying.last().map(|last| last.id)
        ])?;
    Ok(staying)
}

/// Removes messages that ended long ago and that the rest of the journal no longer mentions. It
/// removes none while an input waits, because that may be an operator's action on one of them.
fn remove_old_messages(
    connection: &Connection,
    id: &str,
    before: i64,
    rest: &[JournalStep],
) -> rusqlite::Result<usize> {
    let spoken_of: HashSet<String> =
        rest.iter().flat_map(|step| &step.records).filter_map(|r| message_of(r)).collect();
    let sql = format!(
        "{CHAIN} select seq, id, message.before, state <> 'accepted' and received < ?2 and coalesce(settled, received) < ?2
                and not exists (select 1 from inbox where conversation = ?1)
                and not exists (select 1 from outbox where conversation = ?1)
         from chain join message using (seq) order by seq"
    );
    let mut all = connection.prepare_cached(&sql)?;
    let all = all.query_map(params![id, before], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    let (mut gone, mut last) = (0, None::<i64>);
    for (seq, message, before, is_old) in
        all.collect::<rusqlite::Result<Vec<(i64, String, Option<i64>, bool)>>>()?
    {
        if is_old && !spoken_of.contains(&message) {
            gone +=
                connection.prepare_cached("delete from message where seq = ?1")?.execute([seq])?;
            continue;
        }
        // The message that this one named as the one before it is gone.
        if before != last {
            connection
                .prepare_cached("update message set before = ?2 where seq = ?1")?
                .execute(params![seq, last])?;
        }
        last = Some(seq);
    }
    if gone > 0 {
        connection
            .prepare_cached("update conversation set message = ?2 where id = ?1")?
            .execute(params![id, last])?;
    }
    Ok(gone)
}

/// Removes all messages of a conversation. Returns how many.
pub(super) fn remove_messages(connection: &Connection, id: &str) -> rusqlite::Result<usize> {
    let sql = format!("{CHAIN} delete from message where seq in (select seq from chain)");
    connection.prepare_cached(&sql)?.execute([id])
}

/// Removes the whole journal of a conversation.
pub(super) fn remove_steps(connection: &Connection, id: &str) -> rusqlite::Result<()> {
    for step in steps(connection, id, 0)? {
        connection.prepare_cached("delete from journal where step = ?1")?.execute([step.id])?;
    }
    Ok(())
}

/// The message that a record is about; `None` if there is none, or the record cannot be read.
fn message_of(record: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct RecordSubject {
        message: Option<String>,
    }
    serde_json::from_slice::<RecordSubject>(record).ok()?.message
}
