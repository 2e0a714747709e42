//! Schemathesis against the OpenAPI documents of the sandbox and of the operators' API: no 500, and
//! no answer that is not in the document.
//!
//! `TIDEGATE_OPENAPI_REQUESTS` sets the minimum number of requests; without it, there are about two
//! thousand.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::dead_letters::{OPERATOR, with_a_dead_letter};
use crate::support::{Sandbox, Webhook, audit, root};

const SECRET: &str = "the-secret-of-a-test-0123456789";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

#[tokio::test]
async fn nothing_that_a_stranger_sends_breaks_the_sandbox_or_its_document() {
    let wanted: usize = std::env::var("TIDEGATE_OPENAPI_REQUESTS")
        .map_or(0, |wanted| wanted.parse().expect("a number"));
    let dir = TempDir::new().expect("a folder");
    let sandbox = Sandbox::start(dir.path(), &[]).await;
    let webhook = Webhook::start().await;
    sandbox.put("/sandbox/switches", &json!({"refused_webhook": "message"})).await;
    let document = dir.path().join("openapi.json");
    let known = with_known_ids(&sandbox, &webhook).await;
    std::fs::write(&document, known.to_string()).expect("a file");

    let mut made = 0;
    for seed in 1.. {
        // Every boundary of the document is tried once; after that, requests are random.
        let (phases, examples) =
            if seed == 1 { ("coverage,fuzzing", "10") } else { ("fuzzing", "100") };
        let run = ["--phases", phases, "--max-examples", examples, "--seed", &seed.to_string()]
            .map(str::to_owned);
        schemathesis(&sandbox.url, &sandbox.token().await, &document, &run).await;
        let before = made;
        made = sandbox.transcript().await.iter().filter(|entry| is_call(entry)).count();
        assert!(made >= before + 500, "schemathesis did next to nothing: {made} requests");
        if made >= wanted {
            break;
        }
    }
    println!("{made} requests");
    let statuses: Vec<u64> =
        sandbox.transcript().await.iter().filter_map(|entry| entry["status"].as_u64()).collect();
    assert!(statuses.iter().all(|status| *status < 500));
    assert!(
        statuses.iter().filter(|status| **status == 200).count() > 50,
        "not everything was refused"
    );
}

/// An operator's program may send anything.
#[tokio::test]
async fn nothing_that_an_operator_sends_breaks_the_gateway_or_its_document() {
    let (stage, dead) = with_a_dead_letter(TempDir::new().expect("a folder")).await;
    let agents = stage.agent_types("noor", &["hello"]).await.remove(0);
    let url = format!("{}/api/v1/openapi.json", stage.gateway.url);
    let document = stage.sandbox.client.get(url).bearer_auth(OPERATOR);
    let document = document.send().await.expect("an answer");
    assert_eq!(document.headers()["content-type"], "application/json");
    let mut document: Value = document.json().await.expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    let paths = document["paths"].as_object_mut().expect("paths");
    assert_eq!(paths.len(), 9);
    let page = include_str!("../../docs/operations.md");
    for (path, operations) in paths {
        let named = path.replace("{id}", "ID");
        assert!(page.contains(&named), "docs/operations.md has no {named}");
        for (method, operation) in operations.as_object_mut().expect("operations") {
            assert!(operation["summary"].is_string(), "{method} {path} says nothing");
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            for parameter in parameters.into_iter().flatten().filter(|each| each["in"] == "path") {
                let ids = if method == "post" { [&dead, "none"] } else { [&agents, "noor"] };
                parameter["schema"] = json!({"enum": ids});
            }
        }
    }
    let file = stage.dir.path().join("openapi.json");
    std::fs::write(&file, document.to_string()).expect("a file");
    let run = ["--phases", "coverage,fuzzing", "--max-examples", "30", "--seed", "1"];
    schemathesis(&stage.gateway.url, OPERATOR, &file, &run.map(str::to_owned)).await;
    // It has used the actions too, and the gateway still works.
    let acted = stage.gateway.process.log().contains("an operator ");
    assert!(acted, "no action reached the conversation");
    assert_eq!(stage.gateway.get("/readyz").await.0, 200);
    let (code, report) = audit(&stage.store());
    assert_eq!(code, Some(0), "{report}");
}

fn is_call(entry: &Value) -> bool {
    entry["kind"] == "request" || entry["kind"] == "token"
}

/// The document with the ids in paths limited to existing objects, or to one that does not exist.
async fn with_known_ids(sandbox: &Sandbox, webhook: &Webhook) -> Value {
    let integration = sandbox.create_integration(&webhook.url, SECRET).await;
    // Its URL may be changed to anything, since no message goes through this integration.
    let changed = sandbox.create_integration(&webhook.url, SECRET).await;
    let writes = json!({
        "channel": {"from": {"id": "noor", "idType": "Opaque"}, "time": "2026-11-20T09:10:59.120Z"},
        "text": "Where is my parcel?",
    });
    let path = format!("/api/v2/conversations/messages/{integration}/inbound/open/message");
    assert_eq!(sandbox.api_post(&path, &writes).await, 200);
    let agent = json!({"integration": integration, "customer": "noor", "text": "On its way."});
    let sent = sandbox.post("/sandbox/agent/send", &agent).await;
    let (message, conversation) = (&sent["id"], &sent["conversationId"]);
    let shown = sandbox
        .api_get(&format!(
            "/api/v2/conversations/messages/{}",
            conversation.as_str().expect("an id")
        ))
        .await;
    let participant = |purpose: &str| {
        let all = shown["participants"].as_array().expect("participants").iter();
        all.clone().find(|each| each["purpose"] == purpose).expect("it takes part")["id"].clone()
    };
    assert_eq!(sandbox.api_post("/api/v2/notifications/channels", &json!({})).await, 200);
    let channels = sandbox.api_get("/api/v2/notifications/channels").await;
    let made = async |what: &str| {
        let path = format!("/api/v2/conversations/messaging/{what}");
        sandbox.api_send(reqwest::Method::POST, &path, &json!({"name": "one"})).await["id"].clone()
    };
    let (setting, content) = (made("settings").await, made("supportedcontent").await);
    let (conversation_id, agent) = (conversation.as_str().expect("an id"), participant("agent"));
    let medium = sent_medium(sandbox, conversation_id, agent.as_str().expect("an id")).await;

    let mut document = sandbox.try_get("/sandbox/openapi.json").await.expect("a document");
    for (path, operations) in document["paths"].as_object_mut().expect("paths") {
        for (method, operation) in operations.as_object_mut().expect("operations") {
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            for parameter in parameters.into_iter().flatten().filter(|each| each["in"] == "path") {
                let id = match parameter["name"].as_str().expect("a name") {
                    "integrationId" if method == "delete" => json!("gone"),
                    "integrationId" if path.contains("/messaging/integrations/") => json!(changed),
                    "integrationId" => json!(integration),
                    "conversationId" => conversation.clone(),
                    "messageId" => message.clone(),
                    "communicationId" => participant("agent"),
                    "messageSettingId" | "supportedContentId" | "cachedMediaItemId"
                        if method == "delete" =>
                    {
                        json!("gone")
                    }
                    "messageSettingId" => setting.clone(),
                    "supportedContentId" => content.clone(),
                    "mediaId" | "cachedMediaItemId" => medium.clone(),
                    // If this participant leaves, nothing ends.
                    "participantId" => participant("workflow"),
                    "channelId" => channels["entities"][0]["id"].clone(),
                    other => panic!("the test has no id for {other}"),
                };
                parameter["schema"] = json!({"enum": [id, "none"]});
            }
        }
    }
    document
}

/// A picture that the agent has sent; returns its id.
async fn sent_medium(sandbox: &Sandbox, conversation: &str, agent: &str) -> Value {
    let path =
        format!("/api/v2/conversations/messages/{conversation}/communications/{agent}/messages");
    let announced = json!({"fileName": "a.png", "contentLengthBytes": 3});
    let announced =
        sandbox.api_send(reqwest::Method::POST, &format!("{path}/media/uploads"), &announced).await;
    let upload = announced["uploadUrl"]
        .as_str()
        .expect("an address")
        .strip_prefix(&sandbox.url)
        .expect("its own");
    let upload =
        sandbox.client.put(format!("{}{upload}", sandbox.url)).header("content-type", "image/png");
    assert!(upload.body("png").send().await.expect("an answer").status().is_success());
    sandbox.api_send(reqwest::Method::POST, &path, &json!({"mediaIds": [announced["id"]]})).await;
    announced["id"].clone()
}

async fn schemathesis(url: &str, token: &str, document: &Path, run: &[String]) {
    let mut command = Command::new(program());
    command.arg("run").arg(document).args(["--url", url, "--checks", CHECKS]);
    command.args(["--header", &format!("Authorization: Bearer {token}")]);
    // Failures are shown as found, since shrinking them would take long.
    command.args(["--continue-on-failure", "--no-shrink", "--warnings", "off"]).args(run);
    // Schemathesis keeps its earlier findings in its working folder.
    command.current_dir(document.parent().expect("a folder"));
    let output =
        tokio::process::Command::from(command).kill_on_drop(true).output().await.expect("it runs");
    let (told, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{errors}");
}

/// The path at which the test set-up installs it.
fn program() -> PathBuf {
    let set = std::env::var_os("TIDEGATE_SCHEMATHESIS").map(PathBuf::from);
    let program =
        set.unwrap_or_else(|| root().join("target/test-tools/schemathesis/bin/schemathesis"));
    assert!(program.exists(), "schemathesis is not installed: ./test does it");
    program
}
