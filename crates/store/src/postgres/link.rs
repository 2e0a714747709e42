//! Connections: made when they are needed, thrown away when they do not answer.
//!
//! Statements are sent unprepared, with the types of their parameters, so that they also work through a pooler that hands
//! each transaction to another session.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, Row};

use crate::StoreError;

/// How long a connection may take, and how long an answer. A database that is slower than this is away.
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(8);
/// How many connections read: each takes several queries at a time.
const READERS: usize = 4;

/// A parameter and its type.
pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// One place for a connection.
pub(super) struct Link {
    config: Config,
    client: Mutex<Option<Arc<Client>>>,
}

impl Link {
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

    /// Runs `work` on a connection of its own for as long as it takes, within the time for an answer.
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
        // After an error nobody knows what state the session is in. Dropped, its transaction is rolled back.
        if done.is_ok() {
            *place = Some(client);
        }
        done
    }

    /// Runs `work` on a connection made for it, however long it takes.
    pub(super) async fn patiently<T, F: Future<Output = Result<T, Error>>>(
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
                tracing::debug!(%error, "a connection to the database has ended");
            }
        });
        Ok(Arc::new(client))
    }
}

/// The connections that read.
pub(super) struct Readers {
    links: [Link; READERS],
    next: AtomicUsize,
}

impl Readers {
    pub(super) fn new(config: &Config) -> Self {
        Self { links: std::array::from_fn(|_| Link::new(config)), next: AtomicUsize::new(0) }
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

/// What went wrong between us and the database.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the database does not answer")]
    NoAnswer,
    #[error("{}", said(.0))]
    Postgres(#[from] tokio_postgres::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    /// Another transaction was in the way: the same one again may work.
    pub(super) fn is_conflict(&self) -> bool {
        use tokio_postgres::error::SqlState;
        matches!(self, Self::Postgres(error)
            if [Some(&SqlState::T_R_DEADLOCK_DETECTED), Some(&SqlState::T_R_SERIALIZATION_FAILURE)].contains(&error.code()))
    }

    /// The database refused what it was given (SQLSTATE 22 and 23), and will again.
    pub(super) fn is_of_the_data(&self) -> bool {
        matches!(self, Self::Postgres(error)
            if error.code().is_some_and(|code| code.code().starts_with("22") || code.code().starts_with("23")))
    }
}

/// The server's own words where it has said something; what they are about may hold a customer's words and is left out.
fn said(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", said.message(), said.code().code());
    }
    let cause =
        std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) => error,
            error => Self::Unavailable(error.to_string()),
        }
    }
}
