//! `tidegate audit` passes an honest store, and finds the damage in a tampered one.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::ended;
use crate::support::{Loop, eventually, tidegate, webhook};

/// A store with some history: two delivered messages, a failed one, and a customer's message;
/// nothing is open.
struct Honest {
    dir: TempDir,
    conversation: String,
}

impl Honest {
    async fn made() -> Self {
        let mut all = Loop::start("", &["--handshake", "0", "--deliver", "immediately"]).await;
        all.sandbox.accept_unknown_receipts().await;
        all.chat.says("noor", "Hello?").await;
        eventually("the customer's words", async || {
            (all.stored_for("noor").await == 1).then_some(())
        })
        .await;
        for id in ["first", "second"] {
            let body = webhook(id, "noor", id).to_string();
            assert_eq!(all.gateway.webhook(body.as_bytes()).await, 200);
            assert_eq!(all.settled(id).await.state, "delivered");
        }
        let failed =
            webhook("hologram", "noor", "x").to_string().replace("\"Text\"", "\"Hologram\"");
        assert_eq!(all.gateway.webhook(failed.as_bytes()).await, 200);
        assert_eq!(all.settled("hologram").await.state, "failed");
        all.gateway.stop().await;
        all.audited();

        let dir = TempDir::new().expect("a folder");
        for suffix in ["", "-wal", "-shm"] {
            let from = all.dir.path().join(format!("tidegate.db{suffix}"));
            if from.exists() {
                std::fs::copy(from, dir.path().join(format!("honest.db{suffix}"))).expect("a copy");
            }
        }
        let store = Connection::open(dir.path().join("honest.db")).expect("the store");
        store.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).expect("one file");
        let conversation =
            store.query_row("select id from conversation", [], |row| row.get(0)).expect("one");
        unfold(&store);
        store.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).expect("one file");
        drop(store);
        Self { dir, conversation }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("honest.db")
    }

    /// Audits a damaged copy.
    fn damaged(&self, damage: impl FnOnce(&Connection)) -> (i32, String, String) {
        let path = self.dir.path().join("damaged.db");
        std::fs::copy(self.path(), &path).expect("a copy");
        let store = Connection::open(&path).expect("the store");
        damage(&store);
        store.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).expect("one file");
        drop(store);
        audit(&path)
    }

    /// Panics unless the audit of such a copy ends with 1 and prints exactly this line, in which
    /// `@` is the conversation.
    fn breaks(&self, invariant: &str, line: &str, damage: impl FnOnce(&Connection)) {
        let (code, report, errors) = self.damaged(damage);
        let line = line.replace('@', &self.conversation);
        assert_eq!(
            (code, errors.as_str()),
            (1, "tidegate: the audit found breaches\n"),
            "{line}:\n{report}"
        );
        let broken = format!("{invariant:<4} BROKEN");
        assert!(report.lines().any(|found| found.starts_with(&broken)), "{broken}:\n{report}");
        assert!(
            report.lines().any(|found| found == format!("{invariant}: {line}")),
            "{invariant}: {line}:\n{report}"
        );
    }

    /// The sequence number of the first record of this kind about a message.
    fn seq(&self, kind: &str, message: &str) -> u64 {
        let store = Connection::open(self.path()).expect("the store");
        let sql = "select min(seq) from journal where json_extract(records, '$.kind') = ?1
                   and json_extract(records, '$.message') = ?2";
        store
            .query_row(sql, [kind, message], |row| row.get(0))
            .unwrap_or_else(|_| panic!("{kind} {message}"))
    }

    fn last(&self) -> u64 {
        let store = Connection::open(self.path()).expect("the store");
        store.query_row("select seq from conversation", [], |row| row.get(0)).expect("one")
    }
}

fn audit(path: &Path) -> (i32, String, String) {
    let mut command = tidegate();
    command.args(["audit", "--store", &format!("sqlite:{}", path.display())]);
    ended(command)
}

/// Gives each record of the one conversation a row of its own, as if each step had brought one.
fn unfold(store: &Connection) {
    let mut steps =
        store.prepare("select seq, at, records from journal order by step").expect("SQL");
    let steps =
        steps.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("steps");
    let steps: Vec<(u64, i64, String)> = steps.collect::<Result<_, _>>().expect("steps");
    store.execute_batch("delete from journal").expect("none");
    for (first, at, records) in steps {
        for (seq, record) in (first..).zip(records.lines()) {
            append(store, seq, at, record);
        }
    }
}

fn append(store: &Connection, seq: u64, at: i64, record: &str) {
    let sql = "insert into journal (before, conversation, seq, at, records)
               select (select max(step) from journal), id, ?1, ?2, ?3 from conversation";
    store.execute(sql, params![seq, at, record]).expect("a step");
    store
        .execute_batch("update conversation set step = (select max(step) from journal)")
        .expect("it is the last");
}

/// Writes a copy of the record at `seq` to the end of the journal, as a faulty program might.
fn repeat(store: &Connection, seq: u64) {
    let copy = "select (select max(seq) + 1 from journal), at, records from journal where seq = ?1";
    let (next, at, record): (u64, i64, String) = store
        .query_row(copy, [seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .expect("a record");
    append(store, next, at, &record);
    store.execute_batch("update conversation set seq = seq + 1").expect("one more");
}

#[tokio::test]
async fn an_honest_store_passes_and_every_invariant_is_named() {
    let honest = Honest::made().await;
    let (code, report, errors) = audit(&honest.path());
    assert_eq!((code, errors.as_str()), (0, ""), "{report}");
    let (head, rest) = report.split_once('\n').expect("lines");
    assert!(head.starts_with("1 conversations, 4 messages, "), "{head}");
    assert!(head.ends_with(" records; 0 messages open, 0 receipts owed"), "{head}");
    insta::assert_snapshot!(rest, @"
    I1   holds   what was accepted is in the inbox or in the journal
    I2   holds   exactly one final receipt, nothing after it
    I3   holds   forwarded in order
    I4   holds   nothing forwarded after it was failed
    I5   holds   nothing handled twice
    I6   holds   Delivered only after the chat service said so
    I7   holds   an attempt is journaled before it is made, and ended once
    I8   holds   no attempt after its time was up
    I9   holds   one writer at a time: no gap and no repetition in the journal
    I11  holds   customers' messages in order, one at a time
    passed
    ");
}

#[tokio::test]
async fn a_store_that_was_tampered_with_fails_and_the_row_is_named() {
    let honest = Honest::made().await;
    let last = honest.last();
    let next = last + 1;

    let receipt = honest.seq("receipt_done", "first");
    honest.breaks(
        "I2",
        &format!("journal row (@, {next}): message first a second final receipt"),
        |store| {
            repeat(store, receipt);
        },
    );
    let accepted = honest.seq("accepted", "first");
    honest.breaks(
        "I5",
        &format!("journal row (@, {next}): message first was accepted twice"),
        |store| {
            repeat(store, accepted);
        },
    );

    // The two messages change places.
    let (first, second) =
        (honest.seq("attempt_started", "first"), honest.seq("attempt_started", "second"));
    let swap = |store: &Connection| {
        let swap = "update journal set records = (select other.records from journal other
                    where other.seq = case journal.seq when ?1 then ?2 else ?1 end) where seq in (?1, ?2)";
        store.execute(swap, params![first, second]).expect("a swap");
    };
    honest.breaks(
        "I7",
        &format!("journal row (@, {first}): message second attempt 1 of a message never accepted"),
        swap,
    );
    let (started, settled) =
        (honest.seq("attempt_started", "second"), honest.seq("settled", "second"));
    honest.breaks(
        "I6",
        &format!("journal row (@, {started}): message second is Delivered, but the chat service never said so"),
        |store| {
            let swap = "update journal set records = (select other.records from journal other
                        where other.seq = case journal.seq when ?1 then ?2 else ?1 end) where seq in (?1, ?2)";
            store.execute(swap, params![started, settled]).expect("a swap");
        },
    );

    honest.breaks("I4", &format!("journal row (@, {next}): message hologram attempt 1 after it was failed"), |store| {
        repeat(store, started);
        let change = "update journal set records = json_set(records, '$.message', 'hologram') where seq = ?1";
        store.execute(change, [next]).expect("a change");
    });

    honest.breaks(
        "I1",
        "message row (outbound, lost): is neither in the inbox nor in the journal: it was lost",
        |store| {
            let row = "insert into message (before, integration, direction, id, foreign_id, conversation, received, state)
                    select conversation.message, integration, direction, 'lost', 'lost', conversation, received, 'accepted'
                    from message join conversation using (integration) where message.id = 'first';
                    update conversation set message = (select seq from message where id = 'lost');
                    insert into body select seq, x'7b7d' from message where id = 'lost'";
            store.execute_batch(row).expect("a row");
        },
    );
    honest.breaks(
        "I2",
        "message row (outbound, hologram): says `delivered`, the journal says `failed`",
        |store| {
            store
                .execute_batch("update message set state = 'delivered' where id = 'hologram'")
                .expect("a lie");
        },
    );

    let ended = honest.seq("attempt_ended", "first");
    // Each step names the previous one, so the steps before a missing one are no longer found.
    honest.breaks("I9", &format!("journal row (@, {}): follows seq 0", ended + 1), |store| {
        store.execute("delete from journal where seq = ?1", [ended]).expect("it is gone");
    });
    honest.breaks(
        "I9",
        &format!("conversation @: is at seq {last}, its journal ends at 0"),
        |store| {
            store.execute("delete from journal where seq = ?1", [last]).expect("it is gone");
        },
    );
}

#[tokio::test]
async fn damaged_bytes_are_named_and_do_not_hide_the_rest() {
    let honest = Honest::made().await;
    let ended = honest.seq("attempt_ended", "second");
    for (bytes, why) in [
        ("'{\"kind\":\"attempt_'", "EOF while parsing"),
        ("'{\"kind\":\"exploded\"}'", "unknown variant"),
        ("x'ff00fe'", "cannot be read"),
        ("cast(x'7b22ff' as text)", "cannot be read"),
        ("''", "EOF while parsing"),
    ] {
        let (code, report, _) = honest.damaged(|store| {
            store
                .execute(&format!("update journal set records = {bytes} where seq = ?1"), [ended])
                .expect("damage");
        });
        assert_eq!(code, 1, "{bytes}: {report}");
        let row = format!("I1: journal row ({}, {ended}): cannot be read: ", honest.conversation);
        let line = report
            .lines()
            .find(|line| line.starts_with(&row))
            .unwrap_or_else(|| panic!("{bytes}: {report}"));
        assert!(line.contains(why), "{line}");
        assert!(report.contains("I11  holds"), "the rest is told as well: {report}");
    }
    let (code, report, errors) = honest.damaged(|store| {
        let row =
            "insert into inbox (seq, conversation, customers, input) select 77, id, 0, '{\"input\":' from conversation";
        store.execute_batch(row).expect("damage");
    });
    assert_eq!((code, report.as_str()), (1, ""));
    assert!(errors.contains(&format!("inbox row 77 of {}", honest.conversation)), "{errors}");
    let (code, report, errors) = honest.damaged(|store| {
        let lost = "delete from body where seq = (select seq from message where id = 'first')";
        assert_eq!(store.execute(lost, []).expect("damage"), 1);
    });
    assert_eq!((code, report.as_str()), (1, ""));
    let row =
        format!("message row (outbound, first) of {}: its body is missing", honest.conversation);
    assert!(errors.contains(&row), "{errors}");
    // Each message row names the previous one, so the rows before a missing one are no longer
    // found.
    for which in ["min", "max"] {
        let mut seq = 0;
        let (code, report, errors) = honest.damaged(|store| {
            let lost = format!(
                "delete from message where seq = (select {which}(seq) from message) returning seq"
            );
            seq = store.query_row(&lost, [], |row| row.get(0)).expect("damage");
        });
        assert_eq!((code, report.as_str()), (1, ""));
        assert!(
            errors
                .contains(&format!("message row {seq} of {}: it is missing", honest.conversation)),
            "{errors}"
        );
    }
}

#[tokio::test]
async fn a_file_that_broke_off_is_no_proof() {
    let honest = Honest::made().await;
    let path = honest.dir.path().join("half.db");
    let whole = std::fs::read(honest.path()).expect("the store");
    std::fs::write(&path, &whole[..whole.len() / 8 / 4096 * 4096]).expect("half of it");
    let (code, report, errors) = audit(&path);
    assert!(code == 1 || code == 2, "{report}{errors}");
    assert!(!report.contains("passed"), "{report}");
    assert!(errors.starts_with("tidegate: "), "{errors}");
}

#[test]
fn what_is_no_store_ends_with_2_and_is_left_as_it_is() {
    let dir = TempDir::new().expect("a folder");
    let write =
        |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).expect("a file");
    write("text.db", "no database\n".repeat(1_000).as_bytes());
    write("empty.db", b"");
    let other = Connection::open(dir.path().join("other.db")).expect("a database");
    other
        .execute_batch("create table recipe (name text); pragma user_version = 1")
        .expect("a table");
    drop(other);
    for (name, why) in [
        ("missing.db", "there is no store at [dir]/missing.db"),
        ("nowhere/missing.db", "there is no store at [dir]/nowhere/missing.db"),
        ("text.db", "cannot open [dir]/text.db: file is not a database"),
        ("empty.db", "[dir]/empty.db holds no tidegate store"),
        ("other.db", "[dir]/other.db holds no tidegate store"),
    ] {
        let path = dir.path().join(name);
        let before = std::fs::read(&path).ok();
        let (code, report, errors) = audit(&path);
        assert_eq!((code, report.as_str()), (2, ""), "{name}");
        let errors = errors.replace(&dir.path().display().to_string(), "[dir]");
        assert_eq!(errors, format!("tidegate: {why}\n  --store says where it is\n"));
        assert_eq!(std::fs::read(&path).ok(), before, "{name}");
    }
    let mut files: Vec<_> = std::fs::read_dir(dir.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    files.sort();
    assert_eq!(files, ["empty.db", "other.db", "text.db"], "nothing was left behind");
    let mut command = tidegate();
    command.args(["audit", "--store", "mysql://somewhere"]);
    let (code, _, errors) = ended(command);
    assert_eq!(code, 2);
    assert_eq!(
        errors,
        "tidegate: the URL is that of no store: write `sqlite:PATH` or `postgres://USER@HOST/DATABASE`\n  \
         --store says where it is\n"
    );
}
