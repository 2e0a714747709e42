//! If the answer to a question to Genesys is lost or unclear, it counts as no answer. The gateway
//! posts nothing on that basis.

use conversation::Policy;
use serde_json::{Value, json};

use crate::stage::{Said, Stage};

fn details(receipts: &Value) -> Said {
    Said::Json(200, json!({ "id": "m1", "normalizedReceipts": receipts }))
}

fn not_found() -> Said {
    Said::Json(404, json!({ "code": "not.found", "status": 404 }))
}

/// Responses that do not answer whether `m1` has a final receipt.
fn no_answers() -> Vec<Said> {
    let receipt = || json!({ "id": "m1", "status": "Sent", "isFinalReceipt": false });
    let mut all = vec![
        Said::Nothing,
        Said::Broken,
        Said::Cut(200),
        Said::Text(200, "<html>Back in a minute.</html>"),
        Said::Text(404, "<html>No such host.</html>"),
        Said::Text(200, ""),
        Said::Text(200, "{\"id\":\"m1\",\"normalizedRec"),
        Said::Json(200, json!({})),
        Said::Json(200, json!([])),
        Said::Json(200, Value::Null),
        Said::Json(200, json!({ "status": "ok" })),
        Said::Json(200, json!({ "id": "m2", "normalizedReceipts": [] })),
        details(&json!("none")),
        details(&json!([receipt(), "?"])),
    ];
    for status in [302, 400, 403, 405, 408, 410, 429, 500, 502, 503, 504] {
        all.push(Said::Json(status, json!({ "status": status, "message": "no" })));
    }
    all
}

/// A receipt is posted, and its answer is lost. Genesys then answers the question with `said` for a
/// while, and finally with `end`. Returns how many receipts were posted.
async fn receipts(said: Said, end: Said) -> usize {
    let stage = Stage::new(Policy::default());
    let (during, after) = (said.clone(), end);
    stage.genesys.answer(move |call| match call.what.as_str() {
        "POST receipt" => Said::Nothing,
        _ => during.clone(),
    });
    stage.webhook("m1").await;
    stage
        .until("it was asked again and again", |stage| {
            stage.genesys.count("GET details") >= 4 || stage.genesys.count("POST receipt") > 1
        })
        .await;
    assert_eq!(
        stage.genesys.count("POST receipt"),
        1,
        "posted again although {said:?} is no answer"
    );
    stage.genesys.answer(move |call| match call.what.as_str() {
        "POST receipt" => Said::Json(202, json!({ "id": "x" })),
        _ => after.clone(),
    });
    stage.until_done().await;
    let posted = stage.genesys.count("POST receipt");
    stage.shutdown().await;
    posted
}

#[tokio::test(start_paused = true)]
async fn a_receipt_is_not_posted_again_before_the_question_is_answered() {
    let last = json!([{ "id": "m1", "status": "Delivered", "isFinalReceipt": true }]);
    for said in no_answers() {
        assert_eq!(receipts(said.clone(), details(&last)).await, 1, "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_genesys_does_not_have_is_posted_again() {
    let sent = json!([{ "id": "m1", "status": "Sent", "isFinalReceipt": false }]);
    let without = Said::Json(200, json!({ "id": "m1" }));
    for end in [details(&json!([])), details(&sent), details(&Value::Null), without, not_found()] {
        assert_eq!(receipts(Said::Broken, end.clone()).await, 2, "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_final_receipt_is_found_among_others_of_an_unexpected_form() {
    // The first has no id, which a receipt needs.
    let odd = json!([{ "status": "Published" }, { "id": "m1", "status": "Failed" }]);
    assert_eq!(receipts(Said::Broken, details(&odd)).await, 1);
}

/// Genesys answers 404 to a post. The gateway believes that only after it has asked whether the
/// integration exists.
#[tokio::test(start_paused = true)]
async fn a_404_is_not_final_while_it_is_not_known_whether_the_integration_is_there() {
    for said in no_answers() {
        // These answers are about a message. As answers about the integration, they would mean
        // something else.
        if matches!(said, Said::Json(200, _)) {
            continue;
        }
        let stage = Stage::new(Policy::default());
        let during = said.clone();
        stage.genesys.answer(move |call| match call.what.as_str() {
            "POST receipt" | "GET details" => not_found(),
            _ => during.clone(),
        });
        stage.webhook("m1").await;
        stage
            .until("it was asked again and again", |stage| {
                stage.genesys.count("GET integration") >= 4 || stage.database.is_done()
            })
            .await;
        assert!(
            !stage.database.is_done(),
            "the receipt was given up although {said:?} is no answer"
        );
        stage.genesys.answer(|call| match call.what.as_str() {
            "POST receipt" | "GET details" => not_found(),
            _ => Said::Json(200, json!({ "id": "b3f0", "name": "acme" })),
        });
        stage.until_done().await;
        stage.shutdown().await;
    }
}
