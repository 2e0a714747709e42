//! Planted secrets are looked for in everything that the program outputs: its log at every level,
//! its answers, its metrics, its commands, its store. So are the words and names of people, which
//! may be in the store and nowhere else.

mod broken;
mod database;
mod scenes;
mod stage;

use std::path::Path;
use std::process::Command;

use crate::support::{output, tidegate};

/// The level at which every library logs everything that it can.
const LOUDEST: &str = "trace";

/// All output, by its source.
#[derive(Default)]
struct Told(Vec<(String, Vec<u8>)>);

impl Told {
    fn add(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    /// Runs a command to its end. Returns its exit code.
    fn command(&mut self, arguments: &[&str], file: Option<&Path>, level: &str) -> Option<i32> {
        let mut command: Command = tidegate();
        command.args(arguments).args(file).env("TIDEGATE_LOG", level);
        let ended = output(command);
        let place = format!("tidegate {} at {level}", arguments.join(" "));
        self.add(format!("the output of {place}"), ended.stdout);
        self.add(format!("the errors of {place}"), ended.stderr);
        ended.status.code()
    }

    /// Panics if any output contains any of these, as it is or in hexadecimal, and shows its
    /// context.
    fn lacks(&self, planted: &[String]) {
        for secret in planted.iter().flat_map(|secret| [secret.clone(), hex::encode(secret)]) {
            assert!(secret.len() >= 6, "a secret as short as {secret:?} could stand anywhere");
            for (place, bytes) in &self.0 {
                let text = String::from_utf8_lossy(bytes);
                if let Some(line) = text.lines().find(|line| line.contains(secret.as_str())) {
                    let line: String = line.chars().take(1_000).collect();
                    panic!("{secret} stands in {place}:\n{line}");
                }
            }
        }
    }

    /// How many bytes were searched.
    fn size(&self) -> usize {
        self.0.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}
