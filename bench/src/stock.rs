//! Builds a store of millions of messages in minutes: it copies the contents of a small store,
//! which a gateway wrote, many times for other customers. Every row of every table is copied, with
//! consistent ids, names and times, so that `tidegate audit` finds no breach. Ids are as random as
//! Genesys's, and the B-trees are about as full as in a real store.

use std::path::Path;

use conversation::{ConversationId, IntegrationName};
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, Statement};

use crate::load::random_id;
use crate::webhook;

/// The tables whose rows are copied: the name, the condition for the rows of a conversation, and
/// their order.
const TABLES: [(&str, &str, &str); 6] = [
    ("conversation", "id = ?1", "id"),
    ("snapshot", "conversation = ?1", "conversation"),
    ("message", "conversation = ?1", "seq"),
    ("body", "seq in (select seq from message where conversation = ?1)", "seq"),
    ("inbox", "conversation = ?1", "seq"),
    ("journal", "conversation = ?1", "step"),
];
/// The columns that are times.
const TIMES: [&str; 6] = ["due", "received", "settled", "at", "since", "oldest"];
/// The id that the bench's chat service gives to every message. A real service gives each message
/// its own.
const SERVICE_ID: &str = "x";

/// Writes `conversations` copies of the conversations of `from` into the new store `to`. The
/// customers' numbers begin with `first`. Each copy is moved into the past by less than `spread`
/// milliseconds.
pub(crate) fn multiply(from: &Path, to: &Path, conversations: usize, first: usize, spread: u64) {
    let source = Connection::open(from).expect("the small store");
    let patterns = patterns(&source);
    let name = IntegrationName::new("acme");
    // In the order of the B-trees, because that is fast.
    let mut all: Vec<(ConversationId, usize)> = (0..conversations)
        .map(|number| (ConversationId::of(&name, &webhook::customer(first + number)), number))
        .collect();
    all.sort_unstable();

    let store = Connection::open(to).expect("a new store");
    store
        .execute_batch("pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -262144; begin")
        .expect("SQL");
    for sql in schema(&source, "table") {
        store.execute_batch(&sql).expect("a table");
    }
    let mut writers: Vec<Statement<'_>> =
        TABLES.iter().map(|(table, ..)| writer(&store, table)).collect();
    let (mut buffer, mut steps, mut written) = (Vec::new(), 0, 0);
    for (id, number) in &all {
        let pattern = &patterns[number % patterns.len()];
        let copy = Copy {
            conversation: id.as_str(),
            customer: webhook::customer(first + number),
            first_step: steps + 1,
            first_message: written + 1,
            messages: (0..pattern.messages).map(|at| random_id(first + number, at)).collect(),
            past: (*number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % spread.max(1),
        };
        for (table, cells) in &pattern.rows {
            copy.write(&mut writers[*table], cells, &mut buffer);
        }
        steps += pattern.steps;
        written += pattern.messages;
    }
    drop(writers);
    for kind in ["index", "trigger"] {
        for sql in schema(&source, kind) {
            store.execute_batch(&sql).expect("an index or a trigger");
        }
    }
    let version: u32 =
        source.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
    store.execute_batch("commit").expect("written");
    store.pragma_update(None, "user_version", version).expect("a version");
    store.pragma_update(None, "journal_mode", "wal").expect("a log");
    store.close().expect("closed");
    // Syncs the data now, so that the system does not write it during a measurement.
    std::fs::File::open(to).and_then(|file| file.sync_all()).expect("on the disk");
}

fn schema(source: &Connection, kind: &str) -> Vec<String> {
    // SQLite creates its own tables itself.
    let mut sql = source
        .prepare("select sql from sqlite_schema where type = ?1 and sql is not null and name not like 'sqlite_%'")
        .expect("SQL");
    sql.query_map([kind], |row| row.get(0))
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("the schema")
}

/// The columns of a table, without a sequence number that SQLite assigns.
fn columns(store: &Connection, table: &str) -> Vec<String> {
    let mut sql = store
        .prepare("select name from pragma_table_info(?1) where not (name = 'seq' and pk = 1)")
        .expect("SQL");
    sql.query_map([table], |row| row.get(0))
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("the columns")
}

fn writer<'a>(store: &'a Connection, table: &str) -> Statement<'a> {
    let columns = columns(store, table);
    let places = vec!["?"; columns.len()].join(", ");
    store
        .prepare(&format!("insert into {table} ({}) values ({places})", columns.join(", ")))
        .expect("SQL")
}

/// A conversation of the small store, which is copied.
struct Pattern {
    messages: usize,
    steps: usize,
    /// The index in [`TABLES`], and a row.
    rows: Vec<(usize, Vec<Cell>)>,
}

/// The value of one column.
enum Cell {
    Same(Value),
    Time(i64),
    /// The number of one of the steps of its journal.
    Step(usize),
    /// The number of one of its messages.
    Message(usize),
    Text(Vec<Piece>),
    Bytes(Vec<Piece>),
}

#[derive(Clone)]
enum Piece {
    Same(String),
    Conversation,
    Customer,
    /// The id of one of the conversation's messages.
    Message(usize),
    /// The chat service's id of a message.
    Service(usize),
    /// A time in JSON, in milliseconds.
    Time(i64),
}

fn patterns(source: &Connection) -> Vec<Pattern> {
    for unheard in ["event", "early", "outbox"] {
        let rows: u64 = source
            .query_row(&format!("select count(*) from {unheard}"), [], |row| row.get(0))
            .expect("SQL");
        assert_eq!(rows, 0, "rows of {unheard} would have to be copied too");
    }
    let mut sql = source.prepare("select id, customer ->> '$.id' from conversation").expect("SQL");
    let all = sql.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    all.map(|row| pattern(source, row.expect("a conversation"))).collect()
}

fn pattern(source: &Connection, (conversation, customer): (String, String)) -> Pattern {
    let mut sql = source
        .prepare_cached("select id, seq from message where conversation = ?1 order by seq")
        .expect("SQL");
    let both = sql.query_map([&conversation], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    let both: Vec<(String, i64)> = both.collect::<Result<_, _>>().expect("ids");
    let (messages, numbers): (Vec<String>, Vec<i64>) = both.into_iter().unzip();
    let mut sql = source
        .prepare_cached("select step from journal where conversation = ?1 order by step")
        .expect("SQL");
    let steps: Vec<i64> = sql
        .query_map([&conversation], |row| row.get(0))
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("steps");
    let mut needles =
        vec![(conversation.clone(), Piece::Conversation), (customer, Piece::Customer)];
    needles.extend(messages.iter().enumerate().map(|(at, id)| (id.clone(), Piece::Message(at))));
    let mut rows = Vec::new();
    for (table, (name, whose, order)) in TABLES.iter().enumerate() {
        let columns = columns(source, name);
        let sql =
            format!("select {} from {name} where {whose} order by {order}", columns.join(", "));
        let mut sql = source.prepare(&sql).expect("SQL");
        let mut found = sql.query([&conversation]).expect("rows");
        while let Some(row) = found.next().expect("a row") {
            let values: Vec<Value> =
                (0..columns.len()).map(|at| row.get(at).expect("a value")).collect();
            let of = |values: &[Value]| {
                let is_in =
                    |id: &String, value| text(value).is_some_and(|text| text.contains(id.as_str()));
                messages.iter().position(|id| values.iter().any(|value| is_in(id, value)))
            };
            let place =
                |all: &[i64], number| all.iter().position(|one| *one == number).expect("its own");
            let cells = columns.iter().zip(values.clone()).map(|(column, value)| {
                match (value, *name, column.as_str()) {
                    (Value::Integer(step), _, "step")
                    | (Value::Integer(step), "journal", "before") => {
                        Cell::Step(place(&steps, step))
                    }
                    (Value::Integer(seq), _, "message")
                    | (Value::Integer(seq), "message", "before") => {
                        Cell::Message(place(&numbers, seq))
                    }
                    // Each record concerns another message.
                    (Value::Text(lines), _, "records") => {
                        let lines = lines.split('\n').map(|line| Value::Text(line.to_owned()));
                        let lines = lines.map(|line| {
                            match cell(column, line.clone(), &needles, of(&[line])) {
                                Cell::Text(pieces) => pieces,
                                _ => unreachable!("it is text"),
                            }
                        });
                        Cell::Text(lines.collect::<Vec<_>>().join(&Piece::Same("\n".to_owned())))
                    }
                    (value, ..) => cell(column, value, &needles, of(&values)),
                }
            });
            let cells = cells.collect();
            rows.push((table, cells));
        }
    }
    Pattern { messages: messages.len(), steps: steps.len(), rows }
}

fn text(value: &Value) -> Option<&str> {
    if let Value::Text(text) = value { Some(text) } else { None }
}

/// Makes a cell from a value of `column`. The row may concern the message with the index `of`.
fn cell(column: &str, value: Value, needles: &[(String, Piece)], of: Option<usize>) -> Cell {
    match value {
        Value::Integer(at) if TIMES.contains(&column) => Cell::Time(at),
        Value::Text(text) if column == "service_id" && text == SERVICE_ID => {
            Cell::Text(vec![Piece::Service(of.expect("a message"))])
        }
        Value::Text(text) => {
            let mut pieces = split(text, needles);
            if let Some(of) = of {
                pieces = replace(
                    pieces,
                    &format!("\"service_id\":\"{SERVICE_ID}\""),
                    &[
                        Piece::Same("\"service_id\":\"".into()),
                        Piece::Service(of),
                        Piece::Same("\"".into()),
                    ],
                );
            }
            Cell::Text(pieces.into_iter().flat_map(times).collect())
        }
        // The time in a body stays as it is: the agent may have written long before.
        Value::Blob(body) => Cell::Bytes(split(String::from_utf8(body).expect("JSON"), needles)),
        other => Cell::Same(other),
    }
}

fn split(text: String, needles: &[(String, Piece)]) -> Vec<Piece> {
    let whole = vec![Piece::Same(text)];
    needles
        .iter()
        .fold(whole, |pieces, (needle, piece)| replace(pieces, needle, std::slice::from_ref(piece)))
}

fn replace(pieces: Vec<Piece>, needle: &str, by: &[Piece]) -> Vec<Piece> {
    let mut all = Vec::new();
    for piece in pieces {
        let Piece::Same(text) = piece else {
            all.push(piece);
            continue;
        };
        for (at, part) in text.split(needle).enumerate() {
            if at > 0 {
                all.extend_from_slice(by);
            }
            if !part.is_empty() {
                all.push(Piece::Same(part.to_owned()));
            }
        }
    }
    all
}

/// Splits a text at its times, except for the time that all webhooks share.
fn times(piece: Piece) -> Vec<Piece> {
    let Piece::Same(text) = piece else { return vec![piece] };
    let mut all: Vec<Piece> = Vec::new();
    for (at, part) in text.split('"').enumerate() {
        let quote = if at > 0 { "\"" } else { "" };
        match part.parse::<Timestamp>() {
            Ok(time) if part != webhook::TIME => {
                all.extend([Piece::Same(quote.to_owned()), Piece::Time(time.as_millisecond())]);
            }
            _ => match all.last_mut() {
                Some(Piece::Same(before)) => {
                    before.push_str(quote);
                    before.push_str(part);
                }
                _ => all.push(Piece::Same(format!("{quote}{part}"))),
            },
        }
    }
    all
}

/// One copy of a pattern.
struct Copy<'a> {
    conversation: &'a str,
    customer: String,
    first_step: usize,
    first_message: usize,
    messages: Vec<String>,
    /// How much older the copy is than the pattern, in milliseconds.
    past: u64,
}

impl Copy<'_> {
    fn write(&self, writer: &mut Statement<'_>, cells: &[Cell], buffer: &mut Vec<u8>) {
        for (at, cell) in (1..).zip(cells) {
            match cell {
                Cell::Same(value) => writer.raw_bind_parameter(at, value),
                Cell::Time(time) => writer.raw_bind_parameter(at, time - self.past.cast_signed()),
                Cell::Step(step) => writer.raw_bind_parameter(at, self.first_step + step),
                Cell::Message(message) => {
                    writer.raw_bind_parameter(at, self.first_message + message)
                }
                Cell::Text(pieces) => {
                    self.render(pieces, buffer);
                    writer.raw_bind_parameter(at, str::from_utf8(buffer).expect("text"))
                }
                Cell::Bytes(pieces) => {
                    self.render(pieces, buffer);
                    writer.raw_bind_parameter(at, buffer.as_slice())
                }
            }
            .expect("a value");
        }
        writer.raw_execute().expect("a row");
    }

    fn render(&self, pieces: &[Piece], buffer: &mut Vec<u8>) {
        buffer.clear();
        for piece in pieces {
            match piece {
                Piece::Same(text) => buffer.extend_from_slice(text.as_bytes()),
                Piece::Conversation => buffer.extend_from_slice(self.conversation.as_bytes()),
                Piece::Customer => buffer.extend_from_slice(self.customer.as_bytes()),
                Piece::Message(at) => buffer.extend_from_slice(self.messages[*at].as_bytes()),
                Piece::Service(at) => {
                    buffer.push(b's');
                    buffer.extend_from_slice(self.messages[*at].as_bytes());
                }
                Piece::Time(time) => {
                    let time = Timestamp::from_millisecond(time - self.past.cast_signed())
                        .expect("a time");
                    buffer.extend_from_slice(time.to_string().as_bytes());
                }
            }
        }
    }
}
