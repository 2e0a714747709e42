//! Connections that only read. Thanks to WAL, they see the last commit while the next one is
//! written.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::lock::StoreLock;
use super::open;
use crate::{OpenError, StoreError};

/// How many connections read: enough that slow listings do not delay a load.
const READERS: usize = 4;
/// How many pages (of 4 KiB) each connection caches. A larger cache gains little, because every
/// commit invalidates it.
const CACHE: u32 = 128;

pub(super) struct ReaderPool {
    idle: Mutex<Vec<Connection>>,
    free: Arc<Semaphore>,
    /// Queries for the store's own threads. The runtime's blocking threads may all be busy with
    /// name lookups.
    queries: mpsc::Sender<Query>,
    /// The lock, if this process writes. It is the last field, so that it outlives the connections.
    _lock: Option<Arc<StoreLock>>,
}

type Query = Box<dyn FnOnce() + Send>;

/// Returns its connection to the pool when it is dropped, even if the query panics.
struct Taken<'a> {
    readers: &'a ReaderPool,
    connection: Option<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.readers.idle().extend(self.connection.take());
    }
}

impl ReaderPool {
    pub(super) fn open(path: &Path, lock: Option<Arc<StoreLock>>) -> Result<Self, OpenError> {
        let connect = || {
            let connection = open::connect(path)?;
            open::set_cache(&connection, CACHE).map_err(|error| OpenError::io(path, error))?;
            Ok(connection)
        };
        let idle = (0..READERS).map(|_| connect()).collect::<Result<_, _>>()?;
        let (queries, asked) = mpsc::channel::<Query>();
        let asked = Arc::new(Mutex::new(asked));
        for _ in 0..READERS {
            let asked = Arc::clone(&asked);
            let read = move || answer_all(&asked);
            let started = std::thread::Builder::new().name("store-read".into()).spawn(read);
            started.map_err(|error| OpenError::io(path, error))?;
        }
        Ok(Self {
            idle: Mutex::new(idle),
            free: Arc::new(Semaphore::new(READERS)),
            queries,
            _lock: lock,
        })
    }

    /// Runs a query of a few recently written pages on the current thread, because handing it to
    /// another thread would take several times as long. If every connection is busy, the query runs
    /// on the store's threads instead.
    pub(super) async fn query_inline<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() else {
            return self.query_on_pool(query).await;
        };
        let connection = self.idle().pop();
        self.ask(connection, permit, query)
    }

    /// Runs a query on the store's threads, which it may block.
    pub(super) async fn query_on_pool<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = |_| StoreError::Unavailable("it is closed".into());
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(closed)?;
        let readers = Arc::clone(self);
        let (answer, answered) = oneshot::channel();
        let query = move || {
            // If the caller has gone, the connection still stays in use until the query ends.
            let connection = readers.idle().pop();
            let _ = answer.send(readers.ask(connection, permit, query));
        };
        let broken = || StoreError::Unavailable("a query panicked; the log has the cause".into());
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
        // There are as many connections as permits.
        let none = || StoreError::Unavailable("every reader is busy".into());
        query(taken.connection.as_ref().ok_or_else(none)?)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The loop of a reader thread, until the store is gone.
fn answer_all(asked: &Mutex<mpsc::Receiver<Query>>) {
    loop {
        let query = asked.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(query) = query else { return };
        // The dropped answer tells the caller. The thread continues with the next query.
        if std::panic::catch_unwind(AssertUnwindSafe(query)).is_err() {
            tracing::error!("a query of the store panicked");
        }
    }
}
