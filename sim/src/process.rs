//! A node's process: whether it runs, and the gate that the simulation can shut. A killed process
//! never answers or asks again. A stopped one continues later where it was.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use gateway::GatewayCore;
use tokio::sync::Notify;

/// Whether a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    Yes,
    Stopped,
    Dead,
}

/// Everything that reaches or leaves a process passes here.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Process>);

struct Process {
    runs: Mutex<Runs>,
    changed: Notify,
    /// The connection to the database is cut.
    cut: AtomicBool,
    /// How many requests to the database are late or about to get lost.
    troubles: AtomicU32,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let (runs, changed) = (Mutex::new(Runs::Yes), Notify::new());
        let (cut, troubles) = (AtomicBool::new(false), AtomicU32::new(0));
        Self(Arc::new(Process { runs, changed, cut, troubles }))
    }

    pub(crate) fn runs(&self) -> Runs {
        *self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the state, but a dead process stays dead.
    pub(crate) fn set(&self, to: Runs) {
        let mut runs = self.0.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if *runs != Runs::Dead {
            *runs = to;
            self.0.changed.notify_waiters();
        }
    }

    /// Waits until the process runs; forever if it is dead.
    pub(crate) async fn pass(&self) {
        loop {
            // Listens before it checks the state, so that no change in between is missed.
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if self.runs() == Runs::Yes {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.runs() == Runs::Stopped
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.runs() == Runs::Dead
    }

    /// Cuts or mends the connection to the database.
    pub(crate) fn cut(&self, cut: bool) {
        self.0.cut.store(cut, Ordering::Relaxed);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.0.cut.load(Ordering::Relaxed)
    }

    /// Whether the process runs and reaches the database in time.
    fn is_fit(&self) -> bool {
        self.runs() == Runs::Yes && !self.is_cut() && self.0.troubles.load(Ordering::Relaxed) == 0
    }
}

/// Exists while a request to the database is late or about to get lost.
pub(crate) struct LateRequest<'a>(&'a Gate);

impl<'a> LateRequest<'a> {
    pub(crate) fn new(gate: &'a Gate) -> Self {
        gate.0.troubles.fetch_add(1, Ordering::Relaxed);
        Self(gate)
    }
}

impl Drop for LateRequest<'_> {
    fn drop(&mut self) {
        self.0.0.troubles.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place for a process, which may be empty.
pub(crate) struct Node {
    /// How many processes have started here.
    pub(crate) generation: u32,
    pub(crate) process: Option<Running>,
    /// Since when its process runs and reaches the database.
    pub(crate) fit: Option<Duration>,
}

pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) gate: Gate,
    pub(crate) router: Router,
    pub(crate) inside: Option<GatewayCore>,
}

impl Node {
    pub(crate) fn empty() -> Self {
        Self { generation: 0, process: None, fit: None }
    }

    /// The name of its process in the store.
    pub(crate) fn name(&self) -> String {
        self.process.as_ref().map(|process| process.name.clone()).unwrap_or_default()
    }

    /// Since when its process runs, is not told to end, and reaches the database, if all this is
    /// true `now`. The caller must call it periodically.
    pub(crate) fn fit_since(&mut self, now: Duration, database_full: bool) -> Option<Duration> {
        let fit = |process: &Running| process.gate.is_fit() && process.inside.is_some();
        let fit = !database_full && self.process.as_ref().is_some_and(fit);
        self.fit = fit.then(|| self.fit.unwrap_or(now));
        self.fit
    }

    /// Whether its process was told to end, and has not ended yet.
    pub(crate) fn leaves(&self) -> bool {
        self.process
            .as_ref()
            .is_some_and(|process| !process.gate.is_dead() && process.inside.is_none())
    }

    /// Restarts the time that [`Self::fit_since`] returns.
    pub(crate) fn unfit(&mut self) {
        self.fit = None;
    }

    pub(crate) fn runs(&self) -> bool {
        self.process.as_ref().is_some_and(|process| !process.gate.is_dead())
    }

    /// The gate and the router for requests to its process, unless it is dead.
    pub(crate) fn door(&self) -> Option<(Gate, Router)> {
        let process = self.process.as_ref()?;
        (!process.gate.is_dead()).then(|| (process.gate.clone(), process.router.clone()))
    }
}
