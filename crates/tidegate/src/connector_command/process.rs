//! The connector under test as a process.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use connector::suite::ConnectorProcess;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::time::{Instant, sleep};

/// How long it may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);

/// A command that is started, killed and started again. It has a process group of its own, so that
/// the end also reaches what a shell has started. It is killed when this is dropped.
pub(super) struct Started {
    command: Vec<String>,
    child: Mutex<Child>,
}

impl Started {
    /// Starts a command. Its output goes to stderr.
    pub(super) fn start(command: Vec<String>) -> io::Result<Self> {
        let child = Mutex::new(spawn(&command)?);
        Ok(Self { command, child })
    }

    /// Asks it to end, and kills it if it does not.
    pub(super) async fn stop(&self) {
        self.signal(Signal::TERM);
        self.wait(PATIENCE).await;
        self.signal(Signal::KILL);
        self.wait(PATIENCE).await;
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // An error says that the whole group has ended.
        let _ = id.map(|id| kill_process_group(id, signal));
    }

    /// How it has ended, if it has.
    fn ended(&self) -> Option<String> {
        let mut child = self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(format!("the COMMAND ended: {status}")),
            Err(error) => Some(format!("the COMMAND cannot be watched: {error}")),
        }
    }

    async fn wait(&self, limit: Duration) {
        let end = Instant::now() + limit;
        while self.ended().is_none() && Instant::now() < end {
            sleep(LOOK).await;
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

#[async_trait::async_trait]
impl ConnectorProcess for Started {
    async fn kill_and_start(&self) -> Result<(), String> {
        self.signal(Signal::KILL);
        self.wait(PATIENCE).await;
        let again = spawn(&self.command)
            .map_err(|error| format!("the COMMAND cannot be started again: {error}"))?;
        *self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = again;
        Ok(())
    }

    async fn has_ended(&self) -> Option<String> {
        self.ended()
    }
}

fn spawn(command: &[String]) -> io::Result<Child> {
    let [program, arguments @ ..] = command else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the COMMAND is empty"));
    };
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .process_group(0)
        .spawn()
}
