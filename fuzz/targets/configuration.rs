//! The configuration's file and variables: every complaint has its place, and no secret is ever
//! shown.

#![no_main]

#[expect(dead_code, reason = "the program uses what this target does not")]
#[path = "../../crates/tidegate/src/config/mod.rs"]
mod config;

use std::path::Path;

use config::Config;
use libfuzzer_sys::fuzz_target;
use toml::{Table, Value};

/// The text that is put into each secret, and occurs nowhere else.
const HUSH: &str = "Qx7hunterJz9";
/// A valid connector secret that contains `HUSH`.
const HUSH_OF_CONNECTOR: &str = "whsec_Qx7hunterJz9Qx7hunterJz9Qx7hunterJz9Qx7hunterJz9";

// The file, and after each NUL a variable with its value.
fuzz_target!(|data: &[u8]| {
    let Ok(data) = std::str::from_utf8(data) else { return };
    let (text, variables) = data.split_once('\0').unwrap_or((data, ""));
    let variables = variables.split('\0').filter_map(|variable| variable.split_once('='));
    let variables: Vec<_> =
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    // The result must not depend on files of this machine.
    if names_a_file(text, &variables) {
        return;
    }
    let result = load(text, &variables);
    assert_eq!(
        format!("{result:?}"),
        format!("{:?}", load(text, &variables)),
        "the same text means the same"
    );
    if let Err(report) = &result {
        assert_every_line_has_a_place(report, &variables);
    }
    assert_secrets_stay_hidden(text, &variables);
});

fn load(text: &str, variables: &[(String, String)]) -> Result<Config, String> {
    let nowhere = Path::new("/nonexistent");
    Config::parse("tidegate.toml", nowhere, text, variables.iter().cloned())
        .map_err(|errors| errors.to_string())
}

fn names_a_file(text: &str, variables: &[(String, String)]) -> bool {
    fn names(value: &Value) -> bool {
        match value {
            Value::Table(table) => table.iter().any(|(key, value)| key == "file" || names(value)),
            Value::Array(list) => list.iter().any(names),
            _ => false,
        }
    }
    text.parse::<Table>().is_ok_and(|table| names(&Value::Table(table)))
        || variables.iter().any(|(name, _)| name.to_ascii_lowercase().contains("file"))
}

/// Each line names the file with a line number, or a variable, then the key, then what is wrong
/// with it.
fn assert_every_line_has_a_place(report: &str, variables: &[(String, String)]) {
    let mut lines: Vec<_> = report.split('\n').collect();
    if let Some(count) = lines[0].strip_suffix(" things are wrong with the configuration:") {
        lines.remove(0);
        assert_eq!(count.parse(), Ok(lines.len()), "{report}");
    } else {
        assert_eq!(lines.len(), 1, "{report}");
    }
    for line in lines {
        let variable = || {
            variables
                .iter()
                .find_map(|(name, _)| line.strip_prefix(&*name.escape_debug().to_string()))
        };
        let rest = line.strip_prefix("tidegate.toml").map(|rest| rest.trim_start_matches([':']));
        let rest = rest.map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        let (rest, named) = rest
            .map(|rest| (rest, false))
            .or_else(|| variable().map(|rest| (rest, true)))
            .expect(line);
        let rest = rest.trim_start_matches([':', ' ']);
        let key = rest.split_once(": ").map_or("", |(key, _)| key);
        // A variable's name counts as a key. Invalid TOML has no key, or one before the equals
        // sign.
        let known = ["server", "store", "console", "integration", "\""];
        let broken = rest.contains("this is not TOML: ");
        assert!(
            named || broken || known.iter().any(|known| key.starts_with(known)) || unknown(rest),
            "{line}"
        );
    }
}

/// An unknown section is reported under its own name.
fn unknown(rest: &str) -> bool {
    rest.contains(": there is no such key")
}

/// Loads the same with recognizable secrets: neither the report nor the configuration may show
/// them.
fn assert_secrets_stay_hidden(text: &str, variables: &[(String, String)]) {
    let mut variables = variables.to_vec();
    for (name, value) in &mut variables {
        let name = name.to_ascii_lowercase();
        if name.contains("secret") || name.contains("password") || !name.starts_with("tidegate_") {
            *value = hidden(value);
        }
    }
    let text = match text.parse::<Table>() {
        Ok(mut table) => {
            table.iter_mut().for_each(|(key, value)| hide(value, is_secret(key)));
            table.to_string()
        }
        // In invalid TOML, every text may be a secret.
        Err(_) => text.replace("hunter2", HUSH),
    };
    let shown = match load(&text, &variables) {
        Ok(config) => format!("{config:?}"),
        Err(report) => report,
    };
    assert!(!shown.contains("Qx7hunter"), "{shown}");
}

fn hide(value: &mut Value, secret: bool) {
    match value {
        Value::String(text) if secret => *text = hidden(text),
        Value::Array(list) => list.iter_mut().for_each(|element| hide(element, secret)),
        Value::Table(table) => {
            // The name of a variable is not a secret, but a text in its place may be one by
            // mistake.
            let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let shown =
                |key: &str, value: &Value| key == "env" && value.as_str().is_some_and(plain);
            for (key, value) in table.iter_mut() {
                let secret = is_secret(key) || (secret && !shown(key, value));
                hide(value, secret);
            }
        }
        _ => {}
    }
}

fn is_secret(key: &str) -> bool {
    matches!(key, "secret" | "webhook_secret" | "password_hash")
}

fn hidden(secret: &str) -> String {
    if secret.starts_with("whsec_") {
        HUSH_OF_CONNECTOR.to_owned()
    } else {
        format!("{secret}{HUSH}")
    }
}
