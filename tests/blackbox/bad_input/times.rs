//! The effect of `channel.time`: it orders messages, whatever it contains, and a message older than
//! the retention may be a replay.

use serde_json::{Value, json};

use super::webhooks::goes_on;
use super::{MARKER, QUICK};
use crate::support::{Loop, now, webhook};

fn at(id: &str, time: &Value) -> String {
    let mut body = webhook(id, "noor", &format!("{MARKER} {id}"));
    body["channel"]["time"] = time.clone();
    body.to_string()
}

#[tokio::test]
async fn a_time_of_any_kind_does_not_keep_a_message_from_arriving() {
    let mut all = Loop::start("", QUICK).await;
    all.sandbox.accept_unknown_receipts().await;
    let times = [
        json!("9999-12-31T23:59:59.999Z"),
        json!("9999-12-30T22:00:00.999999999Z"),
        json!("99999999-01-01T00:00:00Z"),
        json!("2026-02-30T12:00:00Z"),
        json!("2026-11-20T24:61:61Z"),
        json!("2026-11-20T09:14:03.482+25:99"),
        json!("yesterday"),
        json!(""),
        json!("9".repeat(100_000)),
        json!(1_795_000_000_000_u64),
        json!(-1e300),
        json!(null),
        json!({ "time": [] }),
    ];
    let mut expected = Vec::new();
    for (index, time) in times.iter().enumerate() {
        // Each with a valid message behind it, which must not be held up.
        for (id, time) in
            [(format!("time-{index}"), time), (format!("next-{index}"), &json!(now().to_string()))]
        {
            assert_eq!(all.gateway.webhook(at(&id, time).as_bytes()).await, 200, "{time:.60}");
            assert_eq!(all.settled(&id).await.state, "delivered", "{time:.60}");
            expected.push(format!("{MARKER} {id}"));
        }
    }
    let mut without = webhook("no-time", "noor", &format!("{MARKER} no-time"));
    without["channel"].as_object_mut().expect("an object").remove("time");
    assert_eq!(all.gateway.webhook(without.to_string().as_bytes()).await, 200);
    assert_eq!(all.settled("no-time").await.state, "delivered");
    expected.push(format!("{MARKER} no-time"));
    // Written so long ago that its id may have been forgotten: it gets a receipt and is not
    // forwarded.
    for (index, time) in
        ["0001-01-01T00:00:00.000Z", "-009999-01-02T01:59:59Z", "1969-12-31T23:59:59.999Z"]
            .into_iter()
            .enumerate()
    {
        let id = format!("old-{index}");
        assert_eq!(all.gateway.webhook(at(&id, &json!(time)).as_bytes()).await, 200, "{time}");
        let row = all.settled(&id).await;
        assert_eq!(row.state, "failed", "{time}");
        assert!(row.reason.is_some_and(|reason| reason.contains("may be a replay")), "{time}");
    }
    assert_eq!(all.chat.taken(), expected);
    goes_on(&mut all).await;
}

#[tokio::test]
async fn messages_from_the_future_and_the_past_find_their_place_in_a_hold() {
    let mut all = Loop::start("", &["--handshake", "2", "--deliver", "immediately"]).await;
    all.sandbox.accept_unknown_receipts().await;
    let post = async |id: &str, time: Value| {
        assert_eq!(all.gateway.webhook(at(id, &time).as_bytes()).await, 200);
    };
    post("far-future", json!("9999-12-30T22:00:00Z")).await;
    post("first", json!(now().to_string())).await;
    post("nonsense", json!("soon")).await;
    post("second", json!(now().to_string())).await;
    post("past", json!((now() - jiff::SignedDuration::from_hours(24)).to_string())).await;
    assert!(all.chat.taken().is_empty(), "the handshake is not over yet");
    // The order is that of the times. A message without a valid time comes after all that arrived
    // before it.
    let order = ["past", "first", "second", "far-future", "nonsense"];
    for id in order {
        assert_eq!(all.settled(id).await.state, "delivered", "{id}");
    }
    assert_eq!(all.chat.taken(), order.map(|id| format!("{MARKER} {id}")));
    goes_on(&mut all).await;
}

#[tokio::test]
async fn a_message_from_the_future_expires_like_any_other() {
    let hold = "[integration.hold]\nfor = \"1s\"";
    let mut all =
        Loop::start(hold, &["--never", "nobody-", "--handshake", "0", "--deliver", "immediately"])
            .await;
    all.sandbox.accept_unknown_receipts().await;
    for (index, time) in ["9999-12-30T22:00:00Z", "0001-01-01T00:00:00Z"].into_iter().enumerate() {
        let id = format!("expires-{index}");
        let mut body = webhook(&id, &format!("nobody-{index}"), MARKER);
        body["channel"]["time"] = json!(time);
        assert_eq!(all.gateway.webhook(body.to_string().as_bytes()).await, 200);
        let row = all.settled(&id).await;
        assert_eq!(row.state, "failed", "{time}");
        assert!(row.reason.is_some_and(|reason| reason.contains("MessageExpired")), "{time}");
    }
    goes_on(&mut all).await;
}
