//! Writes the sandbox's transcript while it grows: one JSON object per line.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox::{Entry, Handle};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::failure::Failure;

/// How many entries are written at once.
const BATCH: usize = 1_000;

/// Writes the transcript until [`Self::finish`].
pub(super) struct Writer {
    /// Whether it writes to stdout.
    pub(super) on_stdout: bool,
    path: PathBuf,
    finish: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Writer {
    /// Starts the writer. An existing file is overwritten.
    pub(super) fn start(path: &Path, handle: Handle) -> Result<Self, Failure> {
        let on_stdout = path == Path::new("-");
        let out: Box<dyn Write + Send> = if on_stdout {
            Box::new(stdout())
        } else {
            let file = File::create(path).map_err(|error| {
                Failure::configuration(format!(
                    "tidegate: cannot write {}: {error}",
                    path.display()
                ))
            })?;
            Box::new(BufWriter::new(file))
        };
        let (finish, finished) = oneshot::channel();
        let task = tokio::spawn(write(handle, out, finished));
        Ok(Self { on_stdout, path: path.to_owned(), finish, task })
    }

    /// Writes the remaining entries. Fails if any entry could not be written.
    pub(super) async fn finish(self) -> Result<(), Failure> {
        // The task may already have ended with an error.
        let _ = self.finish.send(());
        let failed = |error: Box<dyn Error>| {
            Failure::failed(
                format_args!("the transcript cannot be written to {}", self.path.display()),
                error,
            )
        };
        match self.task.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(error.into())),
            Err(error) => Err(failed(error.into())),
        }
    }
}

async fn write(
    handle: Handle,
    mut out: Box<dyn Write + Send>,
    mut finished: oneshot::Receiver<()>,
) -> io::Result<()> {
    // The subscription only wakes the task. The entries themselves are read in order, so that none
    // is missed if the task falls behind.
    let mut bell = handle.subscribe();
    let mut last = 0;
    let mut over = false;
    loop {
        loop {
            let entries = handle.transcript(last, BATCH);
            let Some(newest) = entries.last() else { break };
            last = newest.n;
            // A disk or a pipe may be slow, and the sandbox must not wait for it.
            out =
                spawn_blocking(move || lines(out, &entries)).await.map_err(io::Error::other)??;
        }
        if over {
            return Ok(());
        }
        over = tokio::select! {
            _ = &mut finished => true,
            rung = bell.recv() => matches!(rung, Err(RecvError::Closed)),
        };
    }
}

fn lines(
    mut out: Box<dyn Write + Send>,
    entries: &[Arc<Entry>],
) -> io::Result<Box<dyn Write + Send>> {
    for entry in entries {
        serde_json::to_writer(&mut out, &**entry)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(out)
}
