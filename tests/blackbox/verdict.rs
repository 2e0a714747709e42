//! `tidegate sandbox --verdict`: a test of any middleware that ends with 0 or 1.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Sandbox, Webhook, eventually, output, tidegate};

const SECRET: &str = "the-secret-of-a-test-0123456789";

/// A sandbox with `--verdict`, an integration with a webhook, and a customer who has written.
struct Trial {
    sandbox: Sandbox,
    webhook: Webhook,
    integration: String,
    dir: TempDir,
}

impl Trial {
    async fn start(options: &[&str]) -> Self {
        let dir = TempDir::new().expect("a folder");
        let sandbox = Sandbox::start(dir.path(), &[&["--verdict"], options].concat()).await;
        let webhook = Webhook::start().await;
        let integration = sandbox.create_integration(&webhook.url, SECRET).await;
        let trial = Self { sandbox, webhook, integration, dir };
        let writes = json!({
            "channel": {"from": {"id": "noor", "idType": "Opaque"}, "time": "2026-11-20T09:10:59.120Z"},
            "text": "Where is my parcel?",
        });
        assert_eq!(trial.posts("message", &writes).await, 200);
        trial
    }

    async fn posts(&self, what: &str, body: &Value) -> u16 {
        self.sandbox
            .api_post(
                &format!("/api/v2/conversations/messages/{}/inbound/open/{what}", self.integration),
                body,
            )
            .await
    }

    /// The agent writes, and the webhook has answered.
    async fn agent_writes(&self, text: &str) -> String {
        let id = self.sandbox.agent_sends("noor", text).await.expect("there is a conversation");
        eventually("the webhook's answer", async || {
            (self.sandbox.details(&id).await["status"] != "queued").then_some(())
        })
        .await;
        id
    }

    async fn receipt(&self, message: &str, status: &str) -> u16 {
        let channel =
            json!({"to": {"id": "noor", "idType": "Opaque"}, "time": "2026-11-20T09:14:04.900Z"});
        self.posts(
            "receipt",
            &json!({"id": message, "channel": channel, "status": status, "isFinalReceipt": true}),
        )
        .await
    }

    /// Stops the sandbox by SIGTERM. Returns its exit code and what it printed.
    async fn ends(mut self) -> (i32, String, TempDir) {
        let code = self.sandbox.ends().await;
        (code, self.sandbox.log(), self.dir)
    }
}

#[tokio::test]
async fn a_middleware_that_keeps_to_the_rules_passes() {
    let trial = Trial::start(&[]).await;
    let message = trial.agent_writes("On its way.").await;
    assert_eq!(trial.receipt(&message, "Delivered").await, 200);
    let (code, told, _dir) = trial.ends().await;
    assert_eq!(code, 0, "{told}");
    assert!(
        told.ends_with(
            "1 messages went to the middleware, 1 came from it.\nIt did nothing wrong.\n"
        ),
        "{told}"
    );
}

#[tokio::test]
async fn every_fault_has_its_row() {
    let trial = Trial::start(&["--seed", "3"]).await;
    trial.sandbox.put("/sandbox/switches", &json!({"refused_webhook": "message"})).await;
    let forgotten = trial.agent_writes("Never receipted.").await;
    let twice = trial.agent_writes("Receipted twice.").await;
    trial.receipt(&twice, "Delivered").await;
    trial.receipt(&twice, "Failed").await;
    trial.receipt("made-up", "Delivered").await;
    assert_eq!(trial.posts("message", &json!({"text": "no channel"})).await, 400);
    trial.webhook.answer(404);
    let refused = trial.agent_writes("Refused by the webhook.").await;
    trial.sandbox.put("/sandbox/switches", &json!({"rate_per_minute": 1})).await;
    assert_eq!(trial.posts("message", &json!({})).await, 429);
    let (code, told, _dir) = trial.ends().await;
    assert_eq!(code, 1, "{told}");
    let row = |kind: &str, about: &str| {
        let found = told.lines().find(|line| line.starts_with(kind) && line.contains(about));
        found.unwrap_or_else(|| panic!("no row {kind} {about} in {told}")).to_owned()
    };
    row("no final receipt ", &forgotten);
    assert!(row("receipt after the final one ", &twice).contains(" Failed "));
    row("receipt for an unknown message ", "made-up");
    assert!(row("webhook answer is no 2xx ", &refused).contains(" 404, attempt 1 "));
    assert!(row("invalid request ", "/inbound/open/message").contains("invalid body"));
    row("request over the limit ", "/inbound/open/message");
    assert!(told.contains("\n6 faults\n"), "{told}");
    let at = |line: &str| line.rsplit("  ").next().unwrap_or_default().to_owned();
    let times: Vec<_> = told.lines().filter(|line| line.ends_with('Z')).map(at).collect();
    assert!(times.len() == 6 && times.is_sorted(), "each says when, in order of time: {told}");
    assert!(told.trim_end().ends_with("tidegate: the middleware did something wrong"), "{told}");
}

#[tokio::test]
async fn programs_get_json_and_the_transcript_a_file() {
    let dir = TempDir::new().expect("a folder");
    let file = dir.path().join("transcript.jsonl");
    let trial = Trial::start(&["--json", "--transcript", file.to_str().expect("a path")]).await;
    let message = trial.agent_writes("Never receipted.").await;
    let (code, told, _dir) = trial.ends().await;
    assert_eq!(code, 1, "{told}");
    let verdict =
        told.lines().find_map(|line| serde_json::from_str::<Value>(line).ok()).expect("a verdict");
    assert_eq!(
        (&verdict["passed"], &verdict["faults"]),
        (&json!(false), &json!({"no final receipt": 1}))
    );
    assert_eq!(verdict["verdict"]["without_final_receipt"], json!([message]));
    let lines = transcript(&file);
    let numbers: Vec<_> = lines.iter().map(|line| line["n"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, (1..=lines.len() as u64).collect::<Vec<_>>(), "every number is there");
    assert!(lines.iter().any(|line| line["kind"] == "webhook" && line["message"] == *message));
}

#[tokio::test]
async fn the_verdict_has_its_rows_in_order_of_time_and_can_be_reset() {
    let trial = Trial::start(&[]).await;
    let forgotten = trial.agent_writes("Never receipted.").await;
    let goes_on = async || trial.sandbox.post("/sandbox/clock/advance", &json!({"by": "1s"})).await;
    goes_on().await;
    assert_eq!(trial.receipt("made-up", "Delivered").await, 404);
    goes_on().await;
    assert_eq!(trial.posts("message", &json!({"text": "no channel"})).await, 400);
    goes_on().await;
    let later = trial.agent_writes("Never receipted, either.").await;
    let verdict = trial.sandbox.verdict().await;
    let rows = verdict["rows"].as_array().expect("rows");
    let told: Vec<_> = rows.iter().map(|row| row["fault"].as_str().expect("a kind")).collect();
    let kinds = [
        "no final receipt",
        "receipt for an unknown message",
        "invalid request",
        "no final receipt",
    ];
    assert_eq!(told, kinds);
    assert_eq!((&rows[0]["about"], &rows[3]["about"]), (&json!(forgotten), &json!(later)));
    assert!(
        rows.iter().all(|row| row["at"].as_str().is_some_and(|at| at.ends_with('Z'))),
        "{verdict}"
    );
    assert!(rows.is_sorted_by_key(|row| row["at"].as_str()), "{verdict}");

    trial.sandbox.post("/sandbox/verdict/reset", &json!({})).await;
    let verdict = trial.sandbox.verdict().await;
    assert_eq!(
        (&verdict["holds"], &verdict["messages"], &verdict["rows"]),
        (&json!(true), &json!(0), &json!([]))
    );
    let message = trial.agent_writes("On its way.").await;
    assert_eq!(trial.receipt(&message, "Delivered").await, 200);
    let (code, told, _dir) = trial.ends().await;
    assert!(code == 0 && told.ends_with("It did nothing wrong.\n"), "{told}");
}

#[test]
fn it_ends_by_itself_when_its_time_is_over() {
    let run = |options: &[&str]| {
        let mut command: Command = tidegate();
        command.args(["sandbox", "--listen", "127.0.0.1:0", "--for", "50ms"]).args(options);
        let ended = output(command);
        (ended.status.code(), String::from_utf8_lossy(&ended.stdout).into_owned())
    };
    assert_eq!(run(&["--transcript", "-"]), (Some(0), String::new()));
    let (code, told) = run(&["--verdict"]);
    assert!(code == Some(0) && told.ends_with("It did nothing wrong.\n"), "{told}");
    assert_eq!(run(&["--json"]).0, Some(2), "there is no verdict to show");
    assert_eq!(run(&["--transcript", "/nowhere/at/all"]).0, Some(2));
}

fn transcript(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).expect("a transcript");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn the_time_that_it_may_take_is_real_time() {
    let start = tokio::time::Instant::now();
    let mut command = tidegate();
    command.args(["sandbox", "--listen", "127.0.0.1:0", "--for", "1s", "--clock-scale", "1000"]);
    assert!(output(command).status.success());
    assert!(start.elapsed() >= Duration::from_secs(1));
}
