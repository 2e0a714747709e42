//! The page `docs/first-message.md`, run as it is: from nothing to the first message in both
//! directions.

use std::fs;

use tempfile::TempDir;

use crate::support::{PATIENCE, bash, blocks};

#[tokio::test]
async fn a_newcomer_gets_the_first_message_both_ways_with_python() {
    runs("python").await;
}

#[tokio::test]
async fn a_newcomer_gets_the_first_message_both_ways_with_node() {
    runs("node").await;
}

/// Runs the page's commands with the connector in that language.
async fn runs(language: &str) {
    let dir = TempDir::new().expect("a folder");
    let mut script = String::new();
    let blocks = blocks("first-message.md");
    for block in &blocks {
        match block.kind.split_once(' ').unwrap_or((&block.kind, language)) {
            ("sh", of) if of == language => script.push_str(&block.text),
            ("python" | "js", _) => {
                fs::write(dir.path().join(block.file_name()), &block.text).expect("a file");
            }
            _ => {}
        }
    }
    assert!(
        blocks.iter().filter(|block| block.kind.starts_with("sh")).count() > 10,
        "the page has its commands"
    );
    let (ended, told) = bash(dir.path(), &script, 2 * PATIENCE).await;
    let log = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    let logs = ["gateway.log", "connector.errors", "sandbox.log", "cases.log"].map(log).join("\n");
    assert!(ended, "{told}\n{logs}");
    for line in [
        "all 7 checks passed",
        r#"{"accepted":1}"#,
        "agent: It left yesterday.",
        "delivery-success",
        "True",
    ] {
        assert!(told.contains(line), "no {line} in:\n{told}\n{logs}");
    }
    assert!(told.contains("'status': 'Delivered'"), "{told}");
    // What the page says about the connector's cases.
    let cases = blocks.iter().find(|block| block.text.contains(" passed, ")).expect("the count");
    assert!(told.contains(&cases.text), "no {} in:\n{told}\n{logs}", cases.text);
}
