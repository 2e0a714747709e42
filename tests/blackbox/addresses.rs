//! No outsider can direct the gateway to an address. It follows no redirects, fetches no media, and
//! listens to notifications only at addresses that can be Genesys's.

mod decoy;
mod redirects;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{Gateway, Loop, eventually, free_port, tidegate, webhook};
use decoy::{Api, Decoy};

/// All HTTP redirect statuses.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

#[tokio::test]
async fn media_are_passed_on_and_not_fetched() {
    let all = Loop::start(
        "media = [\"*/*\"]\ncontent = [\"*\"]",
        &["--handshake", "0", "--deliver", "immediately"],
    )
    .await;
    all.sandbox.accept_unknown_receipts().await;
    let decoy = Decoy::start().await;
    let url = |name: &str| format!("{}/{name}", decoy.url);
    let mut body = webhook("with-media", "noor", "Look at this.");
    let attachment = json!({ "mediaType": "Image", "mime": "image/png", "url": url("image.png"), "filename": url("name") });
    let card = json!({ "title": "A card", "description": url("text"), "image": url("card.png"), "actions": [{ "type": "Link", "text": "Go", "url": url("link") }] });
    let reply =
        json!({ "text": "Yes", "payload": "yes", "action": "Message", "image": url("reply.png") });
    body["content"] = json!([
        { "contentType": "Attachment", "attachment": attachment },
        { "contentType": "Card", "card": card },
        { "contentType": "QuickReply", "quickReply": reply },
    ]);
    body["channel"]["from"]["image"] = json!(url("from.png"));
    body["metadata"] = json!({ "callback": url("callback") });
    assert_eq!(all.gateway.webhook(body.to_string().as_bytes()).await, 200);
    assert_eq!(all.settled("with-media").await.state, "delivered");
    let customer = json!({ "id": "noor", "image": url("customer.png") });
    let content = json!([{ "contentType": "Attachment", "attachment": { "mediaType": "Image", "mime": "image/png", "url": url("sent.png") } }]);
    let event = json!({ "type": "message.created", "id": "e", "customer": customer, "text": url("words"), "content": content });
    assert_eq!(all.gateway.events(event.to_string().as_bytes()).await.0, 202);
    eventually("Genesys has it", async || all.heard().await.contains(&url("words")).then_some(()))
        .await;
    all.audited();
    decoy.was_never_visited().await;
}

/// A gateway between an API stub and a chat service that accepts everything.
async fn beside(api: &Api, integration: &str) -> (TempDir, Gateway) {
    let dir = tempfile::tempdir().expect("a folder");
    let chat = decoy::chat(|_, _| None).await;
    let port = free_port();
    let config = Gateway::configure(dir.path(), port, &api.url, "b3f0", &chat, integration);
    (dir, Gateway::start(&config, port).await)
}

const NOTIFICATIONS: &str = "[integration.end]\ndetect = \"notifications\"\npoll = \"1s\"";

/// A customer and an agent write, so that every kind of call to Genesys is needed.
async fn talk(gateway: &Gateway) {
    let event = json!({ "type": "message.created", "id": "e", "customer": { "id": "noor" }, "text": "Hello?" });
    assert_eq!(gateway.events(event.to_string().as_bytes()).await.0, 202);
    let typing = json!({ "type": "typing.started", "customer": { "id": "noor" } });
    gateway.events(typing.to_string().as_bytes()).await;
    assert_eq!(
        gateway.webhook(webhook("m", "noor", "Good morning.").to_string().as_bytes()).await,
        200
    );
}

#[tokio::test]
async fn no_redirect_of_genesys_is_followed() {
    let decoy = Decoy::start().await;
    let leads = decoy.url.clone();
    let turn = Arc::new(AtomicUsize::new(0));
    let turns = Arc::clone(&turn);
    let api = Api::start(move |path, _| {
        let status = REDIRECTS[turns.fetch_add(1, Ordering::SeqCst) % REDIRECTS.len()];
        (path != "/oauth/token").then(|| (status, format!("{leads}{path}")))
    })
    .await;
    let (_dir, gateway) = beside(&api, NOTIFICATIONS).await;
    talk(&gateway).await;
    // Before a receipt is posted again, Genesys is asked whether it has it.
    for call in
        ["/inbound/open/message", "/inbound/open/receipt", "/m/details", "/notifications/channels"]
    {
        eventually(call, async || (api.calls(call) > 0).then_some(())).await;
    }
    eventually("each status", async || {
        (turn.load(Ordering::SeqCst) >= 2 * REDIRECTS.len()).then_some(())
    })
    .await;
    assert!(api.tokens() > 0, "there was a token to be stolen");
    decoy.was_never_visited().await;
}

#[tokio::test]
async fn no_redirect_of_the_token_endpoint_is_followed() {
    let decoy = Decoy::start().await;
    let leads = decoy.url.clone();
    let api = Api::start(move |path, count| {
        Some((REDIRECTS[count % REDIRECTS.len()], format!("{leads}{path}")))
    })
    .await;
    let (dir, gateway) = beside(&api, NOTIFICATIONS).await;
    talk(&gateway).await;
    eventually("it asks for a token", async || {
        (api.calls("/oauth/token") >= REDIRECTS.len()).then_some(())
    })
    .await;
    let mut check = tidegate();
    check.args(["check", "--config"]).arg(dir.path().join("tidegate.toml"));
    let checked =
        tokio::task::spawn_blocking(|| crate::support::output(check)).await.expect("it ends");
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    decoy.was_never_visited().await;
}

#[tokio::test]
async fn a_notification_socket_elsewhere_is_not_opened() {
    let decoy = Decoy::start().await;
    let socket = decoy.url.replacen("http://", "ws://", 1);
    let api = Api::start(|_, _| None).await;
    api.names_socket(&format!("{socket}/channels/a"));
    let (_dir, gateway) = beside(&api, NOTIFICATIONS).await;
    eventually("two channels were made", async || {
        (api.calls("/notifications/channels") >= 2).then_some(())
    })
    .await;
    assert!(gateway.process.log().contains("neither where the API is nor at a host of Genesys"));
    decoy.was_never_visited().await;
    // The same gateway does open a socket at the API's own address.
    api.names_socket(&format!("{}/channels/a", api.url.replacen("http://", "ws://", 1)));
    eventually("the socket is asked for", async || (api.calls("/channels/a") > 0).then_some(()))
        .await;
}
