//! The page `docs/connect-in-30-minutes.md`, run as it is, with the connector of
//! `examples/python-chat`.

use std::fs;

use tempfile::TempDir;

use crate::support::{PATIENCE, bash, blocks};

#[tokio::test]
async fn an_engineer_connects_the_example_and_sees_what_is_held_and_what_fails() {
    let dir = TempDir::new().expect("a folder");
    let blocks = blocks("connect-in-30-minutes.md");
    let commands: Vec<_> = blocks.iter().filter(|block| block.kind == "sh").collect();
    assert!(commands.len() > 10, "the page has its commands");
    let script: String = commands.iter().map(|block| block.text.as_str()).collect();
    // The longest parts: the cases of the connector, one handshake, and one `hold.for`.
    let (ended, told) = bash(dir.path(), &script, 5 * PATIENCE).await;
    let log = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    let logs = ["gateway.log", "chat.log", "cases.log", "cases.errors"].map(log).join("\n");
    assert!(ended, "{told}\n{logs}");
    let cases = blocks.iter().find(|block| block.text.contains(" passed, ")).expect("the count");
    let mut rest = told.as_str();
    for line in [
        cases.text.as_str(),
        "all 7 checks passed",
        "delivery-success\nIt left yesterday.\n",
        "delivery-success\nIt left yesterday.\nIt arrives today.\nBefore noon.\n",
        "2. In the evening",
        r#""payload":"pm""#,
        "delivery-failed\nMessageExpired\n",
        "True",
        "passed\n",
    ] {
        let at = rest.find(line);
        let at = at.unwrap_or_else(|| panic!("no {line} in its place in:\n{told}\n{logs}"));
        rest = &rest[at + line.len()..];
    }
    let held = log("held.json");
    assert!(held.contains("Where is my parcel?") && !held.contains("It left"), "{held}");
}
