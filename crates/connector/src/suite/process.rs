//! The process of the connector under test.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::caller::{Caller, Signing};

/// How long a connector may take until it answers after its start.
const START: Duration = Duration::from_secs(30);
/// How long to wait before the next look.
const LOOK: Duration = Duration::from_millis(20);

/// The process of the connector under test, if the suite may kill it.
#[async_trait]
pub trait ConnectorProcess: Send + Sync {
    /// Kills it as `kill -9` does, and starts it again. Does not wait until it answers.
    ///
    /// # Errors
    /// A clause that says what could not be done.
    async fn kill_and_start(&self) -> Result<(), String>;

    /// How it has ended, as a clause; `None` while it runs.
    async fn has_ended(&self) -> Option<String>;
}

/// Waits until the connector answers a signed `GET {url}`, whatever it answers. Without a process
/// it must do so at once.
pub(super) async fn until_it_answers(
    caller: &Caller,
    process: Option<&dyn ConnectorProcess>,
) -> Result<(), String> {
    let end = Instant::now() + START;
    loop {
        let reply = caller.get(&[], Signing::Right).await;
        if reply.status().is_some() {
            return Ok(());
        }
        let Some(process) = process else { return Err(reply.told()) };
        if let Some(how) = process.has_ended().await {
            return Err(how);
        }
        if Instant::now() > end {
            return Err(format!("it did not answer within {START:?}: {}", reply.told()));
        }
        tokio::time::sleep(LOOK).await;
    }
}
