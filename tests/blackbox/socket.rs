//! A chat service that cannot be dialled opens sockets to the gateway.

mod example;
mod limits;
mod losses;
mod nodes;
mod order;
mod refusals;
mod sharing;
mod stops;

use serde_json::json;

use crate::support::{CONNECTOR_SECRET, SocketLoop, eventually, output, root, tidegate};

#[tokio::test]
async fn messages_go_both_ways_over_a_socket() {
    let mut all = SocketLoop::start("").await;
    let (_, metrics) = all.gateway.get("/metrics").await;
    assert!(metrics.contains("tidegate_sockets{integration=\"acme\"} 0\n"), "it misses one");
    let mut socket = all.socket().await;
    assert_eq!(socket.hello["hello"]["integration"], "acme");
    assert_eq!(all.metric("tidegate_sockets{integration=\"acme\"}").await, 1);
    socket.customer_writes("noor", "Where is my parcel?").await;

    let open = socket.call().await;
    assert_eq!((&open["call"], &open["body"]["attempt"]), (&json!("open"), &json!(1)));
    assert_eq!(open["body"]["customer"]["id"], "noor");
    let message = all.agent_writes("noor", "It left yesterday.").await;
    socket.answer(&open, 202, json!({})).await;
    let session = json!({ "type": "session.opened", "id": "e-1", "session": "s-81",
        "conversation": open["conversation"] });
    assert_eq!(socket.events(session).await["status"], 202, "one event needs no array");

    let call = socket.call().await;
    assert_eq!((&call["call"], &call["conversation"]), (&json!("messages"), &open["conversation"]));
    assert_eq!((&call["idempotency_key"], &call["body"]["id"]), (&json!(message), &json!(message)));
    assert_eq!(call["body"]["text"], "It left yesterday.");
    assert_eq!(call["body"]["session"], "s-81");
    socket.delivered(&call).await;
    assert_eq!(all.sandbox.final_receipt(&message).await, ("Delivered".to_owned(), None));
    all.gateway.stop().await;
    assert_eq!(socket.next().await.expect_err("it is closed").code, 1001);
}

#[tokio::test]
async fn the_configuration_of_the_page_passes_the_check() {
    let all = SocketLoop::start("").await;
    let page = std::fs::read_to_string(root().join("docs/socket.md")).expect("the page");
    let block = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let config = all.dir.path().join("tidegate.toml");
    let text = std::fs::read_to_string(&config).expect("the configuration");
    let before = text.split("[integration.connector]").next().expect("what stands before");
    std::fs::write(&config, format!("{before}{}", block.expect("a block"))).expect("written");
    let mut check = tidegate();
    check.args(["check", "--config"]).arg(&config);
    check.env("ACME_CONNECTOR_SECRET", CONNECTOR_SECRET);
    let checked = output(check);
    let told = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{told}{}", String::from_utf8_lossy(&checked.stderr));
    assert!(told.contains("chat service at its own WebSocket: it opens the connection"), "{told}");
}

#[tokio::test]
async fn events_need_not_wait_for_one_another_and_keep_their_order() {
    let all = SocketLoop::start("").await;
    let mut socket = all.socket().await;
    let texts: Vec<_> = (0..40).map(|n| format!("Line {n}")).collect();
    for (n, text) in texts.iter().enumerate() {
        let event = json!({ "type": "message.created", "id": format!("m-{n}"), "text": text,
            "customer": { "id": "noor" } });
        socket.send(&json!({ "id": n, "events": event })).await;
    }
    for n in 0..texts.len() {
        assert_eq!(socket.reply(&json!(n)).await["status"], 202, "in the order of the frames");
    }
    eventually("Genesys has them in their order", async || {
        let entries = all.sandbox.transcript().await.into_iter();
        let posted = entries.filter(|entry| {
            let path = entry["path"].as_str().unwrap_or_default();
            path.contains("/inbound/open/message") && entry["status"] == 200
        });
        let said: Vec<_> =
            posted.filter_map(|entry| entry["body"]["text"].as_str().map(str::to_owned)).collect();
        (said.len() == texts.len()).then(|| assert_eq!(said, texts))
    })
    .await;
}
