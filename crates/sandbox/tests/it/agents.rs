//! The agent's side on the real paths, and messages without an agent.

use serde_json::{Value, json};

use crate::support::{Bench, CUSTOMER, MESSAGES, assert_valid, example};

async fn agent_of(bench: &Bench, conversation: &str) -> String {
    let shown = bench.conversation(conversation).await;
    let participants = shown["participants"].as_array().unwrap();
    let agent = participants.iter().rfind(|each| each["purpose"] == "agent").unwrap();
    agent["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_agent_writes_and_types() {
    let bench = Bench::start().await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    let agent = agent_of(&bench, &conversation).await;
    let communication = format!("{MESSAGES}/{conversation}/communications/{agent}");
    let sent = bench
        .post(&format!("{communication}/messages"), &example("agent-01-send-text.json"))
        .await
        .json();
    assert_valid("message-details", &sent);
    assert_eq!(sent["status"], "queued");
    let typing =
        bench.post(&format!("{communication}/typing"), &example("agent-02-typing.json")).await;
    assert_eq!(typing.status, 202);
    let calls = bench.hook.wait_for(2).await;
    assert_eq!(calls[0].json()["id"], sent["id"]);
    let event = calls[1].json();
    assert_valid("outbound-webhook-message", &event);
    let expected = example("webhook-06-typing.json");
    assert_eq!((&event["type"], &event["events"]), (&expected["type"], &expected["events"]));

    let elsewhere = format!("{MESSAGES}/{conversation}/communications/nobody/messages");
    assert_eq!(bench.post(&elsewhere, &example("agent-01-send-text.json")).await.status, 404);
    bench.put("/sandbox/switches", &json!({"typing": false})).await.json();
    bench.post(&format!("{communication}/typing"), &example("agent-02-typing.json")).await;
    bench.agent_writes(CUSTOMER, "last").await;
    let calls = bench.hook.wait_for(3).await;
    assert_eq!(calls[2].text(), "last");
}

fn ends(conversation: &Value) -> Vec<(String, String, String)> {
    let text = |each: &Value, field: &str| each[field].as_str().unwrap_or_default().to_owned();
    let participants = conversation["participants"].as_array().unwrap();
    let people = participants
        .iter()
        .filter(|each| each["purpose"] == "agent" || each["purpose"] == "customer");
    people
        .map(|each| (text(each, "purpose"), text(each, "state"), text(each, "disconnectType")))
        .collect()
}

fn ended(purpose: &str, how: &str) -> (String, String, String) {
    (purpose.to_owned(), "disconnected".to_owned(), how.to_owned())
}

#[tokio::test]
async fn the_agent_ends_the_conversation() {
    let bench = Bench::start().await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    let path = format!("{MESSAGES}/{conversation}");
    let answer = bench.patch(&path, &example("participant-01-disconnect.json")).await.json();
    assert_valid("conversation", &answer);
    assert!(answer["endTime"].is_string());
    let agent = answer["participants"]
        .as_array()
        .unwrap()
        .iter()
        .find(|each| each["purpose"] == "agent")
        .unwrap();
    let communication = &agent["messages"][0];
    assert!(
        communication["disconnectedTime"].is_string() && communication.get("endTime").is_none(),
        "{agent}"
    );
    assert_eq!(
        ends(&bench.conversation(&conversation).await),
        [ended("customer", "peer"), ended("agent", "client")]
    );
    let agent = agent_of(&bench, &conversation).await;
    let path = format!("{path}/communications/{agent}/messages");
    assert_eq!(bench.post(&path, &example("agent-01-send-text.json")).await.status, 409);
    assert_eq!(
        bench.post("/sandbox/agent/send", &json!({"customer": CUSTOMER, "text": "x"})).await.status,
        409
    );
}

#[tokio::test]
async fn the_customer_leaves() {
    let bench = Bench::start().await;
    let conversation = bench.customer_writes(CUSTOMER).await;
    let shown = bench.conversation(&conversation).await;
    let customer = shown["participants"][0]["id"].as_str().unwrap();
    let path = format!("{MESSAGES}/{conversation}/participants/{customer}");
    assert_eq!(bench.patch(&path, &json!({"state": "connected"})).await.status, 202);
    assert_eq!(ends(&bench.conversation(&conversation).await)[0].1, "connected");
    assert_eq!(bench.patch(&path, &example("participant-01-disconnect.json")).await.status, 202);
    assert_eq!(
        ends(&bench.conversation(&conversation).await),
        [ended("customer", "client"), ended("agent", "peer")]
    );
    assert_eq!(bench.patch(&path, &json!({"state": "gone"})).await.status, 400);
    let nobody = format!("{MESSAGES}/{conversation}/participants/nobody");
    assert_eq!(bench.patch(&nobody, &json!({"state": "disconnected"})).await.status, 404);
}

#[tokio::test]
async fn a_message_without_an_agent_reaches_a_customer_never_seen() {
    let bench = Bench::start().await;
    let mut request = example("agentless-01.json");
    request["fromAddress"] = bench.integration.clone().into();
    let answer = bench.post(&format!("{MESSAGES}/agentless"), &request).await.json();
    assert_valid("agentless-response", &answer);
    let call = bench.hook.wait_for(1).await.remove(0).json();
    assert_valid("outbound-webhook-message", &call);
    let mut expected = example("webhook-13-agentless.json");
    for field in ["id", "channel"] {
        expected[field] = call[field].clone();
    }
    assert_eq!(call, expected);
    assert_eq!(call["channel"]["to"], json!({"id": CUSTOMER, "idType": "Opaque"}));
    // The customer answers into the same conversation.
    assert_eq!(bench.customer_writes(CUSTOMER).await, answer["conversationId"].as_str().unwrap());

    request["useExistingActiveConversation"] = true.into();
    let second = bench.post(&format!("{MESSAGES}/agentless"), &request).await.json();
    assert_eq!(second["conversationId"], answer["conversationId"]);
    request["fromAddress"] = "nowhere".into();
    assert_eq!(bench.post(&format!("{MESSAGES}/agentless"), &request).await.status, 404);
}
