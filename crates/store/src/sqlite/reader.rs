//! Connections that only read. WAL lets them see the last commit while the next one is written.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::open;
use crate::{OpenError, StoreError};

/// Enough that a slow listing does not hold up a load.
const READERS: usize = 4;
/// How many pages (of 4 KiB) each keeps in memory: with every commit it has to read anew what it has anyway.
const CACHE: u32 = 128;

pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    free: Arc<Semaphore>,
    /// For threads that belong to the store: those of the runtime may all be waiting for names to be looked up.
    queries: mpsc::Sender<Query>,
}

type Query = Box<dyn FnOnce() + Send>;

/// A connection that comes back even if its query panics.
struct Taken<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.readers.idle().extend(self.connection.take());
    }
}

impl Readers {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let connect = || {
            let connection = open::connect(path)?;
            open::set_cache(&connection, CACHE).map_err(|error| OpenError::Io {
                path: path.to_owned(),
                cause: error.to_string(),
            })?;
            Ok(connection)
        };
        let idle = (0..READERS).map(|_| connect()).collect::<Result<_, _>>()?;
        let (queries, asked) = mpsc::channel::<Query>();
        let asked = Arc::new(Mutex::new(asked));
        for _ in 0..READERS {
            let asked = Arc::clone(&asked);
            let read = move || answer_all(&asked);
            let started = std::thread::Builder::new().name("store-read".into()).spawn(read);
            started.map_err(|error| OpenError::Io {
                path: path.to_owned(),
                cause: error.to_string(),
            })?;
        }
        Ok(Self { idle: Mutex::new(idle), free: Arc::new(Semaphore::new(READERS)), queries })
    }

    /// Runs a query of a few pages, which were written a moment ago, right here: to have another thread do it takes several
    /// times as long as the query. Where every connection is busy it waits for its turn elsewhere.
    pub(super) async fn glance<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() else {
            return self.run(query).await;
        };
        let connection = self.idle().pop();
        self.ask(connection, permit, query)
    }

    /// Runs a query away from the async threads.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = |_| StoreError::Unavailable("it is closed".into());
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(closed)?;
        let readers = Arc::clone(self);
        let (answer, answered) = oneshot::channel();
        let query = move || {
            // Whoever asked may have gone; the connection is taken until the query has ended all the same.
            let connection = readers.idle().pop();
            let _ = answer.send(readers.ask(connection, permit, query));
        };
        let broken = || StoreError::Unavailable("reading it broke; the log says why".into());
        self.queries.send(Box::new(query)).map_err(|_| broken())?;
        answered.await.unwrap_or_else(|_| Err(broken()))
    }

    fn ask<T>(
        &self,
        connection: Option<Connection>,
        permit: OwnedSemaphorePermit,
        query: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let taken = Taken { readers: self, connection, _permit: permit };
        // There are as many as permits.
        let none = || StoreError::Unavailable("every reader is busy".into());
        query(taken.connection.as_ref().ok_or_else(none)?)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a thread does, until the store is gone.
fn answer_all(asked: &Mutex<mpsc::Receiver<Query>>) {
    loop {
        let query = asked.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(query) = query else { return };
        // Whoever asked hears it by the dropped answer; others go on.
        if std::panic::catch_unwind(AssertUnwindSafe(query)).is_err() {
            tracing::error!("a query of the store broke");
        }
    }
}
