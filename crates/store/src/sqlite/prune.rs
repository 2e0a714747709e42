//! What goes after the retention time.

use jiff::Timestamp;
use rusqlite::{Connection, params};

/// Removes what was finished before `before`. A conversation's journal is cut only where a snapshot stands for what is
/// removed, and never before the oldest message that is still open.
pub(super) fn prune(connection: &Connection, before: Timestamp) -> rusqlite::Result<u64> {
    let before = before.as_millisecond();
    let cut = "coalesce(min(snapshot_seq,
        (select max(j.seq) from journal j where j.conversation = conversation.id and j.at < ?1),
        coalesce((select min(j.seq) - 1 from journal j join message m
            on m.conversation = j.conversation and m.state = 'accepted'
            and json_extract(j.record, '$.message') = m.id
            where j.conversation = conversation.id), snapshot_seq)), 0)";
    connection.execute(
        &format!(
            "update conversation set pruned_seq = {cut}
             where snapshot_seq > pruned_seq and {cut} > pruned_seq"
        ),
        params![before],
    )?;
    connection.execute(
        "delete from journal where exists
            (select 1 from conversation c where c.id = journal.conversation and journal.seq <= c.pruned_seq)",
        [],
    )?;
    let gone = connection.execute(
        "delete from message where received < ?1 and state <> 'accepted' and coalesce(settled, received) < ?1
            and not exists (select 1 from outbox o where o.conversation = message.conversation)",
        params![before],
    )?;
    connection.execute("delete from event where received < ?1", params![before])?;
    connection.execute("delete from early where received < ?1", params![before])?;
    connection.execute(
        "delete from conversation where seq = pruned_seq and due is null
            and not exists (select 1 from message m where m.conversation = conversation.id)
            and not exists (select 1 from inbox i where i.conversation = conversation.id)
            and not exists (select 1 from outbox o where o.conversation = conversation.id)",
        [],
    )?;
    Ok(gone as u64)
}
