//! If `tidegate serve` cannot start, it says why, where, and what to do. If it can, it says so in
//! its log.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{ended, redacted};
use crate::support::{Gateway, Loop, eventually, free_port, tidegate, webhook};

/// A configuration that is valid, with one thing replaced.
fn configuration(dir: &Path, from: &str, to: &str) -> std::path::PathBuf {
    let nobody = "http://127.0.0.1:1";
    let integration = "[integration.hold]\nfor = \"30s\"";
    let file = Gateway::configure(dir, free_port(), nobody, "b3f0", nobody, integration);
    let text = std::fs::read_to_string(&file).expect("a configuration");
    assert!(text.contains(from), "{from}");
    std::fs::write(&file, text.replacen(from, to, 1)).expect("a configuration");
    file
}

/// How serving with such a configuration ends: it must be 2, with the report on stderr alone.
fn report(from: &str, to: &str) -> String {
    let dir = TempDir::new().expect("a folder");
    report_in(&dir, from, to)
}

fn report_in(dir: &TempDir, from: &str, to: &str) -> String {
    let file = configuration(dir.path(), from, to);
    let mut command = tidegate();
    command.args(["serve", "--config"]).arg(file);
    let (code, out, errors) = ended(command);
    assert_eq!((code, out.as_str()), (2, ""), "{errors}");
    redacted(&errors, dir.path())
}

#[test]
fn a_wrong_key_is_named_with_its_line_and_the_nearest_known_key() {
    insta::assert_snapshot!(report("for = ", "fro = "), @r#"[dir]/tidegate.toml:25: integration[0].hold.fro: there is no such key; did you mean "for"?"#);
}

#[test]
fn a_bad_duration_is_shown_with_how_to_write_one() {
    insta::assert_snapshot!(report("\"30s\"", "\"ten parsecs\""), @r#"[dir]/tidegate.toml:25: integration[0].hold.for: "ten parsecs" is not a duration: write for example "30s", "500ms", "5m" or "1h""#);
}

#[test]
fn a_secret_that_is_not_there_is_named_and_none_is_shown() {
    let missing =
        report("secret = \"sandbox-secret\"", "secret = { env = \"TIDEGATE_TEST_NOT_SET\" }");
    insta::assert_snapshot!(missing, @"[dir]/tidegate.toml:14: integration[0].clients[0].secret.env: the environment variable TIDEGATE_TEST_NOT_SET is not set: set it, or name another");
    let missing = report("secret = \"sandbox-secret\"", "secret = { file = \"not/there\" }");
    assert!(missing.contains("not/there") && !missing.contains("sandbox-secret"), "{missing}");
    let weak = report("secret = \"whsec_", "secret = \"whsec-");
    assert!(weak.contains("connector.secret") && !weak.contains("dGVzdHMtb2"), "{weak}");
}

#[test]
fn several_mistakes_are_all_reported_at_once() {
    let dir = TempDir::new().expect("a folder");
    let mistakes = "[integration.hold]\nmax_messages = 0\nstrat = \"x\"\n[integration.delivery]\non_unknown = \"pray\"\n";
    insta::assert_snapshot!(report_in(&dir, "[integration.hold]", mistakes), @r#"
    4 things are wrong with the configuration:
    [dir]/tidegate.toml:25: integration[0].hold.max_messages: 0 is too small: the minimum is 1
    [dir]/tidegate.toml:26: integration[0].hold.strat: there is no such key; did you mean "start"?
    [dir]/tidegate.toml:28: integration[0].delivery.on_unknown: "pray" is none of "auto", "retry", "fail"
    [dir]/tidegate.toml:30: integration[0].delivery.for: there is no such key here; it belongs to its own section, as integration.hold.for
    "#);
}

#[test]
fn a_file_that_is_not_there_or_is_no_toml_is_said_so() {
    let dir = TempDir::new().expect("a folder");
    let mut command = tidegate();
    command.current_dir(dir.path()).arg("serve");
    let (code, out, errors) = ended(command);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(errors.starts_with("tidegate.toml: there is no such file."), "{errors}");
    assert!(errors.contains("[[integration]]"), "and what the least is: {errors}");
    insta::assert_snapshot!(report("[server]", "[server"), @"[dir]/tidegate.toml:2: this is not TOML: unclosed table, expected `]`: a line is a [section], or key = value");
}

#[test]
fn a_store_that_cannot_be_used_is_said_so() {
    let dir = TempDir::new().expect("a folder");
    let at = |path: &str| report_in(&dir, "/tidegate.db", path);
    insta::assert_snapshot!(at("/nowhere/tidegate.db"), @"
    tidegate: the store cannot be used: cannot open [dir]/nowhere/tidegate.db: No such file or directory (os error 2)
      store.url says where it is; its folder must exist and be writable, and only one process may open it
    ");
    // Not even root can write there.
    insta::assert_snapshot!(at("/tidegate.toml/tidegate.db"), @"
    tidegate: the store cannot be used: cannot open [dir]/tidegate.toml/tidegate.db: Not a directory (os error 20)
      store.url says where it is; its folder must exist and be writable, and only one process may open it
    ");
    std::fs::write(dir.path().join("text.db"), "no database\n".repeat(1_000)).expect("a file");
    insta::assert_snapshot!(at("/text.db"), @"
    tidegate: the store cannot be used: cannot open [dir]/text.db: file is not a database
      store.url says where it is; its folder must exist and be writable, and only one process may open it
    ");
}

#[test]
fn somebody_elses_database_is_refused_and_left_as_it_is() {
    let dir = TempDir::new().expect("a folder");
    for version in [0, 1] {
        let path = dir.path().join("other.db");
        let other = rusqlite::Connection::open(&path).expect("a database");
        let sql = format!(
            "create table if not exists recipe (name text); pragma user_version = {version};"
        );
        other.execute_batch(&sql).expect("a table");
        drop(other);
        let before = std::fs::read(&path).expect("a file");
        insta::allow_duplicates! {
            insta::assert_snapshot!(report_in(&dir, "/tidegate.db", "/other.db"), @"
            tidegate: the store cannot be used: [dir]/other.db holds no tidegate store
              store.url says where it is; its folder must exist and be writable, and only one process may open it
            ");
        }
        assert_eq!(std::fs::read(&path).expect("a file"), before);
    }
}

#[tokio::test]
async fn a_port_that_somebody_has_is_said_so() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let report = report("listen = \"127.0.0.1:", &format!("listen = \"{address}\" #"));
    insta::assert_snapshot!(report, @"
    tidegate: cannot listen on [address]: Address already in use (os error 98)
      change server.listen, or stop the program that uses it
    ");
}

#[tokio::test]
async fn a_second_gateway_on_the_same_store_is_refused() {
    let all = Loop::start("", &["--handshake", "0"]).await;
    let (taken, own) =
        (format!("{}/tidegate.db", all.dir.path().display()), TempDir::new().expect("a folder"));
    let report = report_in(&own, &format!("{}/tidegate.db", own.path().display()), &taken);
    let report = report.replace(&format!("process {} ", all.gateway.process.id()), "process [id] ");
    insta::assert_snapshot!(redacted(&report, all.dir.path()), @"
    tidegate: the store cannot be used: [dir]/tidegate.db is in use by process [id] (tidegate): stop that process, or write another store.url
      store.url says where it is; its folder must exist and be writable, and only one process may open it
    ");
}

#[tokio::test]
async fn log_lines_are_json_where_that_is_asked_for_and_bare_text_otherwise() {
    let mut all = Loop::start("", &["--handshake", "0", "--deliver", "immediately"]).await;
    all.sandbox.accept_unknown_receipts().await;
    let text = all.gateway.process.log();
    assert!(text.contains(" INFO ") && !text.contains('\u{1b}'), "no colours in a file: {text}");
    all.gateway.stop().await;
    all.gateway.restart_with(&["--log-format", "json"]).await;
    let body = webhook("logged", "noor", "Good morning.").to_string();
    assert_eq!(all.gateway.webhook(body.as_bytes()).await, 200);
    assert_eq!(all.settled("logged").await.state, "delivered");
    let lines = eventually("the lines about it", async || {
        let log = all.gateway.process.log();
        let new = log.strip_prefix(text.as_str())?.lines().filter(|line| line.starts_with('{'));
        let lines: Vec<Value> =
            new.map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
        let ours: Vec<_> =
            lines.iter().filter(|line| line["fields"]["id"] == "logged").cloned().collect();
        (ours.len() >= 2).then_some(ours)
    })
    .await;
    let messages: Vec<_> =
        lines.iter().map(|line| line["fields"]["message"].as_str().unwrap_or_default()).collect();
    assert_eq!(messages, ["accepted", "settled"]);
    assert_eq!(lines[1]["fields"]["fate"], "delivered");
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"] == "INFO"));
}
