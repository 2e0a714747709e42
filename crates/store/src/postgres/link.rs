//! Connections: opened when needed, discarded when they do not answer.
//!
//! Statements are sent unprepared, with the types of their parameters, so that they also work
//! through a pooler that hands each transaction to another session.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, Row};

use crate::cause::PgError;
use crate::{Cause, Chain, StoreError};

/// Time limits for connecting and for an answer. A slower database counts as unavailable.
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(8);
/// How many connections read. Each runs several queries at a time.
const READERS: usize = 4;

/// A parameter and its type.
pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// One connection, which is opened when it is needed.
pub(super) struct PgConnection {
    config: Config,
    client: Mutex<Option<Arc<Client>>>,
}

impl PgConnection {
    pub(super) fn new(config: &Config) -> Self {
        let mut config = config.clone();
        config
            .connect_timeout(CONNECT)
            .keepalives_idle(Duration::from_secs(5))
            .tcp_user_timeout(ANSWER);
        if config.get_application_name().is_none() {
            config.application_name("tidegate");
        }
        Self { config, client: Mutex::new(None) }
    }

    /// Runs `work` with exclusive use of the connection, within the time limit for an answer.
    pub(super) async fn alone<T, F: Future<Output = Result<T, Error>>>(
        &self,
        work: impl FnOnce(Arc<Client>) -> F,
    ) -> Result<T, Error> {
        let mut place = self.client.lock().await;
        let client = match place.take() {
            Some(client) if !client.is_closed() => client,
            Some(_) | None => self.connect().await?,
        };
        let done = tokio::time::timeout(ANSWER, work(Arc::clone(&client)))
            .await
            .unwrap_or(Err(Error::NoAnswer));
        // After an error the session's state is unknown. Dropping the connection rolls its
        // transaction back.
        if done.is_ok() {
            *place = Some(client);
        }
        done
    }

    /// Runs `work` on a new connection, however long it takes.
    pub(super) async fn without_deadline<T, F: Future<Output = Result<T, Error>>>(
        &self,
        work: impl FnOnce(Arc<Client>) -> F,
    ) -> Result<T, Error> {
        work(self.connect().await?).await
    }

    /// Runs a query that may share the connection with others.
    async fn shared(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Error> {
        let client = {
            let mut place = self.client.lock().await;
            match place.as_ref() {
                Some(client) if !client.is_closed() => Arc::clone(client),
                Some(_) | None => Arc::clone(place.insert(self.connect().await?)),
            }
        };
        let asked = tokio::time::timeout(ANSWER, client.query_typed(sql, params)).await;
        if asked.is_err() {
            self.client.lock().await.take_if(|current| Arc::ptr_eq(current, &client));
        }
        Ok(asked.map_err(|_| Error::NoAnswer)??)
    }

    async fn connect(&self) -> Result<Arc<Client>, Error> {
        let connecting = self.config.connect(NoTls);
        let (client, connection) =
            tokio::time::timeout(CONNECT, connecting).await.map_err(|_| Error::NoAnswer)??;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                let error = PgError::from(error);
                tracing::debug!(error = %Chain(&error), "a connection to the database has ended");
            }
        });
        Ok(Arc::new(client))
    }
}

/// The connections that read.
pub(super) struct PgReaders {
    links: [PgConnection; READERS],
    next: AtomicUsize,
}

impl PgReaders {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            links: std::array::from_fn(|_| PgConnection::new(config)),
            next: AtomicUsize::new(0),
        }
    }

    pub(super) async fn query(
        &self,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % READERS;
        Ok(self.links[next].shared(sql, params).await?)
    }
}

/// Why a request to the database failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the database does not answer")]
    NoAnswer,
    #[error(transparent)]
    Postgres(PgError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    /// Whether the transaction conflicted with another one, so that a retry may work.
    pub(super) fn is_conflict(&self) -> bool {
        use tokio_postgres::error::SqlState;
        let conflicts = [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE];
        self.sqlstate().is_some_and(|code| conflicts.iter().any(|conflict| conflict.code() == code))
    }

    /// Whether the database refused the data (SQLSTATE classes 22 and 23), and so will refuse it
    /// again.
    pub(super) fn is_of_the_data(&self) -> bool {
        self.sqlstate().is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
    }

    fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Postgres(error) => error.sqlstate(),
            Self::NoAnswer | Self::Store(_) => None,
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error.into())
    }
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        match error {
            Error::NoAnswer => error.to_string().into(),
            Error::Postgres(error) => error.into(),
            Error::Store(error) => error.into(),
        }
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) => error,
            error => Self::Unavailable(error.into()),
        }
    }
}
