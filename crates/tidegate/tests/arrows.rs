//! Checks which crate may use which: the "Uses" lines of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Each crate, with the crates of this project that it may use.
const ARROWS: [(&str, &[&str]); 13] = [
    ("lenient", &[]),
    ("genesys", &["lenient"]),
    ("conversation", &[]),
    ("store", &["conversation"]),
    ("timeline", &["conversation", "store"]),
    ("console-pages", &["store", "timeline"]),
    ("connector", &["conversation", "lenient"]),
    ("media", &["conversation"]),
    (
        "gateway",
        &[
            "connector",
            "console-pages",
            "conversation",
            "genesys",
            "lenient",
            "media",
            "store",
            "timeline",
        ],
    ),
    ("sandbox", &["genesys"]),
    ("bench", &["connector", "conversation", "gateway", "genesys", "store"]),
    ("sim", &["connector", "conversation", "gateway", "genesys", "store"]),
    ("tidegate", &["connector", "conversation", "gateway", "genesys", "media", "sandbox", "store"]),
];

#[test]
fn no_crate_uses_one_that_it_must_not_know() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let names: BTreeSet<&str> =
        packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let listed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    assert_eq!(
        names,
        listed.keys().copied().collect(),
        "ARCHITECTURE.md and this test list every crate"
    );
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let dependencies = package["dependencies"].as_array().expect("dependencies");
        // Tests may use every crate.
        let normal = dependencies.iter().filter(|dependency| dependency["kind"] != "dev");
        let ours = normal
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|name| names.contains(name));
        let extra: Vec<_> = ours.filter(|used| !listed[name].contains(used)).collect();
        assert!(extra.is_empty(), "{name} must not use {extra:?}");
    }
}
