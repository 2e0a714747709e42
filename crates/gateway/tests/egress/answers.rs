//! A customer's answer to a question with options reaches Genesys as a tap on the button.

use conversation::Policy;
use serde_json::{Value, json};

use crate::stage::{Call, Said, Stage};

/// A stage on which the agent has asked `q`, "Yes" or "No", and the customer has read it.
async fn asked(script: impl FnMut(&Call) -> Said + Send + 'static) -> Stage {
    let stage = Stage::new(Policy::default());
    stage.genesys.answer(script);
    let reply = |text: &str, payload: &str| {
        let reply = json!({ "text": text, "payload": payload });
        json!({ "contentType": "QuickReply", "quickReply": reply })
    };
    let options = json!([reply("Yes", "existing-yes"), reply("No", "existing-no")]);
    stage.agent_writes("q", "Structured", options).await;
    stage.until_done().await;
    stage
}

fn taken() -> Said {
    Said::Json(202, json!({ "id": "x", "conversationId": "g1" }))
}

/// The option that Genesys got, and the message that it answers.
fn tap(response: &Value) -> (&str, &str, &str) {
    let text = |value: &'static str| response.pointer(value).and_then(Value::as_str).unwrap_or("");
    (text("/buttonResponse/type"), text("/buttonResponse/payload"), text("/originatingMessageId"))
}

#[tokio::test(start_paused = true)]
async fn a_number_reaches_genesys_as_the_option() {
    let stage = asked(|_| taken()).await;
    stage.says_text("noor", "c1", "2").await;
    stage.says_text("noor", "c2", "2").await;
    stage.until_done().await;
    let responses = stage.genesys.bodies("POST response");
    assert_eq!(responses.len(), 1);
    assert_eq!(tap(&responses[0]), ("QuickReply", "existing-no", "q"));
    assert_eq!(responses[0]["buttonResponse"]["text"], "No");
    assert_eq!(responses[0]["channel"]["messageId"], "c1");
    assert_eq!(stage.genesys.texts(), ["2"], "the question is answered: now 2 is a text");
    stage.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn other_words_stay_words() {
    let stage = asked(|_| taken()).await;
    stage.says_text("noor", "c1", "yes, but later").await;
    stage.says_text("noor", "c2", "YES").await;
    stage.until_done().await;
    assert_eq!(stage.genesys.texts(), ["yes, but later"]);
    assert_eq!(tap(&stage.genesys.bodies("POST response")[0]).1, "existing-yes");
    stage.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_option_that_genesys_refuses_arrives_as_the_customers_words() {
    let stage = asked(|call| match call.what.as_str() {
        "POST response" => Said::Json(400, json!({ "code": "bad.request", "status": 400 })),
        _ => taken(),
    })
    .await;
    stage.says_text("noor", "c1", "1").await;
    stage.until_done().await;
    assert_eq!(stage.genesys.count("POST response"), 1);
    assert_eq!(stage.genesys.texts(), ["1"]);
    stage.shutdown().await;
}

/// A permission may be missing for options alone.
#[tokio::test(start_paused = true)]
async fn an_option_that_genesys_forbids_arrives_as_the_customers_words() {
    let stage = asked(|call| match call.what.as_str() {
        "POST response" => Said::Json(403, json!({ "code": "missing.any.permissions" })),
        _ => taken(),
    })
    .await;
    stage.says_text("noor", "c1", "1").await;
    stage.until_done().await;
    assert_eq!(
        (stage.genesys.count("POST response"), stage.genesys.texts()),
        (1, vec!["1".into()])
    );
    stage.shutdown().await;
}

/// Genesys takes what others are owed, so it is this call that fails.
#[tokio::test(start_paused = true)]
async fn an_option_that_genesys_never_takes_arrives_as_the_customers_words() {
    let stage = asked(|call| match call.what.as_str() {
        "POST response" => Said::Json(500, json!({})),
        "GET integration" => Said::Json(200, json!({ "id": "b3f0", "name": "acme" })),
        _ => taken(),
    })
    .await;
    stage.says_text("noor", "c1", "1").await;
    stage.until_done().await;
    assert_eq!(stage.genesys.texts(), ["1"]);
    let tries = stage.genesys.count("POST response");
    assert!((3..20).contains(&tries), "{tries}");
    stage.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_option_that_genesys_cannot_take_now_is_tried_again() {
    let mut failures = 2;
    let stage = asked(move |call| match call.what.as_str() {
        "POST response" if failures > 0 => {
            failures -= 1;
            Said::Json(503, json!({}))
        }
        _ => taken(),
    })
    .await;
    stage.says_text("noor", "c1", "1").await;
    stage.until_done().await;
    assert_eq!(stage.genesys.count("POST response"), 3);
    assert_eq!(stage.genesys.count("POST message"), 0);
    stage.shutdown().await;
}

/// Architect reads the time in the form in which it was offered.
#[tokio::test(start_paused = true)]
async fn a_time_reaches_genesys_as_genesys_wrote_it() {
    let stage = Stage::new(Policy::default());
    stage.genesys.answer(|_| taken());
    let times = json!([{ "dateTime": "2026-12-01T10:00:00.000Z" }]);
    let picker = json!({ "title": "When?", "availableTimes": times });
    let content = json!([{ "contentType": "DatePicker", "datePicker": picker }]);
    stage.agent_writes("q", "Structured", content).await;
    stage.until_done().await;
    stage.says_text("noor", "c1", "1").await;
    stage.until_done().await;
    let response = &stage.genesys.bodies("POST response")[0]["buttonResponse"];
    let time = "2026-12-01T10:00:00.000Z";
    assert_eq!(*response, json!({ "type": "DatePicker", "text": time, "payload": time }));
    stage.shutdown().await;
}
