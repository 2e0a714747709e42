//! Everything that goes right and wrong in the life of a conversation.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::stage::Stage;
use super::{LOUDEST, Told};
use crate::support::{eventually, webhook};

const TO_AGENT: &str = "planted-words-of-the-customer";
const TO_CUSTOMER: &str = "planted-words-of-the-agent";
const CUSTOMER: &str = "planted-customer";
const NAME: &str = "Plantedname";
const EMAIL: &str = "planted-email";

fn words() -> Vec<String> {
    [TO_AGENT, TO_CUSTOMER, CUSTOMER, NAME, EMAIL].map(str::to_owned).to_vec()
}

fn said(id: &str, text: &str) -> Value {
    let customer = json!({
        "id": CUSTOMER, "nickname": NAME, "first_name": NAME, "last_name": NAME, "email": format!("{EMAIL}@example.com"),
    });
    json!({ "type": "message.created", "id": id, "customer": customer, "text": text })
}

/// Plays all of it, and keeps what was answered.
async fn play(stage: &Stage, told: &mut Told) {
    let Stage { sandbox, gateway, .. } = stage;
    let answer = gateway.events(said("first", TO_AGENT).to_string().as_bytes()).await;
    assert_eq!(answer.0, 202);
    told.add("the answer to an event", answer.1.to_string());
    let send = async || sandbox.agent_sends(CUSTOMER, TO_CUSTOMER).await;
    let message = eventually("the agent has the conversation", send).await;
    assert_eq!(sandbox.final_receipt(&message).await.0, "Delivered");
    refused(stage, told).await;
    genesys_fails(stage).await;
    ends(stage).await;
}

/// The chat ends at Genesys, which a notification reports, and starts again.
async fn ends(stage: &Stage) {
    // A message that is still on its way would start the chat again.
    let last = format!("{TO_AGENT}, the last");
    assert_eq!(stage.gateway.events(said("last", &last).to_string().as_bytes()).await.0, 202);
    eventually("Genesys has it", async || {
        let calls = stage.sandbox.transcript().await;
        calls
            .iter()
            .any(|call| call["body"]["text"] == *last && call["status"] == 200)
            .then_some(())
    })
    .await;
    stage.sandbox.post("/sandbox/agent/end", &json!({ "customer": CUSTOMER })).await;
    eventually("the session is closed", async || (stage.chat.count("close") > 0).then_some(()))
        .await;
    assert_eq!(stage.gateway.events(said("anew", TO_AGENT).to_string().as_bytes()).await.0, 202);
    let send = async || stage.sandbox.agent_sends(CUSTOMER, TO_CUSTOMER).await;
    let message = eventually("the agent has the conversation", send).await;
    assert_eq!(stage.sandbox.final_receipt(&message).await.0, "Delivered");
}

/// Input that is not accepted, or is accepted but is not a message.
async fn refused(stage: &Stage, told: &mut Told) {
    let gateway = &stage.gateway;
    let body = webhook("forged", CUSTOMER, TO_CUSTOMER).to_string();
    for signature in [None, Some("sha256=AAAA"), Some("nonsense")] {
        assert_eq!(gateway.webhook_signed(body.as_bytes(), signature).await, 401);
    }
    let mut odd = webhook("odd", CUSTOMER, TO_CUSTOMER);
    odd["type"] = json!(TO_CUSTOMER);
    let mut bare = webhook("bare", CUSTOMER, TO_CUSTOMER);
    bare["channel"] = json!([TO_CUSTOMER, NAME]);
    for body in [
        odd.to_string(),
        bare.to_string(),
        body[..body.len() - 2].to_owned(),
        format!("{TO_CUSTOMER} {NAME}"),
    ] {
        assert_eq!(gateway.webhook(body.as_bytes()).await, 200);
    }
    let event = said("second", TO_AGENT).to_string();
    let other = "whsec_YW5vdGhlciBzZWNyZXQgdGhhdCBpcyBub3QgaXQ=";
    let (_, unsigned) = gateway.events_signed(event.as_bytes(), other, SignedDuration::ZERO).await;
    let (_, early) = gateway
        .events_signed(
            event.as_bytes(),
            crate::support::CONNECTOR_SECRET,
            SignedDuration::from_hours(1),
        )
        .await;
    told.add("the answers to refused events", format!("{unsigned}{early}"));
    for broken in [
        event[..event.len() - 3].to_owned(),
        json!({ "type": TO_AGENT, "id": "third", "text": TO_AGENT }).to_string(),
        json!({ "type": "message.created", "id": "fourth", "customer": NAME, "text": [TO_AGENT] })
            .to_string(),
        json!({ "type": "message.delivered", "id": "fifth", "message_id": TO_AGENT }).to_string(),
    ] {
        told.add(
            "the answer to a broken event",
            gateway.events(broken.as_bytes()).await.1.to_string(),
        );
    }
}

/// Genesys refuses tokens, then refuses calls, then breaks connections.
async fn genesys_fails(stage: &Stage) {
    let Stage { sandbox, gateway, .. } = stage;
    for (number, fault) in [
        json!({ "on": "message", "action": "revoke_token", "times": 1 }),
        json!({ "on": "message", "action": { "status": 400 }, "times": 1 }),
        json!({ "on": "message", "action": { "status": 503 }, "times": 1 }),
        json!({ "on": "message", "action": "drop_answer", "times": 1 }),
        json!({ "on": "receipt", "action": { "status": 400 }, "times": 1 }),
    ]
    .into_iter()
    .enumerate()
    {
        sandbox.fault(&fault).await;
        let event = said(&format!("faulty-{number}"), TO_AGENT).to_string();
        assert_eq!(gateway.events(event.as_bytes()).await.0, 202);
    }
    let message = sandbox.agent_sends(CUSTOMER, TO_CUSTOMER).await.expect("it is sent");
    eventually("Genesys had some of it, and a new token was minted", async || {
        (stage.tap.after("authorization: Bearer ").len() >= 2).then_some(())
    })
    .await;
    eventually("its end is known", async || {
        let row = crate::support::stored(&store(stage), &message).await?;
        (row.state == "delivered").then_some(())
    })
    .await;
}

fn store(stage: &Stage) -> String {
    crate::support::store_in(stage.dir.path())
}

/// The chat service is away, so that the message fails. Then the store is away. Then Genesys no
/// longer knows the client.
async fn all_is_away(stage: &mut Stage) {
    stage.chat.kill();
    let message = stage.sandbox.agent_sends(CUSTOMER, TO_CUSTOMER).await.expect("it is sent");
    assert_eq!(stage.sandbox.final_receipt(&message).await.0, "Failed");
    let locked =
        rusqlite::Connection::open(stage.dir.path().join("tidegate.db")).expect("the store's file");
    locked.execute_batch("begin exclusive").expect("the lock");
    let body = webhook("away", CUSTOMER, TO_CUSTOMER).to_string();
    assert_eq!(stage.gateway.webhook(body.as_bytes()).await, 503);
    locked.execute_batch("rollback").expect("the lock ends");
    let client =
        stage.sandbox.client.delete(format!("{}/sandbox/clients/planted", stage.sandbox.url));
    assert!(client.send().await.expect("an answer").status().is_success());
    assert_eq!(stage.gateway.events(said("unknown", TO_AGENT).to_string().as_bytes()).await.0, 202);
    eventually("the client is refused", async || {
        stage.gateway.process.log().contains("refuses the credentials").then_some(())
    })
    .await;
}

async fn nothing_planted_is_told(level: Option<&str>) {
    let mut stage = Stage::set(None, level).await;
    let mut told = Told::default();
    play(&stage, &mut told).await;
    stage.collect(&mut told).await;
    all_is_away(&mut stage).await;
    stage.collect(&mut told).await;
    stage.gateway.stop().await;
    told.add("the log", stage.gateway.process.log());
    let secrets = stage.secrets();
    told.lacks(&secrets);
    told.lacks(&words());
    println!("{} bytes hold none of {} secrets and no word of anybody", told.size(), secrets.len());

    // The store must contain what people wrote, or else nothing was searched. It must contain no
    // secret.
    let mut kept = Told::default();
    for name in ["tidegate.db", "tidegate.db-wal"] {
        kept.add(name, std::fs::read(stage.dir.path().join(name)).unwrap_or_default());
    }
    let file = String::from_utf8_lossy(&kept.0[0].1).into_owned();
    assert!(words().iter().all(|word| file.contains(word.as_str())), "the store has it");
    kept.lacks(&secrets);
}

// The commands talk to Genesys through the test.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_no_word_is_told_by_default() {
    nothing_planted_is_told(None).await;
}

// The commands talk to Genesys through the test.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_no_word_is_told_at_the_loudest_level() {
    nothing_planted_is_told(Some(LOUDEST)).await;
}
