//! The customer's typing reaches Genesys once.

use conversation::Policy;
use serde_json::json;

use crate::stage::{Said, Stage};

#[tokio::test(start_paused = true)]
async fn genesys_is_told_that_the_customer_types() {
    let stage = Stage::new(Policy::default());
    stage.genesys.answer(|_| taken());
    stage.says("noor", "c1").await;
    stage.until_done().await;
    stage.types("noor", "t1").await;
    stage.until("Genesys is told", |stage| stage.genesys.count("POST event") == 1).await;
    stage.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn typing_that_genesys_refuses_is_not_repeated_and_holds_up_nothing() {
    let stage = Stage::new(Policy::default());
    stage.genesys.answer(|call| match call.what.as_str() {
        "POST event" => Said::Json(500, json!({})),
        _ => taken(),
    });
    stage.says("noor", "c1").await;
    stage.until_done().await;
    stage.types("noor", "t1").await;
    stage.until("Genesys is told", |stage| stage.genesys.count("POST event") == 1).await;
    stage.says("noor", "c2").await;
    stage.until_done().await;
    assert_eq!(stage.genesys.texts(), ["c1", "c2"]);
    assert_eq!(stage.genesys.count("POST event"), 1);
    stage.shutdown().await;
}

/// Typing is posted only for a conversation that Genesys has named.
fn taken() -> Said {
    Said::Json(202, json!({ "id": "x", "conversationId": "g1" }))
}
