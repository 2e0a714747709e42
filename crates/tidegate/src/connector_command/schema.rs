//! A JSON Schema of `[integration.connector]`, for editors and for programs that write the file.

use connector::{Kind, Setting, SettingDefault, SettingValue};
use serde_json::{Map, Value, json};

/// The schema of the table for one kind.
pub(crate) fn of(kind: &dyn Kind) -> Value {
    let described = kind.description();
    let mut properties = Map::new();
    properties.insert(
        "type".to_owned(),
        json!({ "const": kind.name(), "description": described.summary }),
    );
    for setting in described.settings {
        properties.insert(setting.key.to_owned(), property(setting));
    }
    let required = described.settings.iter().filter(|setting| setting.default.is_none());
    let required: Vec<_> = ["type"].into_iter().chain(required.map(|one| one.key)).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("[integration.connector] of the type {}", kind.name()),
        "description": described.summary,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
        "$defs": { "secret": secret() },
    })
}

fn property(setting: &Setting) -> Value {
    let mut schema = match &setting.value {
        SettingValue::Text | SettingValue::Duration(_) => {
            json!({ "type": "string", "minLength": 1 })
        }
        SettingValue::Secrets => {
            let one = json!({ "$ref": "#/$defs/secret" });
            let list = json!({ "type": "array", "items": one, "minItems": 1, "maxItems": 2 });
            json!({ "anyOf": [one, list] })
        }
        SettingValue::List => json!({ "type": "array", "items": { "type": "string" } }),
        SettingValue::Flag => json!({ "type": "boolean" }),
        SettingValue::Count(limits) => {
            json!({ "type": "integer", "minimum": limits.start(), "maximum": limits.end() })
        }
    };
    schema["description"] = json!(setting.meaning);
    if let Some(example) = value(setting.example) {
        schema["examples"] = json!([example]);
    }
    if let Some(SettingDefault::Is(default)) = setting.default {
        schema["default"] = json!(value(default));
    }
    schema
}

/// A secret: a text, or where it is.
fn secret() -> Value {
    let place = |key: &str| {
        json!({ "type": "object", "properties": { key: { "type": "string", "minLength": 1 } },
            "required": [key], "additionalProperties": false })
    };
    json!({ "anyOf": [{ "type": "string", "minLength": 1 }, place("env"), place("file")] })
}

/// A TOML value as JSON.
fn value(toml: &str) -> Option<Value> {
    let table: toml::Table = toml::from_str(&format!("value = {toml}")).ok()?;
    serde_json::to_value(table.get("value")?).ok()
}
