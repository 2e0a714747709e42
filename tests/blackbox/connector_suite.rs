//! `tidegate connector test`: the examples pass, and each planted fault is found and named.

mod faults;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{CONNECTOR_SECRET, build_typescript, free_port, output, root, tidegate};
use faults::{FAULTS, Fault};

/// How many copies are tested at the same time. Most of their time is waiting.
const AT_ONCE: usize = 6;

fn example() -> PathBuf {
    root().join("examples/python-chat/chat_service.py")
}

/// The suite against a script in Python, which it starts, with a store in that folder.
fn suite(dir: &Path, script: &Path) -> Output {
    suite_with("python3", dir, script)
}

/// The same with the program that runs the script.
fn suite_with(program: &str, dir: &Path, script: &Path) -> Output {
    let mut command: Command = tidegate();
    command.args(["connector", "test", "--json", "--secret", "env:CHAT_SECRET", "--wait", "5s"]);
    command.args(["--timeout", "5s", "--url", &format!("http://127.0.0.1:{}", free_port())]);
    command.env("CHAT_SECRET", CONNECTOR_SECRET).arg("--").arg(program).arg(script);
    command.args(["--listen", "{listen}", "--gateway", "{gateway}", "--handshake", "0.3"]);
    command.args(["--delay", "0.3", "--store"]).arg(dir.join("chat.db"));
    output(command)
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("no report: {}", String::from_utf8_lossy(&output.stderr));
    })
}

/// The names of the cases with this verdict.
fn names<'a>(report: &'a Value, verdict: &str) -> BTreeSet<&'a str> {
    let cases = report["cases"].as_array().expect("cases");
    cases
        .iter()
        .filter(|case| case["verdict"] == verdict)
        .map(|case| case["name"].as_str().expect("a name"))
        .collect()
}

#[test]
fn the_example_passes_every_case() {
    let dir = TempDir::new().expect("a folder");
    let ended = suite(dir.path(), &example());
    let report = report(&ended);
    assert_eq!(names(&report, "failed"), BTreeSet::new(), "{report:#}");
    assert_eq!(names(&report, "not claimed"), BTreeSet::new(), "{report:#}");
    assert_eq!(ended.status.code(), Some(0), "{report:#}");
    let planted: BTreeSet<&str> =
        FAULTS.iter().flat_map(|fault| fault.found_by.iter().copied()).collect();
    let passed = names(&report, "passed");
    let never: Vec<_> = passed.difference(&planted).collect();
    assert!(never.is_empty(), "no planted fault shows that these can fail: {never:?}");
}

/// The documents say so, and a template should be short enough to read at once.
#[test]
fn each_example_has_less_than_150_lines_of_at_most_100_columns() {
    for source in ["python-chat/chat_service.py", "typescript-chat/chat_service.ts"] {
        let text = std::fs::read_to_string(root().join("examples").join(source));
        let text = text.expect("the example");
        assert!(text.lines().count() < 150, "{source} has {} lines", text.lines().count());
        let wide: Vec<_> = text.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(wide.is_empty(), "{source}: {wide:?}");
    }
}

#[test]
fn the_example_in_typescript_passes_every_case() {
    let dir = TempDir::new().expect("a folder");
    let script = build_typescript("typescript-chat");
    let ended = suite_with("node", dir.path(), &script);
    let report = report(&ended);
    assert_eq!(names(&report, "failed"), BTreeSet::new(), "{report:#}");
    assert_eq!(names(&report, "not claimed"), BTreeSet::new(), "{report:#}");
    assert_eq!(ended.status.code(), Some(0), "{report:#}");
}

#[test]
fn each_planted_fault_is_found_and_named() {
    let waiting = Mutex::new(FAULTS.iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(fault) = waiting.lock().expect("no test panicked").next() else {
                        break;
                    };
                    if let Some(what) = not_found(fault) {
                        wrong.lock().expect("no test panicked").push(what);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no test panicked");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Plants a fault. Returns what the suite should have said, if it said something else.
fn not_found(fault: &Fault) -> Option<String> {
    let dir = TempDir::new().expect("a folder");
    let script = planted(dir.path(), fault);
    let ended = suite(dir.path(), &script);
    let report = report(&ended);
    let failed = names(&report, "failed");
    let expected: BTreeSet<_> = fault.found_by.iter().copied().collect();
    let is_found = failed == expected && ended.status.code() == Some(1);
    (!is_found).then(|| {
        let cases = report["cases"].as_array().expect("cases");
        let told: Vec<_> =
            cases.iter().filter(|case| case["verdict"] != "passed").map(Value::to_string).collect();
        format!("{}: {failed:?} instead of {expected:?}\n  {}", fault.name, told.join("\n  "))
    })
}

/// A copy of the example with this fault.
fn planted(dir: &Path, fault: &Fault) -> PathBuf {
    let mut text = std::fs::read_to_string(example()).expect("the example");
    for (old, new) in fault.patches {
        let count = text.matches(old).count();
        assert_eq!(count, 1, "{}: the example has {count} times: {old}", fault.name);
        text = text.replace(old, new);
    }
    let script = dir.join("faulty.py");
    std::fs::write(&script, text).expect("a file");
    script
}

/// A small connector may answer 200 to every GET. That is no view in which messages are missing.
#[test]
fn an_answer_without_messages_is_no_view_of_the_customer() {
    let dir = TempDir::new().expect("a folder");
    let fault = Fault {
        name: "it answers every GET",
        patches: &[("self.seen(name) if kind", "(200, {}) if kind")],
        found_by: &[],
    };
    let script = planted(dir.path(), &fault);
    let ended = suite(dir.path(), &script);
    let report = report(&ended);
    assert_eq!(names(&report, "failed"), BTreeSet::new(), "{report:#}");
    assert!(names(&report, "not claimed").contains("order-kept"), "{report:#}");
}

/// A connector that opens no session fails nearly every case, so its cases are not listed.
#[test]
fn a_handshake_that_never_ends_is_found() {
    let dir = TempDir::new().expect("a folder");
    let options = ["--json", "--wait", "300ms"];
    let mut command: Command = tidegate();
    command.args(["connector", "test", "--secret", CONNECTOR_SECRET]).args(options);
    command.args(["--url", &format!("http://127.0.0.1:{}", free_port()), "--", "python3"]);
    command.arg(example()).args(["--listen", "{listen}", "--gateway", "{gateway}"]);
    command.args(["--handshake", "3600"]).env("CHAT_SECRET", CONNECTOR_SECRET);
    command.current_dir(dir.path());
    let ended = output(command);
    let report = report(&ended);
    assert_eq!(ended.status.code(), Some(1));
    let failed = names(&report, "failed");
    assert!(
        failed.contains("session-opens") && failed.contains("session-opens-once"),
        "{report:#}"
    );
}
