//! What the demo prints: one line per event, with the time and whom it concerns.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::OnceLock;

use sandbox::{Handle, Kind};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::Instant;

/// Prints one line: the seconds since the demo began, whom it concerns, and what happened.
pub(super) fn line(who: &str, what: impl AsRef<str>) {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    // The time is read while stdout is locked, so that the lines are in the order of their times.
    let mut out = io::stdout().lock();
    let (seconds, what) = (start.elapsed().as_secs_f64(), what.as_ref().replace('\n', " / "));
    // If the reader of stdout is gone, the demo continues.
    let _ = writeln!(out, "{seconds:>7.3}s  {who:<12}  {what}");
}

/// Starts a task that prints the state that an agent sees on a message, whenever it changes.
/// Returns the number of the last entry of Genesys's transcript that it is done with.
pub(super) fn print_ticks(genesys: &Handle) -> watch::Receiver<u64> {
    let mut entries = genesys.subscribe();
    let genesys = genesys.clone();
    let (done, printed) = watch::channel(0);
    tokio::spawn(async move {
        let mut texts: HashMap<String, String> = HashMap::new();
        let mut last = 0;
        loop {
            done.send_replace(last);
            let entry = match entries.recv().await {
                Ok(entry) => entry,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            last = entry.n;
            let (Kind::Message, Some(message), Some(state)) =
                (entry.kind, &entry.message, &entry.state)
            else {
                continue;
            };
            let details = genesys.message(message).unwrap_or_default();
            let text = texts.entry(message.clone()).or_insert_with(|| {
                let said = &details["normalizedMessage"];
                let text = said["text"].as_str().filter(|text| !text.is_empty());
                let kind = said["content"][0]["contentType"].as_str();
                text.or(kind).unwrap_or_default().to_owned()
            });
            match state.as_str() {
                "sent" => line("agent sees", format!("✓   sent       “{text}”")),
                "delivery-success" => line("agent sees", format!("✓✓  delivered  “{text}”")),
                "delivery-failed" => {
                    let reason = &details["normalizedReceipts"][0]["reasons"][0];
                    let code = reason["code"].as_str().unwrap_or("?");
                    let why = reason["message"].as_str().unwrap_or("?");
                    line("agent sees", format!("✗   failed     “{text}” ({code}: {why})"));
                }
                _ => {}
            }
        }
    });
    printed
}
