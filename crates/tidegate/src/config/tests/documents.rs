//! The documentation and the example cover exactly the existing keys, with their defaults.

use std::collections::BTreeSet;
use std::path::Path;

use connector::http::HttpConfig;
use conversation::Policy;

use gateway::{DetectEnd, NoticeTexts};

use super::super::{KINDS, env, read};
use super::{CONNECTOR_SECRET, HASH, http, load, with};
use std::time::Duration;

const PAGE: &str = include_str!("../../../../../docs/configuration.md");
const EXAMPLE: &str = include_str!("../../../../../tidegate.example.toml");

const SECRETS: [(&str, &str); 3] = [
    ("ACME_CLIENT_SECRET", "x"),
    ("ACME_WEBHOOK_SECRET", "0123456789abcdef"),
    ("ACME_CONNECTOR_SECRET", CONNECTOR_SECRET),
];

/// The keys whose values are lists of tables.
const LISTS: [&str; 3] = ["console.users", "console.tokens", "integration.clients"];

fn secrets() -> impl Iterator<Item = (String, String)> {
    SECRETS
        .into_iter()
        .chain([("OPS_HASH", HASH), ("TIDEGATE_API_TOKEN", "0123456789abcdef0123456789")])
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// Every key that the program asks for, without the tables and without the forms of a secret.
fn known() -> BTreeSet<String> {
    // The keys of users and tokens are known only if the file has one.
    let with_users = EXAMPLE.replace("# users ", "users ").replace("# tokens ", "tokens ");
    let (_, walk) = read(KINDS, Path::new(""), &with_users, secrets());
    let known = walk.known();
    let is_leaf = |key: &String| {
        key.contains('.') && !known.iter().any(|other| other.starts_with(&format!("{key}.")))
    };
    let secret =
        |key: &String| key.strip_suffix(".env").or(key.strip_suffix(".file")).map(str::to_owned);
    let secrets = known.iter().filter_map(secret);
    known
        .iter()
        .filter(|key| is_leaf(key) && secret(key).is_none())
        .cloned()
        .chain(secrets)
        .collect()
}

/// The keys in the tables of the page, each with the heading above it.
fn on_the_page() -> BTreeSet<String> {
    let mut section = None;
    let mut keys = BTreeSet::new();
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix('#') {
            let heading = heading.trim_start_matches('#').trim().trim_matches('`');
            section = heading.starts_with('[').then(|| heading.trim_matches(['[', ']']));
        } else if let (Some(section), Some(row)) = (section, line.strip_prefix("| `")) {
            keys.insert(format!("{section}.{}", row.split('`').next().unwrap()));
        }
    }
    keys
}

/// The keys of the example, also those that are commented out, each with the section above it.
fn in_the_example() -> BTreeSet<String> {
    let mut section = "";
    let mut keys = BTreeSet::new();
    for line in EXAMPLE.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        } else if let Some((key, _)) = line.strip_prefix("# ").unwrap_or(line).split_once('=') {
            let key = key.trim();
            if key.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                keys.insert(format!("{section}.{key}"));
            }
        }
    }
    keys
}

#[test]
fn the_page_has_every_key_and_no_other() {
    let known: BTreeSet<_> = known().into_iter().chain(LISTS.map(str::to_owned)).collect();
    assert_eq!(on_the_page(), known);
    assert!(known.len() > 45, "{known:?}");
}

#[test]
fn the_example_has_every_key_and_no_other() {
    let of_elements = |key: &String| LISTS.iter().any(|list| key.starts_with(&format!("{list}.")));
    let known: BTreeSet<_> = known()
        .into_iter()
        .filter(|key| !of_elements(key))
        .chain(LISTS.map(str::to_owned))
        .collect();
    assert_eq!(in_the_example(), known);
}

#[test]
fn the_example_works_and_says_the_defaults() {
    let example = load(EXAMPLE, &SECRETS).unwrap();
    let least = load(&with(""), &[]).unwrap();
    assert_eq!(example.server.listen, least.server.listen);
    assert_eq!(example.server.max_body, least.server.max_body);
    assert_eq!(
        (example.store.url, example.store.retention),
        (least.store.url, least.store.retention)
    );
    let acme = &example.integrations[0];
    assert_eq!((&acme.policy, &acme.notices), (&Policy::default(), &NoticeTexts::default()));
    assert_eq!(acme.detect_end, DetectEnd::Notifications { poll: Duration::from_mins(1) });
    let connector = http(&acme.connector);
    assert_eq!(*connector, HttpConfig::new(connector.url.clone(), connector.secret.clone()));
}

/// If a file contains the defaults of the page, the configuration is the same.
#[test]
fn the_page_says_the_defaults() {
    const MEDIA: &str = "[media]\nurl = \"file:media\"\n";
    let read = |text: &str| format!("{:?}", load(&with(text), &[]).unwrap());
    let mut checked = 0;
    let mut section = "";
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("## `") {
            section = heading.trim_matches(['[', ']', '`']);
        }
        let cells: Vec<_> = line.split(" | ").collect();
        let [key, _, default, _] = &cells[..] else { continue };
        let (Some(key), Some(default)) = (key.strip_prefix("| `"), default.strip_prefix('`'))
        else {
            continue;
        };
        let (key, default) = (key.trim_end_matches('`'), default.trim_end_matches('`'));
        // The elements of lists are not tables. `config::tests::whole` tests their defaults.
        let is_of_element =
            LISTS.iter().any(|list| format!("{section}.{key}").starts_with(&format!("{list}.")));
        if section.is_empty() || is_of_element {
            continue;
        }
        let (with_it, without_it) = match section {
            "integration.connector" => (format!("{key} = {default}\n"), ""),
            // The other keys are errors without a url.
            "media" => (format!("{MEDIA}{key} = {default}\n"), MEDIA),
            section => (format!("[{section}]\n{key} = {default}\n"), ""),
        };
        assert_eq!(read(&with_it), read(without_it), "{section}.{key}");
        checked += 1;
    }
    assert!(checked > 25, "only {checked} defaults found");
}

#[test]
fn the_sections_that_variables_know_are_those_of_the_file() {
    let (_, walk) = read(KINDS, Path::new(""), EXAMPLE, secrets());
    let sections: BTreeSet<_> = walk.known().into_iter().filter(|key| !key.contains('.')).collect();
    assert_eq!(sections, env::SECTIONS.map(str::to_owned).into());
}
