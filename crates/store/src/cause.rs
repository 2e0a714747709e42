//! What is behind a [`StoreError`] or an [`OpenError`](crate::OpenError).
//!
//! An error of a database or of a JSON parser may quote a customer. Each is wrapped here, in a type
//! that leaves the quotation out of `Display` and `Debug`, and out of its sources.

use std::error::Error;
use std::ops::Deref;
use std::sync::Arc;
use std::{fmt, io};

use tokio_postgres::error::SqlState;

use crate::StoreError;

/// The error behind another error. It is cheap to clone, so that all who wait for a write can have
/// the same one.
///
/// It derefs to the error, which [`Error::source`] of the error around it returns. Words convert
/// into it, and errors whose text quotes no customer.
///
/// ```
/// use std::error::Error;
/// use std::io;
///
/// use store::StoreError;
///
/// let error = StoreError::Unavailable(io::Error::from(io::ErrorKind::StorageFull).into());
/// let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
/// assert_eq!(cause.map(io::Error::kind), Some(io::ErrorKind::StorageFull));
/// ```
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }

    /// `cause`, and in front of it `what`: the place where it was found, or what it prevented.
    pub(crate) fn of(what: impl Into<String>, cause: impl Into<Self>) -> Self {
        Self::new(Context { what: what.into(), cause: cause.into() })
    }
}

impl Deref for Cause {
    type Target = dyn Error + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl From<&'static str> for Cause {
    fn from(words: &'static str) -> Self {
        words.to_owned().into()
    }
}

impl From<String> for Cause {
    fn from(words: String) -> Self {
        Self::new(Words(words))
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        Self::new(error)
    }
}

impl From<rusqlite::Error> for Cause {
    fn from(error: rusqlite::Error) -> Self {
        Self::new(SqliteError(error))
    }
}

impl From<tokio_postgres::Error> for Cause {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::new(PgError(error))
    }
}

impl From<PgError> for Cause {
    fn from(error: PgError) -> Self {
        Self::new(error)
    }
}

impl From<serde_json::Error> for Cause {
    fn from(error: serde_json::Error) -> Self {
        Self::new(JsonError(error))
    }
}

impl From<StoreError> for Cause {
    fn from(error: StoreError) -> Self {
        Self::new(error)
    }
}

/// A cause that no other error is behind.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Words(String);

#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct Context {
    what: String,
    #[source]
    cause: Cause,
}

/// An error of SQLite. It has no source: rusqlite's `Display` contains its own source, or says the
/// same in other words.
pub(crate) struct SqliteError(rusqlite::Error);

impl fmt::Display for SqliteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

// Derived, it would show the bytes of a text that is not UTF-8.
impl fmt::Debug for SqliteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteError({:?}, {self})", self.0.sqlite_error())
    }
}

impl Error for SqliteError {}

/// An error between us and PostgreSQL.
///
/// Of the server's own error it shows only the message and the SQLSTATE. The rest may contain a
/// customer's words: `DETAIL` names the values of a row. So that error is not a source either.
pub(crate) struct PgError(tokio_postgres::Error);

impl PgError {
    /// The SQLSTATE, if the server sent the error.
    pub(crate) fn sqlstate(&self) -> Option<&str> {
        self.0.code().map(SqlState::code)
    }
}

impl From<tokio_postgres::Error> for PgError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_db_error() {
            Some(said) => {
                let sqlstate = said.code().code();
                write!(f, "{} (SQLSTATE {sqlstate})", unquoted(said.message(), sqlstate))
            }
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}

impl fmt::Debug for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PgError({self})")
    }
}

impl Error for PgError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        if self.0.as_db_error().is_some() { None } else { self.0.source() }
    }
}

/// A message about data (class 22) ends with the data: `invalid input syntax for type bigint:
/// "..."`, with the quotation marks of the server's language. Other messages quote only names of
/// the schema.
fn unquoted<'a>(message: &'a str, sqlstate: &str) -> &'a str {
    match message.split_once(": ") {
        Some((said, _)) if sqlstate.starts_with("22") => said.trim_end(),
        _ => message,
    }
}

/// JSON that cannot be read. It has no source: the parser's own error may quote a customer.
pub(crate) struct JsonError(serde_json::Error);

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        Self(error)
    }
}

impl From<JsonError> for Cause {
    fn from(error: JsonError) -> Self {
        Self::new(error)
    }
}

impl fmt::Display for JsonError {
    /// `invalid type: string "the text", expected u64 at line 1 column 9`, without the text. The
    /// name of an unknown variant stays: it tells that a newer version wrote the record.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = self.0.to_string();
        let fault = ["invalid type: string", "invalid value: string"]
            .into_iter()
            .find(|fault| said.strip_prefix(fault).is_some_and(|rest| rest.starts_with(" \"")));
        match (fault, said.rsplit_once("\", expected ")) {
            (Some(fault), Some((_, expected))) => write!(f, "{fault}, expected {expected}"),
            _ => f.write_str(&said),
        }
    }
}

impl fmt::Debug for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonError({self})")
    }
}

impl Error for JsonError {}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use bytes::{BufMut, BytesMut};
    use conversation::Input;
    use tokio_postgres::NoTls;

    use super::*;
    use crate::json::from_json;
    use crate::{Chain, OpenError, SqliteStore};

    /// What a customer wrote. No error may contain it.
    const WORDS: &str = "my card is 4929";

    /// The error with its causes, which has no part of the customer's words, however it is shown.
    fn shown(error: &StoreError) -> String {
        let shown = Chain(error).to_string();
        for text in [&shown, &format!("{error:?}"), &format!("{error:#?}")] {
            assert!(!text.contains("card") && !text.contains("4929"), "{text}");
        }
        shown
    }

    #[test]
    fn the_source_is_the_error_of_sqlite_or_of_the_system() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("text.db");
        std::fs::write(&path, "no database, but long enough to be looked at as one").expect("it");
        let opened = |path: &str| SqliteStore::open(&format!("sqlite:{path}")).err();
        let error = opened(&path.display().to_string()).expect("it is no database");
        let source = error.source().and_then(|cause| cause.downcast_ref::<SqliteError>());
        let code = source.and_then(|SqliteError(error)| error.sqlite_error_code());
        assert_eq!(code, Some(rusqlite::ErrorCode::NotADatabase), "{error:?}");
        assert_eq!(error.to_string(), format!("cannot open {}", path.display()));
        let whole = format!("cannot open {}: file is not a database", path.display());
        assert_eq!(Chain(&error).to_string(), whole);

        let error = opened(&path.join("below").display().to_string()).expect("it is no folder");
        let source = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::NotADirectory), "{error:?}");
        assert!(matches!(error, OpenError::Io { .. }));
    }

    #[test]
    fn clones_share_one_error() {
        let cause = Cause::from(io::Error::from(io::ErrorKind::StorageFull));
        let (one, other) = (StoreError::Unavailable(cause.clone()), StoreError::Unavailable(cause));
        let address = |error: &StoreError| {
            error
                .source()
                .and_then(|cause| cause.downcast_ref::<io::Error>())
                .map(std::ptr::from_ref)
        };
        assert!(address(&one).is_some() && address(&one) == address(&other));
    }

    #[test]
    fn json_that_cannot_be_read_is_not_quoted() {
        #[derive(Debug, serde::Deserialize)]
        struct Row {
            #[expect(dead_code, reason = "only its type is tried")]
            seq: u64,
        }
        let row = |value: &str| {
            let json = format!(r#"{{"seq": {value}}}"#);
            let error = from_json::<Row>(&json).map(|row| format!("{row:?}")).unwrap_err();
            shown(&StoreError::corrupt_at("inbox row 7", error))
        };
        let fault = "the store holds something that cannot be read: inbox row 7: invalid type: \
            string, expected u64 at line 1 column ";
        for words in [
            WORDS.to_owned(),
            format!(r#"\"{WORDS}\", expected "#),
            format!(r#"{WORDS} string \"{WORDS}"#),
        ] {
            let told = row(&format!(r#""{words}""#));
            let column = told.strip_prefix(fault).unwrap_or_else(|| panic!("{told}"));
            assert!(column.parse::<u32>().is_ok(), "{told}");
        }
        // What is told of a newer version's records.
        let newer = from_json::<Input>(r#"{"input": "dreamt"}"#).unwrap_err().to_string();
        assert!(newer.starts_with("unknown variant `dreamt`, expected one of"), "{newer}");
    }

    #[test]
    fn bytes_that_are_no_text_are_not_shown() {
        let error = String::from_utf8([WORDS.as_bytes(), b"\xff"].concat()).unwrap_err();
        let error = rusqlite::Error::FromSqlConversionFailure(
            3,
            rusqlite::types::Type::Text,
            Box::new(error),
        );
        let bytes = format!("{:?}", &WORDS.as_bytes()[..4]);
        let bytes = bytes.trim_end_matches(']');
        assert!(format!("{error:?}").contains(bytes), "what `Debug` of rusqlite shows");
        let error = StoreError::from(error);
        assert!(shown(&error).contains("invalid utf-8"), "{error:?}");
        assert!(!format!("{error:?}").contains(bytes), "{error:?}");
    }

    /// Lets a server refuse the connection with `fields`, each a letter and a text.
    async fn refused_by_postgres(fields: &'static [(u8, &'static str)]) -> tokio_postgres::Error {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            let (mut client, _) = listener.accept().expect("a client");
            assert!(client.read(&mut [0; 1_024]).expect("its greeting") > 0);
            let mut body = BytesMut::new();
            for (letter, text) in fields {
                body.put_u8(*letter);
                body.put_slice(text.as_bytes());
                body.put_u8(0);
            }
            body.put_u8(0);
            let mut message = BytesMut::from("E");
            message.put_u32(u32::try_from(body.len()).expect("it is short") + 4);
            message.put_slice(&body);
            client.write_all(&message).expect("it is sent");
        });
        let to = format!("host=127.0.0.1 port={port} user=noor");
        tokio_postgres::connect(&to, NoTls).await.err().expect("it is refused")
    }

    #[tokio::test]
    async fn of_an_error_of_postgresql_only_message_and_code_are_shown() {
        let error = refused_by_postgres(&[
            (b'S', "ERROR"),
            (b'V', "ERROR"),
            (b'C', "23505"),
            (b'M', "duplicate key value violates unique constraint \"message_pkey\""),
            (b'D', "Key (foreign_id)=(my card is 4929) already exists."),
            (b'H', "Do not write 4929 twice."),
            (b'W', "PL/pgSQL function about(card)"),
        ])
        .await;
        assert!(format!("{error:?}").contains(WORDS), "what `Debug` of tokio-postgres shows");
        let dangerous = error.source().expect("a source").to_string();
        assert!(dangerous.contains(WORDS), "what its source shows");
        let error = StoreError::Unavailable(error.into());
        assert_eq!(
            shown(&error),
            "the store is not available: duplicate key value violates unique constraint \
             \"message_pkey\" (SQLSTATE 23505)"
        );
        let source = error.source().and_then(|cause| cause.downcast_ref::<PgError>());
        assert_eq!(source.and_then(PgError::sqlstate), Some("23505"));
    }

    #[tokio::test]
    async fn a_message_of_postgresql_about_data_is_cut_before_the_data() {
        let error = refused_by_postgres(&[
            (b'S', "ERROR"),
            (b'C', "22P02"),
            (b'M', "invalid input syntax for type json: \"my card is 4929\""),
            (b'D', "Token \"card\" is invalid."),
        ])
        .await;
        assert_eq!(
            shown(&StoreError::Unavailable(error.into())),
            "the store is not available: invalid input syntax for type json (SQLSTATE 22P02)"
        );
    }

    #[tokio::test]
    async fn a_database_that_is_away_has_the_systems_error_behind_it() {
        let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it");
        let to = format!("host=127.0.0.1 port={} user=noor", closed.port());
        let error = tokio_postgres::connect(&to, NoTls).await.err().expect("nobody is there");
        let error = OpenError::Database(error.into());
        let mut source = error.source();
        while let Some(deeper) = source.and_then(Error::source) {
            source = Some(deeper);
        }
        let kind = source.and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
        assert_eq!(kind, Some(io::ErrorKind::ConnectionRefused), "{error:?}");
        let shown = Chain(&error).to_string();
        let start = "cannot use the database: error connecting to server: Connection refused";
        assert!(shown.starts_with(start), "{shown}");
    }
}
