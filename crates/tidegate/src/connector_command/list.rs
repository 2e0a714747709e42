//! `tidegate connector list` and `tidegate connector show`.

use clap::Args;
use connector::registry::KINDS;
use connector::{Description, Kind, Setting, SettingDefault, SettingValue};
use serde_json::{Value, json};

use super::schema;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct ShowOptions {
    /// The `type` in `[integration.connector]`.
    #[arg(value_name = "TYPE")]
    kind: String,
    /// Print one JSON object.
    #[arg(long, conflicts_with = "schema")]
    json: bool,
    /// Print a JSON Schema of `[integration.connector]`.
    #[arg(long)]
    schema: bool,
}

/// Prints every kind.
pub(super) fn list() {
    print!("{}", list_of(KINDS));
}

/// Prints one kind.
pub(super) fn show(options: &ShowOptions) -> Result<(), Failure> {
    let kind = found(KINDS, &options.kind)?;
    if options.schema {
        println!("{:#}", schema::of(kind));
    } else if options.json {
        println!("{:#}", as_json(kind));
    } else {
        print!("{}", as_text(kind));
    }
    Ok(())
}

pub(super) fn found<'a>(kinds: &[&'a dyn Kind], name: &str) -> Result<&'a dyn Kind, Failure> {
    kinds.iter().copied().find(|kind| kind.name() == name).ok_or_else(|| {
        let known: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
        Failure::configuration(format!(
            "tidegate: there is no connector of the type {name}\n  this version knows {}",
            known.join(", ")
        ))
    })
}

/// One line for each kind.
pub(crate) fn list_of(kinds: &[&dyn Kind]) -> String {
    let width = kinds.iter().map(|kind| kind.name().len()).max().unwrap_or_default();
    let line =
        |kind: &&dyn Kind| format!("{:width$}  {}\n", kind.name(), kind.description().summary);
    kinds.iter().map(line).collect()
}

/// Everything about a kind, for people.
pub(crate) fn as_text(kind: &dyn Kind) -> String {
    let described = kind.description();
    let mut lines = wrapped(&format!("{}: {}", kind.name(), described.summary), "");
    lines.push(format!("The whole page: {}", described.page));
    lines.extend([String::new(), "Settings, in [integration.connector]:".to_owned()]);
    lines.extend([String::new(), format!("  type = \"{}\"", kind.name())]);
    for setting in described.settings {
        lines.extend([String::new(), format!("  {} = {}", setting.key, setting.example)]);
        lines.push(format!("      {}, {}", value_name(&setting.value), default_name(setting)));
        lines.extend(wrapped(setting.meaning, "      "));
    }
    lines.extend([String::new(), "Capabilities, unless a setting says otherwise:".to_owned()]);
    lines.push(String::new());
    let capabilities = capabilities(&described).into_iter();
    lines.extend(capabilities.map(|(name, value)| format!("  {name} = {value}")));
    let limits: Vec<_> = described.limits.iter().map(String::as_str).collect();
    for (title, list) in [("Limits:", &*limits), ("Tested with:", described.tested_with)] {
        lines.extend([String::new(), title.to_owned(), String::new()]);
        lines.extend(list.iter().flat_map(|item| wrapped(&format!("* {item}"), "  ")));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The text in lines of at most 80 columns, each with this indent.
fn wrapped(text: &str, indent: &str) -> Vec<String> {
    const WIDTH: usize = 80;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{indent}{word}")),
        }
    }
    lines
}

fn capabilities(described: &Description) -> Vec<(String, Value)> {
    match json!(described.capabilities) {
        Value::Object(map) => map.into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The same for programs.
pub(crate) fn as_json(kind: &dyn Kind) -> Value {
    let described = kind.description();
    let setting = |setting: &Setting| {
        json!({
            "key": setting.key,
            "value": value_name(&setting.value),
            "required": setting.default.is_none(),
            "default": match setting.default {
                Some(SettingDefault::Is(value)) => Some(value),
                Some(SettingDefault::Nothing) | None => None,
            },
            "meaning": setting.meaning,
            "example": setting.example,
        })
    };
    json!({
        "type": kind.name(),
        "summary": described.summary,
        "page": described.page,
        "settings": described.settings.iter().map(setting).collect::<Vec<_>>(),
        "capabilities": described.capabilities,
        "limits": described.limits,
        "tested_with": described.tested_with,
    })
}

/// The type of a value, as docs/configuration.md names it.
pub(super) fn value_name(value: &SettingValue) -> &'static str {
    match value {
        SettingValue::Text => "text",
        SettingValue::Secrets => "secret, or a list of two",
        SettingValue::List => "list",
        SettingValue::Flag => "true or false",
        SettingValue::Count(_) => "number",
        SettingValue::Duration(_) => "duration",
    }
}

fn default_name(setting: &Setting) -> String {
    match setting.default {
        None => "required".to_owned(),
        Some(SettingDefault::Nothing) => "none by default".to_owned(),
        Some(SettingDefault::Is(value)) => format!("{value} by default"),
    }
}
