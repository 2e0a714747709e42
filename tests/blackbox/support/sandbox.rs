//! `tidegate sandbox`, and what a test asks of it over HTTP.

use std::collections::HashSet;
use std::path::Path;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{Process, client, eventually, free_port, tidegate};

pub(crate) struct Sandbox {
    pub(crate) url: String,
    /// Ends with the test.
    process: Process,
    pub(crate) client: reqwest::Client,
    token: Mutex<Option<String>>,
}

impl Sandbox {
    pub(crate) async fn start(dir: &Path, options: &[&str]) -> Self {
        let listen = format!("127.0.0.1:{}", free_port());
        let mut command = tidegate();
        // A rate limit that no test reaches by accident; tests that need one set it.
        command.args(["sandbox", "--listen", &listen, "--rate", "10000000"]).args(options);
        let process = Process::start(command, &dir.join("sandbox.log"));
        let sandbox = Self {
            url: format!("http://{listen}"),
            process,
            client: client(),
            token: Mutex::new(None),
        };
        eventually("the sandbox answers", async || sandbox.try_get("/sandbox/clock").await).await;
        sandbox
    }

    /// Creates an integration through the API, and waits until it is ready. Returns its id.
    pub(crate) async fn create_integration(&self, webhook: &str, secret: &str) -> String {
        let token = self.token().await;
        let path = "/api/v2/conversations/messaging/integrations/open";
        let body = json!({
            "name": "acme",
            "outboundNotificationWebhookUrl": webhook,
            "outboundNotificationWebhookSignatureSecretToken": secret,
        });
        let call = self.client.post(format!("{}{path}", self.url)).bearer_auth(&token).json(&body);
        let made: Value = call.send().await.expect("an answer").json().await.expect("JSON");
        let id = made["id"].as_str().unwrap_or_else(|| panic!("no id: {made}")).to_owned();
        let one = format!("{}{path}/{id}", self.url);
        eventually("the integration is ready", async || {
            let answer = self.client.get(&one).bearer_auth(&token).send().await.ok()?;
            let found: Value = answer.json().await.ok()?;
            (found["createStatus"] == "Completed").then_some(())
        })
        .await;
        id
    }

    /// One token for the whole test.
    pub(crate) async fn token(&self) -> String {
        let mut token = self.token.lock().await;
        match &*token {
            Some(token) => token.clone(),
            None => token.insert(self.new_token().await).clone(),
        }
    }

    async fn new_token(&self) -> String {
        let form = [("grant_type", "client_credentials")];
        let call = self.client.post(format!("{}/oauth/token", self.url));
        let call = call.basic_auth("sandbox-client", Some("sandbox-secret")).form(&form);
        let answer: Value = call.send().await.expect("an answer").json().await.expect("JSON");
        answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
    }

    /// The agent of the customer's conversation writes. `None` while there is no conversation.
    pub(crate) async fn agent_sends(&self, customer: &str, text: &str) -> Option<String> {
        let body = json!({ "integration": "acme", "customer": customer, "text": text });
        let answer = self.post("/sandbox/agent/send", &body).await;
        Some(answer["id"].as_str()?.to_owned())
    }

    /// A message as the API shows it.
    pub(crate) async fn details(&self, message: &str) -> Value {
        let call = self
            .client
            .get(format!("{}/api/v2/conversations/messages/{message}/details", self.url));
        let again = call.try_clone().expect("it has no body");
        let answer = call.bearer_auth(self.token().await).send().await.expect("an answer");
        if answer.status() != StatusCode::UNAUTHORIZED {
            return answer.json().await.expect("JSON");
        }
        // The test has revoked it.
        let token = self.new_token().await;
        let answer = again.bearer_auth(&token).send().await.expect("an answer");
        *self.token.lock().await = Some(token);
        answer.json().await.expect("JSON")
    }

    /// Waits for the message's final receipt; returns its status and its reason code.
    pub(crate) async fn final_receipt(&self, message: &str) -> (String, Option<String>) {
        eventually(&format!("a final receipt for {message}"), async || {
            let details = self.details(message).await;
            let receipts = details["normalizedReceipts"].as_array().cloned().unwrap_or_default();
            let last = receipts.into_iter().find(|receipt| receipt["isFinalReceipt"] == true)?;
            let code = last["reasons"][0]["code"].as_str().map(str::to_owned);
            Some((last["status"].as_str()?.to_owned(), code))
        })
        .await
    }

    /// Everything that went over the wire, oldest first.
    pub(crate) async fn transcript(&self) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all.last().and_then(|entry| entry["n"].as_u64()).unwrap_or(0);
            let call = self.client.get(format!("{}/sandbox/transcript?after={after}", self.url));
            let call = call.header("accept", "application/json");
            let text = call.send().await.expect("an answer").text().await.expect("text");
            let page: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|_| {
                text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
            });
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// The receipts for a message that were posted and answered 2xx, oldest first.
    pub(crate) async fn receipts(&self, message: &str) -> Vec<Value> {
        let ours = |entry: &Value| {
            let path = entry["path"].as_str().unwrap_or_default();
            path.ends_with("/inbound/open/receipt")
                && entry["body"]["id"] == message
                && entry["status"].as_u64().is_some_and(|status| status < 300)
        };
        self.transcript()
            .await
            .into_iter()
            .filter(ours)
            .map(|mut entry| entry["body"].take())
            .collect()
    }

    /// The messages whose Delivered receipts were posted and answered 2xx.
    pub(crate) async fn delivered(&self) -> HashSet<String> {
        let ours = |entry: &Value| {
            entry["path"].as_str().unwrap_or_default().ends_with("/inbound/open/receipt")
                && entry["body"]["status"] == "Delivered"
                && entry["status"].as_u64().is_some_and(|status| status < 300)
        };
        let entries = self.transcript().await.into_iter().filter(ours);
        entries.filter_map(|entry| Some(entry["body"]["id"].as_str()?.to_owned())).collect()
    }

    /// Waits for a receipt about a message that the sandbox may not know; returns its status and
    /// reason code.
    pub(crate) async fn receipt(&self, message: &str) -> (String, Option<String>) {
        eventually(&format!("a receipt for {message}"), async || {
            let receipt = self.receipts(message).await.into_iter().next()?;
            let code = receipt["reasons"][0]["code"].as_str().map(str::to_owned);
            Some((receipt["status"].as_str()?.to_owned(), code))
        })
        .await
    }

    /// Makes the sandbox accept receipts for messages that a test made up.
    pub(crate) async fn accept_unknown_receipts(&self) {
        let switches = self.put("/sandbox/switches", &json!({ "unknown_receipt": "accept" })).await;
        assert_eq!(switches["unknown_receipt"], "accept");
    }

    pub(crate) async fn verdict(&self) -> Value {
        self.try_get("/sandbox/verdict").await.expect("a verdict")
    }

    /// A middleware's call to the API. Returns the answer's status.
    pub(crate) async fn api_post(&self, path: &str, body: &Value) -> u16 {
        let call = self
            .client
            .post(format!("{}{path}", self.url))
            .bearer_auth(self.token().await)
            .json(body);
        call.send().await.expect("an answer").status().as_u16()
    }

    /// Sends a body to the API as a middleware or an administrator, and returns the answer.
    pub(crate) async fn api_send(
        &self,
        method: reqwest::Method,
        path: &str,
        body: &Value,
    ) -> Value {
        let call = self.client.request(method, format!("{}{path}", self.url));
        let answer =
            call.bearer_auth(self.token().await).json(body).send().await.expect("an answer");
        let answer = answer.error_for_status().expect("it is taken");
        answer.json().await.unwrap_or_default()
    }

    /// Returns the API's answer to a middleware.
    pub(crate) async fn api_get(&self, path: &str) -> Value {
        let call = self.client.get(format!("{}{path}", self.url)).bearer_auth(self.token().await);
        call.send().await.expect("an answer").json().await.expect("JSON")
    }

    /// Stops it by SIGTERM. Returns its exit code.
    pub(crate) async fn ends(&mut self) -> i32 {
        self.process.ends(super::PATIENCE).await.expect("it ends by itself")
    }

    /// What it printed so far.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// Adds a fault rule.
    pub(crate) async fn fault(&self, rule: &Value) {
        self.post("/sandbox/faults", rule).await;
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let call = self.client.post(format!("{}{path}", self.url)).json(body);
        let answer = call.send().await.expect("an answer");
        answer.json().await.unwrap_or_default()
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Value {
        let call = self.client.put(format!("{}{path}", self.url)).json(body);
        let answer = call.send().await.expect("an answer");
        answer.json().await.unwrap_or_default()
    }

    pub(crate) async fn try_get(&self, path: &str) -> Option<Value> {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.ok()?;
        answer.json().await.ok()
    }
}
