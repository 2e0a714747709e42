//! The commands as a person sees them: what they print, and how they end.

mod audit;
mod check;
mod connector;
mod demo;
mod serve;
mod usage;

use std::path::Path;
use std::process::Command;

use crate::support::output;

/// How a command ended: its exit code, stdout and stderr.
fn ended(command: Command) -> (i32, String, String) {
    let ended = output(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (ended.status.code().expect("it was not killed"), text(&ended.stdout), text(&ended.stderr))
}

/// What a command printed, without the parts that differ from run to run: the folder, ports, ids.
fn redacted(text: &str, dir: &Path) -> String {
    let mut out = String::new();
    let mut rest = &*text.replace(&dir.display().to_string(), "[dir]");
    while let Some(at) = rest.find("127.0.0.1:") {
        let (before, port) = rest.split_at(at);
        out.push_str(before);
        out.push_str("[address]");
        rest = port["127.0.0.1:".len()..].trim_start_matches(|c: char| c.is_ascii_digit());
    }
    out.push_str(rest);
    out
}
