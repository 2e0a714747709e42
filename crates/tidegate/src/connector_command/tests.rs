//! What is told about each kind agrees with the documentation and with the program.

use std::fmt::Write;
use std::path::Path;

use boon::{Compiler, Schemas};
use connector::registry::KINDS;
use connector::{Kind, SettingDefault};
use serde_json::{Value, json};

use super::list::value_name;
use super::schema;
use crate::config::Config;

fn page(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(path).expect("the page")
}

/// The settings as a table of the documentation.
fn table(kind: &dyn Kind) -> String {
    let mut table = "| key | type | default | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    let _ = writeln!(table, "| `type` | choice | required | `\"{}\"`. |", kind.name());
    for setting in kind.description().settings {
        let default = match setting.default {
            None => "required".to_owned(),
            Some(SettingDefault::Nothing) => "none".to_owned(),
            Some(SettingDefault::Is(value)) => format!("`{value}`"),
        };
        let (key, value, meaning) = (setting.key, value_name(&setting.value), setting.meaning);
        let _ = writeln!(table, "| `{key}` | {value} | {default} | {meaning} |");
    }
    table
}

#[test]
fn a_page_has_the_table_of_the_settings() {
    for kind in KINDS {
        let pages = [kind.description().page, "docs/configuration.md"].map(page);
        let table = table(*kind);
        assert!(pages.iter().any(|page| page.contains(&table)), "{}:\n{table}", kind.name());
    }
}

/// A configuration with this table, and its connector.
fn read(connector: &str) -> (String, connector::Capabilities) {
    let text = format!(
        "[[integration]]\nname = \"acme\"\nregion = \"mypurecloud.com\"\nintegration_id = \"i\"\n\
         clients = [{{ id = \"c\", secret = \"s\" }}]\nwebhook_secret = \"a-secret-of-this-test\"\n\
         [integration.connector]\n{connector}"
    );
    let config = Config::parse("t.toml", Path::new(""), &text, std::iter::empty())
        .unwrap_or_else(|errors| panic!("{errors}"));
    let settings = &config.integrations[0].connector;
    (format!("{settings:?}"), settings.capabilities())
}

#[test]
fn the_declared_defaults_are_what_counts_and_the_examples_can_be_read() {
    for kind in KINDS {
        let described = kind.description();
        let secret = "\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"";
        let line = |key: &str, value: &str| {
            // The variable of the example is not set here.
            format!("{key} = {}\n", if value.contains("env = ") { secret } else { value })
        };
        let mut least = line("type", &format!("\"{}\"", kind.name()));
        let (mut spelt_out, mut examples) = (String::new(), String::new());
        for setting in described.settings {
            match setting.default {
                None => least.push_str(&line(setting.key, setting.example)),
                Some(default) => {
                    examples.push_str(&line(setting.key, setting.example));
                    if let SettingDefault::Is(value) = default {
                        spelt_out.push_str(&line(setting.key, value));
                    }
                }
            }
        }
        let (settings, capabilities) = read(&least);
        assert_eq!(capabilities, described.capabilities);
        assert_eq!(read(&format!("{least}{spelt_out}")).0, settings);
        assert_ne!(read(&format!("{least}{examples}")).0, settings);
    }
}

/// Whether the schema of a kind allows this table.
fn allows(kind: &dyn Kind, table: &Value) -> bool {
    let mut compiler = Compiler::new();
    compiler.add_resource("schema.json", schema::of(kind)).expect("a document");
    let mut schemas = Schemas::new();
    let index = compiler.compile("schema.json", &mut schemas).expect("a schema");
    schemas.validate(table, index).is_ok()
}

#[test]
fn the_schema_allows_the_example_and_names_what_is_wrong() {
    let example: toml::Table = toml::from_str(&page("tidegate.example.toml")).expect("TOML");
    let example = json!(example["integration"][0]["connector"]);
    let kind = KINDS.iter().find(|kind| kind.name() == "http").expect("it is there");
    assert!(allows(*kind, &example), "{example}");
    for (key, value) in [
        ("tpye", json!("http")),
        ("type", json!("matrix")),
        ("url", json!(9000)),
        ("secret", json!({ "enf": "NAME" })),
        ("secret", json!([])),
        ("typing", json!("yes")),
        ("max_text", json!(0)),
        ("media", json!("image/*")),
    ] {
        let mut wrong = example.clone();
        wrong[key] = value;
        assert!(!allows(*kind, &wrong), "{wrong}");
    }
    let mut without = example.clone();
    without.as_object_mut().expect("a table").remove("url");
    assert!(!allows(*kind, &without));
}
