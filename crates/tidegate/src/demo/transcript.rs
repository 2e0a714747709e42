//! What the demo prints: one line per event, with the time, whom it concerns, and the message
//! states that an agent sees.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::OnceLock;

use sandbox::{Handle, Kind};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

/// Prints one line: the seconds since the demo began, whom it concerns, and what happened.
pub(super) fn line(who: &str, what: impl AsRef<str>) {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    // The time is read under the lock, so that no other line can come before this one.
    let mut out = io::stdout().lock();
    // The reader of stdout may be gone; the demo goes on.
    let _ = writeln!(out, "{:>7.3}s  {who:<12}  {}", start.elapsed().as_secs_f64(), what.as_ref());
}

/// Prints the state that an agent sees on each message, whenever it changes.
pub(super) fn print_ticks(genesys: &Handle) {
    let mut entries = genesys.subscribe();
    let genesys = genesys.clone();
    tokio::spawn(async move {
        let mut texts: HashMap<String, String> = HashMap::new();
        loop {
            let entry = match entries.recv().await {
                Ok(entry) => entry,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            let (Kind::Message, Some(message), Some(state)) =
                (entry.kind, &entry.message, &entry.state)
            else {
                continue;
            };
            let details = genesys.message(message).unwrap_or_default();
            let text = texts.entry(message.clone()).or_insert_with(|| {
                details["normalizedMessage"]["text"].as_str().unwrap_or_default().to_owned()
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
}
