//! A captured webhook that is replayed after its id has been forgotten.

use jiff::SignedDuration;
use serde_json::json;

use crate::support::{Loop, now, webhook};

#[tokio::test]
async fn a_webhook_older_than_what_is_kept_fails_and_is_never_forwarded() {
    let all = Loop::start("", &["--handshake", "0", "--deliver", "immediately"]).await;
    all.sandbox.accept_unknown_receipts().await;
    all.chat.says("noor", "Where is my parcel?").await;
    let written = |id: &str, ago: SignedDuration| {
        let mut body = webhook(id, "noor", &format!("{id} is here."));
        body["channel"]["time"] = json!((now() - ago).to_string());
        body.to_string()
    };
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    // The retention is 30 days. A clock that is wrong by less than that loses no message.
    for (id, ago) in
        [("late", days(29)), ("early", days(-29)), ("captured", days(31)), ("ancient", days(4_000))]
    {
        assert_eq!(all.gateway.webhook(written(id, ago).as_bytes()).await, 200, "{id}");
    }
    for id in ["late", "early"] {
        assert_eq!(all.settled(id).await.state, "delivered", "{id}");
    }
    for id in ["captured", "ancient"] {
        let row = all.settled(id).await;
        assert_eq!(row.state, "failed", "{id}");
        let reason = format!("{:?}", row.reason);
        assert!(reason.contains("may be a replay"), "{id}: {reason}");
    }
    let mut taken = all.chat.taken();
    taken.sort();
    assert_eq!(taken, ["early is here.", "late is here."]);
    assert!(all.gateway.process.log().contains("older than what is kept"));
    all.audited();
}
